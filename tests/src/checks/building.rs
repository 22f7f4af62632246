//! Building responses: types, lengths, methods, permissions, forms, and the rules that a
//! request must keep once its header fields are understood.

use crate::bench::Bench;
use crate::check::{BASIC, COMMON, Check, Outcome, must};
use crate::server::Server;
use crate::site::File;
use crate::wire::{Answer, get, post, request, strict_fault};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

pub const CHECKS: &[Check] = &[
    Check {
        id: "content-types",
        stages: 4..=4,
        must: "the type of a file is told by its extension; text, and no picture, says charset=utf-8",
        why: "RFC 9110, 8.3: without it a browser must guess, or shows a picture as text.",
        hint: "A table from extension to media type, as registered with IANA.",
        weight: 3,
        run: content_types,
        ..COMMON
    },
    Check {
        id: "unknown-extension",
        stages: 4..=4,
        must: "an unknown extension, or none, is application/octet-stream",
        why: "RFC 2046, 4.5.1. In one source version it was an error, and no answer.",
        hint: "What you do not know, call bytes.",
        run: unknown_extension,
        ..COMMON
    },
    Check {
        id: "extension-behind-the-last-dot",
        stages: 4..=4,
        must: "the extension is what follows the last dot of the name",
        why: "In one source version it was what follows the first: a.b.html failed.",
        hint: "Look for the dot from the end of the name, and only in the name.",
        run: extension_behind_the_last_dot,
        ..COMMON
    },
    Check {
        id: "extension-in-upper-case",
        stages: 4..=4,
        must: "PHOTO.JPG is a picture like photo.jpg",
        why: "Cameras and old systems write extensions in capitals.",
        hint: "Compare without regard to case.",
        run: extension_in_upper_case,
        ..COMMON
    },
    Check {
        id: "content-length",
        stages: 4..=4,
        must: "every answer with content says how long it is",
        why: "RFC 9110, 8.6: without it a cut download looks complete.",
        hint: "Count bytes, not characters; error pages have a length too.",
        weight: 2,
        run: content_length,
        ..COMMON
    },
    Check {
        id: "date",
        stages: 4..=4,
        must: "every answer has a Date, in the one right format",
        why: "RFC 9110, 5.6.7 and 6.6.1: `Sun, 06 Nov 1994 08:49:37 GMT`.",
        hint: "English names and GMT, whatever the machine is set to.",
        run: date,
        ..COMMON
    },
    Check {
        id: "head-equals-get",
        stages: 4..=4,
        must: "HEAD has the status and the fields of GET, and no content",
        why: "RFC 9110, 9.3.2. In one source version HEAD was written but never called.",
        hint: "Build the same response, and leave out its content when sending.",
        weight: 2,
        run: head_equals_get,
        ..COMMON
    },
    Check {
        id: "method-not-allowed",
        stages: 4..=4,
        must: "a known method that a target does not take is 405 with `Allow` and content",
        why: "RFC 9110, 15.5.6. In one source version this answer was an error.",
        hint: "501 is for methods that nobody knows. Allow depends on the target.",
        run: method_not_allowed,
        ..COMMON
    },
    Check {
        id: "options",
        stages: 4..=4,
        must: "OPTIONS is 204 with `Allow`, for a target and for `*`",
        why: "RFC 9110, 9.3.7 and 15.3.5: no content, and no Content-Length either.",
        hint: "The form page takes one method more than the others.",
        run: options,
        ..COMMON
    },
    Check {
        id: "private-file",
        stages: 4..=4,
        must: "a file that others may not read is 403",
        why: "chmod(1): what the owner keeps from others, a web server must not give to all.",
        hint: "The server may read it: ask the mode of the open file for o+r.",
        weight: 2,
        run: private_file,
        ..COMMON
    },
    Check {
        id: "private-folder",
        stages: 4..=4,
        must: "a file in a folder that others may not pass is 403",
        why: "path_resolution(7): every folder on the way must allow search, o+x.",
        hint: "Ask each folder between the root and the file.",
        run: private_folder,
        ..COMMON
    },
    Check {
        id: "error-pages",
        stages: 4..=4,
        must: "404 and 403 show the site's 404.html and 403.html, or some content without them",
        why: "A person reads the page, not the status line.",
        hint: "The status stays what it is; only the content comes from the page.",
        run: error_pages,
        ..COMMON
    },
    Check {
        id: "folder-without-slash",
        stages: 4..=4,
        must: "a folder asked for without its slash is 301 to the slash; a query is kept",
        why: "Relative links in its page would lead into the folder above.",
        hint: "Location is the path, a slash, and the query as it came.",
        run: folder_without_slash,
        ..COMMON
    },
    Check {
        id: "no-redirect-elsewhere",
        stages: 4..=4,
        must: "no target makes a `Location` that leads to another host or starts a field",
        why: "CWE-601 and CWE-113: `//evil` in Location is a host, and CR LF ends a line.",
        hint: "Build Location from the parts of the path, each encoded anew.",
        run: no_redirect_elsewhere,
        ..COMMON
    },
    Check {
        id: "percent-encoding",
        stages: 4..=4,
        must: "a percent-encoded path finds its file: spaces, Chinese names, any character",
        why: "RFC 3986, 2.1. In one source version the decoder was never called.",
        hint: "Decode to bytes, then read those as UTF-8. A plus sign stays a plus sign.",
        weight: 2,
        run: percent_encoding,
        ..COMMON
    },
    Check {
        id: "broken-escapes",
        stages: 4..=4,
        must: "a broken escape, an encoded NUL or bytes that are no UTF-8 are 400",
        why: "RFC 3986, 2.1: a percent sign is followed by two hexadecimal digits.",
        hint: "Refuse what cannot be decoded; do not pass it on as it is.",
        run: broken_escapes,
        ..COMMON
    },
    Check {
        id: "form-is-echoed",
        stages: 4..=4,
        must: "POST on the form page shows every field that was sent, decoded",
        why: "In the source versions the body was never read.",
        hint: "Read as many bytes as Content-Length says; `+` is a space in a form.",
        weight: 2,
        run: form_is_echoed,
        ..COMMON
    },
    Check {
        id: "form-is-escaped",
        stages: 4..=4,
        must: "what was typed into the form comes back as text, never as markup",
        why: "CWE-79, cross-site scripting: `<script>` must not run.",
        hint: "Escape names and values when they are put into the page.",
        needs: &[BASIC, "form-is-echoed"],
        run: form_is_escaped,
        ..COMMON
    },
    Check {
        id: "post-rules",
        stages: 4..=4,
        must: "POST elsewhere is 405, without length 411, over 64 KiB 413, not a form 415",
        why: "RFC 9110, 15.5: each of these tells the client what to mend.",
        hint: "Ask in that order, and before you read the body.",
        run: post_rules,
        ..COMMON
    },
    Check {
        id: "body-framing",
        stages: 4..=4,
        must: "an unclear Content-Length is 400, Transfer-Encoding 501, both together 400",
        why: "RFC 9112, 6.3: where two programs disagree, requests are smuggled.",
        hint: "It may be there once, and is made of digits only.",
        run: body_framing,
        ..COMMON
    },
    Check {
        id: "expect-100-continue",
        stages: 4..=4,
        must: "`Expect: 100-continue` gets 100 before the body, or the final status at once",
        why: "RFC 9110, 10.1.1: the client waits for the word before it sends.",
        hint: "Say 100 only when you will read the body.",
        run: expect_100_continue,
        ..COMMON
    },
    Check {
        id: "unknown-expectation",
        stages: 4..=4,
        must: "any other expectation is 417",
        why: "RFC 9110, 10.1.1: only one is defined.",
        hint: "Compare without regard to case.",
        run: unknown_expectation,
        ..COMMON
    },
    Check {
        id: "field-names",
        stages: 4..=4,
        must: "a field line without a proper name, or with space before its colon, is 400",
        why: "RFC 9112, 5.1: programs that differ on this can be played against each other.",
        hint: "A name is a token, and the colon follows at once.",
        run: field_names,
        ..COMMON
    },
    Check {
        id: "field-values",
        stages: 4..=4,
        must: "a folded field line, a bare CR or a NUL in a field is 400",
        why: "RFC 9112, 5.2 and 2.2, RFC 9110, 5.5.",
        hint: "Look at every byte of the line, the last one before the line end too.",
        run: field_values,
        ..COMMON
    },
    Check {
        id: "host-field",
        stages: 4..=4,
        must: "HTTP/1.1 without exactly one valid Host is 400; HTTP/1.0 may leave it out",
        why: "RFC 9112, 3.2.",
        hint: "Its name counts in any case; it may have a port.",
        run: host_field,
        ..COMMON
    },
    Check {
        id: "errors-are-whole-answers",
        stages: 4..=4,
        must: "every error answer is well-formed and says its type and length",
        why: "RFC 9110, 8.3 and 8.6 hold for errors too.",
        hint: "Let one builder make all answers.",
        run: errors_are_well_formed,
        ..COMMON
    },
];

