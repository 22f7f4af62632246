//! Partial reads: requests that arrive in pieces, with more bytes after them, or before the
//! client stops sending.

use super::forms::{FORM_TYPE, post_head};
use super::{STAGE_4, ensure_alive};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{ConnectionState, get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckError, CheckResult, FailureKind};
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    Check {
        id: "byte-by-byte",
        must: "respond to a request that arrives byte by byte as to any other",
        why: "TCP carries a stream, not messages: a read may return any part of it (recv(2)).",
        hint: "Keep reading until the empty line has arrived.",
        about: &[FailureKind::TooSlow, FailureKind::NoResponse],
        run: byte_by_byte,
        ..DEFAULTS
    },
    Check {
        id: "split-at-every-boundary",
        must: "respond to a request that arrives in two parts, wherever it is split",
        why: "The split may come between CR and LF, or between the last two line endings.",
        hint: "Look for the empty line in everything received, not only in the last part.",
        run: split_at_every_boundary,
        ..DEFAULTS
    },
    Check {
        id: "half-closed-client",
        must: "send the whole response to a client that stops sending after its request",
        why: "RFC 9112, 9.6: one side may stop sending and still receive.",
        hint: "The end of what you read isn't the end of the connection.",
        about: &[FailureKind::NoResponse],
        run: half_closed_client,
        ..DEFAULTS
    },
    Check {
        id: "bytes-after-request",
        must: "send the whole response even if more bytes follow the request",
        why: "Closing with bytes unread resets the connection, which may destroy the response.",
        hint: "Stop sending, read what still arrives for a bounded time, then close.",
        about: &[FailureKind::NoResponse],
        run: bytes_after_request,
        ..DEFAULTS
    },
    Check {
        id: "bare-lf-line-endings",
        must: "accept lines that end with LF alone",
        why: "RFC 9112, 2.2 allows it, and it lets people type a request by hand.",
        hint: "Cut the line at LF, then remove a CR if there is one.",
        run: bare_lf_line_endings,
        ..DEFAULTS
    },
    Check {
        id: "unread-content",
        must: "send the whole error response even if unread content follows, up to 200 ms late",
        why: "RFC 9112, 9.6: closing with bytes unread resets the connection.",
        hint: "Stop sending, read what still arrives for a bounded time, then close.",
        about: &[FailureKind::NoResponse],
        run: unread_content,
        ..DEFAULTS
    },
    Check {
        id: "refused-form",
        must: "send the whole response when it refuses a form whose content it doesn't read",
        why: "RFC 9112, 9.6: closing with bytes unread resets the connection.",
        hint: "What holds for every error response also holds for 405, 411, 413 and 415.",
        about: &[FailureKind::NoResponse],
        needs: &[PREREQUISITE, "post-errors"],
        run: refused_form,
        ..STAGE_4
    },
];

/// Every server must accept what a client sends this soon after the response.
const MIN_DRAIN_TIME: Duration = Duration::from_millis(200);

fn byte_by_byte(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect()?;
    for byte in get(&ctx.site.page.target()) {
        client.send_separately(&[byte])?;
    }
    client.response()?.ensure_serves(&ctx.site.page.content)
}

fn split_at_every_boundary(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let request = get(&ctx.site.page.target());
    for boundary in 1..request.len() {
        let mut client = server.connect()?;
        client.send_separately(&request[..boundary])?;
        client.send(&request[boundary..]);
        client.response()?.ensure_serves(&ctx.site.page.content)?;
    }
    Ok(())
}

fn half_closed_client(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let file = ctx.site.add(&ctx.site.name(), &ctx.site.bytes(300_000))?;
    let mut client = server.connect()?;
    client.send(&get(&file.target()));
    client.finish_sending();
    client.response()?.ensure_serves(&file.content)
}

fn bytes_after_request(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let file = ctx.site.add(&ctx.site.name(), &ctx.site.bytes(300_000))?;
    let request = request("GET", &file.target(), "Connection: close\r\n");
    // A server that left the first client connected does the same to the next: no need to wait.
    let mut shuts_down = true;
    for more in [get("/"), b"\r\n".to_vec(), ctx.site.bytes(100_000)] {
        let mut client = server.connect()?;
        client.send(&[request.as_slice(), &more].concat());
        // A server that closes the connection now loses what the client hasn't received yet.
        shuts_down = shuts_down && client.wait_for_shutdown()?;
        client.response()?.ensure_serves(&file.content)?;
    }
    Ok(())
}

