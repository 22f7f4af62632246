//! The response: a status line, header fields, an empty line, and the content as bytes.
//!
//! Look at what the head doesn't say: neither what the content is, nor how long it is. The client
//! guesses the former, and takes the end of the connection for the latter.

use crate::files::read_chunk;
use std::fs::File;
use std::io::{self, Write};

/// A status code and its reason phrase (RFC 9110, 15; RFC 6585 for 431).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    pub code: u16,
    pub phrase: &'static str,
}

impl Status {
    pub const OK: Status = Status::new(200, "OK");
    pub const BAD_REQUEST: Status = Status::new(400, "Bad Request");
    pub const NOT_FOUND: Status = Status::new(404, "Not Found");
    pub const REQUEST_TIMEOUT: Status = Status::new(408, "Request Timeout");
    pub const URI_TOO_LONG: Status = Status::new(414, "URI Too Long");
    pub const HEADER_FIELDS_TOO_LARGE: Status = Status::new(431, "Request Header Fields Too Large");
    pub const INTERNAL_SERVER_ERROR: Status = Status::new(500, "Internal Server Error");
    pub const NOT_IMPLEMENTED: Status = Status::new(501, "Not Implemented");
    pub const VERSION_NOT_SUPPORTED: Status = Status::new(505, "HTTP Version Not Supported");

    pub const fn new(code: u16, phrase: &'static str) -> Self {
        Status { code, phrase }
    }
}

/// What a client gets.
pub struct Response {
    pub status: Status,
    /// How many bytes have been written, head and content.
    pub sent: u64,
    /// Whether everything has been written.
    pub is_complete: bool,
    /// What is written next: at first the head, with the beginning of the content.
    chunk: Vec<u8>,
    /// Where the rest of the content comes from.
    file: Option<File>,
}

impl Response {
    /// A response with this content.
    pub fn new(status: Status, content: &[u8]) -> Self {
        let (Status { code, phrase }, server) = (status, env!("CARGO_PKG_NAME"));
        let status_line = format!("HTTP/1.1 {code} {phrase}\r\n");
        let fields = format!("Server: {server}\r\nConnection: close\r\n\r\n");
        Response {
            status,
            sent: 0,
            is_complete: false,
            chunk: [status_line.as_bytes(), fields.as_bytes(), content].concat(),
            file: None,
        }
    }

    /// A response with the content of a file. Some files can be opened but not read, so the first
    /// chunk is read now, before anything has been sent.
    pub fn file(mut file: File) -> Result<Self, Status> {
        let chunk = read_chunk(&mut file).map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
        let mut response = Response::new(Status::OK, &chunk);
        response.file = Some(file);
        Ok(response)
    }

    /// A response with a line of text that names the status.
    pub fn error(status: Status) -> Self {
        let text = format!("{} {}\n", status.code, status.phrase);
        Response::new(status, text.as_bytes())
    }

    /// Writes the next chunk.
    pub fn write_chunk(&mut self, mut writer: impl Write) -> io::Result<()> {
        writer.write_all(&self.chunk)?;
        self.sent += self.chunk.len() as u64;
        self.chunk.clear();
        if let Some(file) = &mut self.file {
            self.chunk = read_chunk(file)?;
        }
        self.is_complete = self.chunk.is_empty();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_has_head_and_content() {
        let mut bytes = Vec::new();
        let mut response = Response::error(Status::NOT_FOUND);
        while !response.is_complete {
            response.write_chunk(&mut bytes).unwrap();
        }
        let server = env!("CARGO_PKG_NAME");
        let expected = format!(
            "HTTP/1.1 404 Not Found\r\nServer: {server}\r\nConnection: close\r\n\r\n404 Not Found\n"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        assert_eq!(response.sent, expected.len() as u64);
    }
}
