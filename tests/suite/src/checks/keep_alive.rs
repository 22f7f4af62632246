//! Several requests on one connection. The exercise `keep-alive` of stage 4 shares the first of these
//! checks.

use super::robustness::CUTOFF_LIMIT;
use super::{add_private_page, ensure_quiet, ensure_status_in};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{Client, ConnectionState, get, post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, ensure};
use harness::response::Response;
use harness::server::{Server, Start};
use std::thread;
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
    Check {
        id: "http-1-0-keep-alive",
        must: "keep an HTTP/1.0 connection open only if the client asks for it, and say so",
        why: "RFC 9112, 9.3: in HTTP/1.0 both sides must say `keep-alive`.",
        hint: "`close` wins if a client says both.",
        run: http_1_0_keep_alive,
        ..KEPT
    },
    Check {
        id: "thousand-pipelined-requests",
        must: "respond in order to 1,000 requests that are sent in one write",
        why: "RFC 9112, 9.3.2. No further event announces what has been read already.",
        hint: "After a response, look at what has arrived before you wait for more.",
        weight: 2,
        run: thousand_pipelined_requests,
        ..KEPT
    },
    Check {
        id: "pipelined-split-at-every-boundary",
        must: "respond to pipelined requests wherever their bytes are split",
        why: "TCP carries a stream: the end of a request and the start of the next may come together.",
        hint: "Keep what follows a request, and look for the end of the next head in both parts.",
        run: pipelined_split_at_every_boundary,
        ..KEPT
    },
    Check {
        id: "pipelined-large-responses",
        must: "send pipelined responses of 2 MiB completely and in order",
        why: "A socket takes only a part of such a response at a time.",
        hint: "Remember how much of a response was written, and go on there when the socket is ready.",
        run: pipelined_large_responses,
        ..KEPT
    },
    Check {
        id: "head-and-204-keep-step",
        must: "send no content with responses to HEAD and with 204, and serve the next request",
        why: "RFC 9112, 6.3: the client takes any content for the next response.",
        hint: "A response to HEAD has the Content-Length of GET, and nothing after its head.",
        run: head_and_204_keep_step,
        ..KEPT
    },
    Check {
        id: "errors-keep-the-connection",
        must: "serve the next request after a redirect and after 403, 404, 405 and 501",
        why: "RFC 9112, 9.3: an error in one request says nothing about the next.",
        hint: "Close only if you can't tell where the request ends.",
        run: errors_keep_the_connection,
        ..KEPT
    },
    Check {
        id: "empty-lines-between-requests",
        must: "ignore an empty line before a request",
        why: "RFC 9112, 2.2: old clients send one after a form.",
        hint: "Skip CRLF before you read the request line.",
        run: empty_lines_between_requests,
        ..KEPT
    },
    Check {
        id: "ambiguous-length-closes",
        must: "close after a request with a conflicting, repeated or invalid length or a transfer coding",
        why: "CWE-444: whoever relayed the request may have found its end elsewhere.",
        hint: "Never guess where the next request begins.",
        weight: 2,
        run: ambiguous_length_closes,
        ..KEPT
    },
    Check {
        id: "malformed-field-closes",
        must: "close after a bare CR, a folded line, a space before the colon, a NUL, or a wrong Host",
        why: "CWE-444: two readers of such a head may see different fields.",
        hint: "Send 400 and close, whatever else the client has sent.",
        weight: 2,
        run: malformed_field_closes,
        ..KEPT
    },
    Check {
        id: "late-content-is-not-a-request",
        must: "never take content for a request that arrives after its head",
        why: "CWE-444: the response may be under way before the content has arrived.",
        hint: "When you respond without having read the content, that response must be the last.",
        weight: 2,
        run: late_content_is_not_a_request,
        ..KEPT
    },
    Check {
        id: "expect-continue-keeps-step",
        must: "send 100 and then the response to a form, and serve the next request",
        why: "RFC 9110, 10.1.1, and 15.2: an interim response is followed by the final one.",
        hint: "The deadline and the content of the form begin after its head.",
        run: expect_continue_keeps_step,
        ..KEPT
    },
    Check {
        id: "next-head-deadline",
        must: "send 408 if a later head is incomplete after `--timeout`, however it drips",
        why: "Slowloris works as well on the second request.",
        hint: "The time starts with the first byte of each head.",
        slow: true,
        run: next_head_deadline,
        ..KEPT
    },
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
    announces(response, "close")
}

