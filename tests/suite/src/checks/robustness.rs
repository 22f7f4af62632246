//! Robustness: slow clients, vanishing clients, files that change, and a system that runs out of
//! resources.

use super::forms::FORM_PAGE;
use super::{STAGE_4, ensure_alive, parse_response, wait_for_count};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{Client, ConnectionState, get, post, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_for, wait_until};
use harness::error::{CheckError, CheckResult, FailureKind, ensure};
use harness::process;
use harness::response::{Response, ends_with_connection, syntax_error};
use harness::server::{Server, Start};
use std::fmt;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    Check {
        id: "silent-client-timeout",
        slow: true,
        must: "close a silent connection after `--timeout`, at most 3 s late, and send nothing",
        why: "Without a limit, one client occupies the server forever.",
        hint: "Set a timeout for reading, and treat it as the end of the connection.",
        run: silent_client_timeout,
        ..DEFAULTS
    },
    Check {
        id: "incomplete-head-timeout",
        slow: true,
        must: "send 408 after `--timeout`, at most 3 s late, to a client that stops in its head",
        why: "RFC 9110, 15.5.9: the request wasn't complete in the time that the server waits.",
        hint: "Distinguish a client that sent nothing from one that didn't finish.",
        about: &[FailureKind::NoResponse, FailureKind::TooSlow],
        run: incomplete_head_timeout,
        ..DEFAULTS
    },
    Check {
        id: "slow-head-timeout",
        slow: true,
        must: "cut off a client after `--timeout`, at most 3 s late, even if it sends a byte at times",
        why: "Slowloris: a timeout for each single read never expires.",
        hint: "The deadline is for the whole head. Before each read, see how much time is left.",
        run: slow_head_timeout,
        ..DEFAULTS
    },
    Check {
        id: "lingering-close-is-bounded",
        slow: true,
        must: "close the connection of a refused client within 8 s, even if it never stops sending",
        why: "RFC 9112, 9.6: read on after a response, but only for a bounded time.",
        hint: "The reading that follows your response needs its own deadline.",
        run: lingering_close_is_bounded,
        ..DEFAULTS
    },
    Check {
        id: "client-that-never-reads",
        slow: true,
        must: "cut off a client that reads nothing for `--timeout`, at most 3 s late",
        why: "When the buffers are full, a write blocks, perhaps forever (send(2)).",
        hint: "Writing needs a timeout as much as reading does.",
        linux_only: true,
        run: client_that_never_reads,
        ..DEFAULTS
    },
    Check {
        id: "slow-reader-is-cut-off",
        slow: true,
        must: "cut off a client that doesn't take the next 64 KiB within `--timeout`, at most 7 s late",
        why: "A client that reads a byte now and then would otherwise hold its connection forever.",
        hint: "The deadline is for the whole chunk. Before each write, see how much time is left.",
        needs: &[PREREQUISITE, "client-that-never-reads"],
        linux_only: true,
        run: slow_reader_is_cut_off,
        ..DEFAULTS
    },
    Check {
        id: "given-up-response-is-visible",
        slow: true,
        must: "reset the connection when it gives a response up, unless its length shows what is missing",
        why: "RFC 9112, 8: without a length, the end of the connection ends the content.",
        hint: "socket(7): with SO_LINGER and a timeout of zero, close(2) resets the connection.",
        needs: &[PREREQUISITE, "client-that-never-reads"],
        linux_only: true,
        run: given_up_response_is_visible,
        ..DEFAULTS
    },
    Check {
        id: "vanishing-clients",
        must: "survive 50 clients that vanish in the middle of a large response",
        why: "A write to a closed connection fails, and by default SIGPIPE ends the process.",
        hint: "Let the write fail, and go on with the next client.",
        about: &[FailureKind::Exited, FailureKind::NotListening],
        run: vanishing_clients,
        ..DEFAULTS
    },
    Check {
        id: "no-descriptor-leaks",
        slow: true,
        must: "leave no descriptor open after 100 requests",
        why: "Each process has a limited number of descriptors, so any leak stops it in the end.",
        hint: "Close the socket and the file on every path, after errors too.",
        linux_only: true,
        run: no_descriptor_leaks,
        ..DEFAULTS
    },
    Check {
        id: "descriptors-run-out",
        slow: true,
        linux_only: true,
        must: "survive running out of descriptors, log under 100 lines in 0.5 s, and serve clients later",
        why: "accept(2) fails with EMFILE. That is no reason to exit, or to spin.",
        hint: "Log it, pause, and accept again. Other calls may fail too: a `?` there ends the server.",
        about: &[FailureKind::Exited, FailureKind::NotListening],
        run: descriptors_run_out,
        ..DEFAULTS
    },
    Check {
        id: "large-file-memory",
        must: "send a file of 1 GiB with less than 128 MiB of memory",
        why: "If memory grows with the file, ten clients are enough to exhaust it.",
        hint: "Read a chunk, send it, read the next.",
        linux_only: true,
        run: large_file_memory,
        ..DEFAULTS
    },
    Check {
        id: "shrinking-file",
        must: "end that connection, and no other, if a file shrinks while it is sent",
        why: "A file may change between the moment you look at it and the moment you read it.",
        hint: "The end of the file ends the response, whatever length you expected.",
        about: &[
            FailureKind::Exited,
            FailureKind::TooSlow,
            FailureKind::NoResponse,
        ],
        run: shrinking_file,
        ..DEFAULTS
    },
    Check {
        id: "truncation-is-detectable",
        must: "send less than Content-Length if the file shrinks meanwhile, and no more if it grows",
        why: "RFC 9112, 8: the client can then tell that something is missing. Never pad it.",
        hint: "Announce the length you see first. Send no more than that, and no more than there is.",
        needs: &[PREREQUISITE, "content-length"],
        run: truncation_is_detectable,
        ..STAGE_4
    },
    Check {
        id: "incomplete-content-timeout",
        slow: true,
        must: "send 408 for a form that is incomplete after `--timeout`, and 400 if it is cut off",
        why: "RFC 9112, 8: an incomplete request must not pass for a complete one.",
        hint: "Content has a deadline like the head. The stream may end before the content does.",
        about: &[FailureKind::NoResponse, FailureKind::TooSlow],
        needs: &[PREREQUISITE, "form-is-echoed"],
        run: incomplete_content_timeout,
        ..STAGE_4
    },
];

