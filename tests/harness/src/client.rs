//! A client that sends any bytes and sees every byte that comes back.

use crate::context::RESPONSE_TIMEOUT;
use crate::error::{CheckError, CheckResult};
use crate::response::{Response, message_length};
use crate::text::readable;
use memchr::memmem;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for the server's close after a complete response.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A GET request, as a browser would send it.
pub fn get(target: &str) -> Vec<u8> {
    request("GET", target, "")
}

/// A request without content. `fields` are complete field lines, each with its CRLF.
pub fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
}

/// A POST request with a form as its content.
pub fn post(target: &str, form: &[u8]) -> Vec<u8> {
    let length = form.len();
    let fields =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n");
    let mut bytes = request("POST", target, &fields);
    bytes.extend_from_slice(form);
    bytes
}

/// The state of a connection, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConnectionState {
    /// The server closed it in an orderly way.
    Closed,
    /// The server's system reset it. Bytes may be lost.
    Reset,
    Open,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            ConnectionState::Closed => "the connection was closed",
            ConnectionState::Reset => "the connection was reset",
            ConnectionState::Open => "the connection is still open",
        })
    }
}

/// One connection to a server.
pub struct Client {
    stream: TcpStream,
    sent: Vec<u8>,
    secret: Arc<[u8]>,
    deadline: Instant,
}

impl Client {
    /// Connects within `limit`. `secret` must not appear in anything that is read, and nothing
    /// is read after the deadline.
    pub fn connect(
        address: SocketAddr,
        limit: Duration,
        secret: Arc<[u8]>,
        deadline: Instant,
    ) -> CheckResult<Client> {
        let stream = TcpStream::connect_timeout(&address, limit).map_err(|error| {
            CheckError::failed(format!("a connection to {address}"), error.to_string())
        })?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
        Ok(Client {
            stream,
            sent: Vec::new(),
            secret,
            deadline,
        })
    }

    /// The port on the client's side.
    pub fn port(&self) -> CheckResult<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Sends bytes. Errors are ignored, since a server may respond and close before it has read
    /// everything: the response shows what happened.
    pub fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes. Returns whether the other side still accepted them.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends bytes and gives the server a moment to read them before more follow. No verdict
    /// depends on how long that takes.
    pub fn send_separately(&mut self, bytes: &[u8]) {
        self.send(bytes);
        thread::sleep(Duration::from_millis(1));
    }

    /// Makes the system buffer only a few kilobytes of what isn't read.
    pub fn shrink_receive_buffer(&self) -> CheckResult {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 4096)
            .map_err(|error| CheckError::Broken(error.to_string()))
    }

    /// Shuts down the sending side. The response can still arrive.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until the connection ends or `limit` has passed.
    pub fn read(&mut self, limit: Duration) -> CheckResult<(Vec<u8>, ConnectionState)> {
        self.read_up_to(usize::MAX, limit)
    }

    /// Reads until that many bytes have arrived, the connection ends, or `limit` has passed.
    pub fn read_up_to(
        &mut self,
        most: usize,
        limit: Duration,
    ) -> CheckResult<(Vec<u8>, ConnectionState)> {
        self.read_until(most, limit, |_| false)
    }

    /// Like [`Client::read_up_to`], but also stops when `is_enough` accepts what has arrived.
    fn read_until(
        &mut self,
        most: usize,
        limit: Duration,
        mut is_enough: impl FnMut(&[u8]) -> bool,
    ) -> CheckResult<(Vec<u8>, ConnectionState)> {
        if Instant::now() > self.deadline {
            let received = "the server was slow every time, so the check gave up";
            return Err(CheckError::failed("responses without delay", received));
        }
        let deadline = Instant::now() + limit;
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        let state = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || bytes.len() >= most || is_enough(&bytes) {
                break ConnectionState::Open;
            }
            self.stream.set_read_timeout(Some(left))?;
            let room = chunk.len().min(most - bytes.len());
            match self.stream.read(&mut chunk[..room]) {
                Ok(0) => break ConnectionState::Closed,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => break ConnectionState::Open,
                    ErrorKind::Interrupted => {}
                    _ => break ConnectionState::Reset,
                },
            }
        };
        self.ensure_no_secret(&bytes)?;
        Ok((bytes, state))
    }

    /// Reads one complete response.
    pub fn response(&mut self) -> CheckResult<Response> {
        let mut length = None;
        let method = self.sent[..self.sent.len().min(8)].to_vec();
        let (mut raw, mut state) = self.read_until(usize::MAX, RESPONSE_TIMEOUT, |bytes| {
            length = length.or_else(|| message_length(&method, bytes));
            length.is_some_and(|length| bytes.len() >= length)
        })?;
        if state == ConnectionState::Open && length.is_some_and(|length| raw.len() >= length) {
            // The response is complete. Whether the server closes is for `connection-close`.
            let (more, then) = self.read(CLOSE_TIMEOUT)?;
            raw.extend(more);
            state = then;
        }
        let failure = |received: &str| {
            let expected = "a response, then the end of the connection";
            Err(self.failure(expected, received, &raw))
        };
        if state == ConnectionState::Reset {
            return failure("a reset after");
        }
        let is_open = state == ConnectionState::Open;
        match Response::parse(&self.sent, &raw) {
            None if is_open => failure(&format!(
                "no response within {RESPONSE_TIMEOUT:?}; the connection is open, after"
            )),
            None => failure("no status line; the connection was closed after"),
            Some(response) if is_open && !response.is_complete() => {
                failure(&format!("no end within {RESPONSE_TIMEOUT:?}:"))
            }
            Some(response) => Ok(response),
        }
    }

    /// Reads until the server ends the connection, which must happen within `limit`. Returns what
    /// it sent before, if anything.
    pub fn ensure_ends_within(&mut self, limit: Duration) -> CheckResult<Vec<u8>> {
        match self.read(limit)? {
            (raw, ConnectionState::Open) => {
                let expected = format!("the end of the connection within {limit:?}");
                Err(self.failure(expected, "it is still open, after", &raw))
            }
            (raw, _) => Ok(raw),
        }
    }

    fn failure(&self, expected: impl Into<String>, received: &str, raw: &[u8]) -> CheckError {
        let received = match raw {
            b"" => format!("{received} no bytes at all"),
            _ => format!("{received}\n{}", readable(raw)),
        };
        CheckError::after(&self.sent, expected, received)
    }

    fn ensure_no_secret(&self, bytes: &[u8]) -> CheckResult {
        if memmem::find(bytes, &self.secret).is_none() {
            return Ok(());
        }
        let expected = "nothing from outside the document root";
        let received = "the content of a file next to the document root";
        Err(CheckError::after(&self.sent, expected, received))
    }
}
