//! The log on standard error: a line for each request.
//!
//! Writing may wait, if standard error is a pipe that nobody reads. So only a thread of its own writes.
//! Look at what happens when it falls behind: what waits for it is bounded, and lines beyond that are
//! dropped, but counted.

use crate::request::Request;
use crate::response::Response;
use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait to be written.
const MAX_QUEUE: usize = 1024 * 1024;

/// How long the end of the program waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

struct Queue {
    text: Vec<u8>,
    /// How many lines were dropped after these.
    dropped: usize,
    is_writing: bool,
}

static WRITER: Once = Once::new();
static CHANGED: Condvar = Condvar::new();
static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    text: Vec::new(),
    dropped: 0,
    is_writing: false,
});

/// Queues a line. Never waits.
pub fn line(text: &str) {
    WRITER.call_once(|| drop(thread::Builder::new().spawn(write_lines)));
    let mut queue = lock();
    if queue.text.len() + text.len() > MAX_QUEUE {
        queue.dropped += 1;
        return;
    }
    queue.text.extend_from_slice(text.as_bytes());
    queue.text.push(b'\n');
    CHANGED.notify_all();
}

/// Waits a moment until all lines have been written.
pub fn flush() {
    let is_busy = |queue: &mut Queue| queue.is_writing || !queue.text.is_empty();
    let _ = CHANGED.wait_timeout_while(lock(), FLUSH_TIMEOUT, is_busy);
}

/// Writes what is queued, many lines at once if there are many. If that fails, there is nobody to
/// report it to.
fn write_lines() {
    let mut queue = lock();
    loop {
        queue.is_writing = !queue.text.is_empty();
        if !queue.is_writing {
            CHANGED.notify_all();
            queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let mut text = mem::take(&mut queue.text);
        let dropped = mem::take(&mut queue.dropped);
        drop(queue);
        if dropped > 0 {
            text.extend(format!("{dropped} lines of this log were dropped\n").into_bytes());
        }
        let _ = io::stderr().write_all(&text);
        queue = lock();
    }
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs the client's address, the method and target of its request if it was understood, the status
/// code, the bytes sent, and whether the response was cut.
pub fn request(peer: &str, request: Option<&Request>, response: &Response) {
    let (method, target) = match request {
        Some(request) => (&*request.method, &*request.target),
        None => ("-", b"-".as_slice()),
    };
    let (target, code, sent) = (target.escape_ascii(), response.status.code, response.sent);
    let end = if response.is_complete { "" } else { " cut" };
    line(&format!("{peer} {method} {target} {code} {sent}{end}"));
}

/// Logs a head line by line, escaped, so that no control byte reaches the terminal.
pub fn head(head: &[u8]) {
    for text in head.split_inclusive(|byte| *byte == b'\n') {
        line(&format!("> {}", text.escape_ascii()));
    }
}
