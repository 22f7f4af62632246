//! A connection for more than one request.

use super::Exercise;
use crate::bench::{Bench, PATIENCE};
use crate::check::{COMMON, Check, Outcome, Trouble, must};
use crate::checks::faults::LATEST;
use crate::server::Start;
use crate::wire::{Answer, Client, Ending, get, post, request};
use std::time::{Duration, Instant};

pub const EXERCISE: Exercise = Exercise {
    name: "keep-alive",
    stage: 4,
    title: "a connection for more than one request",
    asked: "\
A connection of HTTP/1.1 stays open behind an answer, and the next request on it is answered
too. Requests that are sent without waiting for the answers are answered in their order.

The connection is closed, and the answer says `Connection: close`, if the client sends `close`
in its field `Connection` (in any case, perhaps among other words), if the request is in
HTTP/1.0, and behind every request that is malformed or whose end this server does not know
how to find (`Transfer-Encoding`): where it ends nobody can know, so what follows it must not
be taken for a request. The content of a request is no request either: read it, or close
behind the answer. A connection on which no request comes for `--timeout` is closed without a
word. An answer without `Connection: close` needs an end that the client can find:
`Content-Length`, or no content by its status or method; one that has come out shorter than it
was to be ends its connection.",
    read: &[
        "RFC 9112, 9.3 (persistence), 9.6 (closing), 6.3 (where content ends)",
        "CWE-444",
    ],
    checks: CHECKS,
    excuses: &["connection-close"],
    already: &["close-when-asked", "a-malformed-request-is-the-last"],
};

const OWN: Check = Check {
    stages: 4..=4,
    needs: &["two-requests-on-one-connection"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "two-requests-on-one-connection",
        must: "one connection serves a request, another after its answer, and an error is not its end",
        why: "RFC 9112, 9.3: to connect costs more than to ask.",
        hint: "A loop around what is done for one request.",
        needs: &[],
        weight: 2,
        run: two_requests_on_one_connection,
        ..OWN
    },
    Check {
        id: "pipelined-requests-in-order",
        must: "requests that are sent all at once are answered one by one, in their order",
        why: "RFC 9112, 9.3.2: a client need not wait for an answer before it goes on.",
        hint: "What was read beyond the first request is the beginning of the second.",
        run: pipelined_requests_in_order,
        ..OWN
    },
    Check {
        id: "close-when-asked",
        must: "`Connection: close` and HTTP/1.0 end the connection behind the answer, which says so",
        why: "RFC 9112, 9.6: a client that has asked for it waits for the end.",
        hint: "The field is a list, and case does not count in it.",
        run: close_when_asked,
        ..OWN
    },
    Check {
        id: "an-idle-connection-is-closed",
        must: "a connection without a further request is closed after `--timeout`, without a word",
        why: "RFC 9112, 9.8. A 408 could be taken for the answer to what is asked next.",
        hint: "The time begins anew with each request that is waited for.",
        waits: true,
        run: an_idle_connection_is_closed,
        ..OWN
    },
    Check {
        id: "a-malformed-request-is-the-last",
        must: "behind a malformed request comes one answer, and the end",
        why: "CWE-444, request smuggling: nobody knows where it ends.",
        hint: "What cannot be framed cannot be skipped.",
        run: a_malformed_request_is_the_last,
        ..OWN
    },
    Check {
        id: "content-is-no-request",
        must: "the content of a request is never taken for the next request",
        why: "CWE-444: else a form could hold a request that nobody has sent.",
        hint: "Either read as much as Content-Length says, or close.",
        weight: 2,
        run: content_is_no_request,
        ..OWN
    },
];

/// Reads one answer, and not a byte more. `sent` is what it answers.
fn one_answer(client: &mut Client, sent: &[u8]) -> Result<Answer, Trouble> {
    let mut raw = Vec::new();
    while !raw.ends_with(b"\r\n\r\n") {
        let (byte, ending) = client.read_up_to(1, PATIENCE)?;
        if byte.is_empty() {
            let received = format!("\"{}\"; {ending}", raw.escape_ascii());
            return Err(Trouble::after(sent, "an answer, with its head", received));
        }
        raw.extend(byte);
    }
    let head = Answer::parse(sent, &raw);
    let head = head
        .ok_or_else(|| Trouble::after(sent, "an answer", format!("\"{}\"", raw.escape_ascii())))?;
    if sent.starts_with(b"HEAD ") || [204, 304].contains(&head.status) {
        return Ok(head);
    }
    let length = head.field("content-length").and_then(|v| v.parse().ok());
    head.must(length.is_some(), "a Content-Length")?;
    let length: usize = length.unwrap_or_default();
    while raw.len() < head.raw.len() + length {
        let left = head.raw.len() + length - raw.len();
        let (part, ending) = client.read_up_to(left, PATIENCE)?;
        raw.extend(&part);
        if ending != Ending::Open {
            break;
        }
    }
    let answer = Answer::parse(sent, &raw).unwrap_or(head);
    answer.must(
        answer.content.len() == length,
        "as much content as promised",
    )?;
    Ok(answer)
}

/// Whether an answer says that it is the last.
fn says_close(answer: &Answer) -> bool {
    let values = answer.fields.iter().filter(|field| field.0 == "connection");
    { values }.any(|field| field.1.to_ascii_lowercase().contains("close"))
}

/// Nothing more must come, and the connection end.
fn must_be_the_end(client: &mut Client, sent: &[u8]) -> Outcome {
    let (bytes, ending) = client.read(PATIENCE)?;
    match (bytes.is_empty(), ending) {
        (true, Ending::Closed) => Ok(()),
        _ => {
            let received = format!("\"{}\"; {ending}", bytes.escape_ascii());
            Err(Trouble::after(
                sent,
                "the close, and nothing more",
                received,
            ))
        }
    }
}

