//! The wire: a client that sends any bytes it likes, and sees every byte that comes back.
//!
//! Answers are read twice. [`Answer`] takes what can be understood of one, so that a check
//! fails for its own reason only; [`strict_fault`] finds whatever breaks the specification.

use crate::bench::PATIENCE;
use crate::check::{Outcome, Trouble};
use crate::explain::readable;
use memchr::memmem;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A GET request for a target, as a browser would send it.
pub fn get(target: &str) -> Vec<u8> {
    request("GET", target, "")
}

/// A request without content. `fields` are whole lines, each with its CRLF.
pub fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
}

/// A POST request with a form as content.
pub fn post(target: &str, form: &[u8]) -> Vec<u8> {
    let length = form.len();
    let fields =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n");
    let mut bytes = request("POST", target, &fields);
    bytes.extend_from_slice(form);
    bytes
}

/// How a connection ended, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// The server closed it in good order.
    Closed,
    /// The server's system reset it: bytes may be lost.
    Reset,
    /// It is open still.
    Open,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Ending::Closed => "the connection was closed",
            Ending::Reset => "the connection was reset",
            Ending::Open => "the connection is open still",
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
    /// Connects. `secret` must appear in nothing that is read, and nothing is read after the
    /// deadline.
    pub fn connect(
        address: SocketAddr,
        secret: Arc<[u8]>,
        deadline: Instant,
    ) -> Result<Client, Trouble> {
        Client::connect_within(PATIENCE, address, secret, deadline)
    }

    /// The same, with another patience.
    pub fn connect_within(
        limit: Duration,
        address: SocketAddr,
        secret: Arc<[u8]>,
        deadline: Instant,
    ) -> Result<Client, Trouble> {
        let stream = TcpStream::connect_timeout(&address, limit).map_err(|error| {
            Trouble::failed(format!("a connection to {address}"), error.to_string())
        })?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client {
            stream,
            sent: Vec::new(),
            secret,
            deadline,
        })
    }

    /// The port on this side of the connection.
    pub fn port(&self) -> Result<u16, Trouble> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Sends bytes. A server may answer and close before it has read them all, so an error
    /// says nothing here: the answer will tell.
    pub fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes; tells whether the other side still took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends bytes and gives the server a moment to read them, so that they arrive apart
    /// from what follows. No verdict hangs on how long that takes.
    pub fn send_apart(&mut self, bytes: &[u8]) {
        self.send(bytes);
        std::thread::sleep(Duration::from_millis(1));
    }

    /// From now on the system keeps little of what comes and is not read: some kilobytes.
    pub fn take_little(&self) -> Result<(), Trouble> {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 4096)
            .map_err(|error| Trouble::Broken(error.to_string()))
    }

    /// Says that nothing more will be sent; the answer can still come.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until the connection ends or `limit` has passed.
    pub fn read(&mut self, limit: Duration) -> Result<(Vec<u8>, Ending), Trouble> {
        self.read_up_to(usize::MAX, limit)
    }

    /// Reads until that many bytes have come, the connection ends, or `limit` has passed.
    pub fn read_up_to(
        &mut self,
        most: usize,
        limit: Duration,
    ) -> Result<(Vec<u8>, Ending), Trouble> {
        self.read_until(most, limit, |_| false)
    }

    /// The same, or until what has come is enough.
    fn read_until(
        &mut self,
        most: usize,
        limit: Duration,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Ending), Trouble> {
        if Instant::now() > self.deadline {
            let received = "it was too slow at each turn, and had to be given up";
            return Err(Trouble::failed("answers without delay", received));
        }
        let deadline = Instant::now() + limit;
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        let ending = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || bytes.len() >= most || enough(&bytes) {
                break Ending::Open;
            }
            self.stream.set_read_timeout(Some(left))?;
            let room = chunk.len().min(most - bytes.len());
            match self.stream.read(&mut chunk[..room]) {
                Ok(0) => break Ending::Closed,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => break Ending::Open,
                    ErrorKind::Interrupted => {}
                    _ => break Ending::Reset,
                },
            }
        };
        self.guard_secret(&bytes)?;
        Ok((bytes, ending))
    }

    /// Reads one whole answer.
    pub fn answer(&mut self) -> Result<Answer, Trouble> {
        let mut whole = None;
        let method = self.sent[..self.sent.len().min(8)].to_vec();
        let (mut raw, mut ending) = self.read_until(usize::MAX, PATIENCE, |bytes| {
            whole = whole.or_else(|| length_of_answer(&method, bytes));
            whole.is_some_and(|whole| bytes.len() >= whole)
        })?;
        if whole.is_some_and(|whole| raw.len() >= whole) && ending == Ending::Open {
            // It is all there. A server that does not close behind it is not waited for: that
            // it must is for `connection-close` to say.
            let (more, then) = self.read(PARTING)?;
            raw.extend(more);
            ending = then;
        }
        let expected = "a response, and the end of the connection behind it";
        match Answer::parse(&self.sent, &raw) {
            _ if ending == Ending::Reset => Err(self.trouble(expected, "a reset after", &raw)),
            None if ending == Ending::Open => {
                let what =
                    format!("no response within {PATIENCE:?}; the connection is open still, after");
                Err(self.trouble(expected, &what, &raw))
            }
            None => Err(self.trouble(
                expected,
                "no answer with a status line; the connection was closed after",
                &raw,
            )),
            Some(answer) if ending == Ending::Open && !answer.is_complete() => {
                let received = format!("no end within {PATIENCE:?}:");
                Err(self.trouble(expected, &received, &raw))
            }
            Some(answer) => Ok(answer),
        }
    }

    /// Reads until the end of a connection that the server must end within `limit`, with or
    /// without a word.
    pub fn must_end_within(&mut self, limit: Duration) -> Result<Vec<u8>, Trouble> {
        match self.read(limit)? {
            (raw, Ending::Open) => {
                let expected = format!("the end of the connection within {limit:?}");
                Err(self.trouble(expected, "it is still open, after", &raw))
            }
            (raw, _) => Ok(raw),
        }
    }

    fn trouble(&self, expected: impl Into<String>, what: &str, raw: &[u8]) -> Trouble {
        let received = match raw {
            b"" => format!("{what} no bytes at all"),
            _ => format!("{what}\n{}", readable(raw)),
        };
        Trouble::after(&self.sent, expected, received)
    }

    fn guard_secret(&self, bytes: &[u8]) -> Outcome {
        match memmem::find(bytes, &self.secret) {
            None => Ok(()),
            Some(_) => {
                let expected = "nothing from outside the document root";
                Err(Trouble::after(
                    &self.sent,
                    expected,
                    "the content of a file beside it",
                ))
            }
        }
    }
}

