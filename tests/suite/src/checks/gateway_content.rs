//! The content of a request for an application: by length or in chunks, complete before the
//! application starts, and bounded.

use super::ensure_alive;
use super::gateway::{STAGE_5, Script, TEXT, add_script, start_cgi};
use crate::check::{Check, PREREQUISITE};
use harness::client::request;
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, FailureKind, ensure};
use harness::server::Server;
use std::thread;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Check {
        id: "content-by-length",
        must: "pass content of any type and length to standard input, byte for byte",
        why: "RFC 3875, 4.2: a program reads no more than CONTENT_LENGTH says.",
        hint: "Methods other than GET and POST may have content, too.",
        weight: 2,
        run: content_by_length,
        ..STAGE_5
    },
    Check {
        id: "chunked-content",
        must: "decode chunked content, with extensions and trailers, and set its true CONTENT_LENGTH",
        why: "RFC 9112, 7.1: every HTTP/1.1 server must understand chunks. `git push` sends them.",
        hint: "Read all of it first: the length comes last.",
        weight: 2,
        run: chunked_content,
        ..STAGE_5
    },
    Check {
        id: "invalid-chunks-are-refused",
        must: "respond with 400 to malformed or overflowing chunk sizes, and to both framings at once",
        why: "RFC 9112, 6.3 and 7.1: what two programs read differently smuggles a request.",
        hint: "A size is hexadecimal digits alone, and each line ends in CRLF.",
        needs: &[PREREQUISITE, "cgi-program-responds", "chunked-content"],
        run: invalid_chunks_are_refused,
        ..STAGE_5
    },
    Check {
        id: "content-limit",
        must: "respond with 413 to more than --max-content, by length or in chunks, and start nothing",
        why: "RFC 9110, 15.5.14: without a limit, one client can fill the disk.",
        hint: "Count chunks as they come. A length can be refused before any content.",
        run: content_limit,
        ..STAGE_5
    },
    Check {
        id: "continue-for-applications",
        must: "send 100 Continue before content that is expected, and a refusal instead of it",
        why: "RFC 9110, 10.1.1: the client waits before it sends much.",
        hint: "Decide on the head, then ask for the content.",
        about: &[FailureKind::TooSlow],
        run: continue_for_applications,
        ..STAGE_5
    },
    Check {
        id: "content-is-complete-first",
        must: "start a program when all content has arrived, and not at all if it never does",
        why: "A slow client would hold a process, and a program can't tell a part from the whole.",
        hint: "Keep it in a file without a name, and give the program that file.",
        run: content_is_complete_first,
        ..STAGE_5
    },
    Check {
        id: "large-content-unread",
        must: "send the response of a program that doesn't read a large content",
        why: "RFC 3875, 4.2: a program need not read. A pipe that nobody reads is full at 64 KiB.",
        hint: "Never write all of it before you read.",
        about: &[FailureKind::TooSlow, FailureKind::NoResponse],
        run: large_content_unread,
        ..STAGE_5
    },
];

/// A request with this content.
fn with_length(method: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let fields = format!(
        "Content-Type: image/lab\r\nContent-Length: {}\r\n",
        content.len()
    );
    [request(method, target, &fields), content.to_vec()].concat()
}

/// A request with a body in chunks, as it is written here.
fn with_chunks(target: &str, body: &[u8]) -> Vec<u8> {
    let head = request("POST", target, "Transfer-Encoding: chunked\r\n");
    [head, body.to_vec()].concat()
}

/// Adds a script that notes that it has run, and shows the length and the content.
fn add_echo(ctx: &TestContext) -> CheckResult<Script> {
    let lines =
        format!("touch \"$0.ran\"\n{TEXT}echo \"$CONTENT_LENGTH $CONTENT_TYPE\"\nexec cat\n");
    add_script(ctx, &lines)
}

fn ensure_not_run(script: &Script) -> CheckResult {
    let has_run = script.has_file("ran");
    ensure(!has_run, "no program that has run", "it has left a file")
}

fn content_by_length(ctx: &TestContext) -> CheckResult {
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &[])?;
    for (method, length) in [
        ("POST", 0),
        ("POST", 1),
        ("PUT", 1000),
        ("POST", 64 * 1024),
        ("PATCH", 64 * 1024 + 1),
        ("POST", 1_500_000),
    ] {
        let content = ctx.site.bytes(length);
        let response = server.exchange(&with_length(method, &script.target, &content))?;
        let line = format!("{length} image/lab\n").into_bytes();
        response.ensure_serves(&[line, content].concat())?;
    }
    Ok(())
}

fn chunked_content(ctx: &TestContext) -> CheckResult {
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &[])?;
    let send = |server: &Server, body: &[u8], content: &[u8]| {
        let mut client = server.connect()?;
        let request = with_chunks(&script.target, body);
        // Whatever the pieces are, it is the same.
        let middle = request.len() - 1 - ctx.site.below(request.len().min(40));
        client.send_separately(&request[..middle])?;
        client.send(&request[middle..]);
        let line = format!("{} \n", content.len()).into_bytes();
        client.response()?.ensure_serves(&[&line, content].concat())
    };
    for (body, content) in [
        ("0\r\n\r\n", ""),
        ("3\r\na\0c\r\n0\r\n\r\n", "a\0c"),
        (
            "1;a=b\r\na\r\n0002 ; c=\"d\"\r\nbc\r\n00;e\r\nX-Trailer: f\r\nContent-Length: 1\r\n\r\n",
            "abc",
        ),
        (
            "A\r\n0123456789\r\na\r\n0123\r\n6789\r\n0\r\n\r\n",
            "01234567890123\r\n6789",
        ),
    ] {
        send(&server, body.as_bytes(), content.as_bytes())?;
    }
    let content = ctx.site.bytes(200_000);
    let mut body = Vec::new();
    for piece in content.chunks(7_777) {
        body.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        body.extend_from_slice(piece);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    send(&server, &body, &content)
}

