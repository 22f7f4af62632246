//! The header fields, which only stage 4 interprets. It rejects everything that two programs could
//! interpret differently.

use crate::{Config, Fault, Status};
use memchr::memchr;
use std::net::Ipv6Addr;

/// What the header fields of a request say.
#[derive(Default)]
pub struct Fields {
    /// Content-Length.
    pub content_length: Option<u64>,
    /// The media type in Content-Type, in lowercase and without parameters.
    pub media_type: String,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// Field names in lowercase, and values.
type FieldLines = [(String, String)];

/// Whether these bytes are a token (RFC 9110, 5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_allowed)
}

impl Fields {
    /// Parses field lines.
    pub fn parse<'a>(
        config: &Config,
        lines: impl Iterator<Item = &'a [u8]>,
        minor_version: u8,
    ) -> Result<Fields, Status> {
        let skips_folded = config.has(Fault::AcceptsFoldedLines);
        let lines = lines.filter(|line| !(skips_folded && line.starts_with(b" ")));
        let lines: Option<Vec<_>> = lines.map(|line| parse_line(config, line)).collect();
        let lines = lines.ok_or(Status::BAD_REQUEST)?;
        check_host(config, &lines, minor_version)?;
        let content_length = content_length(config, &lines)?;
        let media_type = values(&lines, "content-type").next().unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let expectations: Vec<&str> = values(&lines, "expect").collect();
        let is_continue = |value: &&str| value.eq_ignore_ascii_case("100-continue");
        if !expectations.iter().all(is_continue) && !config.has(Fault::AcceptsAnyExpectation) {
            return Err(Status::EXPECTATION_FAILED);
        }
        Ok(Fields {
            content_length,
            media_type: media_type.trim_ascii().to_ascii_lowercase(),
            expects_continue: minor_version == 1 && !expectations.is_empty(),
        })
    }
}

/// Parses a field line (RFC 9112, 5). A folded line has no valid name.
fn parse_line(config: &Config, line: &[u8]) -> Option<(String, String)> {
    let (mut name, value) = line.split_at(memchr(b':', line)?);
    let value = &value[1..];
    if config.has(Fault::AcceptsSpaceBeforeColon) {
        name = name.trim_ascii_end();
    }
    if !is_token(name) && !config.has(Fault::AcceptsAnyFieldName) {
        return None;
    }
    let is_allowed = |byte: &u8| match *byte {
        b'\t' => true,
        b'\r' => config.has(Fault::AcceptsBareCr),
        0 => config.has(Fault::AcceptsNulInField),
        other => !other.is_ascii_control(),
    };
    let is_valid = value.iter().all(is_allowed);
    let [name, value] = [name, value.trim_ascii()].map(String::from_utf8_lossy);
    is_valid.then(|| (name.to_ascii_lowercase(), value.into_owned()))
}

/// The values of all fields with this name.
fn values<'a>(lines: &'a FieldLines, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = lines.iter().filter(move |line| line.0 == name);
    lines.map(|line| line.1.as_str())
}

/// HTTP/1.1 requires exactly one valid Host, HTTP/1.0 allows at most one (RFC 9112, 3.2).
fn check_host(config: &Config, lines: &FieldLines, minor_version: u8) -> Result<(), Status> {
    let hosts: Vec<&str> = values(lines, "host").collect();
    match hosts[..] {
        [] if minor_version == 0 || config.has(Fault::AcceptsMissingHost) => Ok(()),
        [host] if is_host(host) || config.has(Fault::AcceptsAnyHost) => Ok(()),
        [_, _, ..] if config.has(Fault::AcceptsTwoHosts) => Ok(()),
        _ => Err(Status::BAD_REQUEST),
    }
}

/// Whether this is a name or an address, with or without a port (RFC 3986, 3.2.2 and 3.2.3).
pub fn is_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let ipv6 = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut escapes = name.split('%').skip(1);
    let is_name =
        name.bytes().all(is_allowed) && escapes.all(|rest| rest.get(..2).is_some_and(is_hex));
    ipv6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) || is_name
}

/// The length of the content. It must be given once, as digits, and without Transfer-Encoding
/// (RFC 9112, 6.3).
fn content_length(config: &Config, lines: &FieldLines) -> Result<Option<u64>, Status> {
    let has = |fault| config.has(fault);
    let mut lengths: Vec<&str> = values(lines, "content-length").collect();
    if has(Fault::AcceptsTwoLengths) {
        lengths.truncate(1);
    }
    let is_coded = values(lines, "transfer-encoding").next().is_some();
    if is_coded && !has(Fault::IgnoresTransferEncoding) {
        return match lengths[..] {
            [] => Err(Status::NOT_IMPLEMENTED),
            _ if has(Fault::IgnoresLengthWithTransferEncoding) => Err(Status::NOT_IMPLEMENTED),
            _ => Err(Status::BAD_REQUEST),
        };
    }
    let mut digits = match lengths[..] {
        [] => return Ok(None),
        [value] => value,
        _ => return Err(Status::BAD_REQUEST),
    };
    if has(Fault::AcceptsSignedLength) {
        digits = digits.strip_prefix('+').unwrap_or(digits);
    }
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(length) if is_number => Ok(Some(length)),
        Err(_) if is_number && has(Fault::HugeLengthIsIgnored) => Ok(Some(u64::MAX)),
        // A number that doesn't fit is over every limit.
        Err(_) if is_number => Err(Status::CONTENT_TOO_LARGE),
        _ if has(Fault::IgnoresInvalidLength) => Ok(None),
        _ => Err(Status::BAD_REQUEST),
    }
}