/// The extensions that the contract names.
const EXTENSIONS: &[&str] = &[
    "avif", "css", "csv", "gif", "gz", "htm", "html", "ico", "jpeg", "jpg", "js", "json", "md",
    "mjs", "mp3", "mp4", "pdf", "png", "svg", "txt", "wasm", "wav", "webm", "webp", "woff2", "xml",
    "zip",
];

/// Fails unless the answer has a type that another table of types has for an extension,
/// and a text its charset.
fn must_be_typed(answer: &Answer, extension: &str) -> Outcome {
    answer.must_have_status(200)?;
    must_have_type_of(answer, extension)
}

/// The same, whatever the status.
fn must_have_type_of(answer: &Answer, extension: &str) -> Outcome {
    let mut known: Vec<String> = mime_guess::from_ext(extension)
        .iter_raw()
        .map(str::to_string)
        .collect();
    // What the table lacks: RFC 9239 (mjs), IANA's own name for icons, RFC 7303, RFC 2361.
    let besides: &[&str] = match extension {
        "mjs" => &["text/javascript"],
        "ico" => &["image/vnd.microsoft.icon"],
        "xml" => &["application/xml"],
        "wav" => &["audio/vnd.wave", "audio/x-wav"],
        _ => &[],
    };
    known.splice(0..0, besides.iter().map(|known| known.to_string()));
    let found = answer
        .field("content-type")
        .unwrap_or("")
        .to_ascii_lowercase();
    let (media_type, parameters) = found.split_once(';').unwrap_or((&found, ""));
    let wanted = match known[0].starts_with("text/") {
        true => format!("{}; charset=utf-8", known[0]),
        false => known[0].clone(),
    };
    let of = |kinds: &[&str]| kinds.iter().any(|kind| media_type.starts_with(kind));
    let right_charset = match media_type {
        _ if of(&["text/"]) => parameters.trim().replace('"', "") == "charset=utf-8",
        // XML is written in characters.
        "image/svg+xml" => true,
        _ => !of(&["image/", "audio/", "video/", "font/"]) || !parameters.contains("charset"),
    };
    let right = known.iter().any(|known| known == media_type) && right_charset;
    answer.must(right, format!("the field `Content-Type: {wanted}`"))
}

