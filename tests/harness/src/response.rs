//! A response, parsed twice: [`Response`] takes what can be understood, so that a check fails
//! only for its own reason; [`syntax_error`] finds whatever breaks the specification.

use crate::error::{CheckError, CheckResult};
use crate::text::readable;

/// What can be understood of a response.
#[derive(Debug)]
pub struct Response {
    /// The request that it answers.
    pub sent: Vec<u8>,
    pub raw: Vec<u8>,
    pub status: u16,
    /// Names in lower case; values without the whitespace around them.
    pub fields: Vec<(String, String)>,
    /// Without the chunked transfer coding, if the server used it.
    pub content: Vec<u8>,
}

impl Response {
    /// Parses a response leniently. Returns `None` if there is no status line.
    pub fn parse(sent: &[u8], raw: &[u8]) -> Option<Response> {
        let (head, body) = split_head(raw);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = status_code(lines.next()?)?;
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let mut response = Response {
            sent: sent.to_vec(),
            raw: raw.to_vec(),
            status,
            fields,
            content: body.to_vec(),
        };
        if response.is_chunked() {
            response.content = chunks(body).0.concat();
        }
        Some(response)
    }

    /// Whether the content is sent in chunks (RFC 9112, 7.1), which every HTTP/1.1 client must
    /// understand.
    fn is_chunked(&self) -> bool {
        let coding = self.field("transfer-encoding").unwrap_or_default();
        let last = coding.rsplit(',').next().unwrap_or_default();
        last.trim().eq_ignore_ascii_case("chunked")
    }

    /// The value of the first field with that name, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.0 == name);
        field.map(|field| field.1.as_str())
    }

    /// Whether it has exactly the length that it declares. False if it declares none.
    pub fn is_complete(&self) -> bool {
        message_length(&self.sent, &self.raw) == Some(self.raw.len())
    }

    /// Fails with this expectation unless the condition holds.
    pub fn ensure(&self, condition: bool, expected: impl Into<String>) -> CheckResult {
        if condition {
            return Ok(());
        }
        let received = format!("\n{}", readable(&self.raw));
        Err(CheckError::after(&self.sent, expected, received.trim_end()))
    }

    pub fn ensure_status(&self, status: u16) -> CheckResult {
        self.ensure(self.status == status, format!("status {status}"))
    }

    /// Fails if anything in it breaks the specification.
    pub fn ensure_well_formed(&self) -> CheckResult {
        let error = syntax_error(&self.raw).unwrap_or_default();
        let expected = format!("a well-formed response, but {error}");
        self.ensure(error.is_empty(), expected)
    }

    /// Compares the content byte for byte.
    pub fn ensure_content(&self, content: &[u8]) -> CheckResult {
        if self.content == content {
            return Ok(());
        }
        let pairs = self.content.iter().zip(content);
        let same = pairs.take_while(|(one, other)| one == other).count();
        // Of two long contents, the place where they differ matters.
        let describe = |bytes: &[u8]| {
            let part = bytes[same..bytes.len().min(same + 40)].escape_ascii();
            format!("{} bytes; from byte {same} on: \"{part}\"", bytes.len())
        };
        let (expected, received) = (describe(content), describe(&self.content));
        Err(CheckError::after(&self.sent, expected, received))
    }

    /// Status 200 and this content.
    pub fn ensure_serves(&self, content: &[u8]) -> CheckResult {
        self.ensure_status(200)?;
        self.ensure_content(content)
    }

    pub fn ensure_field(&self, name: &str, value: &str) -> CheckResult {
        let found = self.field(&name.to_ascii_lowercase());
        self.ensure(found == Some(value), format!("the field `{name}: {value}`"))
    }
}

