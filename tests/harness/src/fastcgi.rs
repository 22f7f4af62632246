//! A FastCGI application under the control of a check (FastCGI 1.0): it reads what the server sends,
//! record by record, and sends any bytes.

use crate::context::{RESPONSE_TIMEOUT, wait_for};
use crate::error::{CheckError, CheckResult, ensure};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Types of records.
pub const BEGIN_REQUEST: u8 = 1;
pub const ABORT_REQUEST: u8 = 2;
pub const END_REQUEST: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
pub const STDOUT: u8 = 6;
pub const STDERR: u8 = 7;
pub const UNKNOWN_TYPE: u8 = 11;

/// How a request may end.
pub const REQUEST_COMPLETE: u8 = 0;
pub const OVERLOADED: u8 = 2;

/// An application that listens.
pub struct Application {
    listener: Socket,
    /// As `--fastcgi` takes it.
    pub address: String,
}

impl Application {
    /// Listens at a path.
    pub fn at_path(path: &Path) -> io::Result<Application> {
        let address = format!("unix:{}", path.display());
        Application::listen(Domain::UNIX, &SockAddr::unix(path)?, |_| address)
    }

    /// Listens on a port of this machine.
    pub fn on_port() -> io::Result<Application> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let shown = |own: SockAddr| {
            own.as_socket()
                .map_or_else(String::new, |own| own.to_string())
        };
        Application::listen(Domain::IPV4, &any.into(), shown)
    }

    fn listen(
        domain: Domain,
        address: &SockAddr,
        shown: impl FnOnce(SockAddr) -> String,
    ) -> io::Result<Application> {
        let listener = Socket::new(domain, Type::STREAM, None)?;
        listener.bind(address)?;
        listener.listen(128)?;
        listener.set_nonblocking(true)?;
        let address = shown(listener.local_addr()?);
        Ok(Application { listener, address })
    }

    /// Waits for a connection from the server.
    pub fn accept(&self) -> CheckResult<Connection> {
        let accepted = wait_for(RESPONSE_TIMEOUT, || match self.listener.accept() {
            Ok((socket, _)) => Ok(Some(socket)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        let socket = accepted.ok_or_else(|| {
            let received = format!("none within {RESPONSE_TIMEOUT:?}");
            CheckError::failed("a connection to the FastCGI application", received)
        })?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        socket.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
        if self.listener.domain()? == Domain::IPV4 {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Connection { socket, id: 0 })
    }

    /// Waits for a request, and reads all of it.
    pub fn request(&self) -> CheckResult<(Connection, Request)> {
        let mut connection = self.accept()?;
        let request = connection.request()?;
        Ok((connection, request))
    }
}

/// A record from the server.
#[derive(Debug)]
pub struct Record {
    pub kind: u8,
    pub id: u16,
    pub content: Vec<u8>,
}

/// A request, once it is complete.
#[derive(Debug)]
pub struct Request {
    pub role: u16,
    pub params: BTreeMap<String, Vec<u8>>,
    pub content: Vec<u8>,
}

impl Request {
    /// Fails unless it has a parameter with this value.
    pub fn ensure_param(&self, name: &str, value: &[u8]) -> CheckResult {
        let found = self.params.get(name);
        let is_right = found.is_some_and(|found| found == value);
        let received = found.map_or("none".to_string(), |found| found.escape_ascii().to_string());
        let expected = format!("the parameter {name}={}", value.escape_ascii());
        ensure(is_right, expected, received)
    }
}

/// A connection from the server.
pub struct Connection {
    socket: Socket,
    /// Of the request.
    id: u16,
}

impl Connection {
    /// Reads a record; `None` if the server has closed the connection.
    pub fn record(&mut self) -> CheckResult<Option<Record>> {
        let mut header = [0; 8];
        match self.socket.read(&mut header[..1]) {
            Ok(1..) => {}
            Ok(0) => return Ok(None),
            Err(error) if is_closed(&error) => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        }
        self.read_exact(&mut header[1..])?;
        let [
            version,
            kind,
            id_high,
            id_low,
            length_high,
            length_low,
            padding,
            _,
        ] = header;
        let received = format!("the header {header:?}");
        ensure(version == 1, "a record of FastCGI 1.0", received)?;
        let mut content = vec![0; usize::from(u16::from_be_bytes([length_high, length_low]))];
        self.read_exact(&mut content)?;
        self.read_exact(&mut vec![0; usize::from(padding)])?;
        let id = u16::from_be_bytes([id_high, id_low]);
        Ok(Some(Record { kind, id, content }))
    }

    /// Reads the record that begins a request, and returns the role that it asks for.
    pub fn begin(&mut self) -> CheckResult<u16> {
        let begin = self.record()?.ok_or_else(incomplete)?;
        let received = format!("type {}, id {}, {:?}", begin.kind, begin.id, begin.content);
        let is_begin = begin.kind == BEGIN_REQUEST && begin.content.len() == 8 && begin.id != 0;
        ensure(is_begin, "FCGI_BEGIN_REQUEST at first", received)?;
        self.id = begin.id;
        Ok(u16::from_be_bytes([begin.content[0], begin.content[1]]))
    }

    /// Reads a request to its end.
    pub fn request(&mut self) -> CheckResult<Request> {
        let role = self.begin()?;
        let [mut params, mut content] = [Vec::new(), Vec::new()];
        let mut open = vec![PARAMS, STDIN];
        while !open.is_empty() {
            let record = self.record()?.ok_or_else(incomplete)?;
            let expected = format!("a record of type {open:?} with id {}", self.id);
            let received = format!("type {}, id {}", record.kind, record.id);
            let is_expected = record.id == self.id && open.contains(&record.kind);
            ensure(is_expected, expected, received)?;
            if record.content.is_empty() {
                // It ends the stream.
                open.retain(|kind| *kind != record.kind);
            } else if record.kind == PARAMS {
                params.extend(record.content);
            } else {
                content.extend(record.content);
            }
        }
        let malformed =
            || CheckError::failed("well-formed FCGI_PARAMS", params.escape_ascii().to_string());
        Ok(Request {
            role,
            params: pairs(&params).ok_or_else(malformed)?,
            content,
        })
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> CheckResult {
        self.socket
            .read_exact(buffer)
            .map_err(|error| unreadable(&error))
    }

    /// Sends bytes. Returns whether the server still accepted them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Sends a piece of a stream as a record of its own.
    pub fn write(&mut self, kind: u8, content: &[u8]) -> bool {
        self.send(&record(kind, self.id, content, 0))
    }

    /// The record that ends the request.
    pub fn end_record(&self, protocol_status: u8) -> Vec<u8> {
        record(
            END_REQUEST,
            self.id,
            &[0, 0, 0, 0, protocol_status, 0, 0, 0],
            0,
        )
    }

    /// Sends a whole response.
    pub fn respond(&mut self, output: &[u8]) {
        self.write(STDOUT, output);
        let end = self.end_record(REQUEST_COMPLETE);
        self.send(&end);
    }

    /// The id of the request.
    pub fn id(&self) -> u16 {
        self.id
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

fn incomplete() -> CheckError {
    CheckError::failed("a complete FastCGI request", "the end of its connection")
}

fn unreadable(error: &io::Error) -> CheckError {
    CheckError::failed("a FastCGI record from the server", error.to_string())
}

/// A record as bytes.
pub fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let [length_high, length_low] = length.to_be_bytes();
    let header = [
        1,
        kind,
        id_high,
        id_low,
        length_high,
        length_low,
        padding,
        0,
    ];
    [&header, content, &vec![0xff; usize::from(padding)]].concat()
}

/// Names and values, with their lengths in front, in one byte or in four (FastCGI 1.0, 3.4).
fn pairs(mut bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut pairs = BTreeMap::new();
    while !bytes.is_empty() {
        let name_length = length(&mut bytes)?;
        let value_length = length(&mut bytes)?;
        let name = bytes.split_off(..name_length)?;
        let value = bytes.split_off(..value_length)?;
        pairs.insert(String::from_utf8_lossy(name).into_owned(), value.to_vec());
    }
    Some(pairs)
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if first < 0x80 {
        bytes.split_off_first()?;
        return Some(usize::from(first));
    }
    let long = bytes.split_off(..4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(long) & 0x7fff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_pairs_have_one_byte_or_four() {
        let mut bytes = b"\x01\x02abc\x01\x80\x00\x00\x81d".to_vec();
        bytes.extend([b'e'; 129]);
        let found = pairs(&bytes).unwrap();
        assert_eq!(found["a"], b"bc");
        assert_eq!(found["d"], [b'e'; 129]);
        assert!(pairs(&bytes[..bytes.len() - 1]).is_none());
    }
}
