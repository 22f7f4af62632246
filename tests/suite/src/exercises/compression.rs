//! Text that is sent in the format gzip.

use super::{Exercise, defaults, set_modified};
use crate::check::Check;
use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};
use harness::client::{Client, post, request};
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;
use harness::site::File;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

pub const EXERCISE: Exercise = Exercise {
    name: "compression",
    stage: 6,
    title: "text in the format gzip, for clients that accept it",
    task: "\
Only the responses to GET and HEAD for text files change, if their status is 200. A text file is
one whose media type begins with `text/`, is `application/json`, or ends in `+json` or `+xml`.
Its response has the field `Vary: Accept-Encoding`, compressed or not.

The client accepts gzip if the field `Accept-Encoding` says so (RFC 9110, 12.5.3):

  br, gzip;q=0.5     yes: any weight above 0 will do, whatever else is in the list
  gzip;q=0, *        no: the weight is 0, and `*` is about what the list doesn't name
  *                  yes

Names may be in upper or lower case, and several fields are one list. Without the field, the
answer is no. If it is yes, send the first of these that there is:

1. The file `NAME.gz` next to the file `NAME`, as it is. It must be a regular file below the
   root that others may read, and it must not be older than `NAME`. Both may have any length.
2. `NAME`, compressed by the server, if it has at most 64 KiB and gzip makes it shorter. To
   compress a longer one would hold up all other clients.
3. `NAME` as it is.

A compressed response has `Content-Encoding: gzip`, the media type of `NAME`, and the length of
what is sent (or chunks, RFC 9112, 7.1). HEAD has the fields of GET. The connection stays open.

Without `NAME`, or if it isn't public, `NAME.gz` changes nothing: 404 and 403 stay. A request
for `NAME.gz` itself gets it as before, without `Content-Encoding`.

For the crate `flate2`, add `flate2.workspace = true` to the dependencies in your Cargo.toml.",
    references: &[
        "RFC 9110, 8.4.1.3 (gzip), 12.5.3 (Accept-Encoding), 12.5.5 (Vary)",
        "gzip(1): `gzip -k` keeps the file, and gives its time to the new one",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &["identity-otherwise", "errors-are-not-compressed"],
};

const DEFAULTS: Check = defaults("compression", 6, &["gzip-when-accepted"]);

const CHECKS: &[Check] = &[
    Check {
        id: "gzip-when-accepted",
        must: "send text to clients that accept gzip in that format, with its length and media type",
        why: "RFC 9110, 8.4: text gets several times shorter, and the client decodes it to the same bytes.",
        hint: "First compress, then count. The media type goes by the name that was asked for.",
        needs: &[],
        weight: 3,
        run: gzip_when_accepted,
        ..DEFAULTS
    },
    Check {
        id: "identity-otherwise",
        must: "send files as they are if the client doesn't accept gzip, or if they aren't text",
        why: "RFC 9110, 12.5.3. A client can't read what it can't decode.",
        hint: "The list has whole names, and it may be empty.",
        run: identity_otherwise,
        ..DEFAULTS
    },
    Check {
        id: "accept-encoding-weights",
        must: "respect weights, `*`, several fields, and names in upper and lower case",
        why: "RFC 9110, 12.4.2 and 12.5.3: `gzip;q=0` means anything but gzip.",
        hint: "Take the list apart at commas. What it says about gzip itself comes before `*`.",
        weight: 2,
        run: accept_encoding_weights,
        ..DEFAULTS
    },
    Check {
        id: "vary",
        must: "send `Vary: Accept-Encoding` with every text file, compressed or not",
        why: "RFC 9110, 12.5.5: a cache would give one client's response to another that can't decode it.",
        hint: "It is about what the response could have been.",
        run: vary,
        ..DEFAULTS
    },
    Check {
        id: "precompressed-file",
        must: "send `NAME.gz` as it is in place of `NAME`, also if it is long",
        why: "A file that was compressed in advance costs the server no time, whatever its length.",
        hint: "Open the file that was asked for first. gzip(1) gives both files the same time.",
        weight: 2,
        run: precompressed_file,
        ..DEFAULTS
    },
    Check {
        id: "precompressed-file-is-checked",
        must: "ignore a `NAME.gz` that is older, private, outside the root, or not a regular file",
        why: "Otherwise clients get an old page, or a file that nobody wanted to publish.",
        hint: "Find it by the rules for a file that a client asks for.",
        weight: 2,
        run: precompressed_file_is_checked,
        ..DEFAULTS
    },
    Check {
        id: "only-when-shorter",
        must: "send text as it is if gzip doesn't make it shorter",
        why: "A gzip file has 18 bytes around its data, so a short text gets longer.",
        hint: "Compare the lengths.",
        run: only_when_shorter,
        ..DEFAULTS
    },
    Check {
        id: "long-files-are-not-compressed",
        must: "compress a file of 64 KiB, but send a longer one as it is",
        why: "While the only thread compresses, it serves nobody.",
        hint: "Compress only what the server has in memory anyway.",
        run: long_files_are_not_compressed,
        ..DEFAULTS
    },
    Check {
        id: "errors-are-not-compressed",
        must: "leave errors, redirects and other methods as they are, whatever `.gz` files there are",
        why: "`NAME.gz` is another form of `NAME`. It can't make it exist, or make it public.",
        hint: "First find the file. Then decide in which form to send it.",
        run: errors_are_not_compressed,
        ..DEFAULTS
    },
];

/// The longest file that the server compresses itself.
const MAX_COMPRESSED: usize = 64 * 1024;

/// What browsers send.
const ACCEPT: &str = "Accept-Encoding: gzip, deflate, br\r\n";

/// Random text, which gzip makes much shorter.
fn text(ctx: &TestContext, length: usize) -> Vec<u8> {
    let words: Vec<String> = (0..40).map(|_| ctx.site.name()).collect();
    let mut text = Vec::new();
    while text.len() < length {
        text.extend_from_slice(words[ctx.site.below(words.len())].as_bytes());
        text.push(b'\n');
    }
    text.truncate(length);
    text
}

/// Adds a file with a random name.
fn add(ctx: &TestContext, extension: &str, content: &[u8]) -> io::Result<File> {
    let name = format!("{}.{extension}", ctx.site.name());
    ctx.site.add(&name, content)
}

/// Adds `NAME.gz` for a file. It has other content, so that it isn't what the server would compress.
fn add_compressed(ctx: &TestContext, file: &File, length: usize) -> io::Result<File> {
    let mut content = Vec::new();
    let other = ctx.site.bytes(length);
    GzEncoder::new(other.as_slice(), Compression::default()).read_to_end(&mut content)?;
    ctx.site.add(&format!("{}.gz", file.name), &content)
}

/// A random time in the past.
fn random_time(ctx: &TestContext) -> SystemTime {
    let seconds = 1_000_000_000 + ctx.site.below(500_000_000) as u64;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Requests a file with HEAD and GET, on a connection that must stay open. Returns the response to GET.
fn get(client: &mut Client, file: &File, fields: &str) -> CheckResult<Response> {
    let mut exchange = |method| -> CheckResult<Response> {
        let request = request(method, &file.target(), fields);
        client.send(&request);
        let mut response = client.next_response(&request)?;
        response.ensure_status(200)?;
        // A second may pass between the two, and their order doesn't matter.
        response.fields.retain(|(name, _)| name != "date");
        response.fields.sort();
        Ok(response)
    };
    let (head, response) = (exchange("HEAD")?, exchange("GET")?);
    let expected = format!("the fields of GET: {:?}", response.fields);
    head.ensure(head.fields == response.fields, expected)?;
    response.ensure_well_formed()?;
    Ok(response)
}

/// Fails unless the content is compressed, and that of a file once it is decoded.
fn ensure_gzip(response: &Response, file: &File) -> CheckResult {
    response.ensure_field("Content-Encoding", "gzip")?;
    let mut decoded = Vec::new();
    let decoder = MultiGzDecoder::new(response.content.as_slice());
    let result = decoder
        .take(file.content.len() as u64 + 1)
        .read_to_end(&mut decoded);
    let is_same = result.is_ok() && decoded == file.content;
    response.ensure(is_same, "the content of the file in the format gzip")
}

/// Fails unless a file has the same media type in another form.
fn ensure_same_type(response: &Response, identity: &Response) -> CheckResult {
    let media_type = identity.field("content-type").unwrap_or_default();
    response.ensure_field("Content-Type", media_type)
}

/// Fails unless a file is sent as it is.
fn ensure_identity(response: &Response, file: &File) -> CheckResult {
    ensure_no_coding(response)?;
    response.ensure_content(&file.content)
}

fn ensure_no_coding(response: &Response) -> CheckResult {
    let has_none = response.field("content-encoding").is_none();
    response.ensure(has_none, "no Content-Encoding")
}

fn gzip_when_accepted(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let mut files = Vec::new();
    for extension in ["html", "txt", "css", "js", "json", "svg", "webmanifest"] {
        let content = text(ctx, 1000 + ctx.site.below(20_000));
        files.push(add(ctx, extension, &content)?);
    }
    let mut index = ctx.site.add("index.html", &text(ctx, 1000))?;
    index.name.clear();
    files.push(index);
    for file in &files {
        let identity = get(&mut client, file, "")?;
        ensure_identity(&identity, file)?;
        let response = get(&mut client, file, ACCEPT)?;
        ensure_gzip(&response, file)?;
        ensure_same_type(&response, &identity)?;
    }
    Ok(())
}

fn identity_otherwise(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let page = add(ctx, "html", &text(ctx, 5000))?;
    let compressed = add_compressed(ctx, &page, 500)?;
    for list in ["", "identity", "br, deflate", "gzipped, not-gzip"] {
        let fields = format!("Accept-Encoding: {list}\r\n");
        ensure_identity(&get(&mut client, &page, &fields)?, &page)?;
    }
    ensure_identity(&get(&mut client, &page, "")?, &page)?;
    ensure_identity(&get(&mut client, &compressed, ACCEPT)?, &compressed)?;
    for extension in ["png", "wasm", "epub", "zip", "unknown"] {
        let file = add(ctx, extension, &text(ctx, 5000))?;
        ensure_identity(&get(&mut client, &file, ACCEPT)?, &file)?;
        add_compressed(ctx, &file, 500)?;
        ensure_identity(&get(&mut client, &file, ACCEPT)?, &file)?;
    }
    Ok(())
}

fn accept_encoding_weights(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let page = add(ctx, "html", &text(ctx, 2000))?;
    // Field lines are separated by `|`.
    for list in [
        "gzip",
        "br, GZIP",
        "deflate,Gzip;q=1.000",
        "gzip;q=0.001",
        "br;q=1.0, gzip ; Q=0.5, *;q=0",
        "*;q=0, gzip",
        "*",
        "br;q=0, *;q=0.1",
        "br|gzip",
    ] {
        let response = get(&mut client, &page, &accept_encoding(list))?;
        ensure_gzip(&response, &page)?;
    }
    for list in [
        "gzip;q=0",
        "br, GZIP;Q=0.0",
        "gzip ; q=0.000, deflate",
        "gzip;q=0, *",
        "*, gzip;q=0",
        "*;q=0",
        "*|gzip;q=0",
    ] {
        let response = get(&mut client, &page, &accept_encoding(list))?;
        ensure_identity(&response, &page)?;
    }
    Ok(())
}

/// A field line for each part of a list.
fn accept_encoding(list: &str) -> String {
    let parts = list.split('|');
    parts
        .map(|part| format!("Accept-Encoding: {part}\r\n"))
        .collect()
}

fn vary(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let precompressed = add(ctx, "css", &text(ctx, 5000))?;
    add_compressed(ctx, &precompressed, 500)?;
    let files = [
        precompressed,
        add(ctx, "html", &text(ctx, 5000))?,
        add(ctx, "svg", &text(ctx, MAX_COMPRESSED + 1000))?,
        add(ctx, "txt", &ctx.site.bytes(1000))?,
    ];
    for file in &files {
        for fields in [ACCEPT, "Accept-Encoding: gzip;q=0\r\n", ""] {
            let response = get(&mut client, file, fields)?;
            response.ensure_field("Vary", "Accept-Encoding")?;
        }
    }
    Ok(())
}

fn precompressed_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let page = add(ctx, "html", &text(ctx, 1000))?;
    let long = add(ctx, "txt", &text(ctx, 300_000))?;
    for (file, length) in [(&page, 500), (&long, 200_000)] {
        let compressed = add_compressed(ctx, file, length)?;
        for later in [0, 10] {
            let time = random_time(ctx);
            set_modified(ctx, file, time)?;
            set_modified(ctx, &compressed, time + Duration::from_secs(later))?;
            ensure_precompressed(&mut client, file, &compressed)?;
        }
    }
    let mut index = ctx.site.add("index.html", &text(ctx, 1000))?;
    let compressed = add_compressed(ctx, &index, 500)?;
    index.name.clear();
    ensure_precompressed(&mut client, &index, &compressed)
}

/// Fails unless clients that accept gzip get this other file, with the media type of the first.
fn ensure_precompressed(client: &mut Client, file: &File, compressed: &File) -> CheckResult {
    let identity = get(client, file, "")?;
    ensure_identity(&identity, file)?;
    let response = get(client, file, ACCEPT)?;
    response.ensure_field("Content-Encoding", "gzip")?;
    response.ensure_content(&compressed.content)?;
    ensure_same_type(&response, &identity)
}

fn precompressed_file_is_checked(ctx: &TestContext) -> CheckResult {
    let (server, site) = (ctx.start()?, &ctx.site);
    let time = random_time(ctx);
    let mut pages = Vec::new();
    for _ in 0..5 {
        let page = add(ctx, "html", &text(ctx, 2000))?;
        set_modified(ctx, &page, time)?;
        pages.push(page);
    }
    let older = add_compressed(ctx, &pages[0], 500)?;
    set_modified(ctx, &older, time - Duration::from_secs(10))?;
    let private = add_compressed(ctx, &pages[1], 500)?;
    site.set_mode(&private.name, 0o640)?;
    let name = |page: &File| format!("{}.gz", page.name);
    let link = site.path(&name(&pages[2]));
    symlink(site.outside(&site.secret.name), link)?;
    site.add(&format!("{}/index.html", name(&pages[3])), b"a folder")?;
    site.add_fifo(&name(&pages[4]))?;
    let mut client = server.connect()?;
    for page in &pages {
        ensure_gzip(&get(&mut client, page, ACCEPT)?, page)?;
    }
    Ok(())
}

fn only_when_shorter(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    for content in [Vec::new(), text(ctx, 10), ctx.site.bytes(20_000)] {
        let file = add(ctx, "txt", &content)?;
        ensure_identity(&get(&mut client, &file, ACCEPT)?, &file)?;
    }
    let short = add(ctx, "txt", &[b'a'; 100])?;
    ensure_gzip(&get(&mut client, &short, ACCEPT)?, &short)
}

fn long_files_are_not_compressed(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    let longest = add(ctx, "txt", &text(ctx, MAX_COMPRESSED))?;
    ensure_gzip(&get(&mut client, &longest, ACCEPT)?, &longest)?;
    for length in [MAX_COMPRESSED + 1, 1_000_000] {
        let file = add(ctx, "txt", &text(ctx, length))?;
        ensure_identity(&get(&mut client, &file, ACCEPT)?, &file)?;
    }
    Ok(())
}

fn errors_are_not_compressed(ctx: &TestContext) -> CheckResult {
    let (server, site) = (ctx.start()?, &ctx.site);
    let not_found = site.add("404.html", &text(ctx, 2000))?;
    let forbidden = site.add("403.html", &text(ctx, 2000))?;
    let private = add(ctx, "html", &text(ctx, 2000))?;
    site.set_mode(&private.name, 0o640)?;
    let named = |name: &str| File {
        name: name.to_string(),
        content: Vec::new(),
    };
    let (missing, folder) = (named(&site.name()), named(site.nested_folder()));
    for file in [
        &not_found, &forbidden, &private, &missing, &folder, &site.form,
    ] {
        add_compressed(ctx, file, 500)?;
    }
    let form = post(&site.form.target(), &text(ctx, 2000));
    let form = String::from_utf8_lossy(&form).replacen(
        "Content-Type",
        &format!("{ACCEPT}Content-Type"),
        1,
    );
    let page = site.page.target();
    for (request, status) in [
        (request("GET", &folder.target(), ACCEPT), 301),
        (request("OPTIONS", &page, ACCEPT), 204),
        (request("PUT", &page, ACCEPT), 405),
        (request("BREW", &page, ACCEPT), 501),
        (form.into_bytes(), 200),
    ] {
        let response = server.exchange(&request)?;
        response.ensure_status(status)?;
        ensure_no_coding(&response)?;
    }
    for (file, status, page) in [(missing, 404, not_found), (private, 403, forbidden)] {
        let response = server.exchange(&request("GET", &file.target(), ACCEPT))?;
        response.ensure_status(status)?;
        ensure_identity(&response, &page)?;
    }
    Ok(())
}