/// The length of the complete response to `sent`, once its head has arrived and if the head says
/// how long it is (RFC 9112, 6.3). In chunks, once the last one has arrived.
pub fn message_length(sent: &[u8], raw: &[u8]) -> Option<usize> {
    let (head, body) = split_head(raw);
    if !is_complete_head(head) {
        return None;
    }
    let response = Response::parse(b"", head)?;
    if sent.starts_with(b"HEAD ") || matches!(response.status, 204 | 304) {
        return Some(head.len());
    }
    let length = if response.is_chunked() {
        chunks(body).1?
    } else {
        response.field("content-length")?.parse().ok()?
    };
    head.len().checked_add(length)
}

/// The same for whatever comes next on a connection that stays open, which may be an interim response
/// (RFC 9110, 15.2).
pub fn next_length(sent: &[u8], raw: &[u8]) -> Option<usize> {
    let (head, _) = split_head(raw);
    let response = Response::parse(b"", head).filter(|_| is_complete_head(head))?;
    if response.status < 200 {
        return Some(head.len());
    }
    message_length(sent, raw)
}

/// Whether the head has arrived and declares no length: then the content ends with the connection
/// (RFC 9112, 6.3).
pub fn ends_with_connection(raw: &[u8]) -> bool {
    let (head, _) = split_head(raw);
    let has_length =
        |response: Response| response.is_chunked() || response.field("content-length").is_some();
    is_complete_head(head) && !Response::parse(b"", head).is_none_or(has_length)
}

/// Whether the head has arrived.
pub fn has_complete_head(raw: &[u8]) -> bool {
    is_complete_head(split_head(raw).0)
}

fn is_complete_head(head: &[u8]) -> bool {
    head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n")
}

/// The status code: the first word of three digits after the version, whatever else is wrong with
/// the line.
fn status_code(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/")?;
    let mut words = rest.split(|c: char| !c.is_ascii_digit());
    let code = words.find(|word| word.len() == 3)?;
    code.parse().ok()
}

/// The chunks of the chunked transfer coding as far as they have arrived (RFC 9112, 7.1.3), and the
/// length of the encoded body if it is complete.
fn chunks(body: &[u8]) -> (Vec<&[u8]>, Option<usize>) {
    let mut chunks = Vec::new();
    let mut rest = body;
    while let Some((line, after)) = split_line(rest) {
        let size = String::from_utf8_lossy(line);
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            break;
        };
        if size == 0 {
            let end = trailer_end(after).map(|rest| body.len() - rest.len());
            return (chunks, end);
        }
        chunks.push(&after[..after.len().min(size)]);
        let Some((_, next)) = after.get(size..).and_then(split_line) else {
            break;
        };
        rest = next;
    }
    (chunks, None)
}

/// What follows the trailer section, if that is complete.
fn trailer_end(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, after) = split_line(rest)?;
        if line.is_empty() {
            return Some(after);
        }
        rest = after;
    }
}

/// A line without its CRLF or LF, and what follows.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// The head, up to and including its empty line, and what follows.
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

/// The first thing in a response that breaks the specification (RFC 9112, 4 and 5).
pub fn syntax_error(raw: &[u8]) -> Option<String> {
    let (head, content) = split_head(raw);
    let Some(head) = head.strip_suffix(b"\r\n\r\n") else {
        return Some("the head does not end with an empty line, CRLF CRLF".to_string());
    };
    // Every line except the last ends with CRLF: any other CR or LF is misplaced.
    let text = String::from_utf8_lossy(head).replace("\r\n", "");
    if text.contains(['\r', '\n']) {
        return Some("a line of the head does not end with CRLF".to_string());
    }
    let lines = head.split(|byte| *byte == b'\n');
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status_line = lines.next().unwrap_or_default();
    if let Some(error) = status_line_error(status_line) {
        return Some(format!(
            "the status line `{}` {error}",
            status_line.escape_ascii()
        ));
    }
    for line in lines {
        if let Some(error) = field_line_error(line) {
            return Some(format!("the field line `{}` {error}", line.escape_ascii()));
        }
    }
    let response = Response::parse(b"", raw)?;
    let fields = response.fields.iter();
    let lengths: Vec<&str> = fields
        .filter(|field| field.0 == "content-length")
        .map(|field| field.1.as_str())
        .collect();
    let actual = content.len();
    if response.is_chunked() {
        let both = !lengths.is_empty();
        return both.then(|| "it has both Content-Length and Transfer-Encoding".to_string());
    }
    match lengths[..] {
        [] => None,
        [length] if length.parse() == Ok(actual) => None,
        [length] => Some(format!(
            "Content-Length is {length} for {actual} bytes of content"
        )),
        _ => Some("there is more than one Content-Length".to_string()),
    }
}

