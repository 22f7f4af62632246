//! Malformed requests: the server refuses them and keeps running.

use super::forms::post_head;
use super::{add_file, ensure_alive, ensure_status_in};
use crate::check::{Check, DEFAULTS};
use harness::client::{get, post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckError, CheckResult, FailureKind};
use harness::server::{Server, Start};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub const CHECKS: &[Check] = &[
    Check {
        id: "empty-connection",
        must: "keep running when clients connect and leave without a complete request",
        why: "Browsers open spare connections. In two early versions, one of them ended the server.",
        hint: "An empty read is the end of the connection, not a request.",
        about: &[FailureKind::Exited, FailureKind::NotListening],
        run: empty_connection,
        ..DEFAULTS
    },
    Check {
        id: "malformed-request-line",
        must: "respond with 400 if the first line is not a request line",
        why: "RFC 9112, 3: the response to an invalid request line should be 400.",
        hint: "Use one pattern for the whole line, and refuse what doesn't match.",
        weight: 2,
        run: malformed_request_line,
        ..DEFAULTS
    },
    Check {
        id: "tls-hello",
        slow: true,
        must: "refuse or close a connection that begins with a TLS handshake, and keep running",
        why: "This is what a browser sends if somebody types https:// by mistake.",
        hint: "Bytes without a line ending are an incomplete head, which times out.",
        about: &[FailureKind::Exited, FailureKind::NotListening],
        run: tls_hello,
        ..DEFAULTS
    },
    Check {
        id: "http-versions",
        must: "respond with 400 to a malformed version, 505 to another major one, 200 to HTTP/1.2",
        why: "RFC 9112, 2.3, and RFC 9110, 2.5 and 15.6.6.",
        hint: "The letters must be upper case. A higher minor version is treated as HTTP/1.1.",
        run: http_versions,
        ..DEFAULTS
    },
    Check {
        id: "methods",
        must: "respond with 400 to a method that is not a token, and 501 to an unknown one",
        why: "RFC 9110, 9.1 and 15.6.2. Methods are case-sensitive.",
        hint: "First check whether it could be a method, then whether it is one of yours.",
        run: methods,
        ..DEFAULTS
    },
    Check {
        id: "only-get-is-implemented",
        stages: 1..=3,
        must: "respond with 501 to HEAD, POST and OPTIONS, and send no content for HEAD",
        why: "RFC 9110, 9.3.2: a response to HEAD never has content, whatever its status code.",
        hint: "501 means that the server doesn't implement the method.",
        run: only_get_is_implemented,
        ..DEFAULTS
    },
    Check {
        id: "target-forms",
        must: "respond with 400 to a target that is neither a path nor an http URL",
        why: "RFC 9112, 3.2 lists the forms of a request target.",
        hint: "A path begins with a slash.",
        run: target_forms,
        ..DEFAULTS
    },
    Check {
        id: "fragment-in-target",
        must: "never take a `#` in a target for a part of a file's name: 400, or 404 without it",
        why: "RFC 9112, 3.2: a target has no fragment. Caches and servers must agree on the name.",
        hint: "Refuse the character where you match the request line.",
        run: fragment_in_target,
        ..DEFAULTS
    },
    Check {
        id: "long-request-line",
        must: "accept a request line of 8,000 bytes, and respond with 414 to a longer one",
        why: "RFC 9112, 3 recommends 8,000. Without a limit, a client can fill the memory.",
        hint: "Count while you read: you never see the end of an endless line.",
        about: &[FailureKind::TooSlow],
        run: long_request_line,
        ..DEFAULTS
    },
    Check {
        id: "long-head",
        must: "accept a head of 16 KiB, and respond with 431 to a longer one",
        why: "RFC 6585, 5. Without a limit, a client can fill the memory.",
        hint: "Count while you read, over all lines together.",
        about: &[FailureKind::TooSlow],
        run: long_head,
        ..DEFAULTS
    },
    Check {
        id: "mutations",
        must: "respond to or close each of 300 randomly damaged requests, and keep running",
        why: "Random faults include those that nobody thinks of.",
        hint: "No client may end the server: look for what panics or blocks.",
        about: &[
            FailureKind::Exited,
            FailureKind::NotListening,
            FailureKind::TooSlow,
        ],
        run: mutations,
        ..DEFAULTS
    },
];

