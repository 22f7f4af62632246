//! Media types by file name extension.

use crate::{Config, Fault};
use std::path::Path;

pub const HTML: &str = "text/html; charset=utf-8";

/// The extensions that a server with the fault `knows-seven-types` knows.
const SEVEN_EXTENSIONS: [&str; 7] = ["html", "css", "js", "jpg", "png", "gif", "txt"];

/// The value of Content-Type for a file.
pub fn content_type(config: &Config, path: &Path) -> String {
    let extension = extension(config, path);
    let media_type = match config.fault {
        Some(Fault::UnregisteredJpegType) if extension == "jpg" => Some("image/jpg"),
        Some(Fault::EverythingIsHtml) => Some("text/html"),
        Some(Fault::KnowsSevenTypes) if !SEVEN_EXTENSIONS.contains(&extension.as_str()) => None,
        _ => registered_type(&extension),
    };
    let media_type = match config.fault {
        Some(Fault::UnknownExtensionIsText) => media_type.unwrap_or("text/plain"),
        Some(Fault::UnknownExtensionPanics) => media_type.expect("the extension is known"),
        _ => media_type.unwrap_or("application/octet-stream"),
    };
    if media_type.starts_with("text/") && !config.has(Fault::NoCharset) {
        return format!("{media_type}; charset=utf-8");
    }
    media_type.to_string()
}

/// The extension of a file name, in lowercase; empty if it has none.
fn extension(config: &Config, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let split = if config.has(Fault::ExtensionAfterFirstDot) {
        name.split_once('.')
    } else {
        name.rsplit_once('.')
    };
    match split {
        None | Some(("", _)) => String::new(),
        Some((_, extension)) if config.has(Fault::CaseSensitiveExtensions) => extension.to_string(),
        Some((_, extension)) => extension.to_ascii_lowercase(),
    }
}

/// The media type that is registered for an extension.
fn registered_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "htm" | "html" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "js" | "mjs" => "text/javascript",
        "md" => "text/markdown",
        "txt" => "text/plain",
        "vtt" => "text/vtt",
        "xml" => "text/xml",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/vnd.microsoft.icon",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "flac" => "audio/flac",
        "m4a" => "audio/mp4",
        "mp3" => "audio/mpeg",
        "ogg" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "otf" => "font/otf",
        "ttf" => "font/ttf",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "7z" => "application/x-7z-compressed",
        "bz2" => "application/x-bzip2",
        "gz" | "tgz" => "application/gzip",
        "json" => "application/json",
        "jsonld" => "application/ld+json",
        "webmanifest" => "application/manifest+json",
        "xhtml" => "application/xhtml+xml",
        "yaml" => "application/yaml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        _ => return None,
    })
}
