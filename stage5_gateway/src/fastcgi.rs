//! FastCGI 1.0: what CGI says with an environment and two pipes, in records on one connection.
//!
//! The application keeps running, so it needs another way to learn about each request. Look at the
//! eight bytes in front of everything: they say what it is, which request it belongs to, and how long
//! it is. And look at when a connection can be used again: only if both sides agree where they are.

use crate::client::{Client, poll};
use crate::error_log::ErrorLog;
use crate::gateway::Call;
use crate::mount::Application;
use crate::worker::{Pool, Worker};
pub use socket2::Socket;
use socket2::{SockAddr, Type};
use std::io::{self, BufReader, Cursor, Error, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::SpooledTempFile;

/// Types of records (FastCGI 1.0, 8).
const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const GET_VALUES: u8 = 9;

/// The only request on a connection. Records about the connection itself have 0.
const REQUEST_ID: u16 = 1;

/// The application answers a request, and keeps the connection open after it.
const RESPONDER: u8 = 1;
const KEEP_CONNECTION: u8 = 1;

/// The longest content of a record that is sent, in bytes. It is less than is allowed, 65,535, and
/// needs no padding, since it is a multiple of 8.
const MAX_CONTENT: usize = 32 * 1024;

/// How long to wait for a connection. The application is on the same machine or near it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The stack of a thread that sends content, in bytes.
const STACK_SIZE: usize = 64 * 1024;

/// What follows a header, and what it is.
#[derive(Debug, PartialEq)]
pub struct Record {
    kind: u8,
    id: u16,
    content: Vec<u8>,
}

/// A record as bytes.
fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    let padding = content.len().wrapping_neg() % 8;
    let (start, end) = ([1, kind], [padding as u8, 0]);
    let header = [start, id.to_be_bytes(), length, end].concat();
    [&header, content, &[0; 8][..padding]].concat()
}

/// A stream is sent as records, and ends with an empty one.
fn stream(kind: u8, content: &[u8]) -> Vec<u8> {
    let pieces = content.chunks(MAX_CONTENT).chain([&[][..]]);
    pieces
        .flat_map(|piece| record(kind, REQUEST_ID, piece))
        .collect()
}

/// Reads a record, whatever it is about.
pub fn read_record(reader: &mut impl Read) -> io::Result<Record> {
    let mut header = [0; 8];
    reader.read_exact(&mut header)?;
    if header[0] != 1 {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "it doesn't speak FastCGI 1.0",
        ));
    }
    let number = |start| u16::from_be_bytes([header[start], header[start + 1]]);
    let (kind, id, length, padding) = (header[1], number(2), number(4), header[6]);
    let mut content = vec![0; usize::from(length) + usize::from(padding)];
    reader.read_exact(&mut content)?;
    content.truncate(usize::from(length));
    Ok(Record { kind, id, content })
}

/// A name and a value, with their lengths in front: in one byte, or in four if they are longer
/// (FastCGI 1.0, 3.4).
fn pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |text: &[u8]| match text.len() as u32 {
        length @ 0..128 => vec![length as u8],
        length => (length | 1 << 31).to_be_bytes().to_vec(),
    };
    [&length(name), &length(value), name, value].concat()
}

/// A request that an application works on. To read from it is to read the response.
pub struct Exchange {
    connection: BufReader<Connection>,
    worker: Option<Busy>,
    log: ErrorLog,
    /// The rest of the last record of the response.
    piece: Cursor<Vec<u8>>,
    /// Sends the rest of a long content.
    sending: Option<JoinHandle<io::Result<()>>>,
    has_ended: bool,
    /// Why the response can't be read any further.
    failure: Option<ErrorKind>,
}

/// A connection that is read only as long as the client waits.
struct Connection {
    socket: Socket,
    client: Client,
    deadline: Instant,
    timeout: Duration,
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let fds = [Some(self.socket.as_fd())];
        while !self.client.wait(&fds, self.deadline)?[0] {}
        self.socket.read(buffer)
    }
}

