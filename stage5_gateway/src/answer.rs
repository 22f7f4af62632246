//! What an application writes: a head of a few fields, and content (RFC 3875, 6).
//!
//! An application says what the content is, never where a message ends: that is up to the server. Look
//! at what happens when it breaks its word: a client must see that something is missing, and must
//! never take what is too much for the response to its next request.

use crate::chunked::{self, Encoder};
use crate::log;
use crate::request::{self, Field, Request, trim_line_ending, values};
use crate::response::{Response, ResponseBuilder, Status};
use std::io::{self, Error, ErrorKind, Read};
use std::time::{Duration, Instant};

/// The longest head of an application, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Fields about one message or one connection, and those that the server sends by itself
/// (RFC 9110, 7.6.1).
const SERVER_FIELDS: [&str; 11] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "server",
    "status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What to do about a request.
pub enum Answer {
    Response(Response),
    /// Respond as if the client had asked for this target.
    Redirect(String),
}

/// Reads the head of an answer. `timeout` is for content that nobody wants.
pub fn read(
    mut source: Box<dyn Read + Send>,
    request: &Request,
    timeout: Duration,
) -> io::Result<Answer> {
    let (head, content) = read_head(&mut source)?;
    let (lines, fields) = parse_head(&head)?;
    let output = |is_unwanted, left| Output {
        source,
        left,
        is_unwanted,
        has_ended: false,
        timeout,
    };
    let value = |name| values(&fields, name).next();
    let (code, phrase) = match (value("status"), value("location"), value("content-type")) {
        (None, Some(target), _) if target.starts_with(b"/") && fields.len() == 1 => {
            let target = String::from_utf8_lossy(target).into_owned();
            // It may write to its end, which this waits for.
            drop(output(true, None));
            return Ok(Answer::Redirect(target));
        }
        (Some(status), ..) => parse_status(status)?,
        (None, Some(_), _) => (302, "Found".to_string()),
        (None, None, Some(_)) => (200, "OK".to_string()),
        _ => return Err(invalid("its head lacks Content-Type")),
    };
    let mut builder = ResponseBuilder::new(Status::new(code, "")).phrase(phrase);
    for (line, (name, value)) in lines.iter().zip(&fields) {
        if !SERVER_FIELDS.contains(&name.as_str()) {
            let name = String::from_utf8_lossy(&line[..name.len()]);
            builder = builder.field(&name, value.as_slice());
        }
    }
    // They have no content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5), so no length is missing.
    let has_content = !matches!(code, 204 | 205 | 304);
    let is_unwanted = request.method == "HEAD" || !has_content;
    let output = output(is_unwanted, content_length(&fields)?);
    let response = if has_content {
        output.frame(builder, content, request.is_1_0).build()
    } else {
        let length = match code {
            204 => None,
            205 => Some(0),
            _ => output.left,
        };
        let builder = builder.stream(Vec::new(), output, length);
        builder.build().without_content()
    };
    Ok(Answer::Response(response))
}

/// The lines of a head, and the fields in them.
fn parse_head(head: &[u8]) -> io::Result<(Vec<&[u8]>, Vec<Field>)> {
    let lines = head
        .split_inclusive(|byte| *byte == b'\n')
        .map(trim_line_ending);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    let fields: Option<Vec<_>> = lines.iter().map(|line| request::field(line)).collect();
    let fields = fields.ok_or_else(|| invalid("a field of its head is malformed"))?;
    for name in ["content-type", "location", "status"] {
        // Two programs could disagree on which one counts (RFC 3875, 6.3).
        if values(&fields, name).count() > 1 {
            return Err(invalid(&format!("its head has several {name} fields")));
        }
    }
    Ok((lines, fields))
}

/// Reads a head, and the beginning of the content that came with it.
fn read_head(source: &mut impl Read) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let mut piece = vec![0; MAX_HEAD];
    loop {
        if let Some(end) = end_of_head(&head) {
            let content = head.split_off(end);
            return Ok((head, content));
        }
        match source.read(&mut piece)? {
            0 => return Err(invalid("it ended without a head")),
            _ if head.len() > MAX_HEAD => return Err(invalid("its head is too long")),
            length => head.extend(&piece[..length]),
        }
    }
}

fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

/// Where the content begins: behind the first empty line. Lines may end in LF alone.
fn end_of_head(head: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        start += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some(start);
        }
    }
    None
}

