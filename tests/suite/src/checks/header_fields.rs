//! The header fields of requests: what they must look like, and those that the server interprets.

use super::forms::{FORM_PAGE, FORM_TYPE, post_head, text_of};
use super::{STAGE_4, ensure_alive};
use crate::check::{Check, PREREQUISITE};
use harness::client::{post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, ensure};

pub const CHECKS: &[Check] = &[
    Check {
        id: "content-framing",
        must: "respond with 400 to an unclear Content-Length, 501 to Transfer-Encoding, 400 to both",
        why: "RFC 9112, 6.3: where two programs disagree on it, requests can be smuggled.",
        hint: "It may appear once, and consists of digits only.",
        run: content_framing,
        ..STAGE_4
    },
    Check {
        id: "expect-100-continue",
        must: "send 100 for `Expect: 100-continue`, or the final status code, before the content arrives",
        why: "RFC 9110, 10.1.1: the client waits for it before it sends the content.",
        hint: "Send 100 only if you will read the content.",
        needs: &[PREREQUISITE, "form-is-echoed"],
        run: expect_100_continue,
        ..STAGE_4
    },
    Check {
        id: "unknown-expectation",
        must: "respond with 417 to any expectation other than 100-continue",
        why: "RFC 9110, 10.1.1: only one is defined.",
        hint: "Compare without regard to case.",
        run: unknown_expectation,
        ..STAGE_4
    },
    Check {
        id: "field-names",
        must: "respond with 400 to a field line without a valid name, or with space before its colon",
        why: "RFC 9112, 5.1: attackers exploit differences in how programs read such a line.",
        hint: "A name is a token, and the colon follows it immediately.",
        run: field_names,
        ..STAGE_4
    },
    Check {
        id: "field-values",
        must: "respond with 400 to a folded field line, and to a bare CR or a NUL in a field",
        why: "RFC 9112, 5.2 and 2.2, and RFC 9110, 5.5.",
        hint: "Check every byte of the line, also the last one before the line ending.",
        run: field_values,
        ..STAGE_4
    },
    Check {
        id: "host-field",
        must: "respond with 400 to HTTP/1.1 without exactly one valid Host (HTTP/1.0 may omit it)",
        why: "RFC 9112, 3.2.",
        hint: "Its name may be in any case, and its value may have a port.",
        run: host_field,
        ..STAGE_4
    },
    Check {
        id: "invalid-authority",
        must: "respond with 400 to an absolute target with an invalid host, a user or a bad port",
        why: "RFC 3986, 3.2, and RFC 9110, 4.2.1 and 4.2.4. Another program might read another host.",
        hint: "What follows `http://` up to the next slash is a host like that in `Host`, but not empty.",
        needs: &[PREREQUISITE, "absolute-form"],
        run: invalid_authority,
        ..STAGE_4
    },
];

/// Fails unless GET and POST with each of these groups of field lines get this status code.
fn ensure_refused(ctx: &TestContext, status: u16, groups: &[&str]) -> CheckResult {
    let server = ctx.start()?;
    for fields in groups {
        for head in [request("GET", "/", fields), post_head(fields)] {
            server.exchange(&head)?.ensure_status(status)?;
        }
    }
    ensure_alive(ctx, &server)
}