/// Sends a request to an application.
pub fn ask(application: &Application, mut call: Call) -> io::Result<Exchange> {
    let pairs = call.variables.iter();
    let pairs = pairs.flat_map(|(name, value)| pair(name.as_bytes(), value));
    let params = stream(PARAMS, &pairs.collect::<Vec<u8>>());
    let (socket, worker) = send_head(application, &params, &mut call.client)?;
    socket.set_write_timeout(Some(call.timeout))?;
    let writer = socket.try_clone()?;
    // An application may begin to respond before it has read everything. If nobody read that, both
    // sides could wait for each other. What is short fits into the buffers of the system.
    let mut sending = None;
    if call.content.is_rolled() {
        let thread = thread::Builder::new().stack_size(STACK_SIZE);
        sending = Some(thread.spawn(move || send_content(call.content, writer))?);
    } else {
        // If the application has closed the connection, reading from it says so.
        let _ = send_content(call.content, writer);
    }
    let connection = Connection {
        socket,
        client: call.client,
        deadline: Instant::now(),
        timeout: call.timeout,
    };
    Ok(Exchange {
        connection: BufReader::with_capacity(MAX_CONTENT, connection),
        worker,
        log: ErrorLog::new(call.name),
        piece: Cursor::default(),
        sending,
        has_ended: false,
        failure: None,
    })
}

/// A worker that works on a request, and the pool that it belongs to.
type Busy = (Arc<Pool>, Worker);

/// Sends everything but the content. Returns the connection, and the worker if the server keeps it.
fn send_head(
    application: &Application,
    params: &[u8],
    client: &mut Client,
) -> io::Result<(Socket, Option<Busy>)> {
    let head = |flags| {
        let begin = [0, RESPONDER, flags, 0, 0, 0, 0, 0];
        [&record(BEGIN_REQUEST, REQUEST_ID, &begin), params].concat()
    };
    match application {
        Application::Running(address) => {
            let mut socket = connect(address)?;
            socket.write_all(&head(0))?;
            Ok((socket, None))
        }
        Application::Workers(pool) => loop {
            let mut worker = pool.take(client)?;
            match reach(&mut worker, &head(KEEP_CONNECTION)) {
                Ok(socket) => return Ok((socket, Some((Arc::clone(pool), worker)))),
                // Another one will do.
                Err(_) => worker.kill(),
            }
        },
        Application::Program(_) => Err(ErrorKind::Unsupported.into()),
    }
}

fn connect(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(address, CONNECT_TIMEOUT)?;
    Ok(socket)
}

/// Sends the beginning of a request to a worker. Fails if the worker has ended, or has sent too much: then
/// it has not seen enough of the request to do anything.
fn reach(worker: &mut Worker, head: &[u8]) -> io::Result<Socket> {
    let mut socket = match worker.socket.take() {
        Some(socket) => socket,
        None => connect(&worker.address)?,
    };
    // What can be read before a request is no response to it: it is the end, or the rest of another.
    if poll(&[Some(socket.as_fd())], Duration::ZERO)?[0] {
        return Err(ErrorKind::InvalidData.into());
    }
    socket.write_all(head)?;
    Ok(socket)
}