/// Fails unless a file of that name has the type that the server gives to a plain name with
/// this extension, and has one at all. Whether it is the right one is for `content-types` to
/// say.
fn must_be_typed_like(bench: &Bench, server: &Server, name: &str, extension: &str) -> Outcome {
    let plain = add(bench, &format!("{}.{extension}", bench.site.name()))?;
    let plain = server.get(&plain.target())?;
    let wanted = plain.field("content-type").unwrap_or_default();
    // One type for all would be right by chance.
    let picture = add(bench, &format!("{}.png", bench.site.name()))?;
    let other = server.get(&picture.target())?;
    let tells = !wanted.is_empty() && other.field("content-type") != Some(wanted);
    plain.must(
        tells,
        format!("a Content-Type that tells {extension} from png"),
    )?;
    let answer = server.get(&add(bench, name)?.target())?;
    answer.must_have_status(200)?;
    answer.must_have_field("Content-Type", wanted)
}

/// What is behind the host in a `Location`: a path may stand there alone, or behind the host
/// that was asked.
fn behind_the_host<'a>(location: &'a str, server: &Server) -> &'a str {
    let port = server.address.port();
    let hosts = [
        format!("http://localhost:{port}/"),
        "http://localhost/".to_string(),
        format!("http://{}/", server.address),
    ];
    let host = hosts.iter().find(|host| location.starts_with(*host));
    host.map_or(location, |host| &location[host.len() - 1..])
}

fn add(bench: &Bench, name: &str) -> std::io::Result<File> {
    bench.site.add(name, &bench.site.bytes(20))
}

