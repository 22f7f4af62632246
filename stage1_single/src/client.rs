//! One connection, from its first byte to its close: read, answer, part.
//!
//! A client may be slow, rude or gone. Look at how every step has its bound: the head
//! must come in time, the answer must be taken in time, and the goodbye is short.

use crate::request::{self, Request};
use crate::response::Response;
use crate::{Options, files};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The longest request line, in bytes, without its line end.
const LINE_LIMIT: usize = 8_000;

/// The longest head, in bytes: request line, header fields and blank line.
const HEAD_LIMIT: usize = 16 * 1024;

/// How much of an unwanted body we take in before we part, in bytes.
const DRAIN_LIMIT: usize = 4 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// How a read that took too long is reported: systems differ.
const TIMED_OUT: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// Looks after one connection. Whatever goes wrong in here ends this connection only.
pub fn serve_client(stream: &TcpStream, options: &Options) {
    let timeout = Duration::from_secs(options.timeout);
    let mut reader = BufReader::new(Deadline(stream, Instant::now() + timeout));
    let mut head = Vec::new();
    let request = match read_head(&mut reader, &mut head) {
        Ok(true) => request::parse(&head),
        Ok(false) => return,
        Err(status) => Err(status),
    };
    if options.verbose {
        log_head(&head);
    }
    match request {
        Ok(request) => {
            let response = respond(&request, options);
            answer(stream, options, &head, response, request.method != "GET");
        }
        Err(status) => refuse(stream, options, &head, status),
    }
}

/// Answers a client whose request was not understood, or not even read. `head` is what came
/// of it, for the log.
pub fn refuse(stream: &TcpStream, options: &Options, head: &[u8], status: u16) {
    answer(stream, options, head, Response::error(status), true);
}

/// Finds the response to a request.
fn respond(request: &Request, options: &Options) -> Response {
    match request.method.as_str() {
        "GET" => match files::open(&options.root, &request.path) {
            Ok(file) => Response::file(file),
            Err(status) => Response::error(status),
        },
        _ => Response::error(501),
    }
}

/// Reads up to the blank line that ends a head. `Ok(false)`: the client left before, or never
/// spoke, and there is nobody to answer. The error is the status code to answer with.
fn read_head(reader: &mut BufReader<Deadline>, head: &mut Vec<u8>) -> Result<bool, u16> {
    loop {
        let start = head.len();
        // A byte more than is allowed shows that it is too much; a line may end in CRLF.
        let limit = match start {
            0 => LINE_LIMIT + 2,
            _ => HEAD_LIMIT,
        };
        let most = (limit + 1 - start) as u64;
        match reader.by_ref().take(most).read_until(b'\n', head) {
            // The client stopped before the blank line: half a request is none (RFC 9112, 8).
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if TIMED_OUT.contains(&error.kind()) && !head.is_empty() => return Err(408),
            Err(_) => return Ok(false),
        }
        let line = request::without_line_end(&head[start..]);
        if start == 0 && line.len() > LINE_LIMIT {
            return Err(414);
        }
        if head.len() > HEAD_LIMIT {
            return Err(431);
        }
        match (head.ends_with(b"\n"), line.is_empty()) {
            (false, _) => return Ok(false),
            (true, false) => {}
            // An empty line before the request line is forgiven (RFC 9112, 2.2).
            (true, true) if start == 0 => head.clear(),
            (true, true) => return Ok(true),
        }
    }
}

/// Reads from a client until a point in time. A timeout on each read alone would let a
/// client stay for ever, by sending one byte now and then.
struct Deadline<'a>(&'a TcpStream, Instant);

impl Read for Deadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.1.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.0.set_read_timeout(Some(left))?;
        self.0.read(buffer)
    }
}

/// Sends the response, logs it and parts. `more`: a body may follow that nobody will read.
fn answer(stream: &TcpStream, options: &Options, head: &[u8], mut response: Response, more: bool) {
    let end = head.iter().position(|byte| b"\r\n".contains(byte));
    let line = head[..end.unwrap_or(head.len())].escape_ascii().to_string();
    let mut words = line.split_whitespace();
    let mut next_word = || words.next().unwrap_or("-");
    let (method, target) = (next_word(), next_word());
    // So long may one write wait for a client that does not read.
    let _ = stream.set_write_timeout(Some(Duration::from_secs(options.timeout)));
    // The answer to HEAD never has content (RFC 9110, 9.3.2).
    let outcome = response.send(stream, method != "HEAD");
    let peer = match stream.peer_addr() {
        Ok(address) => address.to_string(),
        Err(_) => "-".to_string(),
    };
    let Response { status, sent, .. } = response;
    log(&format!("{peer} {method} {target} {status} {sent}"));
    if outcome.is_ok() {
        part(stream, more);
    }
}

/// Takes leave so that the client gets the whole answer. If we closed while bytes from the
/// client wait unread, the system would reset the connection, and the answer could be lost
/// on its way (RFC 9112, 9.6). So we only stop sending, and read until the client closes.
fn part(stream: &TcpStream, more: bool) {
    if !more && !bytes_wait(stream) {
        return;
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut unwanted = Deadline(stream, Instant::now() + DRAIN_TIME).take(DRAIN_LIMIT as u64);
    // Whatever this says, the connection ends now.
    let _ = io::copy(&mut unwanted, &mut io::sink());
}

/// Looks, without waiting, whether the client has sent more than we read.
fn bytes_wait(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let waiting = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    waiting.is_ok_and(|length| length > 0)
}

/// Shows a head line by line, escaped, so that no control byte reaches the terminal.
fn log_head(head: &[u8]) {
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        log(&format!("> {}", line.escape_ascii()));
    }
}

/// Writes one line to standard error, in one piece, so that the lines of several clients
/// do not mix. There is nobody to tell when that fails.
pub fn log(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What is read as the head of what a client sends before it leaves.
    fn head_of(sent: &[u8]) -> (Result<bool, u16>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(Deadline(&stream, Instant::now() + DRAIN_TIME));
        let mut head = Vec::new();
        (read_head(&mut reader, &mut head), head)
    }

    #[test]
    fn empty_lines_before_the_request_are_forgiven() {
        let head = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
        let sent = [b"\r\n\n".as_slice(), head, b"more"].concat();
        assert_eq!(head_of(&sent), (Ok(true), head.to_vec()));
    }

    #[test]
    fn half_a_head_is_none() {
        for sent in ["", "\r\n", "GET / HT", "GET / HTTP/1.1\r\nHost: lab\r\n"] {
            assert_eq!(head_of(sent.as_bytes()).0, Ok(false), "{sent:?}");
        }
    }
}
