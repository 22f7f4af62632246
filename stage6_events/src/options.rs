//! The command line.

use crate::files::Root;
use clap::{Parser, value_parser};
use std::net::SocketAddr;

/// A web server whose single thread serves all clients, on connections that stay open.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Where to listen, as in `127.0.0.1:8080` or `[::1]:8080`; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9002")]
    pub listen: SocketAddr,

    /// The document root: the folder whose files are served.
    #[arg(long, value_name = "DIR", default_value = "html")]
    pub root: Root,

    /// How long to wait for a client.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Show the head of every request as it came.
    #[arg(long)]
    pub verbose: bool,

    /// Log no requests.
    #[arg(long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// How many event loops to run, each in a thread of its own.
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u16).range(1..=256))]
    pub loops: u16,
}
