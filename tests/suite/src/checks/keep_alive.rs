//! Several requests on one connection. The exercise `keep-alive` of stage 4 shares the first of these
//! checks.

use super::robustness::CUTOFF_LIMIT;
use super::{ensure_quiet, ensure_status_in};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{Client, ConnectionState, get, post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, ensure};
use harness::response::Response;
use harness::server::{Server, Start};
use std::time::{Duration, Instant};

/// What the checks of connections that stay open have in common.
pub const KEPT: Check = Check {
    stages: 6..=6,
    needs: &[PREREQUISITE, "two-requests-on-one-connection"],
    ..DEFAULTS
};

pub const TWO_REQUESTS: Check = Check {
    id: "two-requests-on-one-connection",
    must: "serve one request after another on one connection, also after an error",
    why: "RFC 9112, 9.3: a new connection costs more than another request.",
    hint: "Put a loop around the code that serves one request.",
    needs: &[PREREQUISITE],
    weight: 2,
    run: two_requests_on_one_connection,
    ..KEPT
};

pub const PIPELINED_REQUESTS: Check = Check {
    id: "pipelined-requests",
    must: "respond in order to requests that are sent all at once",
    why: "RFC 9112, 9.3.2: a client may send more requests before it gets a response.",
    hint: "What was read after the first request is the beginning of the second.",
    run: pipelined_requests,
    ..KEPT
};

pub const CLOSE_ON_REQUEST: Check = Check {
    id: "close-on-request",
    must: "close after `Connection: close` and HTTP/1.0, and say so in the response",
    why: "RFC 9112, 9.6: a client that asks for the close waits for it.",
    hint: "The value of the field is a list, and its case doesn't matter.",
    run: close_on_request,
    ..KEPT
};

pub const IDLE_TIMEOUT: Check = Check {
    id: "idle-connection-timeout",
    must: "close a connection after `--timeout` without a request, and send nothing",
    why: "RFC 9112, 9.5. A client could take a 408 for the response to its next request.",
    hint: "The time starts again with each request that the server waits for.",
    slow: true,
    run: idle_connection_timeout,
    ..KEPT
};

pub const MALFORMED_REQUEST: Check = Check {
    id: "malformed-request-closes",
    must: "send one response to a malformed request, and close",
    why: "CWE-444, request smuggling: nobody knows where the request ends.",
    hint: "If you can't tell where a request ends, you can't skip it.",
    run: malformed_request_closes,
    ..KEPT
};

pub const CONTENT: Check = Check {
    id: "content-is-not-a-request",
    must: "never take the content of a request for the next request",
    why: "CWE-444: otherwise a form could contain a request that nobody has sent.",
    hint: "Read as much as Content-Length says, or close.",
    weight: 2,
    run: content_is_not_a_request,
    ..KEPT
};

pub const CHECKS: &[Check] = &[
    TWO_REQUESTS,
    PIPELINED_REQUESTS,
    CLOSE_ON_REQUEST,
    IDLE_TIMEOUT,
    MALFORMED_REQUEST,
    CONTENT,
];

/// Sends a request and reads the response.
pub fn exchange(client: &mut Client, request: &[u8]) -> CheckResult<Response> {
    client.send(request);
    client.next_response(request)
}

/// A client whose connection has stayed open after a first response.
pub fn connect_kept(ctx: &TestContext, server: &Server) -> CheckResult<Client> {
    let mut client = server.connect()?;
    let page = &ctx.site.page;
    exchange(&mut client, &get(&page.target()))?.ensure_serves(&page.content)?;
    Ok(client)
}

/// Whether a response says that the server closes the connection.
fn announces_close(response: &Response) -> bool {
    let mut fields = response.fields.iter();
    fields.any(|(name, value)| name == "connection" && value.to_lowercase().contains("close"))
}

/// Fails unless the server closes the connection and sends nothing more.
fn ensure_closes(client: &mut Client, sent: &[u8]) -> CheckResult {
    ensure_quiet(client, sent, RESPONSE_TIMEOUT, ConnectionState::Closed)
}

fn two_requests_on_one_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let mut client = server.connect()?;
    let missing = format!("/{}", site.name());
    for (target, content) in [
        (site.page.target(), &site.page.content),
        (missing, &site.missing.content),
        (site.nested.target(), &site.nested.content),
        ("/".to_string(), &site.index),
    ] {
        exchange(&mut client, &get(&target))?.ensure_content(content)?;
    }
    Ok(())
}

