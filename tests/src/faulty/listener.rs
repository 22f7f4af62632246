//! The listening socket: opened, and announced.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use crate::faulty::options::Options;
use rustix::net;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 128;

/// Opens the socket. The error is a line for a person.
pub fn open(address: SocketAddr, settings: &Settings) -> Result<TcpListener, String> {
    let opened = match settings.has(Fault::NoAddressReuse) {
        true => open_by_hand(address),
        false => TcpListener::bind(address),
    };
    if settings.has(Fault::BindErrorPanics) {
        return Ok(opened.unwrap());
    }
    opened.map_err(|error| match error.kind() {
        _ if settings.has(Fault::BindErrorNamesNothing) => error.to_string(),
        ErrorKind::AddrInUse => {
            format!("The address {address} is in use. Take another with `--listen`.")
        }
        _ => format!("Cannot listen on {address}: {error}. Take another with `--listen`."),
    })
}

/// What `TcpListener::bind` does, but for SO_REUSEADDR, which it always sets.
fn open_by_hand(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => net::AddressFamily::INET,
        SocketAddr::V6(_) => net::AddressFamily::INET6,
    };
    let socket = net::socket(family, net::SocketType::STREAM, None)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Says that the server serves, and where.
pub fn announce(
    listener: &TcpListener,
    options: &Options,
    settings: &Settings,
) -> Result<(), String> {
    let mut address = listener.local_addr().map_err(|error| error.to_string())?;
    if settings.has(Fault::AnnouncesPort0) {
        address = options.address();
    }
    let mut root = options.root.display().to_string();
    if settings.has(Fault::AnnouncesNoRoot) {
        root = "files".to_string();
    }
    let mut stdout = BufWriter::new(io::stdout());
    let _ = writeln!(stdout, "Serving {root} at http://{address}/");
    match settings.has(Fault::AnnouncementNotFlushed) {
        true => std::mem::forget(stdout),
        false => stdout.flush().map_err(|error| error.to_string())?,
    }
    Ok(())
}