fn bare_lf_line_endings(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for rest in [
        "HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1\r\nHost: a\n\r\n",
        "HTTP/1.1\nHost: a\r\n\n",
        "HTTP/1.0\n\n",
    ] {
        let request = format!("GET {} {rest}", ctx.site.page.target());
        let response = server.exchange(request.as_bytes())?;
        response.ensure_serves(&ctx.site.page.content)?;
    }
    Ok(())
}

fn unread_content(ctx: &TestContext) -> CheckResult {
    // More than the system's buffers hold.
    let content = vec![b'a'; 16 * 1024 * 1024];
    let length = format!("Content-Length: {}\r\n", content.len());
    let server = ctx.start()?;
    // Which status each must get is for other checks: here the response must arrive.
    for head in [
        request("GET", &format!("/{}", ctx.site.name()), &length),
        request("BREW", "/", &length),
        b"GET / / HTTP/1.1\r\n\r\n".to_vec(),
        b"POST / HTTP/2.0\r\n\r\n".to_vec(),
        request("GET", &format!("/{}", "a".repeat(9000)), ""),
        request("GET", "/", &format!("A: {}\r\n", "a".repeat(20_000))),
    ] {
        let mut client = server.connect()?;
        let is_accepted = client.try_send(&[head.as_slice(), &content].concat());
        let (bytes, state) = client.read(RESPONSE_TIMEOUT)?;
        if bytes.is_empty() || state == ConnectionState::Reset || !is_accepted {
            let rest = if is_accepted {
                ""
            } else {
                ", with content unsent"
            };
            let received = format!("{} bytes of a response; {state}{rest}", bytes.len());
            let expected = "a whole response and no reset, however much content follows";
            return Err(CheckError::after(&head, expected, received));
        }
    }
    ensure_alive(ctx, &server)?;
    ensure_late_content_is_drained(ctx, &content[..100_000])
}

/// Fails unless a client can send all of its content after the server has responded. Many
/// clients do that before they look at the response, and give up if the connection is reset.
fn ensure_late_content_is_drained(ctx: &TestContext, content: &[u8]) -> CheckResult {
    let server = ctx.start()?;
    let length = format!("Content-Length: {}\r\n", content.len());
    let head = request("BREW", "/", &length);
    let (early, late) = content.split_at(100);
    // A server drains for a bounded time. If a busy machine kept the client from sending within
    // that time, a reset shows nothing, and the client tries again.
    for _ in 0..20 {
        let mut client = server.connect()?;
        client.send(&[head.as_slice(), early].concat());
        // Most servers have responded by now, but a server may wait for the rest.
        let (mut bytes, _) = client.read(RESPONSE_TIMEOUT / 10)?;
        let start = Instant::now();
        // A reset shows only when the next chunk is sent.
        let all_sent = late.chunks(10_000).all(|chunk| {
            thread::sleep(Duration::from_millis(1));
            client.try_send(chunk)
        });
        let passed = start.elapsed();
        client.finish_sending();
        let (rest, state) = client.read(RESPONSE_TIMEOUT)?;
        bytes.extend(rest);
        if all_sent && state != ConnectionState::Reset {
            if bytes.is_empty() {
                return Err(CheckError::after(&head, "a response", "nothing"));
            }
            return Ok(());
        }
        if passed < MIN_DRAIN_TIME {
            let expected = "a server that still accepts content after its response";
            let received = "a reset while the content was sent";
            return Err(CheckError::after(&head, expected, received));
        }
    }
    let reason = "the machine is too busy to send content in time";
    Err(CheckError::Broken(reason.to_string()))
}

fn refused_form(ctx: &TestContext) -> CheckResult {
    let content = ctx.site.bytes(1024 * 1024);
    let length = format!("Content-Length: {}\r\n", content.len());
    let server = ctx.start()?;
    for (status, head) in [
        (413, post_head(&format!("{FORM_TYPE}{length}"))),
        (415, post_head("Content-Length: 9\r\n")),
        (411, post_head(FORM_TYPE)),
        (405, request("POST", "/", &length)),
    ] {
        let response = server.exchange(&[head.as_slice(), &content].concat())?;
        response.ensure_status(status)?;
    }
    ensure_alive(ctx, &server)
}