fn announces(response: &Response, option: &str) -> bool {
    let mut fields = response.fields.iter();
    fields.any(|(name, value)| name == "connection" && value.to_lowercase().contains(option))
}

/// Fails unless a response says that the server closes the connection, and the server does so and
/// sends nothing more. `sent` is what the client has sent.
fn ensure_last(client: &mut Client, response: &Response, sent: &[u8]) -> CheckResult {
    response.ensure(announces_close(response), "the field `Connection: close`")?;
    ensure_closes(client, sent)
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
        ensure_last(&mut client, &response, &request)?;
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
        ensure_last(&mut client, &response, &both)?;
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

fn http_1_0_keep_alive(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    let with = |fields: &str| format!("GET {} HTTP/1.0\r\n{fields}\r\n", page.target());
    let asking = with("Connection: Keep-Alive\r\n").into_bytes();
    for last in [with(""), with("Connection: keep-alive, close\r\n")] {
        let mut client = server.connect()?;
        for _ in 0..2 {
            let response = exchange(&mut client, &asking)?;
            response.ensure_serves(&page.content)?;
            let is_told = announces(&response, "keep-alive");
            response.ensure(is_told, "the field `Connection: keep-alive`")?;
        }
        let response = exchange(&mut client, last.as_bytes())?;
        response.ensure_serves(&page.content)?;
        ensure_last(&mut client, &response, last.as_bytes())?;
    }
    Ok(())
}

/// Random requests, each with the content of its response.
pub fn random_requests(ctx: &TestContext, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let site = &ctx.site;
    let choices = [
        (get(&site.page.target()), site.page.content.clone()),
        (get(&site.nested.target()), site.nested.content.clone()),
        (get("/"), site.index.clone()),
        (request("HEAD", "/", ""), Vec::new()),
        (
            get(&format!("/{}", site.name())),
            site.missing.content.clone(),
        ),
    ];
    let choices = &choices;
    (0..count)
        .map(|_| choices[site.below(choices.len())].clone())
        .collect()
}

/// Fails unless these responses come, in this order.
pub fn ensure_responses(client: &mut Client, requests: &[(Vec<u8>, Vec<u8>)]) -> CheckResult {
    for (request, content) in requests {
        client.next_response(request)?.ensure_content(content)?;
    }
    Ok(())
}

fn thousand_pipelined_requests(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = connect_kept(ctx, &server)?;
    let requests = random_requests(ctx, 1000);
    let sent: Vec<&[u8]> = requests.iter().map(|(request, _)| &request[..]).collect();
    client.send(&sent.concat());
    ensure_responses(&mut client, &requests)
}

fn pipelined_split_at_every_boundary(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let first = get(&site.page.target());
    let form = post("/MyForm.html", b"a=b");
    let last = get(&site.nested.target());
    let sent = [&first[..], &form, &last].concat();
    let mut client = connect_kept(ctx, &server)?;
    for boundary in 1..sent.len() {
        client.send_separately(&sent[..boundary])?;
        client.send(&sent[boundary..]);
        client
            .next_response(&first)?
            .ensure_serves(&site.page.content)?;
        client.next_response(&form)?.ensure_status(200)?;
        client
            .next_response(&last)?
            .ensure_serves(&site.nested.content)?;
    }
    Ok(())
}

fn pipelined_large_responses(ctx: &TestContext) -> CheckResult {
    const SIZE: usize = 2 * 1024 * 1024;
    let server = ctx.start()?;
    let site = &ctx.site;
    let mut client = connect_kept(ctx, &server)?;
    let mut requests = Vec::new();
    for _ in 0..3 {
        let file = site.add(&site.name(), &site.bytes(SIZE))?;
        requests.push((get(&file.target()), file.content));
        requests.push((get(&site.page.target()), site.page.content.clone()));
    }
    for (request, _) in &requests {
        client.send_separately(request)?;
    }
    ensure_responses(&mut client, &requests)
}

fn head_and_204_keep_step(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let large = site.add(&site.name(), &site.bytes(300_000))?;
    let missing = format!("/{}", site.name());
    let mut client = connect_kept(ctx, &server)?;
    for (request, status) in [
        (request("HEAD", &site.page.target(), ""), 200),
        (request("HEAD", &large.target(), ""), 200),
        (request("HEAD", &missing, ""), 404),
        (request("OPTIONS", "/", ""), 204),
        (request("OPTIONS", "*", ""), 204),
    ] {
        let response = exchange(&mut client, &request)?;
        response.ensure_status(status)?;
        response.ensure_content(b"")?;
        let next = get(&site.nested.target());
        exchange(&mut client, &next)?.ensure_serves(&site.nested.content)?;
    }
    Ok(())
}

fn errors_keep_the_connection(ctx: &TestContext) -> CheckResult {
    const EMPTY: &str = "Content-Length: 0\r\n";
    let server = ctx.start()?;
    let site = &ctx.site;
    let private = add_private_page(ctx)?;
    let mut client = connect_kept(ctx, &server)?;
    for (request, status) in [
        (get(&format!("/{}", site.nested_folder())), 301),
        (get(&private.target()), 403),
        (get(&format!("/{}", site.name())), 404),
        (request("DELETE", "/", EMPTY), 405),
        (request("BREW", "/", EMPTY), 501),
    ] {
        exchange(&mut client, &request)?.ensure_status(status)?;
        let next = get(&site.page.target());
        exchange(&mut client, &next)?.ensure_serves(&site.page.content)?;
    }
    Ok(())
}

fn empty_lines_between_requests(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    let mut client = connect_kept(ctx, &server)?;
    let form = post("/MyForm.html", b"a=b");
    let next = get(&page.target());
    client.send(&[&form[..], b"\r\n", &next].concat());
    client.next_response(&form)?.ensure_status(200)?;
    client.next_response(&next)?.ensure_serves(&page.content)?;
    // The line may also arrive by itself.
    client.send_separately(b"\r\n")?;
    exchange(&mut client, &next)?.ensure_serves(&page.content)?;
    client.send_separately(b"\r")?;
    exchange(&mut client, &[b"\n", &next[..]].concat())?.ensure_serves(&page.content)
}

/// Sends a request that can't be understood, with another one after it, on connections that have
/// stayed open. Fails unless it is refused and the connection ends.
fn ensure_closes_after(ctx: &TestContext, server: &Server, head: &[u8]) -> CheckResult {
    let hidden = get(&ctx.site.nested.target());
    for between in [b"".as_slice(), b"0\r\n\r\n"] {
        let sent = [head, between, &hidden].concat();
        let mut client = connect_kept(ctx, server)?;
        let response = exchange(&mut client, &sent)?;
        ensure_status_in(&response, &[400, 501])?;
        ensure_last(&mut client, &response, &sent)?;
    }
    Ok(())
}

fn ambiguous_length_closes(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for fields in [
        "Content-Length: 5\r\nContent-Length: 50",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -5",
        "Content-Length: 5 0",
        "Content-Length:",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        for (method, target) in [("GET", "/"), ("POST", "/MyForm.html"), ("PUT", "/")] {
            let head = request(method, target, &format!("{fields}\r\n"));
            ensure_closes_after(ctx, &server, &head)?;
        }
    }
    Ok(())
}

fn malformed_field_closes(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for fields in [
        "A: b\rContent-Length: 5\r\n",
        "A: b\r\n Content-Length: 5\r\n",
        "A: b\r\n\tc\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "A: b\0c\r\n",
        "A\r\n",
        ": b\r\n",
        "Host: other\r\n",
    ] {
        ensure_closes_after(ctx, &server, &request("GET", "/", fields))?;
    }
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET / HTTP/1.1\rHost: localhost\r\n\r\n",
        "GET /\rx HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        ensure_closes_after(ctx, &server, head.as_bytes())?;
    }
    Ok(())
}