fn pipelined_requests(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let missing = format!("/{}", site.name());
    let last = request("GET", &site.page.target(), "Connection: close\r\n");
    let exchanges = [
        (get(&site.nested.target()), site.nested.content.as_slice()),
        (request("HEAD", "/", ""), b""),
        (get(&missing), &site.missing.content),
        (request("OPTIONS", "/", ""), b""),
        (get("/"), &site.index),
        (last, &site.page.content),
    ];
    let requests: Vec<&[u8]> = exchanges.iter().map(|(request, _)| &request[..]).collect();
    let requests = requests.concat();
    let mut client = server.connect()?;
    client.send(&requests);
    for (request, content) in &exchanges {
        client.next_response(request)?.ensure_content(content)?;
    }
    ensure_closes(&mut client, &requests)
}

fn close_on_request(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let with = |fields: &str| request("GET", "/", fields);
    for request in [
        with("Connection: close\r\n"),
        with("connection: CLOSE\r\n"),
        with("Connection: x-lab, Close\r\n"),
        with("Connection: x-lab\r\nConnection: close\r\n"),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ] {
        let mut client = connect_kept(ctx, &server)?;
        let response = exchange(&mut client, &request)?;
        response.ensure_serves(&ctx.site.index)?;
        response.ensure(announces_close(&response), "the field `Connection: close`")?;
        ensure_closes(&mut client, &request)?;
    }
    Ok(())
}

fn idle_connection_timeout(ctx: &TestContext) -> CheckResult {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = ctx.start_with(Start::with_short_timeout())?;
    let mut client = server.connect()?;
    let request = get("/");
    // The time starts again with each response: together, these pauses are longer than it.
    for _ in 0..6 {
        ensure_quiet(&mut client, &request, TIMEOUT / 4, ConnectionState::Open)?;
        exchange(&mut client, &request)?.ensure_serves(&ctx.site.index)?;
    }
    let last_response = Instant::now();
    let bytes = client.ensure_ends_within(CUTOFF_LIMIT)?;
    let passed = last_response.elapsed();
    ensure(
        bytes.is_empty() && passed >= TIMEOUT / 2,
        format!("no bytes, and the close {TIMEOUT:?} after the last response"),
        format!("\"{}\" after {passed:?}", bytes.escape_ascii()),
    )
}

fn malformed_request_closes(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let next = get(&ctx.site.page.target());
    let with = |fields: &str| request("GET", "/", fields);
    let too_long = format!("A: {}\r\n", "a".repeat(17_000));
    for (first, statuses) in [
        (b"garbage\r\n\r\n".to_vec(), &[400][..]),
        (with("Content-Length: 1\r\nContent-Length: 2\r\n"), &[400]),
        (with("Transfer-Encoding: chunked\r\n"), &[501]),
        (with("Na me: a\r\n"), &[400]),
        (with(&too_long), &[431, 400]),
    ] {
        let both = [first, next.clone()].concat();
        let mut client = connect_kept(ctx, &server)?;
        let response = exchange(&mut client, &both)?;
        ensure_status_in(&response, statuses)?;
        response.ensure(announces_close(&response), "the field `Connection: close`")?;
        ensure_closes(&mut client, &both)?;
    }
    Ok(())
}

fn content_is_not_a_request(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    // If the server takes it for a request, it sends a page that nobody has requested.
    let hidden = get(&site.nested.target());
    let next = get(&site.page.target());
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let expecting = format!("Expect: 100-continue\r\n{length}");
    let form = [b"a=".as_slice(), &hidden].concat();
    let with_hidden = |method, target, fields: &str| {
        let head = request(method, target, fields);
        [head, hidden.clone()].concat()
    };
    for (first, status) in [
        (post("/MyForm.html", &form), 200),
        (with_hidden("GET", "/", &length), 200),
        (with_hidden("PUT", "/", &length), 405),
        (with_hidden("POST", "/", &length), 405),
        (with_hidden("POST", "/MyForm.html", &length), 415),
        (with_hidden("GET", "/", &expecting), 200),
    ] {
        let both = [first, next.clone()].concat();
        let mut client = connect_kept(ctx, &server)?;
        let mut response = exchange(&mut client, &both)?;
        if response.status == 100 {
            response = client.next_response(&both)?;
        }
        response.ensure_status(status)?;
        if announces_close(&response) {
            ensure_closes(&mut client, &both)?;
        } else {
            client
                .next_response(&next)?
                .ensure_serves(&site.page.content)?;
        }
    }
    // After a form that was read, the connection stays open.
    let form = post("/MyForm.html", b"a=b");
    let mut client = server.connect()?;
    for _ in 0..2 {
        exchange(&mut client, &form)?.ensure_status(200)?;
    }
    exchange(&mut client, &next)?.ensure_serves(&site.page.content)
}