/// What can be understood of an answer.
#[derive(Debug)]
pub struct Answer {
    pub sent: Vec<u8>,
    pub raw: Vec<u8>,
    pub status: u16,
    /// Names in lower case, values without the space around them.
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl Answer {
    /// Takes the bytes of an answer apart, leniently. `None` if there is no status line.
    pub fn parse(sent: &[u8], raw: &[u8]) -> Option<Answer> {
        let (head, content) = split_head(raw);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let line = lines.next()?.strip_prefix("HTTP/")?;
        let status = line.split_whitespace().nth(1)?.parse().ok()?;
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let content = content.to_vec();
        Some(Answer {
            sent: sent.to_vec(),
            raw: raw.to_vec(),
            status,
            fields,
            content,
        })
    }

    /// The value of the first field of that name, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.0 == name);
        field.map(|field| field.1.as_str())
    }

    /// Whether all of the content is there that was promised; without a promise, no.
    fn is_complete(&self) -> bool {
        length_of_answer(&self.sent, &self.raw) == Some(self.raw.len())
    }

    /// Fails with this expectation unless the condition holds.
    pub fn must(&self, condition: bool, expected: impl Into<String>) -> Outcome {
        match condition {
            true => Ok(()),
            false => {
                let received = format!("\n{}", readable(&self.raw));
                Err(Trouble::after(&self.sent, expected, received.trim_end()))
            }
        }
    }

    pub fn must_have_status(&self, status: u16) -> Outcome {
        self.must(self.status == status, format!("status {status}"))
    }

    /// Holds the content against what it must be, byte for byte.
    pub fn must_have_content(&self, content: &[u8]) -> Outcome {
        if self.content == content {
            return Ok(());
        }
        let pairs = self.content.iter().zip(content);
        let same = pairs.take_while(|(one, other)| one == other).count();
        // Where they part is what matters of two long contents.
        let shown = |bytes: &[u8]| {
            let part = &bytes[same..bytes.len().min(same + 40)];
            format!(
                "{} bytes; from byte {same} on: \"{}\"",
                bytes.len(),
                part.escape_ascii()
            )
        };
        Err(Trouble::after(
            &self.sent,
            shown(content),
            shown(&self.content),
        ))
    }

    /// Status 200 and that content.
    pub fn must_serve(&self, content: &[u8]) -> Outcome {
        self.must_have_status(200)?;
        self.must_have_content(content)
    }

    pub fn must_have_field(&self, name: &str, value: &str) -> Outcome {
        let found = self.field(&name.to_ascii_lowercase());
        self.must(found == Some(value), format!("the field `{name}: {value}`"))
    }
}

