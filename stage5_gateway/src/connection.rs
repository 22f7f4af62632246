//! One connection: read the head before its deadline, respond, close gently, log.
//!
//! A client may be slow, hostile or gone. Look at how each step is bounded: the head must arrive in
//! time, each chunk of the response must be taken in time, and so must the end. The content of a form
//! has a deadline and a limit, too.

use crate::client::Client;
use crate::request::{self, Request, trim_line_ending};
use crate::response::{Response, Status};
use crate::{Options, content, gateway, handler, log};
use socket2::SockRef;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest request line, in bytes, without its line ending.
const MAX_LINE: usize = 8_000;

/// The longest head, in bytes: request line, header fields and empty line.
const MAX_HEAD: usize = 16 * 1024;

/// The error of a read that took too long. Systems differ.
pub const TIMED_OUT: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// How reading a head ended.
#[derive(Debug, PartialEq)]
enum Head {
    Complete(Vec<u8>),
    /// What has arrived so far, and why it is refused.
    Refused(Vec<u8>, Status),
    /// The client left or said nothing, so nobody is waiting for a response.
    Closed,
}

/// Serves one client. Whatever goes wrong in here ends only this connection.
pub fn serve_client(stream: TcpStream, options: &Options) {
    let peer = stream.peer_addr();
    let peer = peer.map_or("-".into(), |peer| peer.to_string());
    let timeout = Duration::from_secs(options.timeout);
    let stream = Arc::new(stream);
    let mut reader = BufReader::new(Deadline::new(&stream, timeout));
    let (mut request, head) = match read_head(&mut reader) {
        Head::Complete(head) => (request::parse(&head), head),
        Head::Refused(head, status) => (Err(status), head),
        Head::Closed => return,
    };
    let mut is_complete = false;
    let response = match &mut request {
        Ok(request) if options.gateway.find(&request.path).is_some() => {
            let max = options.gateway.max_content;
            content::read(request, &mut reader, timeout, max).map(|content| {
                is_complete = true;
                let client = Client::new(&stream, timeout);
                gateway::respond(request, content, &client, options)
            })
        }
        Ok(request) => read_content(request, &mut reader, options).map(|()| {
            is_complete = request.is_complete();
            handler::respond(request, &options.root)
        }),
        Err(status) => Err(*status),
    };
    let mut response = response.unwrap_or_else(|status| handler::error(status, &options.root));
    // The response to HEAD never has content, even if it refuses the request (RFC 9110, 9.3.2).
    if head.starts_with(b"HEAD ") {
        response = response.without_content();
    }
    send(&stream, &mut response, timeout, !is_complete);
    // Writing to the log may block: the client has its response by then.
    drop(stream);
    if options.verbose {
        log::head(&head);
    }
    log::request(&peer, request.as_ref().ok(), &response);
}

/// Reads up to the empty line that ends a head.
fn read_head(reader: &mut impl BufRead) -> Head {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let limit = if start == 0 { MAX_LINE + 2 } else { MAX_HEAD };
        // One byte beyond the limit shows that there is too much.
        let most = (limit + 1 - start) as u64;
        let result = reader.take(most).read_until(b'\n', &mut head);
        let timed_out = result.is_err_and(|error| TIMED_OUT.contains(&error.kind()));
        let status = match trim_line_ending(&head[start..]).len() {
            _ if timed_out && !head.is_empty() => Status::REQUEST_TIMEOUT,
            length if start == 0 && length > MAX_LINE => Status::URI_TOO_LONG,
            _ if head.len() > MAX_HEAD => Status::HEADER_FIELDS_TOO_LARGE,
            // An incomplete request is ignored (RFC 9112, 8).
            _ if !head[start..].ends_with(b"\n") => return Head::Closed,
            0 if start > 0 => return Head::Complete(head),
            0 => {
                // Empty lines before the request line are ignored (RFC 9112, 2.2).
                head.clear();
                continue;
            }
            _ => continue,
        };
        return Head::Refused(head, status);
    }
}

