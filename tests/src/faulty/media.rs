//! Media types, told by the extension of a name.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use std::path::Path;

pub const HTML: &str = "text/html; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// The value of `Content-Type` for a file of that name.
pub fn media_type(settings: &Settings, name: &Path) -> String {
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let mut extension = match settings.has(Fault::FirstDotCounts) {
        true => name.split_once('.'),
        false => name.rsplit_once('.'),
    }
    .map_or("", |(before, extension)| match before {
        "" => "",
        _ => extension,
    })
    .to_string();
    if !settings.has(Fault::CaseOfExtensionCounts) {
        extension.make_ascii_lowercase();
    }
    let found = match settings.fault {
        Some(Fault::ImageJpg) if extension == "jpg" => Some("image/jpg"),
        Some(Fault::EverythingIsHtml) => Some("text/html"),
        Some(Fault::SevenTypes) if !SEVEN.contains(&extension.as_str()) => None,
        _ => registered(&extension),
    };
    match found {
        Some(text) if text.starts_with("text/") && !settings.has(Fault::NoCharset) => {
            format!("{text}; charset=utf-8")
        }
        Some(other) => other.to_string(),
        None if settings.has(Fault::UnknownExtensionIsText) => "text/plain; charset=utf-8".into(),
        None if settings.has(Fault::UnknownExtensionPanics) => {
            panic!("there is no type for `{extension}`")
        }
        None => BYTES.to_string(),
    }
}

/// All that one of the source versions knew.
const SEVEN: [&str; 7] = ["html", "css", "js", "jpg", "png", "gif", "txt"];

/// The media type that is registered for an extension.
fn registered(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "htm" | "html" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "js" | "mjs" => "text/javascript",
        "md" => "text/markdown",
        "txt" => "text/plain",
        "xml" => "text/xml",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/vnd.microsoft.icon",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "woff2" => "font/woff2",
        "gz" => "application/gzip",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        _ => return None,
    })
}
