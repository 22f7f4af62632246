//! The queue of the log, and the thread that writes it.
//!
//! Writing waits if standard error is a pipe that nobody reads. Here that thread waits, and no client.
//! Look at what happens when it falls behind: the queue is bounded, and lines that don't fit are
//! dropped, but counted.

use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait to be written.
const MAX_QUEUE: usize = 1024 * 1024;

/// How long the first line waits for others, since waking the thread costs more than writing a line.
const BATCH_DELAY: Duration = Duration::from_millis(10);

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

/// Adds a line. Never waits.
pub fn push(text: &str) {
    WRITER.call_once(|| drop(thread::Builder::new().spawn(write_lines)));
    let mut queue = lock();
    if queue.text.len() + text.len() > MAX_QUEUE {
        queue.dropped += 1;
        return;
    }
    if queue.text.is_empty() {
        CHANGED.notify_all();
    }
    queue.text.extend_from_slice(text.as_bytes());
    queue.text.push(b'\n');
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
        drop(queue);
        thread::sleep(BATCH_DELAY);
        queue = lock();
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
