//! The request target: the path and the query, and where a folder is.

use crate::fields::is_host;
use crate::{Config, Fault, Status};
use memchr::memchr;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// What a path encodes: everything but unreserved characters (RFC 3986, 2.3) and slashes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A request target.
pub struct Target {
    /// The path as it was sent.
    pub path: Vec<u8>,
    /// The query with its question mark, or nothing.
    query: Vec<u8>,
}

impl Target {
    /// Parses `/path?query`, `http://host/path?query`, or the `*` of OPTIONS (RFC 9112, 3.2).
    pub fn parse(config: &Config, method: &[u8], target: &[u8]) -> Option<Target> {
        let has = |fault| config.has(fault);
        if config.is_stage4() && target.iter().any(u8::is_ascii_control) {
            return None;
        }
        let is_misplaced = |byte: &u8| match *byte {
            b'#' => !has(Fault::FragmentIsPartOfName),
            b'\r' => !has(Fault::AcceptsBareCrInTarget),
            _ => false,
        };
        if target.iter().any(is_misplaced) {
            return None;
        }
        let end = match memchr(b'?', target) {
            Some(end) if !has(Fault::QueryIsPartOfName) => end,
            _ => target.len(),
        };
        let (path, query) = target.split_at(end);
        let path = if path.starts_with(b"/") {
            path
        } else if config.is_stage4() && (method, target) == (b"OPTIONS", b"*") {
            (!has(Fault::NoAsteriskForm)).then_some(path)?
        } else if has(Fault::AcceptsAnyTarget) {
            (!path.is_empty()).then_some(path)?
        } else if has(Fault::NoAbsoluteForm) {
            return None;
        } else {
            absolute_form_path(config, path)?
        };
        Some(Target {
            path: path.to_vec(),
            query: query.to_vec(),
        })
    }

    /// The path, percent-decoded once (RFC 3986, 2.1).
    pub fn decode_path(&self, config: &Config) -> Result<Vec<u8>, Status> {
        let has = |fault| config.has(fault);
        if has(Fault::DecodesAfterCheck) || has(Fault::NoPercentDecoding) {
            return Ok(self.path.clone());
        }
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        let mut escapes = self.path.split(|byte| *byte == b'%').skip(1);
        if !escapes.all(|rest| rest.get(..2).is_some_and(is_hex))
            && !has(Fault::KeepsInvalidEscapes)
        {
            return Err(Status::BAD_REQUEST);
        }
        let mut decoded: Vec<u8> = percent_decode(&self.path).collect();
        if has(Fault::DecodesTwice) {
            decoded = percent_decode(&decoded).collect();
        }
        if has(Fault::DecodesPlusInPaths) {
            let pluses = decoded.iter_mut().filter(|byte| **byte == b'+');
            pluses.for_each(|byte| *byte = b' ');
        }
        let is_text = std::str::from_utf8(&decoded).is_ok();
        if decoded.contains(&0) || !(is_text || has(Fault::AcceptsInvalidUtf8Path)) {
            return Err(Status::BAD_REQUEST);
        }
        Ok(decoded)
    }

    /// Where to redirect a client that requested a folder without its slash. The path is encoded
    /// again and starts with a single slash, so that it can't lead to another host.
    pub fn folder_location(&self, config: &Config, decoded_path: &[u8]) -> String {
        let path = String::from_utf8_lossy(decoded_path);
        let encoded = utf8_percent_encode(path.trim_matches('/'), ENCODED);
        let query = String::from_utf8_lossy(&self.query);
        match config.fault {
            Some(Fault::RedirectLosesQuery) => format!("/{encoded}/"),
            Some(Fault::RedirectsToDecodedPath) => format!("{path}/{query}"),
            _ => format!("/{encoded}/{query}"),
        }
    }
}

/// The path in `http://host/path`.
fn absolute_form_path<'a>(config: &Config, target: &'a [u8]) -> Option<&'a [u8]> {
    let (scheme, rest) = target.split_at_checked(7)?;
    let (host, path) = rest.split_at(memchr(b'/', rest).unwrap_or(rest.len()));
    let is_checked = config.is_stage4() && !config.has(Fault::AcceptsAnyAuthority);
    let authority = String::from_utf8_lossy(host);
    if is_checked && (authority.starts_with(':') || !is_host(&authority)) {
        return None;
    }
    match path {
        _ if !scheme.eq_ignore_ascii_case(b"http://") || host.is_empty() => None,
        b"" => Some(b"/"),
        _ => Some(path),
    }
}
