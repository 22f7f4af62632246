//! The methods: what each of them does with its target.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use crate::faulty::files::{self, Found};
use crate::faulty::form;
use crate::faulty::head::Source;
use crate::faulty::request::Request;
use crate::faulty::response::Response;
use percent_encoding::percent_decode;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is not escaped in a path (RFC 3986, 2.3), and slashes.
const PLAIN: &[u8] = b"-._~/";

/// The longest content that is kept by a server that keeps files.
const KEPT_LIMIT: usize = 64 * 1024;

/// The response to a request. The error is the status code to answer with.
pub fn respond(
    request: &Request,
    source: &mut Source,
    settings: &Settings,
) -> Result<Response, u16> {
    if !settings.understands_fields() {
        return match request.method.as_str() {
            "GET" => get(settings, request, &request.path),
            _ => Err(501),
        };
    }
    let path = decode(settings, &request.path)?;
    let allowed = match path == form::PAGE || path == b"*" {
        true => "GET, HEAD, OPTIONS, POST",
        false => "GET, HEAD, OPTIONS",
    };
    let allowed = match settings.has(Fault::AllowIsTheSameForAll) {
        true => "GET, HEAD, OPTIONS, POST",
        false => allowed,
    };
    match request.method.as_str() {
        "HEAD" if settings.has(Fault::HeadIsNotDispatched) => Err(501),
        "GET" | "HEAD" => get(settings, request, &path),
        "POST" if path == form::PAGE => form::post(settings, request, source),
        "OPTIONS" if settings.has(Fault::OptionsIs200) => {
            Ok(Response::error(settings, 200).with("Allow", allowed))
        }
        "OPTIONS" => Ok(Response::new(204).with("Allow", allowed)),
        "POST" | "PUT" | "DELETE" | "CONNECT" | "TRACE" | "PATCH" => {
            Ok(not_allowed(settings, allowed))
        }
        _ if settings.has(Fault::UnknownMethodIs405) => Ok(not_allowed(settings, allowed)),
        _ => Err(501),
    }
}

/// The target does not take that method: it says which it takes.
fn not_allowed(settings: &Settings, allowed: &str) -> Response {
    let response = Response::error(settings, 405);
    match settings.fault {
        Some(Fault::NotAllowedPanics) => panic!("405 has no content to send"),
        Some(Fault::NotAllowedHasNoContent) => response.without_content().with("Allow", allowed),
        Some(Fault::NotAllowedHasNoAllow) => response,
        _ => response.with("Allow", allowed),
    }
}

/// The file that is named, or the way to the folder.
fn get(settings: &Settings, request: &Request, path: &[u8]) -> Result<Response, u16> {
    match files::find(settings, path)? {
        Found::File(file, name) => {
            let mut response = Response::file(settings, file, &name);
            if settings.has(Fault::KeepsFiles) {
                keep(path, &mut response);
            }
            Ok(response)
        }
        Found::Folder => {
            let location = location(settings, request, path);
            Ok(Response::error(settings, 301).with("Location", &location))
        }
    }
}

/// Gives the response the content that the path had first.
fn keep(path: &[u8], response: &mut Response) {
    static KEPT: Mutex<BTreeMap<Vec<u8>, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !response.is_longer_than(KEPT_LIMIT as u64) {
        let content = kept
            .entry(path.to_vec())
            .or_insert_with(|| response.take_content().unwrap_or_default());
        response.set_content(content.clone());
    }
}

/// Where a folder is that was asked for without its slash: a path on this host, each part
/// encoded anew, so that it leads nowhere else.
fn location(settings: &Settings, request: &Request, path: &[u8]) -> String {
    let query = match settings.has(Fault::RedirectLosesQuery) {
        true => "".into(),
        false => String::from_utf8_lossy(&request.query),
    };
    if settings.has(Fault::RedirectsAsAsked) {
        return format!("{}/{query}", String::from_utf8_lossy(path));
    }
    let mut location = String::from("/");
    for byte in String::from_utf8_lossy(path).trim_matches('/').bytes() {
        match byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
            true => location.push(char::from(byte)),
            false => location += &format!("%{byte:02X}"),
        }
    }
    format!("{location}/{query}")
}

/// Undoes percent-encoding, once (RFC 3986, 2.1). The error is the status code.
fn decode(settings: &Settings, path: &[u8]) -> Result<Vec<u8>, u16> {
    let has = |fault| settings.has(fault);
    if has(Fault::DecodesBehindTheGuard) || has(Fault::NothingIsDecoded) {
        return Ok(path.to_vec());
    }
    let hex =
        |rest: &[u8]| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let mut escapes = path.split(|byte| *byte == b'%').skip(1);
    if !escapes.all(hex) && !has(Fault::BrokenEscapeIsKept) {
        return Err(400);
    }
    let mut decoded: Vec<u8> = percent_decode(path).collect();
    if has(Fault::DecodesTwice) {
        decoded = percent_decode(&decoded).collect();
    }
    if has(Fault::PlusIsASpaceInPaths) {
        decoded
            .iter_mut()
            .filter(|b| **b == b'+')
            .for_each(|b| *b = b' ');
    }
    let text = std::str::from_utf8(&decoded).is_ok() || has(Fault::AnyBytesAreAPath);
    match text && !decoded.contains(&0) {
        true => Ok(decoded),
        false => Err(400),
    }
}
