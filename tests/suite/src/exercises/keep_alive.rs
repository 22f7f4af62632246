//! Several requests on one connection.

use super::{Exercise, defaults, ensure_quiet};
use crate::check::Check;
use crate::checks::ensure_status_in;
use crate::checks::robustness::CUTOFF_LIMIT;
use harness::client::{Client, ConnectionState, get, post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckError, CheckResult, ensure};
use harness::response::{Response, message_length};
use harness::server::Start;
use std::time::{Duration, Instant};

pub const EXERCISE: Exercise = Exercise {
    name: "keep-alive",
    stage: 4,
    title: "several requests on one connection",
    task: "\
An HTTP/1.1 connection stays open after a response, also after an error such as 404, and the
server responds to the next request on it. If a client sends several requests without waiting
for the responses, they come in the order of the requests.

The server sends `Connection: close` with the response, and then closes the connection, if
- the client sends `close` in the field `Connection`, in upper or lower case, alone or in a list
- the request is HTTP/1.0
- the request is malformed, or this server can't find its end (`Transfer-Encoding`). What comes
  after it must not be taken for a request.

The content of a request is not a request either: read it, or close after the response. A form
that gets status 200 has been read, so the connection stays open. If no request arrives within
`--timeout` after a response, the server closes the connection and sends nothing.

A response without `Connection: close` needs an end that the client can find: `Content-Length`,
or no content because of its status or method. If a response ends too early, the connection
ends, too.",
    references: &[
        "RFC 9112, 9.3 (persistence), 9.6 (closing), 6.3 (where content ends)",
        "CWE-444 (request smuggling)",
    ],
    checks: CHECKS,
    excused: &["connection-close"],
    already_passing: &["close-on-request", "malformed-request-closes"],
};

const DEFAULTS: Check = defaults("keep-alive", 4, &["two-requests-on-one-connection"]);

const CHECKS: &[Check] = &[
    Check {
        id: "two-requests-on-one-connection",
        must: "serve one request after another on one connection, also after an error",
        why: "RFC 9112, 9.3: a new connection costs more than another request.",
        hint: "Put a loop around the code that serves one request.",
        needs: &[],
        weight: 2,
        run: two_requests_on_one_connection,
        ..DEFAULTS
    },
    Check {
        id: "pipelined-requests",
        must: "respond in order to requests that are sent all at once",
        why: "RFC 9112, 9.3.2: a client may send more requests before it gets a response.",
        hint: "What was read after the first request is the beginning of the second.",
        run: pipelined_requests,
        ..DEFAULTS
    },
    Check {
        id: "close-on-request",
        must: "close after `Connection: close` and HTTP/1.0, and say so in the response",
        why: "RFC 9112, 9.6: a client that asks for the close waits for it.",
        hint: "The value of the field is a list, and its case doesn't matter.",
        run: close_on_request,
        ..DEFAULTS
    },
    Check {
        id: "idle-connection-timeout",
        must: "close a connection after `--timeout` without a request, and send nothing",
        why: "RFC 9112, 9.5. A client could take a 408 for the response to its next request.",
        hint: "The time starts again with each request that the server waits for.",
        slow: true,
        run: idle_connection_timeout,
        ..DEFAULTS
    },
    Check {
        id: "malformed-request-closes",
        must: "send one response to a malformed request, and close",
        why: "CWE-444, request smuggling: nobody knows where the request ends.",
        hint: "If you can't tell where a request ends, you can't skip it.",
        run: malformed_request_closes,
        ..DEFAULTS
    },
    Check {
        id: "content-is-not-a-request",
        must: "never take the content of a request for the next request",
        why: "CWE-444: otherwise a form could contain a request that nobody has sent.",
        hint: "Read as much as Content-Length says, or close.",
        weight: 2,
        run: content_is_not_a_request,
        ..DEFAULTS
    },
];

/// Reads the response to a request, and not a byte more.
fn read_response(client: &mut Client, sent: &[u8]) -> CheckResult<Response> {
    let mut raw = Vec::new();
    let incomplete = |raw: &[u8], state: ConnectionState| {
        let received = format!("\"{}\"; {state}", raw.escape_ascii());
        CheckError::after(sent, "a response with a complete head", received)
    };
    while !raw.ends_with(b"\r\n\r\n") {
        let (byte, state) = client.read_up_to(1, RESPONSE_TIMEOUT)?;
        if byte.is_empty() {
            return Err(incomplete(&raw, state));
        }
        raw.extend(byte);
    }
    let head = Response::parse(sent, &raw);
    let head = head.ok_or_else(|| incomplete(&raw, ConnectionState::Open))?;
    if head.status == 100 {
        return Ok(head);
    }
    let length = message_length(sent, &raw);
    head.ensure(length.is_some(), "a Content-Length")?;
    let rest = length.unwrap_or_default().saturating_sub(raw.len());
    raw.extend(client.read_up_to(rest, RESPONSE_TIMEOUT)?.0);
    let response = Response::parse(sent, &raw).unwrap_or(head);
    response.ensure(response.is_complete(), "as much content as Content-Length")?;
    Ok(response)
}

/// Sends a request and reads the response.
fn exchange(client: &mut Client, request: &[u8]) -> CheckResult<Response> {
    client.send(request);
    read_response(client, request)
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
        read_response(&mut client, request)?.ensure_content(content)?;
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
        let mut client = server.connect()?;
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
        let mut client = server.connect()?;
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
        let mut client = server.connect()?;
        let mut response = exchange(&mut client, &both)?;
        if response.status == 100 {
            response = read_response(&mut client, &both)?;
        }
        response.ensure_status(status)?;
        if announces_close(&response) {
            ensure_closes(&mut client, &both)?;
        } else {
            read_response(&mut client, &next)?.ensure_serves(&site.page.content)?;
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
