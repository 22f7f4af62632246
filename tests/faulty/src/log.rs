//! The log on standard error: a line for each request, and its head with `--verbose`.

use crate::request::request_line;
use crate::{Config, Fault, Status};
use std::io::{self, Write};
use std::net::TcpStream;

/// Logs a line. It is written in one piece, so that the lines of several clients don't mix.
pub fn message(text: &str) {
    write(format!("{text}\n").as_bytes());
}

fn write(bytes: &[u8]) {
    // There is no place to report an error of the log.
    let _ = io::stderr().write_all(bytes);
}

/// Logs a request: client address, method, target, status code, and how many bytes were sent.
pub fn request(
    config: &Config,
    client: &TcpStream,
    head: &[u8],
    status: Status,
    sent: &io::Result<u64>,
) {
    if config.has(Fault::NoRequestLog) {
        return;
    }
    let client = match client.peer_addr() {
        Ok(address) if !config.has(Fault::LogLacksClient) => address.to_string(),
        _ => "-".to_string(),
    };
    let line = request_line(head);
    let line = match config.fault {
        Some(Fault::LogsRawTarget) => String::from_utf8_lossy(line).into_owned(),
        _ => line.escape_ascii().to_string(),
    };
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (method, target) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    let sent = match sent {
        Ok(count) => count.to_string(),
        Err(error) => format!("incomplete: {error}"),
    };
    let code = status.code;
    message(&format!("{client} {method} {target} {code} {sent}"));
}

/// With `--verbose`, logs the head of a request with its control bytes escaped.
pub fn head(config: &Config, head: &[u8]) {
    if !config.verbose || config.has(Fault::IgnoresVerbose) {
        return;
    }
    if config.has(Fault::VerboseLogsRawBytes) {
        return write(head);
    }
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        message(&format!("| {}", line.escape_ascii()));
    }
}
