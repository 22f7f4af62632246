//! Reads a request: its head and its content, within limits of time and length.

use crate::{Config, Fault, Status};
use memchr::{memchr, memchr_iter, memmem};
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The maximum length of a request line without its line ending, and of a head, in bytes.
const MAX_REQUEST_LINE: usize = 8_000;
const MAX_HEAD: usize = 16 * 1024;

/// How much is read at a time, in bytes.
const CHUNK_SIZE: usize = 4 * 1024;

/// How long "forever" is.
const FOREVER: Duration = Duration::from_secs(86_400);

/// Reads a request from a client.
pub struct Reader<'a> {
    stream: &'a TcpStream,
    config: &'a Config,
    deadline: Instant,
    /// What has been read but not used yet.
    buffer: Vec<u8>,
}

/// How reading a head ended.
pub enum Head {
    Complete(Vec<u8>),
    /// It is too long or too late. The bytes are what has arrived of it.
    Rejected(Vec<u8>, Status),
    /// The client has left, or has never sent anything. It expects no response.
    Closed,
}

impl<'a> Reader<'a> {
    pub fn new(stream: &'a TcpStream, config: &'a Config) -> Self {
        let mut reader = Reader {
            stream,
            config,
            deadline: Instant::now(),
            buffer: Vec::new(),
        };
        reader.restart_deadline();
        reader
    }

    /// Gives the client the whole timeout from now on.
    fn restart_deadline(&mut self) {
        let timeout = Duration::from_secs(self.config.timeout);
        let timeout = match self.config.fault {
            Some(Fault::NoTimeout) => FOREVER,
            Some(Fault::TimeoutTooShort) => timeout / 2,
            Some(Fault::IgnoresTimeoutOption) => Duration::from_secs(5),
            _ => timeout,
        };
        self.deadline = Instant::now() + timeout;
    }

    /// Reads once. Returns how many bytes were read: 0 if the client has stopped sending.
    fn fill_buffer(&mut self) -> Result<usize, Status> {
        if self.config.has(Fault::TimeoutPerRead) {
            self.restart_deadline();
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
            return Err(Status::REQUEST_TIMEOUT);
        }
        let mut chunk = [0; CHUNK_SIZE];
        match self.stream.read(&mut chunk) {
            Ok(length) => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(length)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Status::REQUEST_TIMEOUT)
            }
            Err(_) => Ok(0),
        }
    }

    /// Reads the head, up to its empty line.
    pub fn read_head(&mut self) -> Head {
        let has = |fault| self.config.has(fault);
        loop {
            self.skip_empty_lines();
            let end = self.find_head_end();
            if let Some(status) = self.length_error(end) {
                return Head::Rejected(mem::take(&mut self.buffer), status);
            }
            if let Some(end) = end {
                let rest = self.buffer.split_off(end);
                return Head::Complete(mem::replace(&mut self.buffer, rest));
            }
            let result = self.fill_buffer();
            let is_empty = self.buffer.is_empty();
            match result {
                Ok(1..) => {}
                Ok(0) if has(Fault::EmptyRequestPanics) && is_empty => {
                    panic!("an empty request has no first line")
                }
                Ok(0) if has(Fault::AcceptsIncompleteHead) && !is_empty => {
                    return Head::Complete(mem::take(&mut self.buffer));
                }
                Err(status) if !has(Fault::TimeoutWithoutResponse) && !is_empty => {
                    return Head::Rejected(mem::take(&mut self.buffer), status);
                }
                _ => return Head::Closed,
            }
        }
    }

    /// Skips empty lines before a request (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self) {
        while self.buffer.starts_with(b"\r\n") || self.buffer.starts_with(b"\n") {
            let end = if self.buffer[0] == b'\n' { 1 } else { 2 };
            self.buffer.drain(..end);
        }
    }

    /// Finds the end of the head, after its empty line.
    fn find_head_end(&self) -> Option<usize> {
        let bytes = self.buffer.as_slice();
        match self.config.fault {
            Some(Fault::ReadsOnce) if !bytes.is_empty() => Some(bytes.len()),
            Some(Fault::TruncatesLongHead) if bytes.len() >= 1024 => Some(1024),
            Some(Fault::RequiresCrlf) => memmem::find(bytes, b"\r\n\r\n").map(|start| start + 4),
            _ => memchr_iter(b'\n', bytes).find_map(|line_end| match &bytes[line_end + 1..] {
                [b'\n', ..] => Some(line_end + 2),
                [b'\r', b'\n', ..] => Some(line_end + 3),
                _ => None,
            }),
        }
    }

    /// The status for a head that is too long, even if its end has not arrived yet.
    fn length_error(&self, head_end: Option<usize>) -> Option<Status> {
        let has = |fault| self.config.has(fault);
        let line_end = memchr(b'\n', &self.buffer);
        if line_end.is_none() && has(Fault::CountsOnlyCompleteLines) {
            return None;
        }
        let line = &self.buffer[..line_end.unwrap_or(self.buffer.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_REQUEST_LINE && !has(Fault::NoRequestLineLimit) {
            return Some(Status::URI_TOO_LONG);
        }
        if head_end.unwrap_or(self.buffer.len()) > MAX_HEAD && !has(Fault::NoHeadLimit) {
            return Some(Status::FIELDS_TOO_LARGE);
        }
        None
    }

    /// Tells a client that waits for it to send its content (RFC 9110, 10.1.1).
    pub fn send_continue(&self) {
        let mut stream = self.stream;
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Reads the content, which has a timeout of its own.
    pub fn read_content(&mut self, length: u64) -> Result<Vec<u8>, Status> {
        self.restart_deadline();
        if self.config.has(Fault::NoContentDeadline) {
            self.deadline = Instant::now() + FOREVER;
        }
        while (self.buffer.len() as u64) < length {
            if self.fill_buffer()? == 0 {
                match self.config.fault {
                    Some(Fault::AcceptsIncompleteContent) => break,
                    _ => return Err(Status::BAD_REQUEST),
                }
            }
        }
        self.buffer.truncate(length as usize);
        Ok(mem::take(&mut self.buffer))
    }
}