fn content_types(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for extension in EXTENSIONS {
        let file = add(bench, &format!("{}.{extension}", bench.site.name()))?;
        must_be_typed(&server.get(&file.target())?, extension)?;
    }
    must_be_typed(&server.get("/")?, "html")
}

fn unknown_extension(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    for name in [
        format!("a.{name}"),
        name.clone(),
        format!("{name}."),
        format!(".{name}"),
    ] {
        let answer = server.get(&add(bench, &name)?.target())?;
        answer.must_have_status(200)?;
        answer.must_have_field("Content-Type", "application/octet-stream")?;
    }
    Ok(())
}

fn extension_behind_the_last_dot(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    for (name, extension) in [
        (format!("{name}.png.html"), "html"),
        (format!("{name}.min.css"), "css"),
        (format!("{name}.html/a.b.txt"), "txt"),
        (format!("{name}.tar.gz"), "gz"),
    ] {
        must_be_typed_like(bench, &server, &name, extension)?;
    }
    let plain = add(bench, &format!("{name}.png/plain"))?;
    let answer = server.get(&plain.target())?;
    answer.must_have_field("Content-Type", "application/octet-stream")
}

fn extension_in_upper_case(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for (written, extension) in [("JPG", "jpg"), ("Html", "html"), ("CSS", "css")] {
        let name = format!("{}.{written}", bench.site.name());
        must_be_typed_like(bench, &server, &name, extension)?;
    }
    Ok(())
}

fn content_length(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let empty = bench.site.add(&bench.site.name(), b"")?;
    let large = bench
        .site
        .add(&bench.site.name(), &bench.site.bytes(200_000))?;
    for target in [
        "/",
        &empty.target(),
        &large.target(),
        &bench.site.page.target(),
        "/../a",
        "*",
    ] {
        let answer = server.get(target)?;
        answer.must_have_field("Content-Length", &answer.content.len().to_string())?;
    }
    server.get(&large.target())?.must_serve(&large.content)
}

fn date(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for target in ["/", "/../a", "*"] {
        let answer = server.get(target)?;
        let text = answer.field("date").unwrap_or("");
        let Ok(date) = httpdate::parse_http_date(text) else {
            return answer.must(false, "a field `Date` with a date");
        };
        let right = httpdate::fmt_http_date(date) == text;
        answer.must(right, "a date like `Sun, 06 Nov 1994 08:49:37 GMT`")?;
        let now = SystemTime::now();
        let off = now
            .duration_since(date)
            .unwrap_or_else(|error| error.duration());
        answer.must(off < Duration::from_secs(60), "the date of now")?;
    }
    Ok(())
}

fn head_equals_get(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let private = site.add_page(&format!("{}.html", site.name()))?;
    site.set_mode(&private.name, 0o640)?;
    let (folder, _) = site.nested.name.split_once('/').unwrap_or_default();
    let server = bench.start()?;
    for target in [
        "/".to_string(),
        site.page.target(),
        private.target(),
        format!("/{}", site.name()),
        format!("/{folder}"),
        "/%zz".to_string(),
    ] {
        let get = server.get(&target)?;
        let head = server.ask(&request("HEAD", &target, ""))?;
        head.must_have_status(get.status)?;
        head.must(head.content.is_empty(), "no content")?;
        let plain = |answer: &Answer| -> Vec<(String, String)> {
            // A second may pass between the two.
            answer
                .fields
                .iter()
                .filter(|field| field.0 != "date")
                .cloned()
                .collect()
        };
        head.must(
            plain(&head) == plain(&get),
            format!("the fields of GET: {:?}", plain(&get)),
        )?;
        head.must(
            head.field("content-length").is_some(),
            "the Content-Length of GET",
        )?;
    }
    Ok(())
}

/// Fails unless `Allow` lists these methods and no other.
fn must_allow(answer: &Answer, methods: &[&str]) -> Outcome {
    let allow = answer.field("allow").unwrap_or("");
    let mut found: Vec<&str> = allow.split(',').map(str::trim).collect();
    found.sort_unstable();
    answer.must(
        found == methods,
        format!("the field `Allow: {}`", methods.join(", ")),
    )
}

