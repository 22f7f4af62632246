//! Cheats: responses that don't depend on the request and the site. They must earn no points.

use crate::files::{self, Found};
use crate::response::Response;
use crate::{Config, Fault, Status, request};

/// The response of a server that cheats; `None` for an honest server.
pub fn response(config: &Config, head: &[u8]) -> Option<Response> {
    let page =
        |title: &str| Response::html(Status::OK, format!("<!DOCTYPE html>\n<h1>{title}</h1>\n"));
    Some(match config.fault? {
        Fault::AlwaysHello => Response::html(Status::OK, "Hello, World!"),
        Fault::AlwaysCannedPage => page("Welcome"),
        Fault::AlwaysIndex => index(config),
        Fault::AlwaysNotFound => Response::for_status(config, Status::NOT_FOUND),
        Fault::AlwaysBadRequest => Response::for_status(config, Status::BAD_REQUEST),
        Fault::ContentFromName => {
            let mut words = request::request_line(head).split(|byte| *byte == b' ');
            page(&String::from_utf8_lossy(words.nth(1).unwrap_or_default()))
        }
        _ => return None,
    })
}

/// The site's index page.
pub fn index(config: &Config) -> Response {
    let response = match files::open(config, b"/index.html") {
        Ok(Found::File { file, path }) => Response::file(config, file, &path),
        _ => Err(Status::NOT_FOUND),
    };
    response.unwrap_or_else(|status| Response::for_status(config, status))
}
