//! Static files: existing files arrive unchanged, in a well-formed response.

use super::{ensure_alive, ensure_status_in, parse_response};
use crate::check::{Check, DEFAULTS};
use harness::client::{ConnectionState, get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckError, CheckResult, FailureKind};
use harness::response::Response;
use harness::server::Server;
use std::fs;

pub const CHECKS: &[Check] = &[
    Check {
        id: "index-page",
        must: "serve index.html for `/`",
        why: "The shortest URL of a site must show a page.",
        hint: "A path that ends with a slash means the index.html of that folder.",
        run: index_page,
        ..DEFAULTS
    },
    Check {
        id: "named-file",
        must: "serve a file by its name, every time it is requested",
        why: "RFC 9110, 9.3.1: GET transfers the current representation of its target.",
        hint: "Read the request line first: the path in it is relative to the document root.",
        needs: &[],
        weight: 2,
        run: named_file,
        ..DEFAULTS
    },
    Check {
        id: "file-names",
        must: "serve files with capitals, digits, `-`, `_` or dots in their names, and executable ones",
        why: "RFC 3986, 2.3: none of these characters has a special meaning in a path.",
        hint: "Take the name from the path as it is, and don't ask for more than permission to read.",
        run: file_names,
        ..DEFAULTS
    },
    Check {
        id: "nested-folder",
        must: "serve files in folders, and a folder's index.html for its path with a slash",
        why: "A path may have more than one segment.",
        hint: "What holds for `/` holds for every path that ends with a slash.",
        run: nested_folder,
        ..DEFAULTS
    },
    Check {
        id: "query-is-ignored",
        must: "ignore the query when it looks for a file",
        why: "RFC 3986, 3.4: the query is not part of the path.",
        hint: "Cut the target at its first question mark.",
        run: query_is_ignored,
        ..DEFAULTS
    },
    Check {
        id: "binary-content",
        must: "send all 256 byte values unchanged",
        why: "Content is bytes, not text. Decoding it breaks every image.",
        hint: "Read and write bytes, and never convert them to a string.",
        run: binary_content,
        ..DEFAULTS
    },
    Check {
        id: "empty-file",
        must: "respond with 200 and no content for an empty file",
        why: "An empty file is not a missing file.",
        hint: "Don't treat a length of 0 as a failure.",
        run: empty_file,
        ..DEFAULTS
    },
    Check {
        id: "large-file",
        must: "send a file of 16 MiB completely and unchanged",
        why: "write(2) may accept only part of what it is given.",
        hint: "Look at what the sending call returns, and send the rest.",
        about: &[FailureKind::TooSlow],
        run: large_file,
        ..DEFAULTS
    },
    Check {
        id: "changed-file",
        must: "serve the current content of a file that changes between two requests",
        why: "RFC 9110, 9.3.1: GET transfers the current representation of its target.",
        hint: "Don't keep what you have read for the next request.",
        run: changed_file,
        ..DEFAULTS
    },
    Check {
        id: "moved-root",
        must: "respond with 200 or 404 while the document root is renamed, and keep running",
        why: "Projects and sites are renamed while a server runs. Nobody may get a reset.",
        hint: "Find the root once, when you start. Later, a missing file is 404, whatever the reason.",
        about: &[FailureKind::NoResponse, FailureKind::Exited],
        run: moved_root,
        ..DEFAULTS
    },
    Check {
        id: "well-formed-response",
        must: "send a status line and field lines as RFC 9112 defines them, each ended by CRLF",
        why: "RFC 9112, 4 and 5: a strict client rejects anything else.",
        hint: "HTTP/1.1, one space, three digits, one space, a phrase. Every line ends with CRLF.",
        weight: 2,
        run: well_formed_response,
        ..DEFAULTS
    },
    Check {
        id: "connection-close",
        stages: 1..=5,
        must: "send `Connection: close` in every response, then close the connection",
        why: "RFC 9112, 9.3: a server without persistent connections must say so.",
        hint: "Send the field, and close every copy of the socket after the response.",
        run: connection_close,
        ..DEFAULTS
    },
    Check {
        id: "server-field",
        must: "send a `Server` field in every response",
        why: "RFC 9110, 10.2.4: it names the software; in this lab, the stage.",
        hint: "Send it in error responses too.",
        run: server_field,
        ..DEFAULTS
    },
    Check {
        id: "absolute-form",
        must: "respond to `GET http://host/path` as to `GET /path`",
        why: "RFC 9112, 3.2.2: a server must accept the form that clients send to proxies.",
        hint: "Cut off the scheme and the host. A target without a path means `/`.",
        run: absolute_form,
        ..DEFAULTS
    },
    Check {
        id: "http-1-0",
        must: "respond to an HTTP/1.0 request with the same version as to HTTP/1.1",
        why: "RFC 9110, 6.2: a server responds with the highest version that it supports.",
        hint: "The version in the status line is yours, not the client's.",
        run: http_1_0,
        ..DEFAULTS
    },
];

