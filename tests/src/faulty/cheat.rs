//! Cheats: answers that do not come from the request and the site. What would they earn?

use crate::faulty::faults::Fault;
use crate::faulty::files::{self, Found};
use crate::faulty::response::Response;
use crate::faulty::{Settings, request};

/// The answer of a server that cheats.
pub fn response(settings: &Settings, head: &[u8]) -> Option<Response> {
    let page = |text: &str| Response::page(200, format!("<!DOCTYPE html>\n<h1>{text}</h1>\n"));
    match settings.fault? {
        Fault::HelloToAll => Some(Response::bare("Hello, World!")),
        Fault::CannedPage => Some(page("Welcome")),
        Fault::IndexForAll => Some(index(settings)),
        Fault::NotFoundForAll => Some(Response::error(settings, 404)),
        Fault::BadRequestForAll => Some(Response::error(settings, 400)),
        Fault::ContentByName => {
            let line = request::first_line(head);
            let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or(b"");
            Some(page(&String::from_utf8_lossy(target)))
        }
        _ => None,
    }
}

/// The site's first page, whatever was asked for.
pub fn index(settings: &Settings) -> Response {
    match files::find(settings, b"/index.html") {
        Ok(Found::File(file, name)) => Response::file(settings, file, &name),
        _ => Response::error(settings, 404),
    }
}
