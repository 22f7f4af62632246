//! What the system knows about TCP sockets, from sock_diag(7), Linux only. A machine that runs suites
//! has thousands of connections in TIME-WAIT, and /proc/net/tcp would list them all at every look.

use crate::error::{CheckError, CheckResult};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP socket.
#[derive(Debug)]
pub struct TcpSocket {
    /// Its local address.
    pub address: IpAddr,
    /// 0 until the connection has been accepted.
    pub inode: u64,
    /// Bytes to be read; of a listening socket, connections to be accepted.
    pub receive_queue: usize,
    state: u8,
}

/// States of a socket: open in both directions; ended by the other side only; listening.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

impl TcpSocket {
    /// Whether its owner has shut down its sending side, or closed it.
    pub fn is_shut_down(&self) -> bool {
        !matches!(self.state, ESTABLISHED | CLOSE_WAIT)
    }
}

/// The server's socket of a connection.
pub fn connection(server: SocketAddr, client: SocketAddr) -> CheckResult<Option<TcpSocket>> {
    find(server, client).map_err(broken)
}

/// The socket that listens at that address.
pub fn listener(server: SocketAddr) -> CheckResult<Option<TcpSocket>> {
    let anybody = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = find(server, anybody).map_err(broken)?;
    Ok(socket.filter(|socket| socket.state == LISTEN))
}

fn broken(error: io::Error) -> CheckError {
    CheckError::Broken(format!("cannot look up a TCP socket: {error}"))
}

/// The length of `struct nlmsghdr` (netlink(7)) and of `struct inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = 56;

/// Asks the kernel for one socket.
#[cfg(target_os = "linux")]
fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<TcpSocket>> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
    use rustix::net::{netlink, recv, send, socket_with};
    let protocol = Some(netlink::SOCK_DIAG);
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    // Without CLOEXEC, a server that another thread starts right now would inherit this socket.
    let netlink = socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    send(&netlink, &request(local, remote), SendFlags::empty())?;
    let mut response = [0_u8; 1024];
    let (length, _) = recv(&netlink, &mut response, RecvFlags::empty())?;
    Ok(parse(&response[..length]))
}

#[cfg(not(target_os = "linux"))]
fn find(_: SocketAddr, _: SocketAddr) -> io::Result<Option<TcpSocket>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A message with a `struct inet_diag_req_v2`. Its ports and addresses are in network byte order.
fn request(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const IPPROTO_TCP: u8 = 6;
    const ALL_STATES: u32 = u32::MAX;
    const NO_COOKIE: [u8; 8] = [0xff; 8];
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port id.
    bytes.extend([0; 8]);
    bytes.extend([family(local), IPPROTO_TCP, 0, 0]);
    bytes.extend(ALL_STATES.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    bytes.extend(octets(local));
    bytes.extend(octets(remote));
    // Any network interface.
    bytes.extend([0; 4]);
    bytes.extend(NO_COOKIE);
    bytes
}

fn family(address: SocketAddr) -> u8 {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: SocketAddr) -> [u8; 16] {
    match address.ip() {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            octets
        }
    }
}

/// Parses a message with a `struct inet_diag_msg`; `None` for another message, which says that there
/// is no such socket.
fn parse(message: &[u8]) -> Option<TcpSocket> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let kind = <[u8; 2]>::try_from(message.get(4..6)?).ok()?;
    if u16::from_ne_bytes(kind) != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let socket = message.get(HEADER..)?;
    let number = |start: usize| {
        let bytes = socket.get(start..start + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let address = socket.get(8..24)?;
    let address = if socket[0] == 2 {
        IpAddr::from(<[u8; 4]>::try_from(&address[..4]).ok()?)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(address).ok()?)
    };
    Some(TcpSocket {
        address,
        state: socket[1],
        receive_queue: number(56)? as usize,
        inode: number(68)?.into(),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::cleanup;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn sockets_are_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(server) = TcpListener::bind(address) else {
                continue;
            };
            let address = server.local_addr().unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"hello").unwrap();
            let listening = listener(address).unwrap().unwrap();
            assert_eq!(listening.address, address.ip());
            assert_eq!(listening.receive_queue, 1, "one connection to be accepted");
            let local = client.local_addr().unwrap();
            let waiting = connection(address, local).unwrap().unwrap();
            assert_eq!((waiting.inode, waiting.receive_queue), (0, 5));
            let (stream, _) = server.accept().unwrap();
            let accepted = connection(address, local).unwrap().unwrap();
            assert!(accepted.inode > 0 && !accepted.is_shut_down());
            stream.shutdown(Shutdown::Write).unwrap();
            let ended = connection(address, local).unwrap().unwrap();
            assert!(ended.is_shut_down());
            // A process that has just been forked would hold it open, too.
            cleanup::without_starting_processes(|| drop(server));
            assert!(listener(address).unwrap().is_none());
        }
        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let found = listener(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        assert_eq!(found.unwrap().address, Ipv4Addr::UNSPECIFIED);
    }
}
