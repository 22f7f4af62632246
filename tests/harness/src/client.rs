//! A client that sends any bytes and sees every byte that comes back.

use crate::context::{CHECK_TIMEOUT, RESPONSE_TIMEOUT, wait_until};
use crate::error::{CheckError, CheckResult, FailureKind};
use crate::response::{
    Response, ends_with_connection, has_complete_head, message_length, next_length,
};
use crate::server::ServerState;
use crate::tcp::{self, TcpSocket};
use crate::text::readable;
use memchr::memmem;
#[cfg(target_os = "linux")]
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for the server's close after a complete response, or for more of a response
/// that a server which keeps its connections open doesn't end.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long to wait for what a server does with its socket.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long that probably takes.
const SERVER_TIME: Duration = Duration::from_millis(50);

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

/// What a client that reads does next.
enum Next {
    Stop,
    Wait,
    /// It waits as long again as at first.
    WaitAgain,
}

/// One connection to a server.
pub struct Client {
    stream: TcpStream,
    /// The addresses of the server and of this client.
    addresses: (SocketAddr, SocketAddr),
    sent: Vec<u8>,
    /// What has arrived after the last response that was read.
    rest: Vec<u8>,
    /// `None` for a server that the harness hasn't started.
    server: Option<Arc<ServerState>>,
}

impl Client {
    /// Connects within `limit`, and before the server's deadline.
    pub fn connect(
        address: SocketAddr,
        limit: Duration,
        server: Option<Arc<ServerState>>,
    ) -> CheckResult<Client> {
        let connect = |limit| TcpStream::connect_timeout(&address, limit);
        Client::connect_by(connect, address, limit, server)
    }

    /// Connects a client that accepts only little at a time, so that the systems on both sides buffer
    /// only a few kilobytes of what it doesn't read.
    pub fn connect_small(address: SocketAddr, server: Arc<ServerState>) -> CheckResult<Client> {
        // The smallest segment that every host accepts (RFC 9293, 3.7.1).
        let options = |socket: &Socket| {
            socket.set_tcp_mss(536)?;
            socket.set_recv_buffer_size(4096)
        };
        Client::connect_with(options, address, server)
    }

    /// Connects a client whose system buffers about that many bytes of what it doesn't read.
    pub fn connect_with_buffer(
        size: usize,
        address: SocketAddr,
        server: Arc<ServerState>,
    ) -> CheckResult<Client> {
        Client::connect_with(|socket| socket.set_recv_buffer_size(size), address, server)
    }

