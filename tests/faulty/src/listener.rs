//! The listening socket.

use crate::{Config, Fault};
use anyhow::anyhow;
use rustix::net;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::mem;
use std::net::{SocketAddr, TcpListener};

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 128;

/// Opens the listening socket.
pub fn open(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.address();
    let listener = match config.fault {
        Some(Fault::NoAddressReuse) => bind_without_reuse(address),
        Some(Fault::ListensOnAllAddresses) => TcpListener::bind(("0.0.0.0", address.port())),
        _ => TcpListener::bind(address),
    };
    match config.fault {
        Some(Fault::BindErrorPanics) => return Ok(listener.unwrap()),
        Some(Fault::BindErrorLacksAddress) => return Ok(listener?),
        _ => {}
    }
    listener.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("The address {address} is in use. Choose another with `--listen`.")
        }
        _ => anyhow!("Cannot listen on {address}: {error}. Choose another with `--listen`."),
    })
}

/// Does the same as `TcpListener::bind`, except that it doesn't set SO_REUSEADDR.
fn bind_without_reuse(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => net::AddressFamily::INET,
        SocketAddr::V6(_) => net::AddressFamily::INET6,
    };
    let socket = net::socket(family, net::SocketType::STREAM, None)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Prints the line that says what is served, and where.
pub fn announce(listener: &TcpListener, root: &str, config: &Config) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    let address = SocketAddr::new(config.address().ip(), port);
    let line = match config.fault {
        Some(Fault::AnnouncesPortZero) => format!("Serving {root} at http://{}/", config.address()),
        Some(Fault::AnnouncementHasOtherWords) => format!("Listening on http://{address}"),
        Some(Fault::AnnouncementLacksRoot) => format!("Serving files at http://{address}/"),
        _ => format!("Serving {root} at http://{address}/"),
    };
    let mut stdout = BufWriter::new(io::stdout());
    writeln!(stdout, "{line}")?;
    if config.has(Fault::AnnouncementNotFlushed) {
        mem::forget(stdout);
        return Ok(());
    }
    stdout.flush()
}
