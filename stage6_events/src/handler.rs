//! The handler: from a request to its response.
//!
//! It never sees a socket. Look at how it decides in two steps: first whether it wants the content of
//! a request, of which there may be too much, then what the response is.

use crate::files::{self, Found, Root};
use crate::request::Request;
use crate::response::{Response, ResponseBuilder, Status};
use crate::{form, mime};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

/// The longest content of a form, in bytes.
const MAX_CONTENT: u64 = 64 * 1024;

/// What is escaped in a path: everything but slashes and unreserved characters (RFC 3986, 2.3).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How many bytes of a request's content are needed for its response. The error refuses them.
pub fn content_needed(request: &Request, root: &Root) -> Result<usize, Status> {
    if request.method != "POST" || request.path != form::PAGE {
        return Ok(0);
    }
    files::open(root, form::PAGE)?;
    match request.content_length {
        None => Err(Status::LENGTH_REQUIRED),
        Some(length) if length > MAX_CONTENT => Err(Status::CONTENT_TOO_LARGE),
        Some(_) if request.media_type != form::MEDIA_TYPE => Err(Status::UNSUPPORTED_MEDIA_TYPE),
        Some(length) => Ok(length as usize),
    }
}

/// The response to a request.
pub fn respond(request: &Request, root: &Root) -> Response {
    let allowed = match request.path.as_str() {
        form::PAGE | "*" => "GET, HEAD, OPTIONS, POST",
        _ => "GET, HEAD, OPTIONS",
    };
    match request.method.as_str() {
        "GET" | "HEAD" => get(request, root).unwrap_or_else(|status| error(status, root)),
        "POST" if request.path == form::PAGE => ResponseBuilder::new(Status::OK)
            .html(form::echo(&request.content))
            .build(),
        "OPTIONS" => ResponseBuilder::new(Status::NO_CONTENT)
            .field("Allow", allowed)
            .build(),
        "POST" | "PUT" | "DELETE" | "CONNECT" | "TRACE" | "PATCH" => {
            ResponseBuilder::page(Status::METHOD_NOT_ALLOWED)
                .field("Allow", allowed)
                .build()
        }
        _ => error(Status::NOT_IMPLEMENTED, root),
    }
}

/// The response to GET: a file, or a redirect to a folder.
fn get(request: &Request, root: &Root) -> Result<Response, Status> {
    let builder = match files::open(root, &request.path)? {
        Found::File { file, name } => {
            ResponseBuilder::new(Status::OK).file(file, mime::content_type(&name))
        }
        Found::Folder => ResponseBuilder::page(Status::MOVED_PERMANENTLY)
            .field("Location", folder_location(&request.path, &request.query)),
    };
    Ok(builder.build())
}

/// The address of a folder, with its slash. Two slashes at the beginning would name another host.
fn folder_location(path: &str, query: &[u8]) -> String {
    let path = utf8_percent_encode(path.trim_matches('/'), IN_PATH);
    format!("/{path}/{}", percent_encode(query, CONTROLS))
}

/// The response for an error: a page of the site, if it has one.
pub fn error(status: Status, root: &Root) -> Response {
    let page = match status {
        Status::FORBIDDEN => files::open(root, "/403.html"),
        Status::NOT_FOUND => files::open(root, "/404.html"),
        _ => Err(status),
    };
    match page {
        Ok(Found::File { file, name }) => ResponseBuilder::new(status)
            .file(file, mime::content_type(&name))
            .build(),
        _ => Response::error(status),
    }
}