fn empty_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for _ in 0..20 {
        drop(server.connect()?);
        let mut client = server.connect()?;
        client.send(b"GET / HT");
        drop(client);
    }
    ensure_alive(ctx, &server)?;
    server.ensure_no_panic()
}

/// Fails unless each request gets this status code and the server keeps running.
fn ensure_all(ctx: &TestContext, status: u16, requests: &[Vec<u8>]) -> CheckResult {
    let server = ctx.start()?;
    for request in requests {
        server.exchange(request)?.ensure_status(status)?;
    }
    ensure_alive(ctx, &server)
}

fn malformed_request_line(ctx: &TestContext) -> CheckResult {
    let mut noise = ctx.site.bytes(200);
    noise.retain(|byte| !b"\r\n".contains(byte));
    let mut requests = vec![[b"\x01", noise.as_slice(), b"\r\n\r\n"].concat()];
    for line in [
        "garbage",
        "GET",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / / HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "HTTP/1.1 200 OK",
    ] {
        requests.push(format!("{line}\r\nHost: a\r\n\r\n").into_bytes());
    }
    ensure_all(ctx, 400, &requests)
}

fn tls_hello(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    // A handshake record with a ClientHello (RFC 8446, 4.1.2 and 5.1).
    let mut hello = b"\x16\x03\x01\x00\x8f\x01\x00\x00\x8b\x03\x03".to_vec();
    hello.extend(ctx.site.bytes(32).iter().map(|byte| byte | 0x80));
    hello.extend_from_slice(b"\x00\x00\x04\x13\x01\x13\x02\x01\x00\x00\x5e");
    hello.resize(5 + 0x8f, 0);
    let mut client = server.connect()?;
    client.send(&hello);
    // How exactly it keeps to `--timeout` is for `silent-client-timeout`.
    client.ensure_ends_within(2 * RESPONSE_TIMEOUT)?;
    drop(client);
    ensure_alive(ctx, &server)
}

fn http_versions(ctx: &TestContext) -> CheckResult {
    let with = |version: &str| format!("GET /{version}\r\nHost: a\r\n\r\n").into_bytes();
    let malformed = [
        "",
        " ",
        " http/1.1",
        " HTTP/1",
        " HTTP/1.1.1",
        " HTTP/one",
        " HTTP 1.1",
    ];
    ensure_all(ctx, 400, &malformed.map(with))?;
    ensure_all(ctx, 505, &[" HTTP/2.0", " HTTP/0.9", " HTTP/3.1"].map(with))?;
    let request = format!("GET {} HTTP/1.2\r\nHost: a\r\n\r\n", ctx.site.page.target());
    let response = ctx.start()?.exchange(request.as_bytes())?;
    response.ensure_serves(&ctx.site.page.content)
}

fn methods(ctx: &TestContext) -> CheckResult {
    let with = |method: &str| request(method, "/", "");
    let invalid = ["G@T", "GET:", "(GET)", "\"GET\"", "G\x01T"];
    ensure_all(ctx, 400, &invalid.map(with))?;
    let unknown = ["BREW", "get", "Get", "GETS", "M-SEARCH"];
    ensure_all(ctx, 501, &unknown.map(with))
}

fn only_get_is_implemented(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for method in ["HEAD", "POST", "OPTIONS", "PUT", "DELETE"] {
        let response = server.exchange(&request(method, "/", ""))?;
        response.ensure_status(501)?;
        let has_content = !response.content.is_empty();
        let is_right = has_content == (method != "HEAD");
        response.ensure(is_right, "content, except for HEAD")?;
    }
    // The server never reads this content, but the response arrives.
    let form = post("/", &ctx.site.bytes(1024 * 1024));
    server.exchange(&form)?.ensure_status(501)
}

fn target_forms(ctx: &TestContext) -> CheckResult {
    let targets = [
        "*",
        "index.html",
        "localhost:80",
        "http:/a",
        "http://",
        "http:///a",
        "http://?a",
        "ftp://a/b",
        "?a",
    ];
    ensure_all(ctx, 400, &targets.map(get))
}

