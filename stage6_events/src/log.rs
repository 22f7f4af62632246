//! The log on standard error: a line for each request.

use crate::log_queue;
use crate::request::Request;
use crate::response::Response;

/// Writes a line in one piece, so that the lines of several clients don't mix. Another thread does that,
/// and nobody waits for it.
pub fn line(text: &str) {
    log_queue::push(text);
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
