//! The request: the words of its first line, and what its header fields say.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use crate::faulty::fields::{Fields, is_token};

/// A request that was understood.
pub struct Request {
    pub method: String,
    /// The path in the target, as it came.
    pub path: Vec<u8>,
    /// The query, with its question mark.
    pub query: Vec<u8>,
    pub fields: Fields,
}

/// The first line of a head, without its line end.
pub fn first_line(head: &[u8]) -> &[u8] {
    lines(head).next().unwrap_or(b"")
}

/// The lines of a head, each without its CRLF or LF.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

impl Request {
    /// Understands a head. The error is the status code to answer with.
    pub fn parse(settings: &Settings, head: &[u8]) -> Result<Request, u16> {
        if settings.has(Fault::OddByteKillsChild) {
            std::str::from_utf8(head).expect("a request is text");
        }
        let request = Request::parse_lines(settings, head);
        if settings.has(Fault::OddLinePanics) {
            assert!(
                !matches!(request, Err(400)),
                "the first line is no request line"
            );
        }
        request
    }

    fn parse_lines(settings: &Settings, head: &[u8]) -> Result<Request, u16> {
        let words: Vec<&[u8]> = first_line(head).split(|byte| *byte == b' ').collect();
        let [method, target, version] = words[..] else {
            return Err(400);
        };
        if !is_token(method) && !settings.has(Fault::AnyMethodIsAToken) {
            return Err(400);
        }
        let version = minor_version(settings, version)?;
        let (path, query) = path_and_query(settings, method, target).ok_or(400_u16)?;
        let mut fields = Fields::default();
        if settings.understands_fields() {
            if target.iter().any(u8::is_ascii_control) {
                return Err(400);
            }
            let field_lines = lines(head).skip(1).take_while(|line| !line.is_empty());
            fields = Fields::parse(settings, field_lines, version)?;
        }
        let mut method = String::from_utf8_lossy(method).into_owned();
        if settings.has(Fault::MethodInAnyCase) {
            method.make_ascii_uppercase();
        }
        if settings.has(Fault::EveryMethodIsGet) {
            method = "GET".to_string();
        }
        Ok(Request {
            method,
            path: path.to_vec(),
            query: query.to_vec(),
            fields,
        })
    }
}

/// 0 or 1, for HTTP/1.0 and HTTP/1.1.
fn minor_version(settings: &Settings, version: &[u8]) -> Result<u8, u16> {
    if settings.has(Fault::AnyVersion) {
        return Ok(1);
    }
    let upper = version.to_ascii_uppercase();
    let version = match settings.has(Fault::VersionInAnyCase) {
        true => upper.as_slice(),
        false => version,
    };
    match version {
        b"HTTP/1.0" if settings.has(Fault::RefusesHttp10) => Err(505),
        b"HTTP/1.0" => Ok(0),
        b"HTTP/1.1" => Ok(1),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1' =>
        {
            match settings.has(Fault::OtherVersionIs400) {
                true => Err(400),
                false => Err(505),
            }
        }
        _ => Err(400),
    }
}

/// The path and the query in a target: `/path?query`, `http://host/path?query`, or `*` of
/// OPTIONS (RFC 9112, 3.2).
fn path_and_query<'a>(
    settings: &Settings,
    method: &[u8],
    target: &'a [u8],
) -> Option<(&'a [u8], &'a [u8])> {
    let has = |fault| settings.has(fault);
    if (method, target) == (b"OPTIONS", b"*") && settings.understands_fields() {
        return (!has(Fault::NoOptionsForAll)).then_some((target, b""));
    }
    let mut end = target.len();
    if !has(Fault::QueryInName) {
        end = memchr::memchr(b'?', target).unwrap_or(end);
    }
    let (path, query) = target.split_at(end);
    if path.starts_with(b"/") {
        return Some((path, query));
    }
    if has(Fault::AnyTarget) {
        return (!path.is_empty()).then_some((path, query));
    }
    let scheme = path.get(..7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") || has(Fault::NoAbsoluteForm) {
        return None;
    }
    let slash = memchr::memchr(b'/', &path[7..]).unwrap_or(path.len() - 7);
    let (host, path) = path[7..].split_at(slash);
    match path {
        _ if host.is_empty() => None,
        b"" => Some((b"/", query)),
        _ => Some((path, query)),
    }
}