/// A status code and its reason phrase, which may be missing.
fn parse_status(text: &[u8]) -> io::Result<(u16, String)> {
    let text = String::from_utf8_lossy(text);
    let (code, phrase) = text.split_once(' ').unwrap_or((&text, ""));
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    match code.parse() {
        // 1xx would not be the response yet.
        Ok(code @ 200..=599) if is_code => Ok((code, phrase.to_string())),
        _ => Err(invalid("its Status is invalid")),
    }
}

fn content_length(fields: &[Field]) -> io::Result<Option<u64>> {
    let lengths: Vec<&[u8]> = values(fields, "content-length").collect();
    match lengths[..] {
        [] => Ok(None),
        [digits] if digits.iter().all(u8::is_ascii_digit) => {
            let length = String::from_utf8_lossy(digits).parse();
            length
                .map(Some)
                .map_err(|_| invalid("its Content-Length is invalid"))
        }
        _ => Err(invalid("its Content-Length is invalid")),
    }
}

/// The content that an application writes.
struct Output {
    source: Box<dyn Read + Send>,
    /// How much of what it has promised is missing.
    left: Option<u64>,
    /// Whether the client must not get it.
    is_unwanted: bool,
    has_ended: bool,
    timeout: Duration,
}

impl Output {
    /// Says where the content ends: after its length, after the last chunk, or, for HTTP/1.0, at the
    /// end of the connection (RFC 9112, 6.3).
    fn frame(
        mut self,
        builder: ResponseBuilder,
        content: Vec<u8>,
        is_1_0: bool,
    ) -> ResponseBuilder {
        let length = self.left;
        let content = self.keep(content);
        if length.is_some() || is_1_0 {
            return builder.stream(content, self, length);
        }
        let chunk = if content.is_empty() {
            content
        } else {
            chunked::encode(&content)
        };
        let builder = builder.field("Transfer-Encoding", "chunked");
        builder.stream(chunk, Encoder::new(self), None)
    }

    /// Counts content. What is more than was promised is cut.
    fn keep(&mut self, mut content: Vec<u8>) -> Vec<u8> {
        if let Some(left) = &mut self.left {
            let extra = (content.len() as u64).saturating_sub(*left);
            content.truncate(content.len() - extra as usize);
            *left -= content.len() as u64;
            if extra > 0 && !self.is_unwanted {
                self.is_unwanted = true;
                log::line("an application wrote more than its Content-Length: the rest was cut");
            }
        }
        content
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer).inspect_err(|error| {
            self.has_ended = true;
            log::line(&format!(
                "an application did not complete its response: {error}"
            ));
        })?;
        self.has_ended = length == 0 && !buffer.is_empty();
        Ok(self.keep(buffer[..length].to_vec()).len())
    }
}