/// The `--timeout` of these checks.
const TIMEOUT: Duration = Duration::from_secs(1);

/// When a client must have been cut off, even on a busy machine. A server that ignores
/// `--timeout` and waits for its default of 5 seconds is too late.
pub const CUTOFF_LIMIT: Duration = Duration::from_secs(4);

/// How long a server may take to close the connection of a client that doesn't stop sending.
const LINGER_LIMIT: Duration = Duration::from_secs(8);

pub const MEBIBYTE: u64 = 1024 * 1024;

const INCOMPLETE_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";

/// How much too early a server may end: its clock may count milliseconds, or tick.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// Fails if less than `--timeout` has passed.
pub fn ensure_waited(passed: Duration) -> CheckResult {
    let expected = format!("a server that waits for {TIMEOUT:?}");
    let received = format!("an end after {passed:?}");
    ensure(passed + CLOCK_TICK >= TIMEOUT, expected, received)
}

fn silent_client_timeout(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let start = Instant::now();
    let mut client = server.connect()?;
    let bytes = client.ensure_ends_within(CUTOFF_LIMIT)?;
    ensure_waited(start.elapsed())?;
    drop(client);
    // A browser would take these bytes for the response to its next request.
    let received = bytes.escape_ascii().to_string();
    ensure(bytes.is_empty(), "no bytes without a request", received)?;
    ensure_alive(ctx, &server)
}

fn incomplete_head_timeout(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let start = Instant::now();
    let mut client = server.connect()?;
    client.send(INCOMPLETE_HEAD);
    let response = client.response()?;
    let passed = start.elapsed();
    response.ensure_status(408)?;
    drop(client);
    // If every response of the server is malformed, that is for `well-formed-response`.
    if syntax_error(&server.get("/")?.raw).is_none() {
        response.ensure_well_formed()?;
    }
    ensure_waited(passed)?;
    let expected = format!("408 within {CUTOFF_LIMIT:?}");
    let received = format!("408 after {passed:?}");
    ensure(passed < CUTOFF_LIMIT, expected, received)?;
    ensure_alive(ctx, &server)?;
    // A client that stops sending: an incomplete head isn't a request (RFC 9112, 8).
    let mut client = server.connect()?;
    client.send(INCOMPLETE_HEAD);
    client.finish_sending();
    let (bytes, _) = client.read(RESPONSE_TIMEOUT)?;
    match Response::parse(INCOMPLETE_HEAD, &bytes) {
        Some(response) => response.ensure(response.status >= 400, "an error or no response"),
        None => Ok(()),
    }
}

