//! Arriving: a request comes in pieces, with more behind it, or with an end in front of it.

use crate::bench::{Bench, PATIENCE};
use crate::check::{BASIC, COMMON, Check, Outcome, Trouble};
use crate::wire::{Ending, get, request};
use std::time::{Duration, Instant};

/// What is sent so soon behind an answer finds any server still taking leave.
const IN_TIME: Duration = Duration::from_millis(200);

pub const CHECKS: &[Check] = &[
    Check {
        id: "byte-by-byte",
        must: "a request that arrives byte by byte is answered like any other",
        why: "TCP carries a stream, not messages: a read may return any part (recv(2)).",
        hint: "Read on until the empty line is there.",
        run: byte_by_byte,
        ..COMMON
    },
    Check {
        id: "split-at-every-boundary",
        must: "a request that arrives in two parts is answered, wherever it is split",
        why: "The split may fall between CR and LF, or between the two line ends.",
        hint: "Look for the empty line in all that has come, not in the last part alone.",
        run: split_at_every_boundary,
        ..COMMON
    },
    Check {
        id: "half-closed-client",
        must: "a client that stops sending behind its request gets its answer",
        why: "RFC 9112, 9.6: one side may close, and the other still send.",
        hint: "The end of what you read is not the end of the connection.",
        run: half_closed_client,
        ..COMMON
    },
    Check {
        id: "bytes-after-the-request",
        must: "what follows a request does not spoil its answer",
        why: "To close with bytes unread resets the connection and can eat the answer.",
        hint: "Stop sending, read what still comes, for a bounded time, then close.",
        run: bytes_after_the_request,
        ..COMMON
    },
    Check {
        id: "lines-that-end-in-lf",
        must: "lines may end in LF alone",
        why: "RFC 9112, 2.2 allows it, and so a request can be typed by hand.",
        hint: "Cut the line at LF, then cut off a CR if one is there.",
        run: lines_that_end_in_lf,
        ..COMMON
    },
    Check {
        id: "body-that-nobody-reads",
        must: "an error answer arrives whole, though a body that nobody reads follows, or comes late",
        why: "RFC 9112, 9.6: to close with bytes unread resets the connection.",
        hint: "Stop sending, read what still comes, for a bounded time, then close.",
        run: body_that_nobody_reads,
        ..COMMON
    },
    Check {
        id: "refused-form",
        stages: 4..=4,
        must: "the refusal of a form arrives whole, though the form follows unread",
        why: "RFC 9112, 9.6: to close with bytes unread resets the connection.",
        hint: "What holds for every error answer holds for 405, 411, 413 and 415 too.",
        needs: &[BASIC, "post-rules"],
        run: refused_form,
        ..COMMON
    },
];

fn byte_by_byte(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut client = server.connect()?;
    for byte in get(&bench.site.page.target()) {
        client.send_apart(&[byte]);
    }
    client.answer()?.must_serve(&bench.site.page.content)
}

fn split_at_every_boundary(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let request = get(&bench.site.page.target());
    for place in 1..request.len() {
        let mut client = server.connect()?;
        client.send_apart(&request[..place]);
        client.send(&request[place..]);
        client.answer()?.must_serve(&bench.site.page.content)?;
    }
    Ok(())
}

fn half_closed_client(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let content = bench.site.bytes(300_000);
    let file = bench.site.add(&bench.site.name(), &content)?;
    let mut client = server.connect()?;
    client.send(&get(&file.target()));
    client.finish_sending();
    client.answer()?.must_serve(&content)
}

fn bytes_after_the_request(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let content = bench.site.bytes(300_000);
    let file = bench.site.add(&bench.site.name(), &content)?;
    let first = request("GET", &file.target(), "Connection: close\r\n");
    for more in [get("/"), b"\r\n".to_vec(), bench.site.bytes(100_000)] {
        let answer = server.ask(&[first.as_slice(), &more].concat())?;
        answer.must_serve(&content)?;
    }
    Ok(())
}

