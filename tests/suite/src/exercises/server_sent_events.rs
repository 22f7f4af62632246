//! A response that doesn't end: events for every client that stays.

use super::{Exercise, defaults};
use crate::check::Check;
use crate::checks::events::{ensure_exits, start_with_loops};
use crate::checks::keep_alive::exchange;
use crate::checks::robustness::{CUTOFF_LIMIT, MEBIBYTE, is_cut_off};
use crate::checks::{parse_response, wait_for_count};
use harness::client::{Client, ConnectionState, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckError, CheckResult, ensure};
use harness::process::{self, Signal};
use harness::response::Response;
use harness::server::{Server, Start};
use harness::starvation::watch_time;
use std::time::{Duration, Instant};

pub const EXERCISE: Exercise = Exercise {
    name: "server-sent-events",
    stage: 6,
    title: "events for clients that stay, as they happen",
    task: "\
The response to GET /events is a stream of events. Its head has status 200, these fields, and
neither a length nor a transfer coding. It is sent at once, and the connection stays open. HEAD
gets the same head, and then the connection is closed.

  Content-Type: text/event-stream
  Cache-Control: no-store
  Connection: close

The content of POST /events becomes the next event, for all clients of the stream. It is text in
UTF-8 of the type text/plain, with or without parameters. The response is 204; 400 if it isn't
UTF-8, 415 for another type, and as for a form 411 without a length and 413 over 64 KiB.

Events are numbered from 1. Number 7, of two lines, is sent like this, with LF after each line
and an empty line at the end:

  id: 7
  data: the first line
  data: the second

In the text, each CR, LF and CRLF separates two lines. A browser takes any of them for the end
of a line, so a text that kept one could contain fields.

A client that was away sends `Last-Event-ID: 5`. It first gets the events after number 5, as far
as they are among the last 100: the server keeps no others. Without that field, or if it isn't a
number from 0 to that of the latest event, a client gets only new events.

A client that has got everything gets a comment at least every half `--timeout`. That is a line
that begins with a colon. So `--timeout` doesn't end the stream, and a client that has left is
noticed: within `--timeout`, the server closes its connection. It also does so when a client
reads nothing for `--timeout`, or has fallen behind by more than 100 events. Such a client
delays nobody, and events are stored once for all clients: 100 events of 64 KiB, and 20 clients
that read none of them, may take 64 MiB of memory.

With `--loops 2`, an event reaches the clients of both loops: a `mio::Waker` wakes up a loop.
The first SIGTERM or SIGINT ends all streams at once.

In a browser: new EventSource(\"/events\").onmessage = event => console.log(event.data)",
    references: &[
        "HTML Standard, 9.2 (server-sent events)",
        "https://docs.rs/mio/latest/mio/struct.Waker.html",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &[],
};

const DEFAULTS: Check = Check {
    replayable: false,
    ..defaults("server-sent-events", 6, &["event-stream"])
};

const CHECKS: &[Check] = &[
    Check {
        id: "event-stream",
        must: "respond to GET /events with the head of a stream, and keep the connection open",
        why: "HTML Standard, 9.2: the browser knows by the type that the response doesn't end.",
        hint: "After the head, the connection gets a new state instead of its next request.",
        needs: &[],
        run: event_stream,
        ..DEFAULTS
    },
    Check {
        id: "events-reach-every-client",
        must: "send what is posted to every client of the stream, with its number",
        why: "That is what the stream is for.",
        hint: "These clients wait, and no socket of theirs is ready: who gives them a turn?",
        weight: 3,
        run: events_reach_every_client,
        ..DEFAULTS
    },
    Check {
        id: "line-ends-separate-data",
        must: "send each line of the text as `data: `, whether CR, LF or CRLF separates them",
        why: "Otherwise a text could have lines such as `id: 99`, which the client would obey.",
        hint: "Make all three the same first.",
        run: line_ends_separate_data,
        ..DEFAULTS
    },
    Check {
        id: "event-errors",
        must: "refuse text without length (411), over 64 KiB (413), of another type (415), not UTF-8 (400)",
        why: "A stream of events is always UTF-8, and one event must not take all of the memory.",
        hint: "The first three are those of the form. What is refused isn't numbered.",
        run: event_errors,
        ..DEFAULTS
    },
    Check {
        id: "last-event-id",
        must: "begin after the event that a client names, with at most the last 100",
        why: "A client that loses its connection makes a new one, and must not miss anything.",
        hint: "Its position is the number of its last event. Whoever names none begins at the end.",
        weight: 2,
        run: last_event_id,
        ..DEFAULTS
    },
    Check {
        id: "comments-keep-stream-open",
        must: "send a comment at least every half `--timeout`, and keep the stream open",
        why: "Proxies end a response in which nothing happens, and so does the stage.",
        hint: "The deadline of a stream isn't its end. It may also be earlier than the last one was.",
        slow: true,
        run: comments_keep_stream_open,
        ..DEFAULTS
    },
    Check {
        id: "dead-streams-are-closed",
        must: "close a stream whose client has left, or has read nothing for `--timeout`",
        why: "Nobody says goodbye to a stream. Its descriptor would stay open forever.",
        hint: "While something is waiting to be written, no comment is due.",
        slow: true,
        linux_only: true,
        run: dead_streams_are_closed,
        ..DEFAULTS
    },
    Check {
        id: "events-are-stored-once",
        must: "keep no copies for clients that don't read, and close those that miss an event",
        why: "Twenty clients that read nothing must not cost twenty copies of each event.",
        hint: "An `Arc` shares the bytes. A client has a position, and not a queue.",
        weight: 2,
        linux_only: true,
        run: events_are_stored_once,
        ..DEFAULTS
    },
    Check {
        id: "events-reach-all-loops",
        must: "send each event to the clients of all loops under `--loops 2`",
        why: "A loop waits for its own sockets, and doesn't see what another one has read.",
        hint: "Each loop has a waker, and whoever adds an event uses all of them.",
        weight: 2,
        run: events_reach_all_loops,
        ..DEFAULTS
    },
    Check {
        id: "shutdown-ends-streams",
        must: "end all streams at once on SIGTERM and SIGINT, and exit with 0",
        why: "Streams have no end that the program could wait for.",
        hint: "A stream is no response that has to be finished. Its client will connect again.",
        run: shutdown_ends_streams,
        ..DEFAULTS
    },
];

const PATH: &str = "/events";

/// How much later than `--timeout` says something may happen on a busy machine.
const TOLERANCE: Duration = Duration::from_secs(3);

/// The head of a POST request with text that is this long.
fn post_head(length: usize) -> Vec<u8> {
    let fields = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n");
    request("POST", PATH, &fields)
}

/// Posts text on a connection that stays open. Fails unless it becomes an event.
fn publish(client: &mut Client, text: &str) -> CheckResult {
    let sent = [&post_head(text.len()), text.as_bytes()].concat();
    exchange(client, &sent)?.ensure_status(204)
}

/// Requests the stream and reads its head.
fn request_stream(client: &mut Client, fields: &str) -> CheckResult<Response> {
    let request = request("GET", PATH, fields);
    client.send(&request);
    let head = client.read_through(b"\r\n\r\n", RESPONSE_TIMEOUT)?;
    let response = parse_response(&request, &head)?;
    response.ensure_status(200)?;
    Ok(response)
}

/// A client of the stream that has got the head. `fields` are further fields of its request.
fn open_stream(server: &Server, fields: &str) -> CheckResult<Client> {
    let mut client = server.connect()?;
    request_stream(&mut client, fields)?;
    Ok(client)
}

fn open_streams(server: &Server, count: usize) -> CheckResult<Vec<Client>> {
    (0..count).map(|_| open_stream(server, "")).collect()
}

/// Reads the next event. Comments before it and in it are left out.
fn next_event(client: &mut Client) -> CheckResult<String> {
    loop {
        let bytes = client.read_through(b"\n\n", RESPONSE_TIMEOUT)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.split_inclusive('\n');
        let event: String = lines.filter(|line| !line.starts_with(':')).collect();
        if event != "\n" {
            return Ok(event);
        }
    }
}

/// Fails unless the next event has this number and these lines.
fn ensure_event(client: &mut Client, number: usize, lines: &[&str]) -> CheckResult {
    let mut expected = format!("id: {number}\n");
    for line in lines {
        expected.extend(["data: ", line, "\n"]);
    }
    expected += "\n";
    let event = next_event(client)?;
    if event == expected {
        return Ok(());
    }
    let shown = |event: &str| event.chars().take(200).collect::<String>();
    let received = format!("the event\n{}", shown(&event));
    Err(CheckError::failed(
        format!("the event\n{}", shown(&expected)),
        received,
    ))
}

fn event_stream(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let ensure_head = |response: &Response| {
        response.ensure_status(200)?;
        response.ensure_field("Content-Type", "text/event-stream")?;
        response.ensure_field("Cache-Control", "no-store")?;
        response.ensure_field("Connection", "close")?;
        for name in ["content-length", "transfer-encoding"] {
            let is_absent = response.field(name).is_none();
            response.ensure(is_absent, format!("no field `{name}`"))?;
        }
        Ok::<(), CheckError>(())
    };
    let mut client = server.connect()?;
    ensure_head(&request_stream(&mut client, "")?)?;
    let (_, state) = client.read(watch_time(Duration::from_millis(200)))?;
    let is_open = state == ConnectionState::Open;
    ensure(is_open, "an open connection", state.to_string())?;
    let head = request("HEAD", PATH, "");
    let mut client = server.connect()?;
    client.send(&head);
    let response = parse_response(&head, &client.ensure_ends_within(RESPONSE_TIMEOUT)?)?;
    ensure_head(&response)?;
    response.ensure_content(b"")
}

fn events_reach_every_client(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut publisher = server.connect()?;
    let mut clients = open_streams(&server, 20)?;
    for number in 1..=10 {
        let text = ctx.site.name();
        publish(&mut publisher, &text)?;
        for client in &mut clients {
            ensure_event(client, number, &[&text])?;
        }
        // Whoever comes later gets only what is new.
        clients.push(open_stream(&server, "")?);
    }
    Ok(())
}

fn line_ends_separate_data(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut publisher = server.connect()?;
    let mut client = open_stream(&server, "")?;
    let name = &*ctx.site.name();
    for (index, lines) in [
        &[name, name][..],
        &[name, "id: 99"],
        &[name, "", "id: 99", "data: forged", ""],
        &["", "", ":", name, ""],
        &[""],
        &[" two spaces: 你\u{2028}好\u{b}"],
    ]
    .iter()
    .enumerate()
    {
        for (offset, line_end) in ["\n", "\r", "\r\n"].iter().enumerate() {
            publish(&mut publisher, &lines.join(line_end))?;
            ensure_event(&mut client, 1 + 3 * index + offset, lines)?;
        }
    }
    Ok(())
}

fn event_errors(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = open_stream(&server, "")?;
    let with_type = |media_type: &str, content: &[u8]| {
        let length = content.len();
        let fields = format!("{media_type}Content-Length: {length}\r\n");
        [&request("POST", PATH, &fields), content].concat()
    };
    let text = "Content-Type: text/plain\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let longest = "a".repeat(64 * 1024);
    for (status, request) in [
        (411, request("POST", PATH, text)),
        (413, post_head(64 * 1024 + 1)),
        (415, with_type("", b"a=b")),
        (415, with_type(form, b"a=b")),
        (415, with_type("Content-Type: text/html\r\n", b"a=b")),
        (400, with_type(text, b"a\xFFb")),
        (400, with_type(text, b"\xE4\xBD")),
        (204, with_type(text, longest.as_bytes())),
        (
            204,
            with_type("Content-Type: Text/Plain; charset=UTF-8\r\n", b"a"),
        ),
    ] {
        server.exchange(&request)?.ensure_status(status)?;
    }
    ensure_event(&mut client, 1, &[&longest])?;
    ensure_event(&mut client, 2, &["a"])
}

fn last_event_id(ctx: &TestContext) -> CheckResult {
    const COUNT: usize = 130;
    let server = ctx.start()?;
    let mut publisher = server.connect()?;
    let texts: Vec<String> = (0..=COUNT).map(|_| ctx.site.name()).collect();
    for text in &texts[..COUNT] {
        publish(&mut publisher, text)?;
    }
    let ids = [
        "0",
        "29",
        "30",
        "31",
        "129",
        "130",
        "131",
        "99999999999999999999",
        "a",
        "",
    ];
    let firsts = [31, 31, 31, 32, 130, 131, 131, 131, 131, 131];
    let mut clients = Vec::new();
    for id in ids {
        clients.push(open_stream(&server, &format!("Last-Event-ID: {id}\r\n"))?);
    }
    publish(&mut publisher, &texts[COUNT])?;
    for (client, first) in clients.iter_mut().zip(firsts) {
        for number in first..=COUNT + 1 {
            ensure_event(client, number, &[&texts[number - 1]])?;
        }
    }
    Ok(())
}

fn comments_keep_stream_open(ctx: &TestContext) -> CheckResult {
    const TIMEOUT: u32 = 8;
    let patient = ctx.start_with(Start {
        timeout: TIMEOUT,
        ..Start::default()
    })?;
    let impatient = ctx.start_with(Start::with_short_timeout())?;
    let mut stream = open_stream(&impatient, "")?;
    let (mut other, start) = (open_stream(&patient, "")?, Instant::now());
    let (_, state) = stream.read(Duration::from_secs(2))?;
    let is_open = state == ConnectionState::Open;
    ensure(is_open, "a stream that stays open", state.to_string())?;
    let limit = Duration::from_secs(TIMEOUT.into()) / 2 + TOLERANCE;
    let line = other.read_through(b"\n", limit.saturating_sub(start.elapsed()))?;
    let received = format!("\"{}\"", line.escape_ascii());
    ensure(line.starts_with(b":"), "a comment", received)?;
    let text = ctx.site.name();
    publish(&mut impatient.connect()?, &text)?;
    ensure_event(&mut stream, 1, &[&text])
}

fn dead_streams_are_closed(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let mut publisher = server.connect()?;
    publish(&mut publisher, "")?;
    let before = process::descriptors(server.pid())?;
    drop(open_streams(&server, 20)?);
    let count = || process::descriptors(server.pid());
    let after = wait_for_count(CUTOFF_LIMIT, count, |count| count <= before)?;
    let expected = format!("{before} descriptors, as before these clients came and left");
    ensure(after <= before, expected, after.to_string())?;
    let mut client = server.connect_small()?;
    request_stream(&mut client, "")?;
    // More than the systems buffer, and less than 100 events.
    let text = "a".repeat(64 * 1024);
    let mut publisher = server.connect()?;
    for _ in 0..90 {
        publish(&mut publisher, &text)?;
    }
    let is_closed = wait_until(CUTOFF_LIMIT, || is_cut_off(&client))?;
    let expected = "the end of a stream that is not read";
    ensure(is_closed, expected, "it is still open")
}

fn events_are_stored_once(ctx: &TestContext) -> CheckResult {
    /// The last 100 events are 6.25 MiB. A copy for each of 20 clients would be 125.
    const MOST: u64 = 64 * MEBIBYTE;
    let server = ctx.start()?;
    let mut publisher = server.connect()?;
    let mut reader = open_stream(&server, "")?;
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect_small()?;
        request_stream(&mut client, "")?;
        unread.push(client);
    }
    let before = process::proportional_memory(server.pid())?;
    let text = "a".repeat(64 * 1024);
    for number in 1..=100 {
        publish(&mut publisher, &text)?;
        ensure_event(&mut reader, number, &[&text])?;
    }
    let growth = process::proportional_memory(server.pid())?.saturating_sub(before);
    let expected = format!("at most {MOST} bytes of memory for 100 events of 64 KiB");
    ensure(growth <= MOST, expected, format!("{growth} bytes"))?;
    for number in 101..=210 {
        publish(&mut publisher, "a")?;
        ensure_event(&mut reader, number, &["a"])?;
    }
    for client in &unread {
        let is_closed = wait_until(RESPONSE_TIMEOUT, || is_cut_off(client))?;
        let expected = "the end of a stream that is more than 100 events behind";
        ensure(is_closed, expected, "it is still open")?;
    }
    Ok(())
}

fn events_reach_all_loops(ctx: &TestContext) -> CheckResult {
    let server = start_with_loops(ctx, "2")?;
    // Which loop accepts a client is up to the system. If some come at once and some one by one, hardly
    // all get to the same.
    let mut clients = server.connect_many(50)?;
    for client in &mut clients {
        request_stream(client, "")?;
    }
    clients.extend(open_streams(&server, 50)?);
    for number in 1..=10 {
        let text = ctx.site.name();
        publish(&mut server.connect()?, &text)?;
        for client in &mut clients {
            ensure_event(client, number, &[&text])?;
        }
    }
    Ok(())
}

fn shutdown_ends_streams(ctx: &TestContext) -> CheckResult {
    for signal in [Signal::TERM, Signal::INT] {
        let server = ctx.start()?;
        let mut clients = open_streams(&server, 5)?;
        publish(&mut server.connect()?, "")?;
        for client in &mut clients {
            ensure_event(client, 1, &[""])?;
        }
        server.signal(signal);
        for client in &mut clients {
            client.ensure_ends_within(RESPONSE_TIMEOUT)?;
        }
        let status = ensure_exits(&server, RESPONSE_TIMEOUT)?;
        ensure(status.success(), "exit code 0", status.to_string())?;
    }
    Ok(())
}