fn late_content_is_not_a_request(ctx: &TestContext) -> CheckResult {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    let server = ctx.start()?;
    let site = &ctx.site;
    let (hidden, next) = (get(&site.nested.target()), get(&site.page.target()));
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let too_long = format!("{FORM}Content-Length: {}\r\n", 100_000 + hidden.len());
    for (method, target, fields, status) in [
        ("GET", "/", length.clone(), 200),
        ("HEAD", "/", length.clone(), 200),
        ("OPTIONS", "/", length.clone(), 204),
        ("PUT", "/", length.clone(), 405),
        ("BREW", "/", length.clone(), 501),
        ("POST", "/", length.clone(), 405),
        ("POST", "/MyForm.html", length.clone(), 415),
        ("POST", "/MyForm.html", too_long, 413),
        (
            "GET",
            "/",
            format!("Connection: keep-alive\r\n{length}"),
            200,
        ),
    ] {
        let head = request(method, target, &fields);
        let mut client = connect_kept(ctx, &server)?;
        client.send_separately(&head)?;
        client.send_separately(&hidden)?;
        client.send(&next);
        let response = client.next_response(&head)?;
        response.ensure_status(status)?;
        if announces_close(&response) {
            ensure_closes(&mut client, &head)?;
        } else {
            client
                .next_response(&next)?
                .ensure_serves(&site.page.content)?;
        }
    }
    Ok(())
}