fn send_content(mut content: SpooledTempFile, mut socket: Socket) -> io::Result<()> {
    let mut piece = vec![0; MAX_CONTENT];
    loop {
        let length = content.read(&mut piece)?;
        socket.write_all(&record(STDIN, REQUEST_ID, &piece[..length]))?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// Connects to a worker, and asks for a value that it need not know. The answer shows that it is ready.
pub fn ask_for_values(address: &SockAddr) -> io::Result<Socket> {
    let mut socket = connect(address)?;
    socket.write_all(&record(GET_VALUES, 0, &pair(b"FCGI_MPXS_CONNS", b"")))?;
    Ok(socket)
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let connection = self.connection.get_mut();
        connection.deadline = Instant::now() + connection.timeout;
        while !buffer.is_empty() {
            match self.piece.read(buffer)? {
                0 if self.has_ended => break,
                0 => {
                    let next = self.next_record();
                    next.inspect_err(|error| self.failure = Some(error.kind()))?;
                }
                length => return Ok(length),
            }
        }
        Ok(0)
    }
}

impl Exchange {
    fn next_record(&mut self) -> io::Result<()> {
        let record = read_record(&mut self.connection)?;
        match record.kind {
            _ if record.id != REQUEST_ID => {}
            STDOUT => self.piece = Cursor::new(record.content),
            STDERR => self.log.write(&record.content),
            END_REQUEST => {
                self.has_ended = true;
                return ensure_complete(&record.content, &mut self.log);
            }
            // Later versions may have others.
            _ => {}
        }
        Ok(())
    }

    /// Tells the application that nobody waits any more, and reads up to its end.
    fn abort(&mut self) -> io::Result<()> {
        let connection = self.connection.get_mut();
        connection.client.detach();
        connection.deadline = Instant::now() + connection.timeout;
        if self.sending.as_ref().is_none_or(JoinHandle::is_finished) {
            let abort = record(ABORT_REQUEST, REQUEST_ID, b"");
            connection.socket.write_all(&abort)?;
        } else {
            // In the middle of the content, only an end can be told from it.
            connection.socket.shutdown(Shutdown::Write)?;
        }
        while !self.has_ended {
            self.next_record()?;
        }
        Ok(())
    }
}

/// Looks how a request ended (FastCGI 1.0, 5.5).
fn ensure_complete(end: &[u8], log: &mut ErrorLog) -> io::Result<()> {
    let [a, b, c, d, protocol_status, ..] = *end else {
        return Err(ErrorKind::InvalidData.into());
    };
    let status = u32::from_be_bytes([a, b, c, d]);
    if status != 0 {
        log.write(format!("status {status}\n").as_bytes());
    }
    match protocol_status {
        0 => Ok(()),
        // It can't take more at the moment.
        1 | 2 => Err(ErrorKind::ResourceBusy.into()),
        _ => Err(Error::other("it refuses the role of a responder")),
    }
}

impl Drop for Exchange {
    /// Makes the worker available again, or ends it.
    fn drop(&mut self) {
        let Some((pool, mut worker)) = self.worker.take() else {
            // Whoever is still sending content stops.
            let _ = self.connection.get_ref().socket.shutdown(Shutdown::Both);
            return;
        };
        let has_left = |kind| matches!(kind, None | Some(ErrorKind::ConnectionAborted));
        if !self.has_ended && has_left(self.failure) {
            let _ = self.abort();
        }
        if !self.has_ended {
            // It hangs, or it is about to end.
            return worker.kill();
        }
        let socket = &self.connection.get_ref().socket;
        let has_rest = !self.connection.buffer().is_empty();
        if !has_rest && self.sending.as_ref().is_none_or(JoinHandle::is_finished) {
            worker.socket = socket.try_clone().ok();
        } else {
            let _ = socket.shutdown(Shutdown::Both);
        }
        pool.give_back(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_padded_to_eight_bytes() {
        let bytes = record(STDIN, 258, b"abc");
        assert_eq!(bytes, b"\x01\x05\x01\x02\x00\x03\x05\x00abc\0\0\0\0\0");
        assert_eq!(record(STDIN, 1, b""), b"\x01\x05\x00\x01\x00\x00\x00\x00");
    }

    #[test]
    fn lengths_of_pairs_are_short_or_long() {
        assert_eq!(pair(b"a", b"bc"), b"\x01\x02abc");
        let long = pair(&[b'a'; 127], &[b'b'; 128]);
        assert_eq!(long[..5], [127, 0x80, 0, 0, 128]);
        assert_eq!(long.len(), 5 + 127 + 128);
    }

    #[test]
    fn end_says_how_it_went() {
        let kind = |protocol_status| {
            let end = [0, 0, 0, 0, protocol_status, 0, 0, 0];
            let result = ensure_complete(&end, &mut ErrorLog::new("test"));
            result.map_err(|error| error.kind()).err()
        };
        let busy = Some(ErrorKind::ResourceBusy);
        assert_eq!(
            [0, 1, 2, 3].map(kind),
            [None, busy, busy, Some(ErrorKind::Other)]
        );
        assert!(ensure_complete(b"", &mut ErrorLog::new("test")).is_err());
    }

    #[test]
    fn other_versions_are_refused() {
        let error = read_record(&mut &b"HTTP/1.1"[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(kind: u8, id: u16, content: Vec<u8>) {
            let bytes = record(kind, id, &content);
            prop_assert_eq!(bytes.len() % 8, 0);
            for end in 0..bytes.len() {
                prop_assert!(read_record(&mut &bytes[..end]).is_err());
            }
            let read = read_record(&mut &*bytes).unwrap();
            prop_assert_eq!(read, Record { kind, id, content });
        }

        #[test]
        fn stream_ends_with_an_empty_record(length in 0_usize..200_000) {
            let bytes = stream(PARAMS, &vec![b'a'; length]);
            let (mut reader, mut found) = (&*bytes, 0);
            loop {
                let record = read_record(&mut reader).unwrap();
                found += record.content.len();
                if record.content.is_empty() {
                    break;
                }
            }
            prop_assert!(reader.is_empty());
            prop_assert_eq!(found, length);
        }
    }
}
