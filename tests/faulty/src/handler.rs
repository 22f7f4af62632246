//! From a request to its response, by method.

use crate::files::{self, Found};
use crate::reader::Reader;
use crate::request::Request;
use crate::response::Response;
use crate::{Config, Fault, Status, form};
use std::fs;
use std::path::Path;

/// The response to a request.
pub fn handle(config: &Config, request: &Request, reader: &mut Reader) -> Result<Response, Status> {
    if !config.is_stage4() {
        return match request.method.as_str() {
            "GET" => get(config, request, &request.target.path),
            _ => Err(Status::NOT_IMPLEMENTED),
        };
    }
    let path = request.target.decode_path(config)?;
    let allow = match path.as_slice() {
        form::PAGE | b"*" => "GET, HEAD, OPTIONS, POST",
        _ if config.has(Fault::SameAllowForAllTargets) => "GET, HEAD, OPTIONS, POST",
        _ => "GET, HEAD, OPTIONS",
    };
    match request.method.as_str() {
        "HEAD" if config.has(Fault::HeadIsNotImplemented) => Err(Status::NOT_IMPLEMENTED),
        "GET" | "HEAD" => get(config, request, &path),
        "POST" if path == form::PAGE => form::post(config, request, reader),
        "OPTIONS" if config.has(Fault::OptionsIsOk) => {
            Ok(Response::for_status(config, Status::OK).with_field("Allow", allow))
        }
        "OPTIONS" => Ok(Response::empty(Status::NO_CONTENT).with_field("Allow", allow)),
        "POST" | "PUT" | "DELETE" | "CONNECT" | "TRACE" | "PATCH" => {
            Ok(method_not_allowed(config, allow))
        }
        _ if config.has(Fault::UnknownMethodIsNotAllowed) => Ok(method_not_allowed(config, allow)),
        _ => Err(Status::NOT_IMPLEMENTED),
    }
}

/// The response to GET: the file, or a redirect to the folder.
fn get(config: &Config, request: &Request, path: &[u8]) -> Result<Response, Status> {
    match files::open(config, path)? {
        Found::File { file, path } => Response::file(config, file, &path),
        Found::Folder(folder) if config.has(Fault::ServesFolderListing) => {
            Ok(Response::html(Status::OK, list_files(&folder)))
        }
        Found::Folder(_) => {
            let location = request.target.folder_location(config, path);
            let response = Response::for_status(config, Status::MOVED_PERMANENTLY);
            Ok(response.with_field("Location", &location))
        }
    }
}

/// The names of the files in a folder, one per line.
fn list_files(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| format!("{}\n", entry.file_name().display()));
    names.collect()
}

/// The response to a method that the target doesn't allow.
fn method_not_allowed(config: &Config, allow: &str) -> Response {
    let status = Status::METHOD_NOT_ALLOWED;
    match config.fault {
        Some(Fault::MethodNotAllowedPanics) => panic!("there is no content to send with 405"),
        Some(Fault::MethodNotAllowedHasNoContent) => {
            Response::html(status, "").with_field("Allow", allow)
        }
        _ => Response::for_status(config, status).with_field("Allow", allow),
    }
}