fn lines_that_end_in_lf(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let target = bench.site.page.target();
    for request in [
        format!("GET {target} HTTP/1.1\nHost: a\n\n"),
        format!("GET {target} HTTP/1.1\r\nHost: a\n\r\n"),
        format!("GET {target} HTTP/1.1\nHost: a\r\n\n"),
        format!("GET {target} HTTP/1.0\n\n"),
    ] {
        server
            .ask(request.as_bytes())?
            .must_serve(&bench.site.page.content)?;
    }
    Ok(())
}

fn body_that_nobody_reads(bench: &Bench) -> Outcome {
    let body = bench.site.bytes(1024 * 1024);
    let length = format!("Content-Length: {}\r\n", body.len());
    let missing = format!("/{}", bench.site.name());
    let heads = [
        request("GET", &missing, &length),
        request("BREW", "/", &length),
        b"GET / / HTTP/1.1\r\n\r\n".to_vec(),
        b"POST / HTTP/2.0\r\n\r\n".to_vec(),
        request("GET", &format!("/{}", "a".repeat(9000)), ""),
        request("GET", "/", &format!("A: {}\r\n", "a".repeat(20_000))),
    ];
    // Which status each must have is for other checks to say: here it must arrive.
    let server = bench.start()?;
    for head in &heads {
        let sent = [head.as_slice(), &body].concat();
        let mut client = server.connect()?;
        client.send(&sent);
        let (bytes, ending) = client.read(PATIENCE)?;
        if bytes.is_empty() || ending == Ending::Reset {
            let received = format!("{} bytes of an answer; {ending}", bytes.len());
            return Err(Trouble::after(
                &sent,
                "a whole answer, and no reset",
                received,
            ));
        }
    }
    server.get("/")?.must_serve(&bench.site.index)?;
    must_take_in_what_comes_late(bench, &body[..100_000])
}

/// Many clients send all of a body before they look at the answer, and take a reset while
/// they send for the end of everything.
fn must_take_in_what_comes_late(bench: &Bench, body: &[u8]) -> Outcome {
    let server = bench.start()?;
    let head = request("BREW", "/", &format!("Content-Length: {}\r\n", body.len()));
    let (early, late) = body.split_at(100);
    // A server takes leave for a bounded time. When the machine kept us from sending in time,
    // a reset says nothing, and we begin anew.
    for _ in 0..20 {
        let mut client = server.connect()?;
        client.send(&[head.as_slice(), early].concat());
        // Most servers have answered by now, and one may wait for the rest.
        let (mut bytes, _) = client.read(PATIENCE / 10)?;
        let since = Instant::now();
        // That a part met a reset shows with the next one.
        let taken = late.chunks(10_000).all(|part| {
            std::thread::sleep(Duration::from_millis(1));
            client.try_send(part)
        });
        if taken {
            client.finish_sending();
            bytes.extend(client.read(PATIENCE)?.0);
            return match bytes.is_empty() {
                true => Err(Trouble::after(&head, "an answer", "nothing")),
                false => Ok(()),
            };
        }
        if since.elapsed() < IN_TIME {
            return Err(Trouble::after(
                &head,
                "a server that still takes in a body which is on its way",
                "a reset while the body was sent",
            ));
        }
    }
    let late = "the machine is too busy to send a body in time";
    Err(Trouble::Broken(late.to_string()))
}

fn refused_form(bench: &Bench) -> Outcome {
    let body = bench.site.bytes(1024 * 1024);
    let length = format!("Content-Length: {}\r\n", body.len());
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let cases = [
        (
            request("POST", "/MyForm.html", &format!("{form}{length}")),
            413,
        ),
        (
            request("POST", "/MyForm.html", "Content-Length: 9\r\n"),
            415,
        ),
        (request("POST", "/MyForm.html", form), 411),
        (request("POST", "/", &length), 405),
    ];
    let server = bench.start()?;
    for (head, status) in &cases {
        let answer = server.ask(&[head.as_slice(), &body].concat())?;
        answer.must_have_status(*status)?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}