fn method_not_allowed(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT"] {
        let answer = server.ask(&request(method, "/", ""))?;
        answer.must_have_status(405)?;
        must_allow(&answer, &["GET", "HEAD", "OPTIONS"])?;
        answer.must(
            !answer.content.is_empty(),
            "some content that says what is wrong",
        )?;
    }
    let answer = server.ask(&request("PUT", "/MyForm.html", ""))?;
    answer.must_have_status(405)?;
    must_allow(&answer, &["GET", "HEAD", "OPTIONS", "POST"])?;
    let answer = server.ask(&post("/", b"a=b"))?;
    answer.must_have_status(405)?;
    must_allow(&answer, &["GET", "HEAD", "OPTIONS"])
}

fn options(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let target = bench.site.page.target();
    for (target, methods) in [
        (target.as_str(), ["GET", "HEAD", "OPTIONS"].as_slice()),
        ("/MyForm.html", &["GET", "HEAD", "OPTIONS", "POST"]),
        ("*", &["GET", "HEAD", "OPTIONS", "POST"]),
    ] {
        let answer = server.ask(&request("OPTIONS", target, ""))?;
        answer.must_have_status(204)?;
        must_allow(&answer, methods)?;
        answer.must(answer.content.is_empty(), "no content")?;
        answer.must(
            answer.field("content-length").is_none(),
            "no Content-Length",
        )?;
        let fault = strict_fault(&answer.raw).unwrap_or_default();
        answer.must(
            fault.is_empty(),
            format!("a well-formed answer, but {fault}"),
        )?;
    }
    Ok(())
}

fn private_file(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    // What its owner may not read either, only root could open.
    for mode in [0o640, 0o600, 0o660, 0o641, 0o000] {
        let file = bench
            .site
            .add_page(&format!("{}.html", bench.site.name()))?;
        server.get(&file.target())?.must_serve(&file.content)?;
        bench.site.set_mode(&file.name, mode)?;
        let answer = server.get(&file.target())?;
        answer.must_have_status(403)?;
        let told = answer
            .content
            .windows(file.content.len())
            .any(|part| part == file.content);
        answer.must(!told, "an answer without the file's content")?;
        // A link to it may say what it likes: the file is asked.
        let link = bench.site.name();
        symlink(bench.site.path(&file.name), bench.site.path(&link))?;
        server.get(&format!("/{link}"))?.must_have_status(403)?;
        bench.site.set_mode(&file.name, 0o604)?;
        server.get(&file.target())?.must_serve(&file.content)?;
    }
    Ok(())
}

fn private_folder(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let outer = bench.site.name();
    let file = bench.site.add_page(&format!("{outer}/inner/page.html"))?;
    let index = bench.site.add_page(&format!("{outer}/inner/index.html"))?;
    server.get(&file.target())?.must_serve(&file.content)?;
    for folder in [outer.clone(), format!("{outer}/inner")] {
        for mode in [0o750, 0o754, 0o000] {
            bench.site.set_mode(&folder, mode)?;
            let targets = [file.target(), format!("/{outer}/inner/")];
            let answers = targets.map(|target| server.get(&target));
            // Whatever they are: the site must be able to remove the folder.
            bench.site.set_mode(&folder, 0o755)?;
            for answer in answers {
                answer?.must_have_status(403)?;
            }
        }
        // To pass is enough: to list the folder is another right.
        bench.site.set_mode(&folder, 0o711)?;
        server.get(&file.target())?.must_serve(&file.content)?;
        server.get(&index.target())?.must_serve(&index.content)?;
    }
    Ok(())
}

fn error_pages(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let server = bench.start()?;
    let private = site.add_page(&format!("{}.html", site.name()))?;
    site.set_mode(&private.name, 0o600)?;
    let missing = format!("/{}/{}", site.name(), site.name());
    for (target, status, page) in [
        (missing, 404, &site.missing),
        (private.target(), 403, &site.forbidden),
    ] {
        let answer = server.get(&target)?;
        // A server that shows private files is what `private-file` finds.
        if status == 403 && answer.status == 200 {
            break;
        }
        answer.must_have_status(status)?;
        answer.must_have_content(&page.content)?;
        must_have_type_of(&answer, "html")?;
        server.get(&page.target())?.must_serve(&page.content)?;
        std::fs::remove_file(site.path(&page.name))?;
        let answer = server.get(&target)?;
        answer.must_have_status(status)?;
        answer.must(!answer.content.is_empty(), "some content even so")?;
    }
    Ok(())
}

