//! The response: a status line, header fields, an empty line, and the content as bytes.
//!
//! The `ResponseBuilder` collects the parts and puts them in order. Look at what it adds by itself: no
//! response can leave without its date, and without its length only if it is the last one.

use crate::files::{OpenFile, read_chunk};
use httpdate::fmt_http_date;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::time::SystemTime;

/// A status code and its reason phrase (RFC 9110, 15; RFC 6585 for 431).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    pub code: u16,
    pub phrase: &'static str,
}

impl Status {
    pub const OK: Status = Status::new(200, "OK");
    pub const NO_CONTENT: Status = Status::new(204, "No Content");
    pub const MOVED_PERMANENTLY: Status = Status::new(301, "Moved Permanently");
    pub const BAD_REQUEST: Status = Status::new(400, "Bad Request");
    pub const FORBIDDEN: Status = Status::new(403, "Forbidden");
    pub const NOT_FOUND: Status = Status::new(404, "Not Found");
    pub const METHOD_NOT_ALLOWED: Status = Status::new(405, "Method Not Allowed");
    pub const REQUEST_TIMEOUT: Status = Status::new(408, "Request Timeout");
    pub const LENGTH_REQUIRED: Status = Status::new(411, "Length Required");
    pub const CONTENT_TOO_LARGE: Status = Status::new(413, "Content Too Large");
    pub const URI_TOO_LONG: Status = Status::new(414, "URI Too Long");
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status::new(415, "Unsupported Media Type");
    pub const EXPECTATION_FAILED: Status = Status::new(417, "Expectation Failed");
    pub const HEADER_FIELDS_TOO_LARGE: Status = Status::new(431, "Request Header Fields Too Large");
    pub const INTERNAL_SERVER_ERROR: Status = Status::new(500, "Internal Server Error");
    pub const NOT_IMPLEMENTED: Status = Status::new(501, "Not Implemented");
    pub const VERSION_NOT_SUPPORTED: Status = Status::new(505, "HTTP Version Not Supported");

    pub const fn new(code: u16, phrase: &'static str) -> Self {
        Status { code, phrase }
    }
}

/// How much of a file waits for a client, in bytes, after its beginning. Many may leave theirs unread.
const MAX_UNSENT: u64 = 32 * 1024;

/// What a client gets.
pub struct Response {
    pub status: Status,
    /// How many bytes have been written, head and content.
    pub sent: u64,
    /// Whether everything has been written.
    pub is_complete: bool,
    /// What is written next: at first the head, with the beginning of the content.
    chunk: Vec<u8>,
    /// How long the head is, in bytes.
    head_length: usize,
    /// Where the rest of the content comes from.
    file: Option<File>,
    /// How long that rest must be, in bytes, if the head promises a length.
    left: Option<u64>,
}

/// The parts of a response.
pub struct ResponseBuilder {
    status: Status,
    fields: Vec<(&'static str, Cow<'static, str>)>,
    content: Content,
}

enum Content {
    None,
    Text(String),
    File(OpenFile),
}

impl ResponseBuilder {
    /// Begins a response without content.
    pub fn new(status: Status) -> Self {
        ResponseBuilder {
            status,
            fields: Vec::new(),
            content: Content::None,
        }
    }

    /// Begins a response with a small page that names the status.
    pub fn page(status: Status) -> Self {
        let title = format!("{} {}", status.code, status.phrase);
        ResponseBuilder::new(status).html(format!(
            "<!DOCTYPE html>\n\
             <html lang=\"en\">\n\
             <meta charset=\"utf-8\">\n\
             <title>{title}</title>\n\
             <h1>{title}</h1>\n\
             <p>{}</p>\n\
             </html>\n",
            explanation(status),
        ))
    }

    /// Adds a header field.
    ///
    /// # Panics
    ///
    /// If the value has a CR, an LF or a NUL: it could end the field and begin another, of an
    /// attacker's choice (RFC 9110, 5.5).
    pub fn field(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        self.fields.push((name, value));
        self
    }