fn content_framing(ctx: &TestContext) -> CheckResult {
    let unclear = [
        "Content-Length: five\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\ncontent-length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ];
    ensure_refused(ctx, 400, &unclear)?;
    let encoded = [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
    ];
    ensure_refused(ctx, 501, &encoded)?;
    ensure_refused(ctx, 413, &["Content-Length: 99999999999999999999\r\n"])
}

fn expect_100_continue(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let form = format!("{name}=value");
    let whole = post(FORM_PAGE, form.as_bytes());
    let head = &whole[..whole.len() - form.len() - 2];
    let mut client = server.connect()?;
    client.send(&[head, b"Expect: 100-Continue\r\n\r\n"].concat());
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (bytes, _) = client.read_up_to(interim.len(), RESPONSE_TIMEOUT)?;
    let expected = "`HTTP/1.1 100 Continue` and an empty line, before the content";
    ensure(bytes == interim, expected, bytes.escape_ascii().to_string())?;
    client.send(form.as_bytes());
    let response = client.response()?;
    response.ensure_status(200)?;
    response.ensure(text_of(&response).contains(&name), "the submitted form")?;
    // Where a server reads no content, it says so before the client sends it, whatever it says.
    let expect = "Expect: 100-continue\r\nContent-Length: 1000000\r\n";
    for request in [
        post_head(&format!("{expect}{FORM_TYPE}")),
        request("POST", "/", expect),
        request("GET", "/", "Expect: 100-continue\r\n"),
    ] {
        let response = server.exchange(&request)?;
        response.ensure(response.status >= 200, "a final status code at once")?;
    }
    Ok(())
}

fn unknown_expectation(ctx: &TestContext) -> CheckResult {
    let fields = "Content-Length: 0\r\nExpect: the unexpected\r\n";
    ensure_refused(ctx, 417, &[fields])
}

fn field_names(ctx: &TestContext) -> CheckResult {
    let lines = [
        "no colon\r\n",
        ": no name\r\n",
        "Name : space before the colon\r\n",
        "Name\t: tab before the colon\r\n",
        "Na me: space in the name\r\n",
        "Na\u{e9}me: not ASCII\r\n",
        "N(a)me: not a token\r\n",
    ];
    ensure_refused(ctx, 400, &lines)
}

fn field_values(ctx: &TestContext) -> CheckResult {
    let lines = [
        "Name: folded\r\n line\r\n",
        "Name: folded\r\n\tline\r\n",
        " Name: folded at the start\r\n",
        "Name: bare\rCR\r\n",
        "Name: CR at the end\r\r\n",
        "Name: NUL\0\r\n",
    ];
    ensure_refused(ctx, 400, &lines)?;
    let valid = "Name:\r\nName: \t tab\tand \u{e9} \r\nname: again\r\n";
    let page = &ctx.site.page;
    let response = ctx
        .start()?
        .exchange(&request("GET", &page.target(), valid))?;
    response.ensure_serves(&page.content)
}

fn host_field(ctx: &TestContext) -> CheckResult {
    let (server, page) = (ctx.start()?, &ctx.site.page);
    let send = |version: &str, fields: &str| {
        let request = format!("GET {} HTTP/{version}\r\n{fields}\r\n", page.target());
        server.exchange(request.as_bytes())
    };
    for (version, fields) in [
        ("1.1", ""),
        ("1.1", "Host: a\r\nHost: a\r\n"),
        ("1.1", "Host: a\r\nhost: b\r\n"),
        ("1.1", "Host: a b\r\n"),
        ("1.1", "Host: a/b\r\n"),
        ("1.1", "Host: http://a\r\n"),
        ("1.1", "Host: a:port\r\n"),
        ("1.1", "Host: user@a\r\n"),
        ("1.1", "Host: [12345]\r\n"),
        ("1.1", "Host: [....]\r\n"),
        ("1.1", "Host: [::1\r\n"),
        ("1.1", "Host: a%zz\r\n"),
        ("1.0", "Host: a\r\nHost: b\r\n"),
    ] {
        send(version, fields)?.ensure_status(400)?;
    }
    for (version, fields) in [
        ("1.1", "Host: a\r\n"),
        ("1.1", "HOST: a.b-c:80\r\n"),
        ("1.1", "Host: [::1]:80\r\n"),
        ("1.1", "host:127.0.0.1\r\n"),
        ("1.0", ""),
    ] {
        send(version, fields)?.ensure_serves(&page.content)?;
    }
    Ok(())
}

fn invalid_authority(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let path = ctx.site.page.target();
    for authority in [
        ":80", "@", "me@a", "a:abc", "a:80:80", "[::1", "[12345]", "[....]", "a%zz", "a b",
    ] {
        server
            .get(&format!("http://{authority}{path}"))?
            .ensure_status(400)?;
    }
    for authority in ["a", "A.b-c:80", "a:", "[::1]:80", "127.0.0.1", "a%20b"] {
        let response = server.get(&format!("http://{authority}{path}"))?;
        response.ensure_serves(&ctx.site.page.content)?;
    }
    Ok(())
}