impl Drop for Output {
    /// An application that has kept its word may write to its end, even if nobody gets that.
    fn drop(&mut self) {
        let deadline = Instant::now() + self.timeout;
        let mut piece = vec![0; MAX_HEAD];
        while (self.is_unwanted || self.left == Some(0))
            && !self.has_ended
            && Instant::now() < deadline
        {
            let _ = self.read(&mut piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufReader, Cursor};

    fn request(method: &str, version: &str) -> Request {
        let head = format!("{method} / HTTP/{version}\r\nHost: lab\r\n\r\n");
        request::parse(head.as_bytes()).unwrap()
    }

    /// The bytes of the response to what an application wrote, in pieces of this size.
    fn response_to(request: &Request, written: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let source = BufReader::with_capacity(piece, Cursor::new(written.to_vec()));
        let mut response = match read(Box::new(Pieces(source)), request, Duration::from_secs(1))? {
            Answer::Response(response) => response,
            Answer::Redirect(target) => return Ok(format!("redirect {target}").into_bytes()),
        };
        if request.method == "HEAD" {
            response = response.without_content();
        }
        let mut bytes = Vec::new();
        while !response.is_complete {
            response.write_chunk(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Yields at most a buffer at a time, as a pipe does.
    struct Pieces(BufReader<Cursor<Vec<u8>>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            use std::io::BufRead;
            let piece = self.0.fill_buf()?;
            let length = piece.len().min(buffer.len());
            buffer[..length].copy_from_slice(&piece[..length]);
            self.0.consume(length);
            Ok(length)
        }
    }

    /// The lines of a response without those that every response has.
    fn lines(method: &str, version: &str, written: &str) -> Vec<String> {
        let bytes = response_to(&request(method, version), written.as_bytes(), 9999).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let own = ["Date:", "Server:", "Connection:"];
        let lines = text.split("\r\n");
        let lines = lines.filter(|line| !own.iter().any(|name| line.starts_with(name)));
        lines.map(str::to_string).collect()
    }

    #[test]
    fn framing_is_up_to_the_server() {
        let written = "Content-Type: a/b\nTransfer-Encoding: x\nConnection: x\nX-A: 1\n\nabc";
        let head = ["HTTP/1.1 200 OK", "Content-Type: a/b", "X-A: 1"];
        let chunked = ["Transfer-Encoding: chunked", "", "3", "abc", "0", "", ""];
        assert_eq!(lines("GET", "1.1", written), [&head[..], &chunked].concat());
        assert_eq!(
            lines("GET", "1.0", written),
            [&head[..], &["", "abc"]].concat()
        );
        let without_content = ["Transfer-Encoding: chunked", "", ""];
        assert_eq!(
            lines("HEAD", "1.1", written),
            [&head[..], &without_content].concat()
        );
    }

    #[test]
    fn promised_length_is_kept() {
        let written = |length| format!("Content-Type: a/b\r\nContent-Length: {length}\r\n\r\nabc");
        let end = |length: &str| ["Content-Length: ".to_string() + length, String::new()];
        let found = lines("GET", "1.1", &written("3"));
        assert_eq!(found[2..], [&end("3")[..], &["abc".to_string()]].concat());
        let found = lines("GET", "1.1", &written("2"));
        assert_eq!(found[2..], [&end("2")[..], &["ab".to_string()]].concat());
        let long = response_to(&request("GET", "1.1"), written("4").as_bytes(), 9999);
        assert_eq!(long.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for invalid in [
            "x",
            "-1",
            "",
            "3\r\nContent-Length: 3",
            "99999999999999999999",
        ] {
            let result = response_to(&request("GET", "1.1"), written(invalid).as_bytes(), 9999);
            assert_eq!(
                result.unwrap_err().kind(),
                ErrorKind::InvalidData,
                "{invalid}"
            );
        }
    }

    #[test]
    fn status_is_what_the_application_says() {
        for (written, line) in [
            ("Status: 404 Nobody\n\n", "HTTP/1.1 404 Nobody"),
            ("Status: 404\n\n", "HTTP/1.1 404 "),
            ("Location: http://lab/\n\n", "HTTP/1.1 302 Found"),
            (
                "Location: /a\nStatus: 303 See Other\n\n",
                "HTTP/1.1 303 See Other",
            ),
            ("Location: /a\nSet-Cookie: b\n\n", "HTTP/1.1 302 Found"),
            ("Location: /a?b\n\n", "redirect /a?b"),
        ] {
            assert_eq!(lines("GET", "1.1", written)[0], line, "{written:?}");
        }
        assert_eq!(
            lines("GET", "1.1", "Status: 204\nContent-Length: 3\n\nabc")[1..],
            ["", ""]
        );
        let reset = lines("GET", "1.1", "Status: 205\nContent-Type: a/b\n\nabc");
        assert_eq!(reset[2..], ["Content-Length: 0", "", ""]);
        let not_modified = lines("GET", "1.1", "Status: 304\nContent-Length: 3\n\n");
        assert_eq!(not_modified[1..], ["Content-Length: 3", "", ""]);
    }

    #[test]
    fn malformed_head_is_refused() {
        for written in [
            "",
            "\n\n",
            "no colon\n\n",
            "Content-Type: a/b\n",
            "X-A: b\n\n",
            "Content-Type : a/b\n\n",
            "Content-Type: a/b\nContent-Type: c/d\n\n",
            "Location: /a\nLocation: /b\n\n",
            "Status: 200\nStatus: 404\n\n",
            "Content-Type: a/b\nX: a\rSet-Cookie: b\n\n",
            "Content-Type: a/b\nX: a\0\n\n",
            "Status: 20\n\n",
            "Status: 2000\n\n",
            "Status: +20\n\n",
            "Status: abc\n\n",
            "Status: 100\n\n",
            "Status: 600\n\n",
            "Status:\n\n",
            &format!("X: {}\n\n", "a".repeat(3 * MAX_HEAD)),
        ] {
            let result = response_to(&request("GET", "1.1"), written.as_bytes(), 9999);
            let kind = result.map_err(|error| error.kind());
            assert_eq!(kind.unwrap_err(), ErrorKind::InvalidData, "{written:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(content: Vec<u8>, piece in 1_usize..40) {
            let written = [b"Content-Type: a/b\r\nX: \xE9\r\n\r\n", &*content].concat();
            let bytes = response_to(&request("GET", "1.0"), &written, piece).unwrap();
            prop_assert!(bytes.ends_with(&[b"X: \xE9\r\n\r\n", &*content].concat()));
        }
    }
}
