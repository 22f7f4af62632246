//! Media types: each response has the type that the extension of its file stands for.

use super::{STAGE_4, add_file};
use crate::check::Check;
use harness::context::TestContext;
use harness::error::{CheckResult, ensure};
use harness::response::Response;
use harness::server::Server;

pub const CHECKS: &[Check] = &[
    Check {
        id: "content-types",
        must: "send the media type of each extension, with charset=utf-8 for plain text, not for images",
        why: "RFC 9110, 8.3: without it a browser must guess, or shows an image as text.",
        hint: "Use a table from extensions to media types, as registered with IANA.",
        weight: 3,
        run: content_types,
        ..STAGE_4
    },
    Check {
        id: "unknown-extension",
        must: "send application/octet-stream for an unknown extension, or none",
        why: "RFC 2046, 4.5.1. In one early version this was an error without a response.",
        hint: "If you don't know what it is, call it bytes.",
        run: unknown_extension,
        ..STAGE_4
    },
    Check {
        id: "extension-after-last-dot",
        must: "take what follows the last dot of a file's name for its extension",
        why: "One early version took what follows the first dot, so a.b.html failed.",
        hint: "Search for the dot from the end of the name, and only in the name.",
        run: extension_after_last_dot,
        ..STAGE_4
    },
    Check {
        id: "uppercase-extension",
        must: "ignore the case of extensions: PHOTO.JPG is an image like photo.jpg",
        why: "Cameras and old systems write extensions in upper case.",
        hint: "Compare without regard to case.",
        run: uppercase_extension,
        ..STAGE_4
    },
];

const OCTET_STREAM: &str = "application/octet-stream";

/// The extensions of the contract, each with the media types that are accepted for it. The first
/// is the one that the lab's stages send.
const MEDIA_TYPES: &[(&str, &[&str])] = &[
    ("7z", &["application/x-7z-compressed"]),
    ("avif", &["image/avif"]),
    (
        "bz2",
        &[
            "application/x-bzip2",
            "application/bzip2",
            "application/x-bzip",
        ],
    ),
    ("css", &["text/css"]),
    ("csv", &["text/csv"]),
    ("flac", &["audio/flac", "audio/x-flac"]),
    ("gif", &["image/gif"]),
    ("gz", &["application/gzip", "application/x-gzip"]),
    ("htm", &["text/html"]),
    ("html", &["text/html"]),
    ("ico", &["image/vnd.microsoft.icon", "image/x-icon"]),
    ("jpeg", &["image/jpeg"]),
    ("jpg", &["image/jpeg"]),
    ("js", &["text/javascript"]),
    ("json", &["application/json"]),
    ("jsonld", &["application/ld+json"]),
    ("m4a", &["audio/mp4", "audio/x-m4a"]),
    ("md", &["text/markdown", "text/x-markdown"]),
    ("mjs", &["text/javascript", "application/javascript"]),
    ("mp3", &["audio/mpeg"]),
    ("mp4", &["video/mp4"]),
    ("ogg", &["audio/ogg", "application/ogg"]),
    ("opus", &["audio/ogg", "audio/opus"]),
    ("otf", &["font/otf"]),
    ("pdf", &["application/pdf"]),
    ("png", &["image/png"]),
    ("svg", &["image/svg+xml"]),
    (
        "tgz",
        &["application/gzip", "application/x-gtar-compressed"],
    ),
    ("ttf", &["font/ttf"]),
    ("txt", &["text/plain"]),
    ("vtt", &["text/vtt"]),
    ("wasm", &["application/wasm"]),
    ("wav", &["audio/vnd.wave", "audio/wav", "audio/x-wav"]),
    ("webm", &["video/webm"]),
    ("webmanifest", &["application/manifest+json"]),
    ("webp", &["image/webp"]),
    ("woff", &["font/woff", "application/font-woff"]),
    ("woff2", &["font/woff2"]),
    ("xhtml", &["application/xhtml+xml"]),
    ("xml", &["application/xml", "text/xml"]),
    ("yaml", &["application/yaml", "text/yaml"]),
    ("zip", &["application/zip"]),
];

/// Fails unless a response is HTML, in UTF-8.
pub fn ensure_html(response: &Response) -> CheckResult {
    ensure_media_type(response, &["text/html"])
}

/// Fails unless a response has one of these media types.
fn ensure_media_type(response: &Response, accepted: &[&str]) -> CheckResult {
    let expected = format!("the field `Content-Type: {}`", field_value(accepted[0]));
    response.ensure(has_media_type(response, accepted), expected)
}

