//! Media types: what a file is, by the extension of its name.
//!
//! This alone decides whether a browser shows a page, plays a sound or offers a download. Look at the
//! last line of `content_type`: what isn't known isn't guessed.

use std::ffi::OsStr;
use std::path::Path;

/// Extensions and their media types: as registered with IANA, and otherwise as browsers know them. A
/// charset is named where the format can't name its own: HTML, XML and CSS can.
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv; charset=utf-8"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xht", "application/xhtml+xml"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "text/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The value of `Content-Type` for a file name (RFC 9110, 8.3). The part after the last dot counts, in
/// upper or lower case.
pub fn content_type(name: &Path) -> &'static str {
    let extension = name.extension().and_then(OsStr::to_str).unwrap_or("");
    let mut types = TYPES.iter();
    let known = types.find(|(known, _)| known.eq_ignore_ascii_case(extension));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> &'static str {
        content_type(Path::new(name))
    }

    #[test]
    fn charset_is_named_where_the_format_cannot() {
        assert_eq!(of("a.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("a.html"), "text/html");
        assert_eq!(of("a.png"), "image/png");
    }

    #[test]
    fn last_dot_counts() {
        assert_eq!(of("a.png.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("a.tar.gz"), "application/gzip");
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(of("A.JPG"), "image/jpeg");
    }

    #[test]
    fn unknown_extension_means_bytes() {
        for name in ["a", "a.", ".html", "a.unheard-of", "html"] {
            assert_eq!(of(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn table_is_sorted_and_names_each_extension_once() {
        assert!(TYPES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
