//! The handler: from a request to its response.
//!
//! It never sees a socket. Look at how little it has to decide here: there is one method.

use crate::files;
use crate::request::Request;
use crate::response::{Response, Status};
use std::path::Path;

/// The response to a request.
pub fn respond(request: &Request, root: &Path) -> Response {
    match request.method.as_str() {
        "GET" => {
            let file = files::open(root, &request.path);
            file.and_then(Response::file)
                .unwrap_or_else(Response::error)
        }
        // The response to HEAD never has content (RFC 9110, 9.3.2).
        "HEAD" => Response::new(Status::NOT_IMPLEMENTED, b""),
        _ => Response::error(Status::NOT_IMPLEMENTED),
    }
}
