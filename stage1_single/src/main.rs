//! The front door: reads the command line, opens the listening socket, says where it is.
//!
//! From here the way leads through the other rooms in this order: `serve` accepts a
//! connection, `client` looks after it, `request` understands what is asked, `files`
//! finds it, `response` sends it.

mod client;
mod files;
mod request;
mod response;
mod serve;

use anyhow::anyhow;
use clap::{Parser, value_parser};
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

/// A web server that serves one client at a time.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Where to listen, as in `127.0.0.1:8080` or `[::1]:8080`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7788")]
    listen: SocketAddr,

    /// The document root: the folder whose files are served.
    #[arg(long, value_name = "DIR", default_value = "html")]
    root: PathBuf,

    /// How long to wait for a client before giving it up.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Show the head of every request as it came.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            client::log(&format!("{}: {error:#}", env!("CARGO_PKG_NAME")));
            ExitCode::FAILURE
        }
    }
}

/// Opens all that a server needs, then serves until it is told to end.
fn run(mut options: Options) -> anyhow::Result<()> {
    let shown_root = options.root.display().to_string();
    options.root = files::open_root(&options.root)?;
    let listener = bind(options.listen)?;
    let address = listener.local_addr()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "Serving {shown_root} at http://{address}/")?;
    stdout.flush()?;
    serve::serve(&listener, options)
}

/// Opens the listening socket; clients wait in its backlog until they are accepted.
fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("The address {address} is in use. Choose another with `--listen`.")
        }
        ErrorKind::PermissionDenied => anyhow!(
            "You have no right to listen on {address}. Choose a port above 1023 with `--listen`."
        ),
        _ => anyhow!("Cannot listen on {address}: {error}. Choose another with `--listen`."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_told_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        let way_out = "Choose another with `--listen`.";
        assert_eq!(error, format!("The address {address} is in use. {way_out}"));
    }
}
