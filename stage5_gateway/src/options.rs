//! The command line.

use crate::files::Root;
use crate::mount::Gateway;
use clap::{Parser, value_parser};
use std::net::SocketAddr;

/// A web server with a gateway to applications: CGI, FastCGI and WSGI.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Where to listen, as in `127.0.0.1:8080` or `[::1]:8080`; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8001")]
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

    #[command(flatten)]
    pub gateway: Gateway,
}