fn must_lead_to(answer: &Answer, server: &Server, path: &str) -> Outcome {
    let location = answer.field("location").unwrap_or_default();
    answer.must(
        behind_the_host(location, server) == path,
        format!("the field `Location: {path}`"),
    )
}

fn folder_without_slash(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (folder, _) = bench.site.nested.name.split_once('/').unwrap_or_default();
    for query in ["", "?a=b&c=%20"] {
        let answer = server.get(&format!("/{folder}{query}"))?;
        answer.must_have_status(301)?;
        must_lead_to(&answer, &server, &format!("/{folder}/{query}"))?;
    }
    let spaced = bench
        .site
        .add_page(&format!("{} 你/index.html", bench.site.name()))?;
    let (folder, _) = spaced.name.split_once(' ').unwrap_or_default();
    let answer = server.get(&format!("/{folder}%20%E4%BD%A0"))?;
    answer.must_have_status(301)?;
    let location = format!("/{folder}%20%E4%BD%A0/");
    must_lead_to(&answer, &server, &location)?;
    server.get(&location)?.must_serve(&spaced.content)
}

fn no_redirect_elsewhere(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    bench.site.add_page(&format!("{name}/index.html"))?;
    bench.site.add_page(&format!("\\{name}/index.html"))?;
    bench
        .site
        .add_page(&format!("{name}\r\nX-Lab: a/index.html"))?;
    for target in [
        format!("//{name}"),
        format!("/%2f{name}"),
        format!("/\\{name}"),
        format!("/%5c{name}"),
        format!("/{name}%0d%0aX-Lab:%20a"),
        format!("/{name}?%0d%0aX-Lab:%20a"),
        format!("/{name}?\rX-Lab:a"),
    ] {
        let answer = server.get(&target)?;
        let location = answer.field("location").unwrap_or("/");
        let path = behind_the_host(location, &server);
        let named = path.len() < location.len();
        let inside = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
        answer.must(
            named || inside,
            "a Location below the root of this host, or none",
        )?;
        answer.must(
            answer.field("x-lab").is_none(),
            "no field of the client's making",
        )?;
        let fault = fault_beside_version(&answer).unwrap_or_default();
        answer.must(
            fault.is_empty(),
            format!("a well-formed answer, but {fault}"),
        )?;
    }
    server.get(&format!("/{name}"))?.must_have_status(301)
}

fn percent_encoding(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    for (name, target) in [
        (
            format!("{name} with spaces"),
            format!("/{name}%20with%20spaces"),
        ),
        (format!("{name}你好"), format!("/{name}%E4%BD%A0%e5%a5%bd")),
        (format!("{name}%41"), format!("/{name}%2541")),
        (format!("{name}+plus"), format!("/{name}+plus")),
        (format!("{name}?"), format!("/{name}%3F")),
        (format!("{name}/b"), format!("/{name}%2Fb")),
        (
            format!("{name}~"),
            format!("/%{:02x}{}~", name.as_bytes()[0], &name[1..]),
        ),
    ] {
        let file = add(bench, &name)?;
        server.get(&target)?.must_serve(&file.content)?;
    }
    Ok(())
}

fn broken_escapes(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for escape in [
        "%", "%2", "%zz", "%%20", "%2 ", "%00", "%ff", "%C3%28", "%+1", "%u4f60",
    ] {
        let target = format!("/{}{}", bench.site.page.name, escape.trim());
        server.get(&target)?.must_have_status(400)?;
    }
    Ok(())
}

/// The text of a page as a person would see it, roughly: with its character references
/// decoded.
fn text_of(answer: &Answer) -> String {
    html_escape::decode_html_entities(&String::from_utf8_lossy(&answer.content)).into_owned()
}