/// Types of text whose files can name a charset themselves.
const SELF_DESCRIBING: [&str; 3] = ["text/html", "text/css", "text/xml"];

/// Whether a response has one of these media types. Text that can't name its charset must have it;
/// images, sound, video and fonts must not.
fn has_media_type(response: &Response, accepted: &[&str]) -> bool {
    let field = response.field("content-type").unwrap_or_default();
    let field = field.to_ascii_lowercase();
    let (media_type, parameters) = field.split_once(';').unwrap_or((&field, ""));
    let is_any = |kinds: &[&str]| kinds.iter().any(|kind| media_type.starts_with(kind));
    let is_charset_right = if is_any(&["text/"]) {
        let is_optional = SELF_DESCRIBING.contains(&media_type) && parameters.is_empty();
        is_optional || parameters.trim().replace('"', "") == "charset=utf-8"
    } else if is_any(&["image/", "audio/", "video/", "font/"]) {
        // An SVG image is XML, which is text.
        media_type == "image/svg+xml" || !parameters.contains("charset")
    } else {
        true
    };
    accepted.contains(&media_type) && is_charset_right
}

/// The value of a Content-Type field with this media type.
fn field_value(media_type: &str) -> String {
    match media_type.split_once('/') {
        Some(("text", _)) if !SELF_DESCRIBING.contains(&media_type) => {
            format!("{media_type}; charset=utf-8")
        }
        _ => media_type.to_string(),
    }
}

/// Adds a file with that extension, and requests it.
fn get_plain(ctx: &TestContext, server: &Server, extension: &str) -> CheckResult<Response> {
    let file = add_file(ctx, &format!("{}.{extension}", ctx.site.name()))?;
    server.get(&file.target())
}

/// Fails unless a file with that name gets the type that the server sends for a plain name with
/// the extension, and which differs from that of an image. Which type this must be is for
/// `content-types`.
fn ensure_typed_like(
    ctx: &TestContext,
    server: &Server,
    name: &str,
    extension: &str,
) -> CheckResult {
    let plain = get_plain(ctx, server, extension)?;
    let wanted = plain.field("content-type").unwrap_or_default();
    // Sending one type for everything must not pass.
    let image = get_plain(ctx, server, "png")?;
    let differs = !wanted.is_empty() && image.field("content-type") != Some(wanted);
    let expected = format!("a Content-Type of {extension} that differs from png's");
    plain.ensure(differs, expected)?;
    let response = server.get(&add_file(ctx, name)?.target())?;
    response.ensure_status(200)?;
    response.ensure_field("Content-Type", wanted)
}

fn content_types(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    // All wrong ones at once, since they are probably lines of one table.
    let (mut expected, mut received) = (Vec::new(), Vec::new());
    for (extension, accepted) in MEDIA_TYPES {
        let response = get_plain(ctx, &server, extension)?;
        response.ensure_status(200)?;
        if !has_media_type(&response, accepted) {
            let field = response.field("content-type").unwrap_or("no Content-Type");
            expected.push(format!(".{extension}: {}", field_value(accepted[0])));
            received.push(format!(".{extension}: {field}"));
        }
    }
    let lines = |types: &[String]| types.join("\n            ");
    ensure(expected.is_empty(), lines(&expected), lines(&received))
}

fn unknown_extension(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    for file in [
        format!("a.{name}"),
        name.clone(),
        format!("{name}."),
        format!(".{name}"),
    ] {
        let response = server.get(&add_file(ctx, &file)?.target())?;
        response.ensure_status(200)?;
        response.ensure_field("Content-Type", OCTET_STREAM)?;
    }
    Ok(())
}

fn extension_after_last_dot(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    for (rest, extension) in [
        (".png.html", "html"),
        (".min.css", "css"),
        (".html/a.b.txt", "txt"),
        (".tar.gz", "gz"),
    ] {
        ensure_typed_like(ctx, &server, &format!("{name}{rest}"), extension)?;
    }
    let plain = add_file(ctx, &format!("{name}.png/plain"))?;
    let response = server.get(&plain.target())?;
    response.ensure_field("Content-Type", OCTET_STREAM)
}

fn uppercase_extension(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for extension in ["JPG", "Html", "CSS"] {
        let name = format!("{}.{extension}", ctx.site.name());
        ensure_typed_like(ctx, &server, &name, &extension.to_ascii_lowercase())?;
    }
    Ok(())
}
