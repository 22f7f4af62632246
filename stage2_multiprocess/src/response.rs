//! The response: a status line, header fields, a blank line, and the content as bytes.
//!
//! Look at what the head does not say: neither what the content is nor how long. A client
//! must guess the one, and takes the close of the connection for the other.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// So much of a file is in memory at once, in bytes. Most files fit in whole, and then travel
/// with the head in one write.
const PART: u64 = 64 * 1024;

/// What a client gets.
#[derive(Default)]
pub struct Response {
    pub status: u16,
    /// The bytes that went out so far, head and content.
    pub sent: u64,
    text: String,
    file: Option<File>,
}

impl Response {
    /// The content of a file, as it is.
    pub fn file(file: File) -> Self {
        Response {
            status: 200,
            file: Some(file),
            ..Response::default()
        }
    }

    /// A line of text that names the status.
    pub fn error(status: u16) -> Self {
        let text = format!("{status} {}\n", reason_phrase(status));
        Response {
            status,
            text,
            ..Response::default()
        }
    }

    /// Sends the head and, where it is wanted, the content, part by part.
    pub fn send(&mut self, mut stream: &TcpStream, with_content: bool) -> io::Result<()> {
        let (status, server) = (self.status, env!("CARGO_PKG_NAME"));
        let mut part = Vec::with_capacity(8 * 1024);
        write!(part, "HTTP/1.1 {status} {}\r\n", reason_phrase(status))?;
        write!(part, "Server: {server}\r\n")?;
        write!(part, "Connection: close\r\n\r\n")?;
        if with_content {
            part.extend_from_slice(self.text.as_bytes());
        }
        loop {
            if let (Some(file), true) = (&mut self.file, with_content) {
                file.take(PART).read_to_end(&mut part)?;
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
        400 => "Bad Request",
        404 => "Not Found",
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_phrase() {
        for status in [200, 400, 404, 408, 414, 431, 500, 501, 503, 505] {
            assert!(!reason_phrase(status).is_empty(), "{status}");
        }
        assert_eq!(reason_phrase(404), "Not Found");
    }
}