fn two_requests_on_one_connection(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let site = &bench.site;
    let mut client = server.connect()?;
    let missing = format!("/{}", site.name());
    for (target, content) in [
        (site.page.target(), &site.page.content),
        (missing, &site.missing.content),
        (site.nested.target(), &site.nested.content),
        ("/".to_string(), &site.index),
    ] {
        let request = get(&target);
        client.send(&request);
        one_answer(&mut client, &request)?.must_have_content(content)?;
    }
    Ok(())
}

fn pipelined_requests_in_order(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let site = &bench.site;
    let missing = format!("/{}", site.name());
    let last = request("GET", &site.page.target(), "Connection: close\r\n");
    let requests = [
        (get(&site.nested.target()), site.nested.content.as_slice()),
        (request("HEAD", "/", ""), b""),
        (get(&missing), &site.missing.content),
        (request("OPTIONS", "/", ""), b""),
        (get("/"), &site.index),
        (last, &site.page.content),
    ];
    let mut client = server.connect()?;
    let all: Vec<&[u8]> = requests.iter().map(|(request, _)| &request[..]).collect();
    client.send(&all.concat());
    for (request, content) in &requests {
        one_answer(&mut client, request)?.must_have_content(content)?;
    }
    must_be_the_end(&mut client, &all.concat())
}

fn close_when_asked(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let with = |fields: &str| request("GET", "/", fields);
    for request in [
        with("Connection: close\r\n"),
        with("connection: CLOSE\r\n"),
        with("Connection: x-lab, Close\r\n"),
        with("Connection: x-lab\r\nConnection: close\r\n"),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ] {
        let mut client = server.connect()?;
        client.send(&request);
        let answer = one_answer(&mut client, &request)?;
        answer.must_serve(&bench.site.index)?;
        answer.must(says_close(&answer), "the field `Connection: close`")?;
        must_be_the_end(&mut client, &request)?;
    }
    Ok(())
}

fn an_idle_connection_is_closed(bench: &Bench) -> Outcome {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = bench.start_with(Start::impatient())?;
    let mut client = server.connect()?;
    let request = get("/");
    // The time begins anew with each answer: all together these outlast it.
    for _ in 0..6 {
        let (early, ending) = client.read(TIMEOUT / 4)?;
        let open = early.is_empty() && ending == Ending::Open;
        must(open, "an open connection", format!("{ending}, too early"))?;
        client.send(&request);
        one_answer(&mut client, &request)?.must_serve(&bench.site.index)?;
    }
    let since = Instant::now();
    let bytes = client.must_end_within(LATEST)?;
    must(
        bytes.is_empty() && since.elapsed() >= TIMEOUT / 2,
        format!("the end without a word, {TIMEOUT:?} after the last answer"),
        format!("\"{}\" after {:?}", bytes.escape_ascii(), since.elapsed()),
    )
}

fn a_malformed_request_is_the_last(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let next = get(&bench.site.page.target());
    for (first, statuses) in [
        (b"garbage\r\n\r\n".to_vec(), [400, 400]),
        (
            request("GET", "/", "Content-Length: 1\r\nContent-Length: 2\r\n"),
            [400, 400],
        ),
        (
            request("GET", "/", "Transfer-Encoding: chunked\r\n"),
            [501, 501],
        ),
        (request("GET", "/", "Na me: a\r\n"), [400, 400]),
        (
            request("GET", "/", &format!("A: {}\r\n", "a".repeat(17_000))),
            [431, 400],
        ),
    ] {
        let both = [first, next.clone()].concat();
        let mut client = server.connect()?;
        client.send(&both);
        let answer = one_answer(&mut client, &both)?;
        let right = statuses.contains(&answer.status);
        answer.must(right, format!("status {}", statuses[0]))?;
        answer.must(says_close(&answer), "the field `Connection: close`")?;
        must_be_the_end(&mut client, &both)?;
    }
    Ok(())
}

fn content_is_no_request(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let site = &bench.site;
    // What would be answered with a page that was not asked for.
    let hidden = get(&site.nested.target());
    let next = get(&site.page.target());
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let continued = format!("Expect: 100-continue\r\n{length}");
    let form = [b"a=".as_slice(), &hidden].concat();
    for (first, status) in [
        (post("/MyForm.html", &form), 200),
        ([request("GET", "/", &length), hidden.clone()].concat(), 200),
        ([request("PUT", "/", &length), hidden.clone()].concat(), 405),
        (
            [request("POST", "/", &length), hidden.clone()].concat(),
            405,
        ),
        (
            [request("POST", "/MyForm.html", &length), hidden.clone()].concat(),
            415,
        ),
        (
            [request("GET", "/", &continued), hidden.clone()].concat(),
            200,
        ),
    ] {
        let both = [first, next.clone()].concat();
        let mut client = server.connect()?;
        client.send(&both);
        let mut answer = one_answer(&mut client, &both)?;
        if answer.status == 100 {
            answer = one_answer(&mut client, &both)?;
        }
        answer.must_have_status(status)?;
        match says_close(&answer) {
            true => must_be_the_end(&mut client, &both)?,
            false => one_answer(&mut client, &next)?.must_serve(&site.page.content)?,
        }
    }
    // A form that was read is no reason to close.
    let form = post("/MyForm.html", b"a=b");
    let mut client = server.connect()?;
    for _ in 0..2 {
        client.send(&form);
        one_answer(&mut client, &form)?.must_have_status(200)?;
    }
    client.send(&next);
    one_answer(&mut client, &next)?.must_serve(&site.page.content)
}