fn index_page(ctx: &TestContext) -> CheckResult {
    ctx.start()?.get("/")?.ensure_serves(&ctx.site.index)
}

fn named_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    for _ in 0..3 {
        server.get(&page.target())?.ensure_serves(&page.content)?;
        server.get("/index.html")?.ensure_serves(&ctx.site.index)?;
    }
    Ok(())
}

fn file_names(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let (capitals, number) = (name.to_uppercase(), ctx.site.below(1000));
    for name in [
        format!("{capitals}.html"),
        format!("{name}{number}.html"),
        format!("{name}-{number}_{capitals}.html"),
        format!("{name}.{number}.{capitals}.html"),
    ] {
        let file = ctx.site.add_page(&name)?;
        server.get(&file.target())?.ensure_serves(&file.content)?;
    }
    // Files that come from other systems are often executable.
    let page = &ctx.site.page;
    ctx.site.set_mode(&page.name, 0o755)?;
    server.get(&page.target())?.ensure_serves(&page.content)
}

fn nested_folder(ctx: &TestContext) -> CheckResult {
    let folder = format!("{}/{}", ctx.site.name(), ctx.site.name());
    let index = ctx.site.add_page(&format!("{folder}/index.html"))?;
    let nested = &ctx.site.nested;
    let server = ctx.start()?;
    for (target, content) in [
        (nested.target(), &nested.content),
        (index.target(), &index.content),
        (format!("/{folder}/"), &index.content),
    ] {
        server.get(&target)?.ensure_serves(content)?;
    }
    Ok(())
}

fn query_is_ignored(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for query in ["?", "?name=666&age=12", "?a=/../b?c"] {
        let target = format!("{}{query}", ctx.site.page.target());
        server.get(&target)?.ensure_serves(&ctx.site.page.content)?;
    }
    if serves_index(ctx, &server)? {
        server.get("/?page=1")?.ensure_serves(&ctx.site.index)?;
    }
    Ok(())
}

/// Whether `/` is served. If it isn't, that is for `index-page`.
fn serves_index(ctx: &TestContext, server: &Server) -> CheckResult<bool> {
    Ok(server.get("/")?.content == ctx.site.index)
}

fn ensure_arrives(ctx: &TestContext, content: &[u8]) -> CheckResult {
    let file = ctx.site.add(&ctx.site.name(), content)?;
    ctx.start()?.get(&file.target())?.ensure_serves(content)
}

fn binary_content(ctx: &TestContext) -> CheckResult {
    let mut content: Vec<u8> = (0..=255).collect();
    content.extend_from_slice(b"\r\n\r\n\n\n\0\xff\xfe");
    content.extend(ctx.site.bytes(1000));
    ensure_arrives(ctx, &content)
}

fn empty_file(ctx: &TestContext) -> CheckResult {
    let file = ctx.site.add(&format!("{}.txt", ctx.site.name()), b"")?;
    ctx.start()?.get(&file.target())?.ensure_serves(b"")
}

fn large_file(ctx: &TestContext) -> CheckResult {
    ensure_arrives(ctx, &ctx.site.bytes(16 * 1024 * 1024))
}