    /// Sets a page as the content.
    pub fn html(mut self, page: String) -> Self {
        self.content = Content::Text(page);
        self.field("Content-Type", "text/html; charset=utf-8")
    }

    /// Sets a file as the content.
    pub fn file(mut self, file: OpenFile, content_type: &'static str) -> Self {
        self.content = Content::File(file);
        self.field("Content-Type", content_type)
    }

    /// Puts the parts in order: status line, fields, empty line, content.
    pub fn build(self) -> Response {
        let (length, content, file) = match self.content {
            // There is no length where there can't be content (RFC 9110, 8.6).
            Content::None if self.status == Status::NO_CONTENT => (None, Vec::new(), None),
            Content::None => (Some(0), Vec::new(), None),
            Content::Text(text) => (Some(text.len() as u64), text.into_bytes(), None),
            Content::File(file) => (file.length, file.first_chunk, Some(file.rest)),
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status.code, self.status.phrase);
        let mut add = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
        add("Date", &fmt_http_date(SystemTime::now()));
        add("Server", env!("CARGO_PKG_NAME"));
        for (name, value) in &self.fields {
            add(name, value);
        }
        if let Some(length) = length {
            add("Content-Length", &length.to_string());
        }
        head += "\r\n";
        Response {
            status: self.status,
            sent: 0,
            is_complete: false,
            head_length: head.len(),
            left: length.map(|length| length - content.len() as u64),
            chunk: [head.into_bytes(), content].concat(),
            file,
        }
    }
}

impl Response {
    /// A response with a small page that names the status.
    pub fn error(status: Status) -> Self {
        ResponseBuilder::page(status).build()
    }

    /// Whether a client can find the end of the content while the connection stays open.
    pub fn has_end(&self) -> bool {
        self.file.is_none() || self.left.is_some()
    }

    /// The same response with the field that says what becomes of the connection.
    pub fn connection(mut self, value: &str) -> Self {
        let field = format!("Connection: {value}\r\n").into_bytes();
        let empty_line = self.head_length - 2;
        self.head_length += field.len();
        self.chunk.splice(empty_line..empty_line, field);
        self
    }

    /// The same head without the content.
    pub fn without_content(mut self) -> Self {
        self.chunk.truncate(self.head_length);
        self.file = None;
        self
    }

    /// Writes the next chunk. Fails if a file has less than its head promises: then the client sees
    /// that something is missing.
    pub fn write_chunk(&mut self, mut writer: impl Write) -> io::Result<()> {
        while !self.chunk.is_empty() {
            let written = writer.write(&self.chunk)?;
            self.sent += written as u64;
            self.chunk = self.chunk.split_off(written);
        }
        if let Some(file) = &mut self.file {
            let left = self.left.unwrap_or(u64::MAX);
            self.chunk = read_chunk(&mut file.take(left.min(MAX_UNSENT)))?;
        }
        if let (Some(_), Some(left)) = (&self.file, &mut self.left) {
            if self.chunk.is_empty() && *left > 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            *left -= self.chunk.len() as u64;
        }
        self.is_complete = self.chunk.is_empty();
        Ok(())
    }
}

