//! The request: its request line and its header fields.

use crate::fields::{Fields, is_token};
use crate::target::Target;
use crate::{Config, Fault, Status};

/// A valid request.
pub struct Request {
    pub method: String,
    pub target: Target,
    pub fields: Fields,
}

/// The request line of a head, without its line ending.
pub fn request_line(head: &[u8]) -> &[u8] {
    lines(head).next().unwrap_or_default()
}

/// The lines of a head, each without its CRLF or LF.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

impl Request {
    /// Parses a head.
    pub fn parse(config: &Config, head: &[u8]) -> Result<Request, Status> {
        if config.has(Fault::InvalidUtf8KillsChild) {
            std::str::from_utf8(head).expect("the head is UTF-8");
        }
        let words: Vec<&[u8]> = request_line(head).split(|byte| *byte == b' ').collect();
        let [method, target, version] = words[..] else {
            return Err(Status::BAD_REQUEST);
        };
        if !is_token(method) && !config.has(Fault::AcceptsInvalidMethod) {
            return Err(Status::BAD_REQUEST);
        }
        let minor_version = minor_version(config, version)?;
        let target = Target::parse(config, method, target).ok_or(Status::BAD_REQUEST)?;
        let mut fields = Fields::default();
        if config.is_stage4() {
            let field_lines = lines(head).skip(1).take_while(|line| !line.is_empty());
            fields = Fields::parse(config, field_lines, minor_version)?;
        }
        let mut method = String::from_utf8_lossy(method).into_owned();
        if config.has(Fault::AcceptsLowercaseMethod) {
            method.make_ascii_uppercase();
        }
        if config.has(Fault::TreatsEveryMethodAsGet) {
            method = "GET".to_string();
        }
        Ok(Request {
            method,
            target,
            fields,
        })
    }
}

/// The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1 and later (RFC 9110, 2.5).
fn minor_version(config: &Config, version: &[u8]) -> Result<u8, Status> {
    if config.has(Fault::AcceptsAnyVersion) {
        return Ok(1);
    }
    let mut version = version.to_vec();
    if config.has(Fault::AcceptsLowercaseVersion) {
        version.make_ascii_uppercase();
    }
    match version.strip_prefix(b"HTTP/") {
        Some(b"1.0") if config.has(Fault::RejectsHttpOneZero) => Err(Status::VERSION_NOT_SUPPORTED),
        Some(b"1.0") => Ok(0),
        Some([b'1', b'.', b'2'..=b'9']) if config.has(Fault::RejectsHigherMinorVersion) => {
            Err(Status::BAD_REQUEST)
        }
        Some([b'1', b'.', b'1'..=b'9']) => Ok(1),
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => match config.fault {
            Some(Fault::UnsupportedVersionIsBadRequest) => Err(Status::BAD_REQUEST),
            _ => Err(Status::VERSION_NOT_SUPPORTED),
        },
        _ => Err(Status::BAD_REQUEST),
    }
}
