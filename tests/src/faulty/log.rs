//! The log: a line to standard error for each request, and its head if that is wanted.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use std::io::{self, Write};
use std::net::TcpStream;

/// Writes a line in one piece, so that the lines of several clients do not mix.
pub fn line(text: &str) {
    raw(format!("{text}\n").as_bytes());
}

fn raw(bytes: &[u8]) {
    // If that fails, there is nobody to tell.
    let _ = io::stderr().write_all(bytes);
}

/// Tells of a request: who asked, method, target, status, bytes sent.
pub fn request(settings: &Settings, stream: &TcpStream, head: &[u8], status: u16, sent: u64) {
    if settings.has(Fault::NoLog) {
        return;
    }
    let peer = match stream.peer_addr() {
        Ok(address) if !settings.has(Fault::LogsNoClient) => address.to_string(),
        _ => "-".to_string(),
    };
    let first = head.split(|byte| b"\r\n".contains(byte)).next();
    let first = first.unwrap_or(b"");
    let escaped = match settings.has(Fault::LogsRawTarget) {
        true => String::from_utf8_lossy(first).into_owned(),
        false => first.escape_ascii().to_string(),
    };
    let mut words = escaped.split(' ').filter(|word| !word.is_empty());
    let (method, target) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    line(&format!("{peer} {method} {target} {status} {sent}"));
}

/// Shows a head as it came, but for control bytes.
pub fn head(settings: &Settings, head: &[u8]) {
    if !settings.verbose || settings.has(Fault::VerboseShowsNothing) {
        return;
    }
    if settings.has(Fault::VerboseShowsRawBytes) {
        return raw(head);
    }
    for part in head.split_inclusive(|byte| *byte == b'\n') {
        line(&format!("| {}", part.escape_ascii()));
    }
}