/// Sends the start of a request, and then a byte now and then. Fails unless the server responds or
/// closes the connection within [`CUTOFF_LIMIT`].
fn ensure_slow_client_is_cut_off(server: &Server, start_of_request: &[u8]) -> CheckResult {
    let start = Instant::now();
    let mut client = server.connect()?;
    client.send(start_of_request);
    while start.elapsed() < CUTOFF_LIMIT {
        client.send(b"a");
        let (bytes, state) = client.read(TIMEOUT / 10)?;
        if state != ConnectionState::Open || !bytes.is_empty() {
            return ensure_waited(start.elapsed());
        }
    }
    let expected = format!("a response or the end of the connection after {TIMEOUT:?}");
    let received = format!("nothing within {CUTOFF_LIMIT:?} of a byte now and then");
    Err(CheckError::after(start_of_request, expected, received))
}

fn slow_head_timeout(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    ensure_slow_client_is_cut_off(&server, b"GET / HTTP/1.1\r\nA: ")?;
    ensure_alive(ctx, &server)
}

fn lingering_close_is_bounded(ctx: &TestContext) -> CheckResult {
    let request = b"garbage\r\n\r\n";
    let server = ctx.start_with(Start::with_short_timeout())?;
    let mut client = server.connect()?;
    client.send(request);
    // Once the server has closed the connection, its system rejects what arrives. This isn't
    // about `--timeout`, so the server may take longer.
    if !wait_until(LINGER_LIMIT, || Ok(!client.try_send(b"a")))? {
        let expected = format!("the end of the connection within {LINGER_LIMIT:?}");
        let received = "the server still accepted bytes";
        return Err(CheckError::after(request, expected, received));
    }
    ensure_alive(ctx, &server)
}

/// How long the file is that these clients ask for.
const LARGE: u64 = 64 * MEBIBYTE;

/// Connects a client that has requested a large file. It can receive little before it reads, so the
/// server soon has to wait.
fn request_large_file(ctx: &TestContext, server: &Server) -> CheckResult<(Client, Vec<u8>)> {
    let name = ctx.site.name();
    ctx.site.add_large(&name, LARGE)?;
    let mut client = server.connect_small()?;
    let request = get(&format!("/{name}"));
    client.send(&request);
    Ok((client, request))
}

/// Whether the server has ended the connection.
pub fn is_cut_off(client: &Client) -> CheckResult<bool> {
    let socket = client.server_socket()?;
    Ok(socket.is_none_or(|socket| socket.is_shut_down()))
}

/// Fails unless the server has ended the connection of a client soon enough.
fn ensure_cut_off(request: &[u8], is_cut_off: bool, what: &str) -> CheckResult {
    if is_cut_off {
        return Ok(());
    }
    let expected = format!("the end of the connection when {what} for {TIMEOUT:?}");
    Err(CheckError::after(request, expected, "it is still open"))
}

fn client_that_never_reads(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let (mut client, request) = request_large_file(ctx, &server)?;
    let is_cut_off = wait_until(CUTOFF_LIMIT, || is_cut_off(&client))?;
    ensure_cut_off(&request, is_cut_off, "nothing was read")?;
    let (bytes, _) = client.read(RESPONSE_TIMEOUT)?;
    let response = parse_response(&request, &bytes)?;
    response.ensure_status(200)?;
    let expected = "only a part of a file of 64 MiB";
    response.ensure((response.content.len() as u64) < LARGE, expected)?;
    ensure_alive(ctx, &server)
}

fn slow_reader_is_cut_off(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let (mut client, request) = request_large_file(ctx, &server)?;
    // 48,000 bytes per second. It never catches up: a burst after a pause could be 64 KiB in time.
    // The first chunks go to the buffers of the systems, so this takes longer than with a client
    // that stops.
    let mut last = Instant::now();
    let is_cut_off = wait_until(2 * CUTOFF_LIMIT, || {
        let passed = last.elapsed().min(TIMEOUT / 10);
        last = Instant::now();
        client.read_up_to(48 * passed.as_millis() as usize, TIMEOUT / 20)?;
        is_cut_off(&client)
    })?;
    ensure_cut_off(&request, is_cut_off, "less than 64 KiB was read")?;
    ensure_alive(ctx, &server)
}

fn given_up_response_is_visible(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let (mut client, request) = request_large_file(ctx, &server)?;
    wait_until(CUTOFF_LIMIT, || is_cut_off(&client))?;
    let (bytes, state) = client.read(RESPONSE_TIMEOUT)?;
    let response = parse_response(&request, &bytes)?;
    let is_short = !ends_with_connection(&bytes) && !response.is_complete();
    let expected = "a reset, or a length that shows that content is missing";
    response.ensure(state == ConnectionState::Reset || is_short, expected)
}