fn expect_continue_keeps_step(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let form = String::from_utf8_lossy(&post("/MyForm.html", b"a=b")).into_owned();
    let form = form.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (head, content) = form.split_at(form.len() - 3);
    let next = get(&site.page.target());
    let mut client = connect_kept(ctx, &server)?;
    for _ in 0..2 {
        client.send_separately(head.as_bytes())?;
        client.next_response(head.as_bytes())?.ensure_status(100)?;
        client.send(&[content.as_bytes(), &next].concat());
        client.next_response(head.as_bytes())?.ensure_status(200)?;
        client
            .next_response(&next)?
            .ensure_serves(&site.page.content)?;
    }
    Ok(())
}

fn next_head_deadline(ctx: &TestContext) -> CheckResult {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = ctx.start_with(Start::with_short_timeout())?;
    let mut client = connect_kept(ctx, &server)?;
    let head = b"GET / HTTP/1.1\r\nA: ";
    // The deadline is that of the head, not of the pause before it.
    ensure_quiet(&mut client, head, TIMEOUT / 2, ConnectionState::Open)?;
    let start = Instant::now();
    client.send(head);
    while !client.has_input()? && start.elapsed() < CUTOFF_LIMIT {
        client.send(b"a");
        thread::sleep(TIMEOUT / 20);
    }
    let passed = start.elapsed();
    let response = client.next_response(head)?;
    response.ensure_status(408)?;
    let expected = format!("408 after {TIMEOUT:?}, at most {CUTOFF_LIMIT:?}");
    let is_in_time = (TIMEOUT..CUTOFF_LIMIT).contains(&passed);
    ensure(is_in_time, expected, format!("408 after {passed:?}"))?;
    ensure_last(&mut client, &response, head)
}
