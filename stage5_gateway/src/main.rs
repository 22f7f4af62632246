//! The start: reads the command line, opens the document root and the listening socket, and
//! announces the address.
//!
//! Read the other modules in this order: `serve` accepts connections, `connection` handles one of
//! them, `request` parses what the client asks for, `handler` decides on the response, `files` finds
//! the file, `response` turns it into bytes, and `log` writes a line about it. This stage adds
//! the gateway to applications: `mount` says which one answers what, `gateway` asks it, `content` and
//! `chunked` read what a client sends, `cgi` runs a program, `fastcgi` speaks with one that keeps
//! running, `worker` keeps it running, and `supervisor` ends it when the server is gone.

mod answer;
mod cgi;
mod chunked;
mod client;
mod connection;
mod content;
mod error_log;
mod fastcgi;
mod files;
mod form;
mod gateway;
mod handler;
mod log;
mod mime;
mod mount;
mod options;
mod permission;
mod request;
mod response;
mod serve;
mod supervisor;
mod variables;
mod worker;

use anyhow::Context;
use clap::Parser;
use options::Options;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(command) = supervisor::command() {
        return supervisor::run(&command);
    }
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(&format!("{}: {error:#}", env!("CARGO_PKG_NAME")));
            ExitCode::FAILURE
        }
    }
}

/// Opens everything that a server needs, then serves until the program is stopped.
fn run(mut options: Options) -> anyhow::Result<()> {
    // Rust opens descriptors for this program alone. What a shell has left open must stay here, too.
    close_fds::set_fds_cloexec(3, &[]);
    let shown_root = options.root.path.display().to_string();
    options.root = files::open_root(&options.root.path)?;
    // Clients wait in the backlog of this socket until they are accepted.
    let listen = options.listen;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("Cannot listen on {listen}. Choose another address with `--listen`")
    })?;
    let address = listener.local_addr()?;
    options.gateway.start()?;
    // Rust flushes standard output at the end of each line.
    writeln!(io::stdout(), "Serving {shown_root} at http://{address}/")?;
    serve::serve(&listener, options)
}