fn vanishing_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    ctx.site.add_large(&name, 16 * MEBIBYTE)?;
    let request = get(&format!("/{name}"));
    for _ in 0..50 {
        let mut client = server.connect()?;
        client.send(&request);
        let (bytes, state) = client.read_up_to(1000, RESPONSE_TIMEOUT)?;
        if bytes.len() < 1000 {
            let received = format!("{} bytes; {state}", bytes.len());
            let expected = "1000 bytes of a large file";
            return Err(CheckError::after(&request, expected, received));
        }
    }
    ensure_alive(ctx, &server)?;
    server.ensure_no_panic()
}

fn no_descriptor_leaks(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let requests = [
        get("/"),
        get(&format!("/{}", ctx.site.name())),
        b"garbage\r\n\r\n".to_vec(),
        b"GET / HT".to_vec(),
    ];
    let send = |count: usize| -> CheckResult {
        for request in requests.iter().cycle().take(count) {
            let mut client = server.connect()?;
            client.send(request);
            client.finish_sending();
            client.ensure_ends_within(RESPONSE_TIMEOUT)?;
        }
        Ok(())
    };
    // The first requests may open descriptors that stay open.
    send(8)?;
    let before = process::descriptors(server.pid())?;
    send(100)?;
    let count = || process::descriptors(server.pid());
    let after = wait_for_count(RESPONSE_TIMEOUT, count, |count| count <= before)?;
    let expected = format!("{before} descriptors, as before");
    ensure(after <= before, expected, after.to_string())
}

/// Takes all further descriptors from a server while a client waits to be accepted. Fails if it
/// exits or spins. Returns the old limit, and that client.
fn exhaust_descriptors(ctx: &TestContext, server: &Server) -> CheckResult<(u64, Client)> {
    const WATCHED: Duration = Duration::from_millis(500);
    // Standard input, output and error, the listener, and none for a client.
    let limit = process::limit_descriptors(server.pid(), 4, ctx.program.user)?;
    // A blocked accept(2) may already have reserved a descriptor for one client.
    server.connect()?.finish_sending();
    let mut client = server.connect()?;
    let target = ctx.site.page.target();
    client.send(&request("GET", &target, "Connection: close\r\n"));
    let lines = || server.log_text().lines().count();
    let lines_before = lines();
    let activity = Activity::watch(server, WATCHED)?;
    let lines = lines() - lines_before;
    let pauses = activity.is_below(WATCHED / 10) && lines < 100;
    let received = format!("{activity}, {lines} new lines in the log");
    let expected = "a pause after each failure: less than 50 ms of processor time and 100 lines";
    ensure(pauses, expected, received)?;
    Ok((limit, client))
}

/// What a server did for a while.
pub struct Activity {
    watched: Duration,
    busy: Duration,
    /// How often it was looked at, and how often it was ready to run then.
    looks: usize,
    ready: usize,
}

impl Activity {
    /// Watches a server. Fails if it exits.
    pub fn watch(server: &Server, watched: Duration) -> CheckResult<Activity> {
        let before = process::processor_time(server.pid())?;
        let (mut looks, mut ready) = (0, 0);
        let exit = wait_for(watched, || {
            looks += 1;
            ready += usize::from(process::is_runnable(server.pid())?);
            server.wait_for_exit(Duration::ZERO)
        })?;
        if let Some(status) = exit {
            let received = format!("the server has exited: {status}");
            let (kind, expected) = (FailureKind::Exited, "a server that keeps running");
            return Err(CheckError::of_kind(kind, b"", expected, received));
        }
        let busy = process::processor_time(server.pid())?.saturating_sub(before);
        Ok(Activity {
            watched,
            busy,
            looks,
            ready,
        })
    }

    /// Whether it took less processor time than this. On a busy machine a spinning server may get none.
    /// What counts then is how often it is ready to run.
    pub fn is_below(&self, limit: Duration) -> bool {
        self.busy < limit && self.ready < self.looks * 9 / 10
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Activity {
            watched,
            busy,
            looks,
            ready,
        } = self;
        write!(
            f,
            "{busy:?} of processor time in {watched:?}, ready to run at {ready} of {looks} looks"
        )
    }
}

