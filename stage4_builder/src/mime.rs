//! MIME types: what a file is, told by the ending of its name.
//!
//! A browser shows a page, plays a sound or offers a download by this alone. Look at the
//! last line: what we do not know, we do not guess at.

use std::ffi::OsStr;
use std::path::Path;

/// File name extensions and their media types: as registered with IANA, and where nothing is,
/// as browsers know them.
const TYPES: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
    ("xml", "text/xml"),
    ("zip", "application/zip"),
];

/// The value of `Content-Type` for a file name (RFC 9110, 8.3). What counts is the part
/// behind the last dot, in any case.
pub fn content_type(name: &Path) -> String {
    let extension = name.extension().and_then(OsStr::to_str).unwrap_or("");
    let known = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension));
    match known {
        Some((_, media_type)) if media_type.starts_with("text/") => {
            format!("{media_type}; charset=utf-8")
        }
        Some((_, media_type)) => media_type.to_string(),
        None => "application/octet-stream".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        content_type(Path::new(name))
    }

    #[test]
    fn text_names_its_charset_and_others_do_not() {
        assert_eq!(of("a.html"), "text/html; charset=utf-8");
        assert_eq!(of("a.png"), "image/png");
    }

    #[test]
    fn the_last_dot_counts() {
        assert_eq!(of("a.png.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("a.tar.gz"), "application/gzip");
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(of("A.JPG"), "image/jpeg");
    }

    #[test]
    fn what_is_unknown_is_bytes() {
        for name in ["a", "a.", ".html", "a.unheard-of", "html"] {
            assert_eq!(of(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_has_no_type_twice() {
        assert!(TYPES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
