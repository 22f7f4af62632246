//! What an application writes to its standard error, in the server's log.
//!
//! It is a stranger's text, and there may be any amount of it. So it is escaped and bounded.

use crate::log;
use std::io::Read;
use std::time::{Duration, Instant};

/// How much of an application's output is logged in a second, in bytes.
const MAX_LOGGED: usize = 16 * 1024;

/// Logs line by line, with a name in front.
pub struct ErrorLog {
    name: String,
    /// A line that isn't complete.
    line: Vec<u8>,
    last_line: String,
    second: Instant,
    logged: usize,
    dropped: usize,
}

impl ErrorLog {
    pub fn new(name: impl Into<String>) -> Self {
        ErrorLog {
            name: name.into(),
            line: Vec::new(),
            last_line: String::new(),
            second: Instant::now(),
            logged: 0,
            dropped: 0,
        }
    }

    /// Reads what is there, and logs it. At the end, `stream` becomes `None`.
    pub fn copy_from(&mut self, stream: &mut Option<impl Read>) {
        let mut piece = [0; 4096];
        match stream.as_mut().map(|stream| stream.read(&mut piece)) {
            Some(Ok(length @ 1..)) => self.write(&piece[..length]),
            _ => *stream = None,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(piece);
            if self.line.ends_with(b"\n") || self.line.len() >= MAX_LOGGED {
                self.end_line();
            }
        }
    }

    /// The last line that isn't empty.
    pub fn last_line(mut self) -> String {
        self.end_line();
        std::mem::take(&mut self.last_line)
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii_end();
        if text.is_empty() {
            return;
        }
        if self.second.elapsed() > Duration::from_secs(1) {
            self.report_dropped();
            (self.second, self.logged) = (Instant::now(), 0);
        }
        if self.logged + text.len() > MAX_LOGGED {
            self.dropped += text.len();
            return;
        }
        self.logged += text.len();
        self.last_line = escaped(text);
        log::line(&format!("{}: {}", self.name, self.last_line));
    }

    fn report_dropped(&mut self) {
        if self.dropped > 0 {
            log::line(&format!("{}: {} bytes more", self.name, self.dropped));
            self.dropped = 0;
        }
    }
}

impl Drop for ErrorLog {
    fn drop(&mut self) {
        self.end_line();
        self.report_dropped();
    }
}

/// Text in any language that can't control a terminal. Quotes stay, since tracebacks are full of them.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).escape_debug().to_string();
    text.replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_control_a_terminal_is_escaped() {
        for (bytes, text) in [
            (
                "  File \"你好.py\", it's".as_bytes(),
                "  File \"你好.py\", it's",
            ),
            ("สวัสดี".as_bytes(), "สวัสดี"),
            (b"\\\"", "\\\\\""),
            (b"\x1b[2J\rC:\\", "\\u{1b}[2J\\rC:\\\\"),
            ("\u{202e}\u{9b}".as_bytes(), "\\u{202e}\\u{9b}"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(escaped(bytes), text);
        }
    }
}