fn descriptors_run_out(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    ensure_alive(ctx, &server)?;
    let (limit, mut client) = exhaust_descriptors(ctx, &server)?;
    process::limit_descriptors(server.pid(), limit, ctx.program.user)?;
    // This client has waited in the backlog, or was refused. The next one is served.
    if client.ensure_ends_within(RESPONSE_TIMEOUT).is_ok() {
        drop(client);
        return ensure_alive(ctx, &server);
    }
    // A server may also stop accepting until one of its connections closes. It needs one for that.
    let server = ctx.start()?;
    let held = server.connect()?;
    ensure_alive(ctx, &server)?;
    let (limit, mut client) = exhaust_descriptors(ctx, &server)?;
    process::limit_descriptors(server.pid(), limit, ctx.program.user)?;
    drop(held);
    client.ensure_ends_within(RESPONSE_TIMEOUT)?;
    drop(client);
    ensure_alive(ctx, &server)
}

fn large_file_memory(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    ctx.site.add_large(&name, 1024 * MEBIBYTE)?;
    let mut client = server.connect()?;
    let request = get(&format!("/{name}"));
    client.send(&request);
    let (bytes, state) = client.read_up_to(8 * MEBIBYTE as usize, 2 * RESPONSE_TIMEOUT)?;
    let is_ok = Response::parse(&request, &bytes).is_some_and(|response| response.status == 200);
    if state != ConnectionState::Open || !is_ok {
        let expected = "status 200 and the first 8 MiB";
        let received = format!("{} bytes; {state}", bytes.len());
        return Err(CheckError::after(&request, expected, received));
    }
    let mut peak = process::peak_memory(server.pid())?;
    for child in server.children()? {
        peak = peak.max(process::peak_memory(child.pid)?);
    }
    let received = format!("{} MiB", peak / MEBIBYTE);
    let is_bounded = peak < 128 * MEBIBYTE;
    ensure(is_bounded, "less than 128 MiB in each process", received)
}

/// Requests a large file, changes its length once some of it has arrived, and reads the rest.
fn read_resized(
    ctx: &TestContext,
    server: &Server,
    length: u64,
    new_length: u64,
) -> CheckResult<(Response, ConnectionState)> {
    let name = ctx.site.name();
    ctx.site.add_large(&name, length)?;
    let request = get(&format!("/{name}"));
    let mut client = server.connect()?;
    client.send(&request);
    let (mut bytes, _) = client.read_up_to(1000, RESPONSE_TIMEOUT)?;
    ctx.site.resize(&name, new_length)?;
    let (rest, state) = client.read(RESPONSE_TIMEOUT)?;
    bytes.extend(rest);
    Ok((parse_response(&request, &bytes)?, state))
}

/// Requests a file that shrinks meanwhile. Fails unless the connection ends. After a chunked
/// response, which may end well, it may stay open.
fn read_shrunk(ctx: &TestContext, server: &Server) -> CheckResult<Response> {
    let (response, state) = read_resized(ctx, server, 64 * MEBIBYTE, 100_000)?;
    let has_ended = state != ConnectionState::Open || response.is_complete();
    response.ensure(has_ended, "the end of the connection")?;
    Ok(response)
}

fn shrinking_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    read_shrunk(ctx, &server)?;
    ensure_alive(ctx, &server)
}

fn truncation_is_detectable(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let announced = |response: &Response| response.field("content-length")?.parse::<usize>().ok();
    let response = read_shrunk(ctx, &server)?;
    let length = response.content.len();
    let is_short = announced(&response).is_some_and(|announced| length < announced);
    let expected = format!("a Content-Length of more than the {length} bytes that arrived");
    response.ensure(is_short, expected)?;
    let (response, _) = read_resized(ctx, &server, 16 * MEBIBYTE, 20 * MEBIBYTE)?;
    let length = response.content.len();
    let expected = format!("a Content-Length of the {length} bytes that arrived");
    response.ensure(announced(&response) == Some(length), expected)
}

fn incomplete_content_timeout(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let form = post(FORM_PAGE, b"name=value");
    let incomplete = &form[..form.len() - 4];
    let start = Instant::now();
    server.exchange(incomplete)?.ensure_status(408)?;
    ensure_waited(start.elapsed())?;
    let mut client = server.connect()?;
    client.send(incomplete);
    client.finish_sending();
    client.response()?.ensure_status(400)?;
    drop(client);
    let form = post(FORM_PAGE, &[b'a'; 1000]);
    ensure_slow_client_is_cut_off(&server, &form[..form.len() - 1000])
}