fn form_is_echoed(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let names = [bench.site.name(), bench.site.name(), bench.site.name()];
    let [first, second, third] = &names;
    let body = format!("{first}=two+words&{second}=%E4%BD%A0%2B1&{second}={third}&empty=");
    let answer = server.ask(&post("/MyForm.html", body.as_bytes()))?;
    answer.must_have_status(200)?;
    must_be_typed(&answer, "html")?;
    // Counted in bytes: the page has characters of three.
    answer.must_have_field("Content-Length", &answer.content.len().to_string())?;
    let text = text_of(&answer);
    for part in [first.as_str(), "two words", second, "你+1", third, "empty"] {
        answer.must(text.contains(part), format!("`{part}` in the page"))?;
    }
    // With a query, with a charset, and as long as it may be.
    let value = "a".repeat(60_000);
    let form = post("/MyForm.html?a=b", format!("{first}={value}").as_bytes());
    let form = String::from_utf8_lossy(&form).replace("urlencoded", "urlencoded; charset=UTF-8");
    let answer = server.ask(form.as_bytes())?;
    answer.must_have_status(200)?;
    answer.must(text_of(&answer).contains(&value), "all of a long value")
}

fn form_is_escaped(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    let typed = format!("<script>{name}()</script><img src=x onerror='{name}'>&lt;");
    let encoded: String = typed.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for body in [format!("a={encoded}"), format!("{encoded}=a")] {
        let answer = server.ask(&post("/MyForm.html", body.as_bytes()))?;
        answer.must_have_status(200)?;
        let page = String::from_utf8_lossy(&answer.content).into_owned();
        for markup in [format!("<script>{name}"), "<img src=x".to_string()] {
            answer.must(
                !page.contains(&markup),
                format!("no `{markup}` in the page"),
            )?;
        }
        answer.must(
            text_of(&answer).contains(&typed),
            format!("`{typed}` as text"),
        )?;
    }
    Ok(())
}

fn post_rules(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let with_length = |length: &str| format!("{form}Content-Length: {length}\r\n");
    server
        .ask(&post(&bench.site.page.target(), b"a=b"))?
        .must_have_status(405)?;
    server
        .ask(&request("POST", "/MyForm.html", form))?
        .must_have_status(411)?;
    for length in ["65537", "1000000000", "99999999999999999999999"] {
        let head = request("POST", "/MyForm.html", &with_length(length));
        server.ask(&head)?.must_have_status(413)?;
    }
    for media_type in [
        "text/plain",
        "multipart/form-data; boundary=a",
        "application/json",
    ] {
        let fields = format!("Content-Type: {media_type}\r\nContent-Length: 3\r\n");
        let head = request("POST", "/MyForm.html", &fields);
        server
            .ask(&[head.as_slice(), b"a=b"].concat())?
            .must_have_status(415)?;
    }
    let untyped = request("POST", "/MyForm.html", "Content-Length: 3\r\n");
    server
        .ask(&[untyped.as_slice(), b"a=b"].concat())?
        .must_have_status(415)?;
    // On the line: this much is allowed.
    let most = [b"a=".as_slice(), &vec![b'a'; 65_534]].concat();
    server
        .ask(&post("/MyForm.html", &most))?
        .must_have_status(200)
}