fn changed_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = format!("{}.txt", ctx.site.name());
    for length in [10, 2000, 3] {
        let file = ctx.site.add(&name, &ctx.site.bytes(length))?;
        server.get(&file.target())?.ensure_serves(&file.content)?;
    }
    fs::remove_file(ctx.site.path(&name))?;
    server.get(&format!("/{name}"))?.ensure_status(404)
}

fn moved_root(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    ensure_alive(ctx, &server)?;
    let (root, elsewhere) = (ctx.site.root(), ctx.site.outside("elsewhere"));
    fs::rename(&root, &elsewhere)?;
    let response = server.get(&ctx.site.page.target());
    // Back before anything fails, so that the site can be removed.
    fs::rename(&elsewhere, &root)?;
    ensure_status_in(&response?, &[200, 404])?;
    ensure_alive(ctx, &server)
}

fn well_formed_response(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for request in [
        get("/"),
        get(&format!("/{}", ctx.site.name())),
        b"no request\r\n\r\n".to_vec(),
        b"GET / HTTP/3.0\r\n\r\n".to_vec(),
        request("BREW", "/", ""),
    ] {
        server.exchange(&request)?.ensure_well_formed()?;
    }
    for request in [
        get(&format!("/{}", "a".repeat(9_000))),
        request("GET", "/", &format!("A: {}\r\n", "a".repeat(20_000))),
    ] {
        let mut client = server.connect()?;
        client.send(&request);
        let (bytes, state) = client.read(RESPONSE_TIMEOUT)?;
        // Whether such a response arrives completely is for `unread-content`.
        if state == ConnectionState::Closed {
            parse_response(&request, &bytes)?.ensure_well_formed()?;
        }
    }
    Ok(())
}

/// Requests that are served, not found, and malformed. The malformed one has a version: without
/// it, a server may take it for HTTP/0.9 and send a response without a head.
fn sample_requests(ctx: &TestContext) -> [Vec<u8>; 3] {
    [
        get("/"),
        get(&format!("/{}", ctx.site.name())),
        b"GET / / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ]
}

fn connection_close(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for request in sample_requests(ctx) {
        let response = server.exchange(&request)?;
        let field = response.field("connection").unwrap_or_default();
        let says_close = field.eq_ignore_ascii_case("close");
        response.ensure(says_close, "the field `Connection: close`")?;
        // Again, to see how the connection ends: this client doesn't close first.
        let mut client = server.connect()?;
        client.send(&request);
        let (_, state) = client.read(RESPONSE_TIMEOUT)?;
        if state != ConnectionState::Closed {
            let expected = "the end of the connection after the response";
            return Err(CheckError::after(&request, expected, state.to_string()));
        }
    }
    Ok(())
}

fn server_field(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for request in sample_requests(ctx) {
        let response = server.exchange(&request)?;
        let has_name = response
            .field("server")
            .is_some_and(|name| !name.is_empty());
        response.ensure(has_name, "a field `Server` with a name")?;
    }
    Ok(())
}

fn absolute_form(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    for (before, after) in [("http://localhost", ""), ("HTTP://a.b:80", "?c")] {
        let target = format!("{before}{}{after}", page.target());
        server.get(&target)?.ensure_serves(&page.content)?;
    }
    if serves_index(ctx, &server)? {
        let response = server.get("http://localhost")?;
        response.ensure_serves(&ctx.site.index)?;
    }
    Ok(())
}

fn http_1_0(ctx: &TestContext) -> CheckResult {
    let (server, page) = (ctx.start()?, &ctx.site.page);
    let request = format!("GET {} HTTP/1.0\r\n\r\n", page.target());
    let response = server.exchange(request.as_bytes())?;
    response.ensure_serves(&page.content)?;
    // Which version this must be is for `well-formed-response`.
    let version = |response: &Response| {
        let text = String::from_utf8_lossy(&response.raw);
        text.split(' ').next().unwrap_or_default().to_string()
    };
    let usual = version(&server.get(&page.target())?);
    let expected = format!("a status line with {usual}");
    response.ensure(version(&response) == usual, expected)
}