    /// Connects a socket with these options.
    fn connect_with(
        set: impl Fn(&Socket) -> io::Result<()>,
        address: SocketAddr,
        server: Arc<ServerState>,
    ) -> CheckResult<Client> {
        let connect = |limit| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            set(&socket)?;
            socket.connect_timeout(&address.into(), limit)?;
            Ok(TcpStream::from(socket))
        };
        Client::connect_by(connect, address, RESPONSE_TIMEOUT, Some(server))
    }

    fn connect_by(
        connect: impl Fn(Duration) -> io::Result<TcpStream>,
        address: SocketAddr,
        limit: Duration,
        server: Option<Arc<ServerState>>,
    ) -> CheckResult<Client> {
        let time_left = server.as_ref().map(|server| server.time_left());
        let limit = limit.min(time_left.transpose()?.unwrap_or(limit));
        let stream = connect(limit).map_err(|error| {
            let exited = server.as_ref().and_then(|server| server.exit_error(None));
            exited.unwrap_or_else(|| {
                let expected = format!("a connection to {address}");
                let kind = FailureKind::NotListening;
                CheckError::of_kind(kind, b"", expected, error.to_string())
            })
        })?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
        if let Some(server) = &server {
            server.add_client();
        }
        Ok(Client {
            addresses: (address, stream.local_addr()?),
            stream,
            sent: Vec::new(),
            rest: Vec::new(),
            server,
        })
    }

    /// The server's socket of this connection; `None` if it is gone. Linux only.
    pub fn server_socket(&self) -> CheckResult<Option<TcpSocket>> {
        let (server, client) = self.addresses;
        tcp::connection(server, client)
    }

    /// Sends bytes. Errors are ignored, since a server may respond and close before it has read
    /// everything: the response shows what happened.
    pub fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        if let Some(server) = &self.server {
            server.set_last_sent(&self.sent);
        }
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes. Returns whether the other side still accepted them.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends as much as the system accepts without waiting. Returns how much that is; `None` if the
    /// connection has ended.
    pub fn send_some(&mut self, bytes: &[u8]) -> CheckResult<Option<usize>> {
        let sent = self.without_waiting(|stream| stream.write(bytes))?;
        Ok(match sent {
            Ok(length) => Some(length),
            Err(error) => (error.kind() == ErrorKind::WouldBlock).then_some(0),
        })
    }

    /// Whether something can be read, or the connection has ended.
    pub fn has_input(&mut self) -> CheckResult<bool> {
        let peeked = self.without_waiting(|stream| stream.peek(&mut [0]))?;
        Ok(!matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock))
    }

    /// Takes what can be read, up to the length of `buffer`, and forgets it. Returns how much it was. Linux
    /// doesn't even copy it, so no server is faster.
    pub fn discard(&mut self, buffer: &mut [u8]) -> CheckResult<usize> {
        let taken = self.without_waiting(|stream| {
            #[cfg(target_os = "linux")]
            let taken = recv(&*stream, buffer, RecvFlags::TRUNC).map(|(_, length)| length);
            #[cfg(not(target_os = "linux"))]
            let taken = stream.read(buffer);
            taken
        })?;
        Ok(taken.unwrap_or(0))
    }

    fn without_waiting<T>(&mut self, action: impl FnOnce(&mut TcpStream) -> T) -> io::Result<T> {
        self.stream.set_nonblocking(true)?;
        let result = action(&mut self.stream);
        self.stream.set_nonblocking(false)?;
        Ok(result)
    }

    /// Sends bytes and waits until the server has read them. Where that can't be seen, the server
    /// gets a moment.
    pub fn send_separately(&mut self, bytes: &[u8]) -> CheckResult {
        self.send(bytes);
        self.wait_for_server(SERVER_TIMEOUT, |socket| socket.receive_queue == 0)?;
        Ok(())
    }

    /// Waits until the server has ended the connection, without reading what it sent. Returns
    /// whether it did; where that can't be seen, it did.
    pub fn wait_for_shutdown(&self) -> CheckResult<bool> {
        self.wait_for_server(RESPONSE_TIMEOUT, TcpSocket::is_shut_down)
    }

    /// Gives the server's socket some time to get into that state. Returns whether it did.
    fn wait_for_server(
        &self,
        limit: Duration,
        condition: impl Fn(&TcpSocket) -> bool,
    ) -> CheckResult<bool> {
        let holds = || match self.server_socket() {
            Ok(socket) => Ok(socket.is_none_or(|socket| condition(&socket))),
            Err(_) => {
                thread::sleep(SERVER_TIME);
                Ok(true)
            }
        };
        wait_until(limit, holds)
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
        self.read_until(most, limit, |_| Next::Wait)
    }

    /// Reads up to the end of what is looked for, within `limit`. What has arrived after it is left for the
    /// next call.
    pub fn read_through(&mut self, end: &[u8], limit: Duration) -> CheckResult<Vec<u8>> {
        let mut length = None;
        let (mut bytes, state) = self.read_until(usize::MAX, limit, |bytes| {
            length = memmem::find(bytes, end).map(|start| start + end.len());
            match length {
                Some(_) => Next::Stop,
                None => Next::Wait,
            }
        })?;
        if let Some(length) = length {
            self.rest = bytes.split_off(length);
            return Ok(bytes);
        }
        let kind = match state {
            ConnectionState::Open => FailureKind::TooSlow,
            _ => FailureKind::Behavior,
        };
        let expected = format!("bytes up to \"{}\" within {limit:?}", end.escape_ascii());
        Err(self.failure(kind, expected, &format!("{state}, after"), &bytes))
    }

    /// Like [`Client::read_up_to`], but `next` decides what to do after some bytes have arrived.
    fn read_until(
        &mut self,
        most: usize,
        limit: Duration,
        mut next: impl FnMut(&[u8]) -> Next,
    ) -> CheckResult<(Vec<u8>, ConnectionState)> {
        let time_left = self.server.as_ref().map(|server| server.time_left());
        let last = Instant::now() + time_left.transpose()?.unwrap_or(limit.max(CHECK_TIMEOUT));
        let mut deadline = Instant::now() + limit;
        let mut bytes = mem::take(&mut self.rest);
        let mut chunk = vec![0; 64 * 1024];
        let state = loop {
            match next(&bytes) {
                Next::Stop => break ConnectionState::Open,
                Next::Wait => {}
                Next::WaitAgain => deadline = Instant::now() + limit,
            }
            let left = deadline.min(last).saturating_duration_since(Instant::now());
            if left.is_zero() || bytes.len() >= most {
                break ConnectionState::Open;
            }
            self.stream.set_read_timeout(Some(left))?;
            let wanted = chunk.len().min(most - bytes.len());
            match self.stream.read(&mut chunk[..wanted]) {
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
        self.rest = bytes.split_off(bytes.len().min(most));
        Ok((bytes, state))
    }

    /// Reads one complete response.
    pub fn response(&mut self) -> CheckResult<Response> {
        let (raw, state) = self.read_message()?;
        let failure = |kind, received: &str| {
            let expected = "a response, then the end of the connection";
            Err(self.failure(kind, expected, received, &raw))
        };
        if state == ConnectionState::Reset {
            return failure(FailureKind::NoResponse, "a reset after");
        }
        let is_open = state == ConnectionState::Open;
        match Response::parse(&self.sent, &raw) {
            None if is_open => {
                let received = format!(
                    "no response within {RESPONSE_TIMEOUT:?}; the connection is open, after"
                );
                failure(FailureKind::TooSlow, &received)
            }
            None => failure(
                FailureKind::NoResponse,
                "no status line; the connection was closed after",
            ),
            Some(response) if is_open && !response.is_complete() && !ends_with_connection(&raw) => {
                let received = "it stopped before its end, and the connection is open:".to_string();
                failure(FailureKind::TooSlow, &received)
            }
            Some(response) => {
                self.ensure_no_secret(&response.content)?;
                Ok(response)
            }
        }
    }

    /// Reads the response to a request on a connection that stays open. It must say where it ends. What
    /// has arrived after it is left for the next call.
    pub fn next_response(&mut self, request: &[u8]) -> CheckResult<Response> {
        let mut length = None;
        let (mut raw, state) = self.read_until(usize::MAX, RESPONSE_TIMEOUT, |bytes| {
            length = length.or_else(|| next_length(request, bytes));
            if length.is_some_and(|length| bytes.len() >= length) || ends_with_connection(bytes) {
                Next::Stop
            } else if has_complete_head(bytes) {
                Next::WaitAgain
            } else {
                Next::Wait
            }
        })?;
        let length = length.filter(|length| raw.len() >= *length);
        let response = length.and_then(|length| {
            self.rest = raw.split_off(length);
            Response::parse(request, &raw)
        });
        response.ok_or_else(|| {
            let kind = match state {
                ConnectionState::Open if raw.is_empty() => FailureKind::TooSlow,
                _ => FailureKind::Behavior,
            };
            let expected =
                "a complete response with Content-Length, on a connection that stays open";
            self.failure(kind, expected, &format!("{state}, after"), &raw)
        })
    }

    /// Reads until a response is complete or the connection ends, as long as the head arrives within
    /// [`RESPONSE_TIMEOUT`] and no pause in the content is longer.
    fn read_message(&mut self) -> CheckResult<(Vec<u8>, ConnectionState)> {
        let server = self.server.clone();
        let keeps_open = server.as_ref().is_some_and(|server| server.keeps_open());
        let mut length = None;
        let method = self.sent[..self.sent.len().min(8)].to_vec();
        let (mut raw, mut state) = self.read_until(usize::MAX, RESPONSE_TIMEOUT, |bytes| {
            length = length.or_else(|| message_length(&method, bytes));
            let is_complete = length.is_some_and(|length| bytes.len() >= length);
            if is_complete || keeps_open && ends_with_connection(bytes) {
                Next::Stop
            } else if has_complete_head(bytes) {
                Next::WaitAgain
            } else {
                Next::Wait
            }
        })?;
        if state != ConnectionState::Open {
            return Ok((raw, state));
        }
        if length.is_some_and(|length| raw.len() >= length) {
            // The response is complete. Whether the server closes is for `connection-close`.
            let (more, then) = self.read(CLOSE_TIMEOUT)?;
            raw.extend(more);
            state = then;
        } else if length.is_none() && ends_with_connection(&raw) {
            // Only the end of the connection would show that it is complete. Whether the server
            // closes is for `connection-close`, so the next responses are not waited for as long.
            server.inspect(|server| server.set_keeps_open());
            let mut before = 0;
            while keeps_open && state == ConnectionState::Open && raw.len() > before {
                before = raw.len();
                let (more, then) = self.read(CLOSE_TIMEOUT)?;
                raw.extend(more);
                state = then;
            }
        }
        Ok((raw, state))
    }

    /// Reads until the server ends the connection, which must happen within `limit`. Returns what
    /// it sent before, if anything.
    pub fn ensure_ends_within(&mut self, limit: Duration) -> CheckResult<Vec<u8>> {
        match self.read(limit)? {
            (raw, ConnectionState::Open) => {
                let expected = format!("the end of the connection within {limit:?}");
                let received = "it is still open, after";
                Err(self.failure(FailureKind::Behavior, expected, received, &raw))
            }
            (raw, _) => Ok(raw),
        }
    }

    /// A failure after what was sent. If the server has exited meanwhile, that is the failure.
    fn failure(
        &self,
        kind: FailureKind,
        expected: impl Into<String>,
        received: &str,
        raw: &[u8],
    ) -> CheckError {
        let server = self.server.as_ref();
        let cause = server.and_then(|server| match kind {
            FailureKind::NoResponse => server.exit_error(Some(&self.sent)),
            FailureKind::TooSlow if raw.is_empty() => server.started_again_error(&self.sent),
            _ => None,
        });
        if let Some(error) = cause {
            return error;
        }
        let received = match raw {
            b"" => format!("{received} no bytes at all"),
            _ => format!("{received}\n{}", readable(raw)),
        };
        CheckError::of_kind(kind, &self.sent, expected, received)
    }

    fn ensure_no_secret(&self, bytes: &[u8]) -> CheckResult {
        let secret = self.server.as_ref().map(|server| &server.secret);
        if secret.is_none_or(|secret| memmem::find(bytes, secret).is_none()) {
            return Ok(());
        }
        let expected = "nothing from outside the document root";
        let received = "the content of a file next to the document root";
        Err(CheckError::after(&self.sent, expected, received))
    }
}