/// A GET and a POST with these field lines both get this status.
fn must_refuse(bench: &Bench, status: u16, fields: &[&str]) -> Outcome {
    let server = bench.start()?;
    for fields in fields {
        server
            .ask(&request("GET", "/", fields))?
            .must_have_status(status)?;
        server
            .ask(&request("POST", "/MyForm.html", fields))?
            .must_have_status(status)?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}

fn body_framing(bench: &Bench) -> Outcome {
    must_refuse(
        bench,
        400,
        &[
            "Content-Length: five\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1\r\ncontent-length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        ],
    )?;
    must_refuse(
        bench,
        501,
        &[
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ],
    )
}

fn expect_100_continue(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    let form = format!("{name}=value");
    let whole = post("/MyForm.html", form.as_bytes());
    let head = &whole[..whole.len() - form.len() - 2];
    let head = [head, b"Expect: 100-Continue\r\n\r\n"].concat();
    let mut client = server.connect()?;
    client.send(&head);
    let word = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (bytes, _) = client.read_up_to(word.len(), crate::bench::PATIENCE)?;
    let received = bytes.escape_ascii().to_string();
    must(
        bytes == word,
        "`HTTP/1.1 100 Continue` and an empty line, before the body",
        received,
    )?;
    client.send(form.as_bytes());
    let answer = client.answer()?;
    answer.must_have_status(200)?;
    answer.must(text_of(&answer).contains(&name), "the form")?;
    // Nobody will read these bodies: they are refused before they are sent.
    let expect = "Expect: 100-continue\r\nContent-Length: 1000000\r\n";
    let form = format!("{expect}Content-Type: application/x-www-form-urlencoded\r\n");
    server
        .ask(&request("POST", "/MyForm.html", &form))?
        .must_have_status(413)?;
    server
        .ask(&request("POST", "/", expect))?
        .must_have_status(405)?;
    server
        .ask(&request("GET", "/", "Expect: 100-continue\r\n"))?
        .must_serve(&bench.site.index)
}

fn unknown_expectation(bench: &Bench) -> Outcome {
    must_refuse(
        bench,
        417,
        &["Content-Length: 0\r\nExpect: the unexpected\r\n"],
    )
}

fn field_names(bench: &Bench) -> Outcome {
    must_refuse(
        bench,
        400,
        &[
            "no colon\r\n",
            ": no name\r\n",
            "Name : space before the colon\r\n",
            "Name\t: tab before the colon\r\n",
            "Na me: space in the name\r\n",
            "Na\u{e9}me: no ASCII\r\n",
            "N(a)me: no token\r\n",
        ],
    )
}

fn field_values(bench: &Bench) -> Outcome {
    must_refuse(
        bench,
        400,
        &[
            "Name: folded\r\n line\r\n",
            "Name: folded\r\n\tline\r\n",
            " Name: folded at the start\r\n",
            "Name: bare\rCR\r\n",
            "Name: CR at the end\r\r\n",
            "Name: NUL\0\r\n",
        ],
    )?;
    let fields = "Name:\r\nName: \t tab\tand \u{e9} \r\nname: again\r\n";
    bench
        .start()?
        .ask(&request("GET", "/", fields))?
        .must_serve(&bench.site.index)
}

fn host_field(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let ask = |version: &str, fields: &str| {
        server.ask(format!("GET / HTTP/{version}\r\n{fields}\r\n").as_bytes())
    };
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: http://a\r\n",
        "Host: a:port\r\n",
        "Host: user@a\r\n",
    ] {
        ask("1.1", fields)?.must_have_status(400)?;
    }
    ask("1.0", "Host: a\r\nHost: b\r\n")?.must_have_status(400)?;
    for fields in [
        "Host: a\r\n",
        "HOST: a.b-c:80\r\n",
        "Host: [::1]:80\r\n",
        "host:127.0.0.1\r\n",
    ] {
        ask("1.1", fields)?.must_serve(&bench.site.index)?;
    }
    ask("1.0", "")?.must_serve(&bench.site.index)
}

fn errors_are_well_formed(bench: &Bench) -> Outcome {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    let server = bench.start()?;
    let private = bench
        .site
        .add_page(&format!("{}.html", bench.site.name()))?;
    bench.site.set_mode(&private.name, 0o600)?;
    for request in [
        b"GET / / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        get("/%"),
        get(&format!("/{}", bench.site.name())),
        request("PUT", "/", ""),
        get(&private.target()),
        request("POST", "/MyForm.html", FORM),
        request(
            "POST",
            "/MyForm.html",
            &format!("{FORM}Content-Length: 65537\r\n"),
        ),
        request("POST", "/MyForm.html", "Content-Length: 0\r\n"),
        get(&format!("/{}", "a".repeat(9000))),
        request("GET", "/", "Expect: a\r\n"),
        request("BREW", "/", ""),
        b"GET / HTTP/2.0\r\n\r\n".to_vec(),
    ] {
        let answer = server.ask(&request)?;
        // Which of these are errors, and which, is for other checks to say.
        if answer.status < 400 {
            continue;
        }
        let fault = fault_beside_version(&answer).unwrap_or_default();
        answer.must(
            fault.is_empty(),
            format!("a well-formed answer, but {fault}"),
        )?;
        answer.must(answer.field("content-type").is_some(), "a Content-Type")?;
        answer.must_have_field("Content-Length", &answer.content.len().to_string())?;
    }
    Ok(())
}

/// What breaks the specification in an answer, but for its version, which is for
/// `well-formed-answer` to look at.
fn fault_beside_version(answer: &Answer) -> Option<String> {
    let mut raw = answer.raw.clone();
    if raw.starts_with(b"HTTP/1.0 ") {
        raw[7] = b'1';
    }
    strict_fault(&raw)
}