/// How long to wait for the close behind a whole answer.
const PARTING: Duration = Duration::from_millis(100);

/// How long the answer to what was sent will be in all, once its head is there and if that
/// tells (RFC 9112, 6.3).
fn length_of_answer(sent: &[u8], raw: &[u8]) -> Option<usize> {
    let (head, _) = split_head(raw);
    let whole = head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n");
    let answer = Answer::parse(b"", head).filter(|_| whole)?;
    if sent.starts_with(b"HEAD ") || matches!(answer.status, 204 | 304) {
        return Some(head.len());
    }
    let length: usize = answer.field("content-length")?.parse().ok()?;
    head.len().checked_add(length)
}

/// The head, as far as its empty line or the end, and what follows.
fn split_head(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line == b"\n" || line == b"\r\n" {
            break;
        }
    }
    raw.split_at(end)
}

/// What in an answer breaks the specification (RFC 9112, 4 and 5), if anything does.
pub fn strict_fault(raw: &[u8]) -> Option<String> {
    let (head, content) = split_head(raw);
    let Some(head) = head.strip_suffix(b"\r\n\r\n") else {
        return Some("the head does not end in an empty line, CRLF CRLF".to_string());
    };
    // Each line but the last ends in CRLF: any other CR or LF stands where it must not.
    let text = String::from_utf8_lossy(head).replace("\r\n", "");
    if text.contains(['\r', '\n']) {
        return Some("a line of the head does not end in CRLF".to_string());
    }
    let mut lines = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        lines.push(line.strip_suffix(b"\r").unwrap_or(line));
    }
    if let Some(fault) = status_line_fault(lines[0]) {
        return Some(format!(
            "the status line `{}` {fault}",
            lines[0].escape_ascii()
        ));
    }
    for line in &lines[1..] {
        if let Some(fault) = field_fault(line) {
            return Some(format!("the field line `{}` {fault}", line.escape_ascii()));
        }
    }
    let answer = Answer::parse(b"", raw)?;
    let lengths: Vec<&str> = answer
        .fields
        .iter()
        .filter(|field| field.0 == "content-length")
        .map(|field| field.1.as_str())
        .collect();
    match lengths[..] {
        [] => None,
        [length] if length.parse() == Ok(content.len()) => None,
        [length] => Some(format!(
            "Content-Length says {length}, but {} bytes follow",
            content.len()
        )),
        _ => Some("Content-Length is said more than once".to_string()),
    }
}

/// `HTTP/1.1 SP 3DIGIT SP reason`, with a reason phrase (the specification lets it be empty;
/// the lab does not).
fn status_line_fault(line: &[u8]) -> Option<&'static str> {
    let Some(rest) = line.strip_prefix(b"HTTP/1.1 ") else {
        return Some("does not begin with `HTTP/1.1` and one space");
    };
    let Some((code, reason)) = rest.split_at_checked(3) else {
        return Some("has no three-digit status code");
    };
    if !code.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&code[0]) {
        return Some("has no three-digit status code");
    }
    match reason {
        [b' ', first, rest @ ..] if first.is_ascii_graphic() => {
            let plain = rest.iter().all(|byte| (b' '..=b'~').contains(byte));
            (!plain).then_some("has a control character in its reason phrase")
        }
        _ => Some("has no reason phrase behind one space"),
    }
}

/// `NAME: VALUE`, without space before the colon.
fn field_fault(line: &[u8]) -> Option<&'static str> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some("has no colon");
    };
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if colon == 0 || !line[..colon].iter().all(token) {
        return Some("has a name that is no token");
    }
    let plain = line[colon..]
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    (!plain).then_some("has a control character in its value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_has_no_fault() {
        for raw in [
            "HTTP/1.1 200 OK\r\n\r\nanything\n\r",
            "HTTP/1.1 404 Not Found\r\nServer: a\r\nX:\tb \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
        ] {
            assert_eq!(strict_fault(raw.as_bytes()), None, "{raw:?}");
        }
    }

    #[test]
    fn every_break_of_the_form_is_a_fault() {
        for raw in [
            "",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nA: b\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\n\nc\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1/200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 \r\n\r\n",
            "HTTP/1.1 200 O\x01K\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \x1bb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        ] {
            assert!(strict_fault(raw.as_bytes()).is_some(), "{raw:?}");
        }
    }

    #[test]
    fn an_answer_is_understood_leniently() {
        let answer = Answer::parse(b"", b"HTTP/1.0 404\nA:b\nC : d\n\nx\n\ny").unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.field("a"), Some("b"));
        assert_eq!(answer.field("c"), Some("d"));
        assert_eq!(answer.content, b"x\n\ny");
        assert!(Answer::parse(b"", b"no response").is_none());
    }
}
