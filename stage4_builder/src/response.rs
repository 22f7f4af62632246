//! The response: a status line, header fields, a blank line, and the content as bytes.
//!
//! The `ResponseBuilder` collects the parts and puts them in order. Look at what it adds
//! by itself: no answer can leave without its date, its length and the news that it is
//! the last.

use httpdate::fmt_http_date;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;

/// So much of a file is in memory at once, in bytes. Most files fit in whole, and then travel
/// with the head in one write.
const PART: u64 = 64 * 1024;

/// What a client gets.
pub struct Response {
    pub status: u16,
    /// The bytes that went out so far, head and content.
    pub sent: u64,
    head: Vec<u8>,
    content: Content,
}

enum Content {
    Nothing,
    Text(String),
    /// A file, and how many bytes of it are still promised.
    File(File, u64),
}

/// Collects what a response is made of.
pub struct ResponseBuilder {
    status: u16,
    fields: Vec<(&'static str, String)>,
    content: Content,
}

impl ResponseBuilder {
    /// Begins a response with a status code, without content.
    pub fn new(status: u16) -> Self {
        ResponseBuilder {
            status,
            fields: Vec::new(),
            content: Content::Nothing,
        }
    }

    /// Begins a response with a small page that names the status.
    pub fn page(status: u16) -> Self {
        let title = format!("{status} {}", reason_phrase(status));
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

    /// Adds a header field. The value must not hold a line end.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Gives the response a page as content.
    pub fn html(mut self, page: String) -> Self {
        self.content = Content::Text(page);
        self.field("Content-Type", "text/html; charset=utf-8")
    }

    /// Gives the response a file as content, as long as it is now.
    pub fn file(mut self, file: File, content_type: String) -> io::Result<Self> {
        let length = file.metadata()?.len();
        self.content = Content::File(file, length);
        Ok(self.field("Content-Type", content_type))
    }

    /// Puts the parts in order: status line, fields, blank line, content.
    pub fn build(self) -> Response {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\n",
            self.status,
            reason_phrase(self.status)
        );
        let mut add = |name: &str, value: &str| head += &format!("{name}: {value}\r\n");
        add("Date", &fmt_http_date(SystemTime::now()));
        add("Server", env!("CARGO_PKG_NAME"));
        add("Connection", "close");
        for (name, value) in &self.fields {
            add(name, value);
        }
        match &self.content {
            // "No content" has no length either (RFC 9110, 8.6).
            Content::Nothing if self.status == 204 => {}
            Content::Nothing => add("Content-Length", "0"),
            Content::Text(text) => add("Content-Length", &text.len().to_string()),
            Content::File(_, length) => add("Content-Length", &length.to_string()),
        }
        head += "\r\n";
        Response {
            status: self.status,
            sent: 0,
            head: head.into_bytes(),
            content: self.content,
        }
    }
}

impl Response {
    /// Sends the head and, where it is wanted, the content, part by part. If a file has shrunk
    /// meanwhile, less is sent than was promised: the client sees that something is missing.
    pub fn send(&mut self, mut stream: &TcpStream, with_content: bool) -> io::Result<()> {
        let mut part = std::mem::take(&mut self.head);
        part.reserve(8 * 1024);
        if let (Content::Text(text), true) = (&self.content, with_content) {
            part.extend_from_slice(text.as_bytes());
        }
        loop {
            if let (Content::File(file, left), true) = (&mut self.content, with_content) {
                *left -= file.take(PART.min(*left)).read_to_end(&mut part)? as u64;
            }
            if part.is_empty() {
                return Ok(());
            }
            stream.write_all(&part)?;
            self.sent += part.len() as u64;
            part.clear();
        }
    }
}

/// The standard phrase for a status code (RFC 9110, 15; RFC 6585 for 431).
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// What went wrong, and the way out, in a sentence for a person.
fn explanation(status: u16) -> &'static str {
    match status {
        301 => "This folder has moved to the same address with a slash behind it.",
        400 => "The server could not understand this request. Check how it is written.",
        403 => "This file is not meant for everybody. Its owner would have to allow it.",
        404 => "There is nothing at this address. Check how it is spelt.",
        405 => "This page does not take that method. The field Allow lists those it takes.",
        408 => "The request took too long to arrive. Send it again, faster.",
        411 => "A form must say how long it is. Send the field Content-Length.",
        413 => "This is more than the server takes. Send less.",
        414 => "The address is too long. Send a shorter one.",
        415 => "The server reads only forms. Send application/x-www-form-urlencoded.",
        417 => "The server cannot do what was expected. Send the request without Expect.",
        431 => "The header fields are too large. Send fewer or shorter ones.",
        500 => "The fault is the server's. Try again later.",
        501 => "The server does not know this method or this way to send a body.",
        503 => "The server has no room for more clients now. Try again later.",
        505 => "The server speaks only HTTP/1.0 and HTTP/1.1.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The lines of a head, but for the date, which changes.
    fn lines(response: Response) -> Vec<String> {
        let head = String::from_utf8(response.head).unwrap();
        let is_date = |line: &&str| line.starts_with("Date: ") && line.ends_with(" GMT");
        assert_eq!(head.split("\r\n").filter(is_date).count(), 1);
        head.split("\r\n")
            .filter(|line| !is_date(line))
            .map(str::to_string)
            .collect()
    }

    #[test]
    fn puts_the_parts_in_order() {
        let builder = ResponseBuilder::new(200)
            .field("Allow", "GET")
            .html("é".to_string());
        assert_eq!(
            lines(builder.build()),
            [
                "HTTP/1.1 200 OK",
                concat!("Server: ", env!("CARGO_PKG_NAME")),
                "Connection: close",
                "Allow: GET",
                "Content-Type: text/html; charset=utf-8",
                "Content-Length: 2",
                "",
                "",
            ]
        );
    }

    #[test]
    fn says_the_length_of_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345").unwrap();
        let builder = ResponseBuilder::new(200)
            .file(file, "image/png".to_string())
            .unwrap();
        let lines = lines(builder.build());
        assert!(lines.contains(&"Content-Length: 5".to_string()));
        assert!(lines.contains(&"Content-Type: image/png".to_string()));
    }

    #[test]
    fn no_content_has_no_length_and_nothing_has_length_0() {
        let length = |line: &String| line.starts_with("Content-Length");
        assert!(!lines(ResponseBuilder::new(204).build()).iter().any(length));
        let lines = lines(ResponseBuilder::new(200).build());
        assert!(lines.contains(&"Content-Length: 0".to_string()));
    }

    #[test]
    fn every_error_page_names_its_status_and_a_way_out() {
        let mut explanations = BTreeSet::new();
        for status in [
            301, 400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505,
        ] {
            assert!(!reason_phrase(status).is_empty() && !explanation(status).is_empty());
            let Content::Text(page) = ResponseBuilder::page(status).content else {
                panic!("no page for {status}");
            };
            assert!(page.contains(reason_phrase(status)) && page.contains(explanation(status)));
            assert!(explanations.insert(explanation(status)), "{status}");
        }
    }
}