/// What is wrong, and what to do about it, in a sentence for a person.
fn explanation(status: Status) -> &'static str {
    match status.code {
        301 => "This folder has moved to the same address with a slash at the end.",
        400 => "The server could not understand this request. Check its syntax.",
        403 => "This file is not public. Its owner has to allow others to read it.",
        404 => "There is nothing at this address. Check its spelling.",
        405 => "This page does not support that method. The field Allow lists those that it does.",
        408 => "The request took too long to arrive. Send it again, faster.",
        411 => "A form must say how long it is. Send the field Content-Length.",
        413 => "This is more than the server accepts. Send less.",
        414 => "The address is too long. Send a shorter one.",
        415 => "The server reads only forms. Send application/x-www-form-urlencoded.",
        417 => "The server cannot do what was expected. Send the request without Expect.",
        431 => "The header fields are too large. Send fewer or shorter ones.",
        500 => "This is the server's fault. Try again later.",
        501 => "The server does not support this method or transfer coding.",
        503 => "The server has too many clients at the moment. Try again later.",
        505 => "The server speaks only HTTP/1.0 and HTTP/1.1.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Everything that a response writes.
    fn written(mut response: Response) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !response.is_complete {
            response.write_chunk(&mut bytes)?;
        }
        assert_eq!(response.sent, bytes.len() as u64);
        Ok(bytes)
    }

    /// The lines of a response, except for the date, which changes.
    fn lines(response: Response) -> Vec<String> {
        let text = String::from_utf8(written(response).unwrap()).unwrap();
        let is_date = |line: &&str| line.starts_with("Date: ") && line.ends_with(" GMT");
        assert_eq!(text.split("\r\n").filter(is_date).count(), 1);
        let others = text.split("\r\n").filter(|line| !is_date(line));
        others.map(str::to_string).collect()
    }

    /// A file of this size, of which the head promises a length.
    fn open_file(first_chunk: &[u8], rest: &[u8], length: Option<u64>) -> OpenFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(rest).unwrap();
        OpenFile {
            first_chunk: first_chunk.to_vec(),
            rest: file.reopen().unwrap(),
            length,
        }
    }

    #[test]
    fn parts_are_in_order() {
        let builder = ResponseBuilder::new(Status::OK)
            .field("Allow", "GET")
            .html("é".to_string());
        assert_eq!(
            lines(builder.build()),
            [
                "HTTP/1.1 200 OK",
                concat!("Server: ", env!("CARGO_PKG_NAME")),
                "Allow: GET",
                "Content-Type: text/html; charset=utf-8",
                "Content-Length: 2",
                "",
                "é",
            ]
        );
    }

    #[test]
    fn file_is_sent_as_long_as_promised() {
        let respond = |length| {
            let file = open_file(b"123", b"45", length);
            written(
                ResponseBuilder::new(Status::OK)
                    .file(file, "image/png")
                    .build(),
            )
        };
        for (length, end) in [
            (Some(5), "Content-Length: 5\r\n\r\n12345"),
            (Some(4), "Content-Length: 4\r\n\r\n1234"),
            (None, "Content-Type: image/png\r\n\r\n12345"),
        ] {
            let bytes = respond(length).unwrap();
            assert!(bytes.ends_with(end.as_bytes()), "{length:?}");
        }
        assert!(respond(Some(6)).is_err());
    }

    #[test]
    fn head_stays_without_content() {
        let file = open_file(b"123", b"45", Some(5));
        let builder = ResponseBuilder::new(Status::OK).file(file, "image/png");
        let bytes = written(builder.build().without_content()).unwrap();
        assert!(bytes.ends_with(b"Content-Length: 5\r\n\r\n"));
    }

    #[test]
    fn only_no_content_has_no_length() {
        let has_length = |line: &String| line.starts_with("Content-Length");
        let lines_of = |status| lines(ResponseBuilder::new(status).build());
        assert!(!lines_of(Status::NO_CONTENT).iter().any(has_length));
        assert!(lines_of(Status::OK).contains(&"Content-Length: 0".to_string()));
    }

    #[test]
    fn field_value_must_not_end_its_line() {
        for value in ["a\rb", "a\nb", "a\0b", "a\r\nSet-Cookie: b"] {
            let set = || {
                ResponseBuilder::new(Status::OK)
                    .field("Location", value)
                    .fields
                    .len()
            };
            assert!(std::panic::catch_unwind(set).is_err(), "{value:?}");
        }
    }

    #[test]
    fn error_page_names_its_status_and_what_to_do() {
        let mut explanations = BTreeSet::new();
        for code in [
            301, 400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505,
        ] {
            let status = Status::new(code, "A Phrase");
            let explanation = explanation(status);
            let page = String::from_utf8(written(Response::error(status)).unwrap()).unwrap();
            assert!(page.contains(&format!("<h1>{code} A Phrase</h1>")));
            assert!(!explanation.is_empty() && page.contains(explanation));
            assert!(explanations.insert(explanation), "{code}");
        }
    }
}
