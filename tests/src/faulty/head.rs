//! The head of a request: read up to its empty line, within bounds of time and length.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use memchr::memchr_iter;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The longest request line, without its line end, and the longest head, in bytes.
const LINE_LIMIT: usize = 8_000;
const HEAD_LIMIT: usize = 16 * 1024;

/// How much is read at once, in bytes.
const PART: usize = 4 * 1024;

/// What a client has sent, as far as it was read.
pub struct Source<'a> {
    stream: &'a TcpStream,
    settings: &'a Settings,
    deadline: Instant,
    /// What was read and not yet taken.
    bytes: Vec<u8>,
}

/// Why there is no head.
pub enum NoHead {
    /// The client left, or never spoke: nobody waits for an answer.
    Left,
    /// What there is of the head, and the status code to answer with.
    Refused(Vec<u8>, u16),
}

impl<'a> Source<'a> {
    pub fn new(stream: &'a TcpStream, settings: &'a Settings) -> Self {
        let mut source = Source {
            stream,
            settings,
            deadline: Instant::now(),
            bytes: Vec::new(),
        };
        source.give_time();
        source
    }

    /// From now on, the client has the whole time again.
    pub fn give_time(&mut self) {
        let time = match self.settings.fault {
            Some(Fault::TimeoutTooEarly) => self.settings.timeout / 2,
            Some(Fault::TimeoutNotTheOneAsked) => Duration::from_secs(5),
            _ => self.settings.timeout,
        };
        self.deadline = Instant::now() + time;
    }

    /// From now on, the client has all the time in the world.
    pub fn wait_for_ever(&mut self) {
        self.deadline = Instant::now() + Duration::from_secs(86_400);
    }

    /// Reads once more. 0: the client has stopped sending.
    fn read_more(&mut self, most: usize) -> io::Result<usize> {
        if self.settings.has(Fault::NoTimeout) {
            self.wait_for_ever();
        } else if self.settings.has(Fault::TimeoutForEachRead) {
            self.give_time();
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let start = self.bytes.len();
        self.bytes.resize(start + most, 0);
        let read = self.stream.read(&mut self.bytes[start..]);
        self.bytes.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Takes the head, as soon as its empty line is there.
    pub fn head(&mut self) -> Result<Vec<u8>, NoHead> {
        loop {
            self.skip_empty_lines();
            let end = self.head_end();
            if let Some(status) = self.too_long(end) {
                return Err(NoHead::Refused(self.bytes.split_off(0), status));
            }
            if let Some(end) = end {
                let rest = self.bytes.split_off(end);
                return Ok(std::mem::replace(&mut self.bytes, rest));
            }
            let most = match self.settings.has(Fault::HeadCutAt1024) {
                true => 1024 - self.bytes.len(),
                false => PART,
            };
            match self.read_more(most) {
                Ok(0) => return self.end_of_stream(),
                Ok(_) => {}
                Err(error) => return Err(self.no_more(&error)),
            }
        }
    }

    /// Empty lines before a request are forgiven (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self) {
        while self.bytes.starts_with(b"\r\n") || self.bytes.starts_with(b"\n") {
            let end = if self.bytes[0] == b'\n' { 1 } else { 2 };
            self.bytes.drain(..end);
        }
    }

    /// Where the head ends, behind its empty line.
    fn head_end(&self) -> Option<usize> {
        let bytes = self.bytes.as_slice();
        match self.settings.fault {
            Some(Fault::ReadsOnce) if !bytes.is_empty() => return Some(bytes.len()),
            Some(Fault::HeadCutAt1024) if bytes.len() == 1024 => return Some(1024),
            Some(Fault::LineEndsMustBeCrlf) => {
                return memchr::memmem::find(bytes, b"\r\n\r\n").map(|start| start + 4);
            }
            _ => {}
        }
        memchr_iter(b'\n', bytes).find_map(|line_end| match &bytes[line_end + 1..] {
            [b'\n', ..] => Some(line_end + 2),
            [b'\r', b'\n', ..] => Some(line_end + 3),
            _ => None,
        })
    }

    /// The status code for a head that is too long, whether it has come to its end or not.
    fn too_long(&self, end: Option<usize>) -> Option<u16> {
        let has = |fault| self.settings.has(fault);
        let line_end = memchr_iter(b'\n', &self.bytes).next();
        if line_end.is_none() && has(Fault::EndlessLineIsNotCounted) {
            return None;
        }
        let line = &self.bytes[..line_end.unwrap_or(self.bytes.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_LIMIT && !has(Fault::NoLineLimit) {
            return Some(414);
        }
        if end.unwrap_or(self.bytes.len()) > HEAD_LIMIT && !has(Fault::NoHeadLimit) {
            return Some(431);
        }
        None
    }

    /// The client has stopped sending before the empty line: half a request is none.
    fn end_of_stream(&mut self) -> Result<Vec<u8>, NoHead> {
        let bytes = self.bytes.split_off(0);
        match self.settings.fault {
            Some(Fault::EmptyRequestPanics) if bytes.is_empty() => {
                panic!("an empty request has no first line")
            }
            Some(Fault::HalfARequestIsWhole) if !bytes.is_empty() => Ok(bytes),
            _ => Err(NoHead::Left),
        }
    }

    /// What a failed read means: that time ran out, or that the client is gone.
    fn no_more(&mut self, error: &io::Error) -> NoHead {
        let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        if late && !self.bytes.is_empty() && !self.settings.has(Fault::LateClientGetsNoAnswer) {
            return NoHead::Refused(self.bytes.split_off(0), 408);
        }
        NoHead::Left
    }

    /// Tells a client that waits for it to send its content.
    pub fn go_on(&mut self) {
        let _ = Write::write_all(&mut &*self.stream, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Takes that many bytes of content. The error is the status code to answer with.
    pub fn body(&mut self, length: u64) -> Result<Vec<u8>, u16> {
        while (self.bytes.len() as u64) < length {
            match self.read_more(PART) {
                Ok(0) if self.settings.has(Fault::HalfABodyIsWhole) => break,
                Ok(0) => return Err(400),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(400),
                Err(_) => return Err(408),
            }
        }
        self.bytes.truncate(length as usize);
        Ok(self.bytes.split_off(0))
    }
}