fn fragment_in_target(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let file = add_file(ctx, &format!("{name}#{}", ctx.site.name()))?;
    ensure_status_in(&server.get(&file.target())?, &[400, 404])?;
    ensure_alive(ctx, &server)
}

fn long_request_line(ctx: &TestContext) -> CheckResult {
    // Every segment is shorter than the longest name that a file system allows.
    let target = |length: usize| {
        let mut target = format!("/{}", "a".repeat(200)).repeat(length / 201 + 1);
        target.truncate(length);
        target
    };
    // The line ending is not part of the line (RFC 9112, 3).
    let rest = "GET  HTTP/1.1".len();
    let server = ctx.start()?;
    for (length, status) in [
        (7_900, 404),
        (8_000, 404),
        (8_001, 414),
        (8_100, 414),
        (12_000, 414),
    ] {
        server.get(&target(length - rest))?.ensure_status(status)?;
    }
    // A line without an end.
    let endless = format!("GET {}", target(8_200));
    server.exchange(endless.as_bytes())?.ensure_status(414)?;
    ensure_alive(ctx, &server)
}

fn long_head(ctx: &TestContext) -> CheckResult {
    let (server, page) = (ctx.start()?, &ctx.site.page);
    // Few long fields, since the number of fields is not what this check is about.
    let field = format!("A-Field: {}\r\n", "a".repeat(389));
    let fields = |length: usize| field.repeat(length.div_ceil(field.len()));
    // A head of exactly that many bytes.
    let head = |length: usize| {
        let fields = fields(15_000);
        let left = length - request("GET", &page.target(), &fields).len() - "A: \r\n".len();
        let padding = format!("{fields}A: {}\r\n", "a".repeat(left));
        request("GET", &page.target(), &padding)
    };
    for length in [16_000, 16_384] {
        let response = server.exchange(&head(length))?;
        response.ensure_serves(&page.content)?;
    }
    let long_line = format!("A: {}\r\n", "a".repeat(17_000));
    for request in [
        // Too long even for a server that doesn't count the empty line.
        head(16_387),
        head(17_000),
        request("GET", "/", &long_line),
        // Heads without an end.
        format!("GET / HTTP/1.1\r\n{}", fields(17_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\n{}{}", fields(16_000), "a".repeat(500)).into_bytes(),
    ] {
        server.exchange(&request)?.ensure_status(431)?;
    }
    ensure_alive(ctx, &server)
}

/// Changes, removes, inserts or repeats some bytes of a request.
fn mutate(ctx: &TestContext, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=ctx.site.below(4) {
        if bytes.is_empty() {
            break;
        }
        let position = ctx.site.below(bytes.len());
        let random = ctx.site.bytes(1)[0];
        let special = b"\r\n\0 :/?%.\xff"[ctx.site.below(10)];
        match ctx.site.below(5) {
            0 => bytes[position] = random,
            1 => bytes[position] = special,
            2 => drop(bytes.remove(position)),
            3 => bytes.insert(position, special),
            _ => bytes.extend_from_within(position..),
        }
    }
    bytes
}

fn mutations(ctx: &TestContext) -> CheckResult {
    const REQUESTS: usize = 300;
    const CLIENTS: usize = 4;
    let server = ctx.start()?;
    let fields = "Content-Length: 3\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n";
    let valid = [get(&ctx.site.page.target()), post_head(fields)];
    let mutate = |index: usize| mutate(ctx, valid[index % 2].clone());
    let requests: Vec<Vec<u8>> = (0..REQUESTS).map(mutate).collect();
    let next = AtomicUsize::new(0);
    let send = || -> CheckResult {
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            ensure_handled(&server, request)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        let panicked = |_| Err(CheckError::Broken("a client panicked".to_string()));
        let mut clients = clients.into_iter();
        clients.try_for_each(|client| client.join().unwrap_or_else(panicked))
    })?;
    ensure_alive(ctx, &server)?;
    server.ensure_no_panic()
}

/// Fails unless the server responds to these bytes or closes the connection.
fn ensure_handled(server: &Server, bytes: &[u8]) -> CheckResult {
    let mut client = server.connect()?;
    client.send(bytes);
    client.finish_sending();
    client.ensure_ends_within(RESPONSE_TIMEOUT)?;
    Ok(())
}