fn invalid_chunks_are_refused(ctx: &TestContext) -> CheckResult {
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &[])?;
    for body in [
        "\r\na\r\n0\r\n\r\n",
        "x\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        "1 1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "3\r\na\r\n0\r\n\r\n",
        // 2^64 + 1, and what fits 64 bits only with a sign.
        "10000000000000001\r\na\r\n0\r\n\r\n",
        "ffffffffffffffffffffffff\r\na\r\n0\r\n\r\n",
    ] {
        let response = server.exchange(&with_chunks(&script.target, body.as_bytes()))?;
        response.ensure_status(400)?;
    }
    let framings = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let both = request("POST", &script.target, framings);
    let body = b"3\r\na=b\r\n0\r\n\r\n".to_vec();
    server
        .exchange(&[both, body].concat())?
        .ensure_status(400)?;
    ensure_not_run(&script)?;
    ensure_alive(ctx, &server)
}

fn content_limit(ctx: &TestContext) -> CheckResult {
    const MAX: usize = 100_000;
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &["--max-content", "100000"])?;
    let more = ctx.site.bytes(MAX + 1);
    let chunks = |content: &[u8]| {
        let size = format!("{:x}\r\n", content.len());
        [size.as_bytes(), content, b"\r\n0\r\n\r\n"].concat()
    };
    let announced = |length| format!("Content-Length: {length}\r\n");
    for request in [
        with_length("POST", &script.target, &more),
        with_chunks(&script.target, &chunks(&more)),
        request("POST", &script.target, &announced("99999999999")),
        request(
            "POST",
            &script.target,
            &announced("99999999999999999999999"),
        ),
    ] {
        server.exchange(&request)?.ensure_status(413)?;
    }
    ensure_not_run(&script)?;
    let most = &more[..MAX];
    for request in [
        with_length("POST", &script.target, most),
        with_chunks(&script.target, &chunks(most)),
    ] {
        server.exchange(&request)?.ensure_status(200)?;
    }
    Ok(())
}

fn continue_for_applications(ctx: &TestContext) -> CheckResult {
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &["--max-content", "1000"])?;
    for (fields, body) in [
        ("Content-Length: 3\r\n", "a=b"),
        ("Transfer-Encoding: chunked\r\n", "3\r\na=b\r\n0\r\n\r\n"),
    ] {
        let fields = format!("{fields}Expect: 100-continue\r\n");
        let mut client = server.connect()?;
        client.send(&request("POST", &script.target, &fields));
        let interim = client.read_through(b"\r\n\r\n", RESPONSE_TIMEOUT)?;
        let received = interim.escape_ascii().to_string();
        ensure(
            interim.starts_with(b"HTTP/1.1 100 "),
            "100 Continue",
            received,
        )?;
        client.send(body.as_bytes());
        client.response()?.ensure_serves(b"3 \na=b")?;
    }
    let fields = "Content-Length: 1001\r\nExpect: 100-continue\r\n";
    let refused = server.exchange(&request("POST", &script.target, fields))?;
    refused.ensure_status(413)
}

fn content_is_complete_first(ctx: &TestContext) -> CheckResult {
    let script = add_echo(ctx)?;
    let server = start_cgi(ctx, &[])?;
    let whole = with_length("POST", &script.target, b"first and last");
    let chunks = with_chunks(&script.target, b"5\r\nfirst\r\n9\r\n and last\r\n0\r\n\r\n");
    for (request, line) in [(&whole, "14 image/lab\n"), (&chunks, "14 \n")] {
        let (start, end) = request.split_at(request.len() - 6);
        let mut client = server.connect()?;
        client.send_separately(start)?;
        // There is no event to wait for: a program that had started would show it by then.
        thread::sleep(Duration::from_millis(300));
        ensure_not_run(&script)?;
        let mut leaver = server.connect()?;
        leaver.send(start);
        leaver.finish_sending();
        leaver.response()?.ensure_status(400)?;
        ensure_not_run(&script)?;
        client.send(end);
        let content = format!("{line}first and last");
        client.response()?.ensure_serves(content.as_bytes())?;
        std::fs::remove_file(script.file("ran"))?;
    }
    Ok(())
}

fn large_content_unread(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let silent = add_script(ctx, &format!("{TEXT}printf {word}\n"))?;
    // It writes a lot, and reads nothing meanwhile.
    let writer = add_script(ctx, &format!("{TEXT}head -c 500000 /dev/zero\n"))?;
    let server = start_cgi(ctx, &[])?;
    let content = ctx.site.bytes(2_000_000);
    for _ in 0..2 {
        let response = server.exchange(&with_length("POST", &silent.target, &content))?;
        response.ensure_serves(word.as_bytes())?;
    }
    let response = server.exchange(&with_length("POST", &writer.target, &content))?;
    response.ensure_serves(&[0; 500_000])
}