/// Reads the content that the handler needs. The error is the status of the response.
fn read_content(
    request: &mut Request,
    reader: &mut BufReader<Deadline>,
    options: &Options,
) -> Result<(), Status> {
    let length = handler::content_needed(request, &options.root)?;
    // Before some clients send much, they ask whether they may (RFC 9110, 10.1.1).
    if length > 0 && request.expects_continue {
        let _ = reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    reader.get_mut().time = Instant::now() + Duration::from_secs(options.timeout);
    let mut content = vec![0; length];
    match reader.read_exact(&mut content) {
        Ok(()) => request.content = content,
        Err(error) if TIMED_OUT.contains(&error.kind()) => return Err(Status::REQUEST_TIMEOUT),
        // The client left before the end of its content (RFC 9112, 8).
        Err(_) => return Err(Status::BAD_REQUEST),
    }
    Ok(())
}

/// Sends a response and ends the connection.
pub fn send(stream: &TcpStream, response: &mut Response, timeout: Duration, body_may_follow: bool) {
    // Each chunk has its own deadline: a client may be slow, but it must not stop.
    while !response.is_complete {
        let written = response.write_chunk(Deadline::new(stream, timeout));
        if written.is_err() {
            // The client must see that something is missing. Where no length is promised, an orderly
            // end would hide it, so close(2) must reset the connection.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            return;
        }
    }
    close(stream, timeout, body_may_follow);
}

/// A client's socket, to be read from and written to until a deadline. With a timeout for each call
/// alone, a client could stay forever by sending or taking a byte now and then.
pub struct Deadline<'a> {
    stream: &'a TcpStream,
    pub time: Instant,
}

impl<'a> Deadline<'a> {
    fn new(stream: &'a TcpStream, timeout: Duration) -> Self {
        let time = Instant::now() + timeout;
        Deadline { stream, time }
    }

    fn time_left(&self) -> io::Result<Duration> {
        let left = self.time.checked_duration_since(Instant::now());
        left.filter(|left| !left.is_zero())
            .ok_or(ErrorKind::TimedOut.into())
    }
}

impl Read for Deadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.time_left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Deadline<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.time_left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closes the connection after a complete response. If bytes from the client were still unread,
/// close(2) would reset the connection, and the response could be lost on its way (RFC 9112, 9.6). So
/// this only stops sending, and reads until the client closes.
fn close(stream: &TcpStream, timeout: Duration, body_may_follow: bool) {
    let _ = stream.shutdown(Shutdown::Write);
    if body_may_follow || peek(stream).is_ok_and(|length| length > 0) {
        // Whatever this returns, the connection ends now.
        let _ = io::copy(&mut Deadline::new(stream, timeout), &mut io::sink());
    }
}

/// Looks for input without waiting: 1 if a byte has arrived, 0 if the client has stopped sending, an
/// error if neither.
pub fn peek(stream: &TcpStream) -> io::Result<usize> {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    peeked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read from a client that sends these bytes and leaves.
    fn head_of(mut sent: &[u8]) -> Head {
        read_head(&mut sent)
    }

    #[test]
    fn empty_lines_before_the_request_are_ignored() {
        let head = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
        let sent = [b"\r\n\n".as_slice(), head, b"more"].concat();
        assert_eq!(head_of(&sent), Head::Complete(head.to_vec()));
    }

    #[test]
    fn incomplete_head_is_ignored() {
        for sent in ["", "\r\n", "GET / HT", "GET / HTTP/1.1\r\nHost: lab\r\n"] {
            assert_eq!(head_of(sent.as_bytes()), Head::Closed, "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn head_is_the_same_however_it_is_split(
            sent in "(\r?\n)?(GET /|a: b|\r|\r?\n){0,8}\r?\n\r?\n?",
            size in 1..40_usize,
        ) {
            let mut reader = BufReader::with_capacity(size, sent.as_bytes());
            prop_assert_eq!(read_head(&mut reader), head_of(sent.as_bytes()));
        }
    }

    #[test]
    fn head_has_limits() {
        let line = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length - 14));
        let head = |length: usize| {
            let fields = "a".repeat(length - 8_006);
            format!("{}{fields}\r\n\r\n", line(8_000))
        };
        let status = |sent: String| match head_of(sent.as_bytes()) {
            Head::Refused(_, status) => status.code,
            _ => 0,
        };
        assert_eq!(status(line(8_000) + "\r\n"), 0);
        assert_eq!(status(line(8_001) + "\r\n"), 414);
        assert_eq!(status(head(16 * 1024)), 0);
        assert_eq!(status(head(16 * 1024 + 1)), 431);
    }
}
