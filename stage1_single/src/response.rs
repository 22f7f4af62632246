//! The response: a status line, header fields, a blank line, and the content as bytes.
//!
//! Look at what the head does not say: neither what the content is nor how long. A client
//! must guess the one, and takes the close of the connection for the other.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::TcpStream;

/// So much of a file travels in one write with the head, in bytes: one call to the system
/// and no small packet for all but large files.
const FIRST_WRITE: u64 = 64 * 1024;

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

    /// Sends the head and, where it is wanted, the content. A large file never stands in
    /// memory: the system moves it from disk to socket.
    pub fn send(&mut self, mut stream: &TcpStream, with_content: bool) -> io::Result<()> {
        let (status, server) = (self.status, env!("CARGO_PKG_NAME"));
        let mut first = Vec::with_capacity(8 * 1024);
        write!(first, "HTTP/1.1 {status} {}\r\n", reason_phrase(status))?;
        write!(first, "Server: {server}\r\n")?;
        write!(first, "Connection: close\r\n\r\n")?;
        let mut file = None;
        let mut file_part = 0;
        if with_content {
            first.extend_from_slice(self.text.as_bytes());
            file = self.file.take();
        }
        if let Some(file) = &mut file {
            file_part = file.take(FIRST_WRITE).read_to_end(&mut first)? as u64;
        }
        stream.write_all(&first)?;
        self.sent = first.len() as u64;
        if let Some(mut file) = file.filter(|_| file_part == FIRST_WRITE) {
            let copied = io::copy(&mut file, &mut stream);
            // However the copying ended, the file knows how far we came.
            self.sent += file.stream_position()?.saturating_sub(file_part);
            copied?;
        }
        Ok(())
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