/// `HTTP/1.1 SP 3DIGIT SP reason`, with a reason phrase (the specification allows an empty one;
/// the lab doesn't).
fn status_line_error(line: &[u8]) -> Option<&'static str> {
    let Some(rest) = line.strip_prefix(b"HTTP/1.1 ") else {
        return Some("does not begin with `HTTP/1.1` and one space");
    };
    let code_error = Some("has no three-digit status code");
    let Some((code, reason)) = rest.split_at_checked(3) else {
        return code_error;
    };
    if !code.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&code[0]) {
        return code_error;
    }
    let [b' ', first, rest @ ..] = reason else {
        return Some("has no reason phrase after one space");
    };
    if !first.is_ascii_graphic() {
        return Some("has no reason phrase after one space");
    }
    let printable = rest.iter().all(|byte| (b' '..=b'~').contains(byte));
    (!printable).then_some("has a control character in its reason phrase")
}

/// `NAME: VALUE`, without whitespace before the colon.
fn field_line_error(line: &[u8]) -> Option<&'static str> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some("has no colon");
    };
    let (name, value) = line.split_at(colon);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Some("has a name that is not a token");
    }
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    (!value.iter().all(is_text)).then_some("has a control character in its value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_responses_have_no_syntax_error() {
        for raw in [
            "HTTP/1.1 200 OK\r\n\r\nanything\n\r",
            "HTTP/1.1 404 Not Found\r\nServer: a\r\nX:\tb \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
        ] {
            assert_eq!(syntax_error(raw.as_bytes()), None, "{raw:?}");
        }
    }

    #[test]
    fn every_violation_is_a_syntax_error() {
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
            assert!(syntax_error(raw.as_bytes()).is_some(), "{raw:?}");
        }
    }

    #[test]
    fn chunks_are_decoded() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
        let body = "5;a=b\r\nhello\r\n00A\r\n, \r\nworld!\r\n0\r\nX: y\r\n\r\n";
        let whole = format!("{head}{body}");
        for end in head.len()..=whole.len() {
            let raw = &whole.as_bytes()[..end];
            let response = Response::parse(b"", raw).unwrap();
            assert!(b"hello, \r\nworld!".starts_with(&response.content));
            assert_eq!(response.is_complete(), end == whole.len(), "{end}");
        }
        let response = Response::parse(b"", whole.as_bytes()).unwrap();
        assert_eq!(response.content, b"hello, \r\nworld!");
        assert_eq!(syntax_error(whole.as_bytes()), None);
        let both = whole.replacen("Transfer", "Content-Length: 5\r\nTransfer", 1);
        assert!(syntax_error(both.as_bytes()).is_some());
    }

    #[test]
    fn parsing_is_lenient() {
        let response = Response::parse(b"", b"HTTP/1.0 404\nA:b\nC : d\n\nx\n\ny").unwrap();
        assert_eq!(response.status, 404);
        assert_eq!(response.field("a"), Some("b"));
        assert_eq!(response.field("c"), Some("d"));
        assert_eq!(response.content, b"x\n\ny");
        assert!(Response::parse(b"", b"no response").is_none());
        for line in [
            "HTTP/1.1/ 200 OK",
            "HTTP/1.1/200 OK",
            "HTTP/1.1  200",
            "HTTP/1 200/ OK",
        ] {
            let response = Response::parse(b"", line.as_bytes());
            assert_eq!(
                response.map(|response| response.status),
                Some(200),
                "{line}"
            );
        }
    }
}
