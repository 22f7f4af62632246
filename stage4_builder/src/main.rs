//! The start: reads the command line, opens the document root and the listening socket, and
//! announces the address.
//!
//! Read the other modules in this order: `serve` accepts connections, `connection` handles one of
//! them, `request` parses what the client asks for, `handler` decides on the response, `files` finds
//! the file, `response` turns it into bytes, and `log` writes a line about it. This stage adds
//! `permission`, `mime` and `form`, which help the handler.

mod connection;
mod files;
mod form;
mod handler;
mod log;
mod mime;
mod options;
mod permission;
mod request;
mod response;
mod serve;

use anyhow::Context;
use clap::Parser;
use options::Options;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
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
    let shown_root = options.root.path.display().to_string();
    options.root = files::open_root(&options.root.path)?;
    // Clients wait in the backlog of this socket until they are accepted.
    let listen = options.listen;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("Cannot listen on {listen}. Choose another address with `--listen`")
    })?;
    let address = listener.local_addr()?;
    // Rust flushes standard output at the end of each line.
    writeln!(io::stdout(), "Serving {shown_root} at http://{address}/")?;
    serve::serve(&listener, options)
}
