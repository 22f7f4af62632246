//! One thread for all clients: no client delays another, nothing spins, nothing grows, and the end of
//! the program is graceful.
//!
//! Each check uses connections that stay open, or more clients than there could be threads. So a server
//! with a thread for each connection fails all of them.

use super::command_line::{EXIT_TIMEOUT, ensure_help_lists};
use super::ensure_quiet;
use super::keep_alive::{KEPT, connect_kept, ensure_responses, exchange, random_requests};
use super::robustness::{Activity, CUTOFF_LIMIT, MEBIBYTE, ensure_waited};
use super::threads::{idle_threads, thread_count};
use crate::check::{Check, PREREQUISITE};
use harness::client::{Client, ConnectionState, get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckError, CheckResult, FailureKind, ensure};
use harness::process::{self, Signal};
use harness::program::Program;
use harness::server::{Server, Start};
use harness::starvation::watch_time;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// What these checks have in common, for `..EVENTS`.
const EVENTS: Check = Check {
    replayable: false,
    ..KEPT
};

/// The same for those that ask the system about the server's process.
const OBSERVED: Check = Check {
    linux_only: true,
    ..EVENTS
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "help-lists-loops",
        must: "list --loops on `--help`, and exit with 2 on `--loops 0` and `--loops many`",
        why: "Nobody can use an option that isn't documented.",
        hint: "The option takes a number, at least 1, which is the default.",
        needs: &[PREREQUISITE],
        run: help_lists_loops,
        ..EVENTS
    },
    Check {
        id: "one-serving-thread",
        must: "serve 200 clients at once with at most 16 threads, and start none for a client",
        why: "A thread for each of 10,000 clients would need 10,000 stacks.",
        hint: "Ask the system which sockets are ready, and serve those.",
        weight: 3,
        run: one_serving_thread,
        ..OBSERVED
    },
    Check {
        id: "loops-add-threads",
        must: "serve with more threads under `--loops 2`, and every client all the same",
        why: "One thread uses one processor.",
        hint: "Each loop is a thread with its own set of connections, on the same listener.",
        run: loops_add_threads,
        ..OBSERVED
    },
    Check {
        id: "slow-clients-delay-nobody",
        must: "serve others while 300 clients are silent, stalled, dripping, or read nothing",
        why: "The only thread must never wait for one client.",
        hint: "Every read and write must return at once, whatever the client does.",
        about: &[FailureKind::TooSlow],
        weight: 3,
        crowd: true,
        run: slow_clients_delay_nobody,
        ..EVENTS
    },
    Check {
        id: "turns-are-bounded",
        must: "send a small page before a client that downloads at full speed has received 8 MiB more",
        why: "A client that reads as fast as you write keeps its socket ready forever.",
        hint: "End a turn after some chunks, and remember that the connection isn't done.",
        weight: 2,
        run: turns_are_bounded,
        ..EVENTS
    },
    Check {
        id: "thousand-clients",
        must: "serve 1,000 clients that are connected at the same time, the newest first",
        why: "C10k: a connection must cost little more than its descriptor.",
        hint: "Accept until the system says that nobody is waiting.",
        about: &[FailureKind::TooSlow, FailureKind::NotListening],
        weight: 2,
        crowd: true,
        run: thousand_clients,
        ..EVENTS
    },
    Check {
        id: "no-lost-wake-ups",
        must: "respond to 10,000 requests on ten connections, cut at random places",
        why: "With edge-triggered events (epoll(7)), what you don't use up is never announced again.",
        hint: "Read until nothing is left, or note that the connection needs another turn.",
        weight: 3,
        run: no_lost_wake_ups,
        ..EVENTS
    },
    Check {
        id: "idle-clients-cost-nothing",
        must: "use no processor time while 100 clients are connected and idle",
        why: "A loop that never waits takes a whole processor, and all looks well.",
        hint: "Wait for events without a timeout, or until the next deadline.",
        slow: true,
        run: idle_clients_cost_nothing,
        ..OBSERVED
    },
    Check {
        id: "half-closed-clients-cost-nothing",
        must: "use no processor time for clients that have stopped sending and read nothing",
        why: "The end of a stream stays readable: it is reported again and again.",
        hint: "While you can't write, don't ask whether you can read.",
        slow: true,
        run: half_closed_clients_cost_nothing,
        ..OBSERVED
    },
    Check {
        id: "accepting-resumes",
        must: "use no processor time and log fewer than 200 lines while there are no descriptors, and \
               accept when some are free again",
        why: "accept(2) fails with EMFILE, and the listener stays ready.",
        hint: "Pause before you try again. No further event may announce who waits in the backlog.",
        slow: true,
        crowd: true,
        run: accepting_resumes,
        ..OBSERVED
    },
    Check {
        id: "longest-idle-is-closed",
        must: "close the connection that has been idle the longest when descriptors run short",
        why: "RFC 9112, 9.5. A newcomer has a request; an idle client can connect again.",
        hint: "Keep the connections in the order in which they became idle.",
        run: longest_idle_is_closed,
        ..OBSERVED
    },
    Check {
        id: "soft-limit-is-raised",
        must: "raise the soft limit on descriptors to the hard one, and serve that many clients",
        why: "getrlimit(2): the usual soft limit is 1024, which is too few for this design.",
        hint: "setrlimit(2) at the start needs no rights.",
        run: soft_limit_is_raised,
        ..OBSERVED
    },
    Check {
        id: "unread-responses-are-small",
        must: "use at most 64 KiB of memory for each of 500 clients that read nothing of a large file",
        why: "What you have read from a file and can't send yet is in your memory.",
        hint: "Read the next chunk only when the last one has been written.",
        crowd: true,
        run: unread_responses_are_small,
        ..OBSERVED
    },
    Check {
        id: "idle-connections-are-small",
        must: "use at most 2 KiB of memory for each idle connection",
        why: "Most connections are idle. 10,000 buffers of 16 KiB are 160 MB.",
        hint: "Give a buffer back when it is empty, or share one for reading.",
        crowd: true,
        run: idle_connections_are_small,
        ..OBSERVED
    },
    Check {
        id: "flood-is-not-read",
        must: "stop reading from a client that sends requests and reads no response",
        why: "Whatever is read and can't be answered yet takes memory without a limit.",
        hint: "Read no further request while a response is waiting to be sent.",
        weight: 2,
        run: flood_is_not_read,
        ..OBSERVED
    },
    Check {
        id: "shutdown-finishes-responses",
        must: "on SIGTERM and SIGINT refuse new clients, close idle ones, finish responses, exit with 0",
        why: "A new version is deployed by a restart, and no download should notice.",
        hint: "Close the listener, and end the loop when its last connection has ended.",
        weight: 2,
        run: shutdown_finishes_responses,
        ..EVENTS
    },
    Check {
        id: "shutdown-is-bounded",
        must: "exit with 0 after `--timeout`, at most 3 s late, even if a client keeps reading slowly",
        why: "Otherwise one client could keep the old version running forever.",
        hint: "The end of the program has a deadline of its own.",
        slow: true,
        run: shutdown_is_bounded,
        ..EVENTS
    },
    Check {
        id: "second-signal-ends-at-once",
        must: "end at once on a second signal, by that signal or with an exit code other than 0",
        why: "Whoever presses Ctrl-C twice doesn't want to wait.",
        hint: "After the first signal, let the next one do what it does by default.",
        run: second_signal_ends_at_once,
        ..EVENTS
    },
    Check {
        id: "unread-log-stops-nobody",
        must: "serve while nobody reads the log, and log later how many lines were dropped",
        why: "A write to a full pipe waits. In this design everybody waits with it.",
        hint: "Let another thread write, from a queue with a limit, and count what doesn't fit.",
        weight: 2,
        run: unread_log_stops_nobody,
        ..EVENTS
    },
];

fn help_lists_loops(ctx: &TestContext) -> CheckResult {
    ensure_help_lists(ctx, &["--loops"])?;
    for value in ["0", "many"] {
        let output = ctx.program.run(&["--loops", value], EXIT_TIMEOUT)?;
        let is_refused = output.status.code() == Some(2);
        let expected = format!("exit code 2 on `--loops {value}`");
        ensure(is_refused, expected, output.status.to_string())?;
    }
    Ok(())
}

/// Connects clients that stay connected. Each has got a response, the newest first.
fn connect_served(ctx: &TestContext, server: &Server, count: usize) -> CheckResult<Vec<Client>> {
    let mut clients = server.connect_many(count)?;
    if let Some(newest) = clients.last_mut() {
        ensure_served(ctx, newest)?;
    }
    ensure_all_served(ctx, &mut clients)?;
    Ok(clients)
}

/// Fails unless all these clients get a small page, on connections that stay open.
fn ensure_all_served(ctx: &TestContext, clients: &mut [Client]) -> CheckResult {
    let page = &ctx.site.page;
    let request = get(&page.target());
    for client in clients.iter_mut().rev() {
        client.send(&request);
    }
    for client in clients.iter_mut().rev() {
        client
            .next_response(&request)?
            .ensure_serves(&page.content)?;
    }
    Ok(())
}

/// The same for one.
fn ensure_served(ctx: &TestContext, client: &mut Client) -> CheckResult {
    ensure_all_served(ctx, std::slice::from_mut(client))
}

/// Adds a large file and returns a request for it.
fn large_file(ctx: &TestContext, length: u64) -> CheckResult<Vec<u8>> {
    let name = ctx.site.name();
    ctx.site.add_large(&name, length)?;
    Ok(get(&format!("/{name}")))
}

/// Connects clients that request a large file and read only its beginning. The systems buffer little of
/// the rest, so the server soon has to wait.
fn connect_stalled(server: &Server, large: &[u8], count: usize) -> CheckResult<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = server.connect_small()?;
        client.send(large);
        clients.push(client);
    }
    for client in &mut clients {
        ensure_receives(client, 100)?;
    }
    Ok(clients)
}

/// Fails unless a client receives that many bytes.
fn ensure_receives(client: &mut Client, count: usize) -> CheckResult {
    let (bytes, state) = client.read_up_to(count, RESPONSE_TIMEOUT)?;
    let received = format!("{} bytes; {state}", bytes.len());
    ensure(
        bytes.len() == count,
        format!("{count} bytes of a response"),
        received,
    )
}

/// Starts the server with `--loops` and this number.
pub fn start_with_loops(ctx: &TestContext, count: &str) -> CheckResult<Server> {
    ctx.start_with(Start {
        arguments: ["--loops", count].map(OsString::from).to_vec(),
        ..Start::default()
    })
}

fn one_serving_thread(ctx: &TestContext) -> CheckResult {
    const MOST: usize = 16;
    let server = start_with_loops(ctx, "1")?;
    let mut clients = connect_served(ctx, &server, 200)?;
    let threads = thread_count(&server)?;
    ensure(
        threads <= MOST,
        format!("at most {MOST} threads"),
        threads.to_string(),
    )?;
    ensure_all_served(ctx, &mut clients)
}

fn loops_add_threads(ctx: &TestContext) -> CheckResult {
    let one = start_with_loops(ctx, "1")?;
    let one = idle_threads(ctx, &one)?;
    let server = start_with_loops(ctx, "2")?;
    let two = idle_threads(ctx, &server)?;
    let expected = format!("more than the {one} threads of `--loops 1`");
    ensure(two > one, expected, two.to_string())?;
    let mut clients = connect_served(ctx, &server, 100)?;
    ensure_all_served(ctx, &mut clients)
}

fn slow_clients_delay_nobody(ctx: &TestContext) -> CheckResult {
    const EACH: usize = 60;
    let server = ctx.start()?;
    let large = large_file(ctx, 64 * MEBIBYTE)?;
    let mut kept = connect_kept(ctx, &server)?;
    let _silent = server.connect_many(EACH)?;
    let mut crowds = Vec::new();
    for start in ["GET / HT", "garbage\r\n\r\n", "GET / HTTP/1.1\r\nA: "] {
        let mut clients = server.connect_many(EACH)?;
        clients
            .iter_mut()
            .for_each(|client| client.send(start.as_bytes()));
        crowds.push(clients);
    }
    let _stalled = connect_stalled(&server, &large, EACH)?;
    for _ in 0..10 {
        // The second and the third go on sending, a byte at a time.
        for client in crowds.iter_mut().skip(1).flatten() {
            client.try_send(b"a");
        }
        ensure_served(ctx, &mut kept)?;
        connect_kept(ctx, &server)?;
    }
    Ok(())
}

fn turns_are_bounded(ctx: &TestContext) -> CheckResult {
    const MOST: usize = 8 * 1024 * 1024;
    let server = ctx.start()?;
    let large = large_file(ctx, 1024 * MEBIBYTE)?;
    let mut small = connect_kept(ctx, &server)?;
    let mut buffer = vec![0; 256 * 1024];
    // What the system buffers for it was sent before, so it must be little.
    let mut download = server.connect_with_buffer(buffer.len())?;
    ensure_served(ctx, &mut download)?;
    download.send(&large);
    let page = &ctx.site.page;
    let wanted = get(&page.target());
    for _ in 0..100 {
        ensure_receives(&mut download, 1024 * 1024)?;
        small.send(&wanted);
        // Both clients are in this thread: if it has to wait for a processor, the download waits too.
        let (mut received, start) = (0, Instant::now());
        while !small.has_input()? && received <= MOST && start.elapsed() < RESPONSE_TIMEOUT {
            received += download.discard(&mut buffer)?;
        }
        let expected = "a small page before another client has received 8 MiB more";
        let found = format!("{received} bytes of the other file, and nothing of the page");
        ensure(small.has_input()? && received <= MOST, expected, found)?;
        small.next_response(&wanted)?.ensure_serves(&page.content)?;
    }
    Ok(())
}

fn thousand_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = connect_served(ctx, &server, 1000)?;
    ensure_all_served(ctx, &mut clients)
}

fn no_lost_wake_ups(ctx: &TestContext) -> CheckResult {
    /// Pieces have up to that many bytes.
    const SIZES: [usize; 4] = [3, 100, 1000, 40_000];
    let server = ctx.start()?;
    let mut connections = Vec::new();
    for client in connect_served(ctx, &server, 10)? {
        let requests = random_requests(ctx, 1000);
        let sent: Vec<&[u8]> = requests.iter().map(|(request, _)| &request[..]).collect();
        let sent = sent.concat();
        connections.push((client, sent, 0, requests));
    }
    let mut is_done = false;
    while !is_done {
        is_done = true;
        for (client, bytes, done, _) in &mut connections {
            let rest = &bytes[*done..];
            if rest.is_empty() {
                continue;
            }
            is_done = false;
            let size = SIZES[ctx.site.below(SIZES.len())];
            let size = 1 + ctx.site.below(size.min(rest.len()));
            *done += client.send_some(&rest[..size])?.unwrap_or(size);
        }
    }
    for (client, _, _, requests) in &mut connections {
        ensure_responses(client, requests)?;
    }
    Ok(())
}

/// How long to watch whether a server is at rest.
const WATCHED: Duration = Duration::from_secs(1);

/// Fails unless the server uses less than 5 % of a processor for a while.
fn ensure_rests(server: &Server) -> CheckResult {
    let activity = Activity::watch(server, WATCHED)?;
    let expected = "less than 5 % of a processor while nobody needs anything";
    ensure(
        activity.is_below(WATCHED / 20),
        expected,
        activity.to_string(),
    )
}

fn idle_clients_cost_nothing(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = connect_served(ctx, &server, 100)?;
    ensure_rests(&server)?;
    ensure_all_served(ctx, &mut clients)
}

fn half_closed_clients_cost_nothing(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let large = large_file(ctx, 64 * MEBIBYTE)?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect_small()?;
        ensure_served(ctx, &mut client)?;
        client.send(&large);
        client.finish_sending();
        ensure_receives(&mut client, 100)?;
        clients.push(client);
    }
    ensure_rests(&server)?;
    clients
        .iter_mut()
        .try_for_each(|client| ensure_receives(client, 100_000))
}

/// The program with these limits on descriptors, the soft and the hard one.
fn limited(program: &Program, soft: usize, hard: usize) -> Program {
    let script = format!(r#"ulimit -S -n {soft} && ulimit -H -n {hard} && exec "$0" "$@""#);
    let mut limited = program.clone();
    limited.arguments = vec!["-c".into(), script.into(), program.path.clone().into()];
    limited.arguments.extend(program.arguments.clone());
    limited.path = "/bin/sh".into();
    limited
}

/// Whether the server has accepted this client, or it still waits in the backlog.
fn is_accepted(client: &Client) -> CheckResult<bool> {
    let socket = client.server_socket()?;
    Ok(socket.is_some_and(|socket| socket.inode != 0))
}

fn accepting_resumes(ctx: &TestContext) -> CheckResult {
    const LIMIT: usize = 128;
    /// More than the limit. The rest must fit into any backlog: when it is full, a new client, which tries
    /// again, would wake the server up.
    const CLIENTS: usize = LIMIT + 20;
    let program = limited(&ctx.program, LIMIT, LIMIT);
    let server = ctx.start_program(&program, Start::default())?;
    let mut kept = connect_kept(ctx, &server)?;
    let request = get("/");
    // These aren't idle, so none of them may be closed. The last ten wait in the backlog.
    let mut busy = Vec::new();
    for number in 0..CLIENTS {
        let is_last = number >= CLIENTS - 10;
        let mut client = server.connect()?;
        client.send(if is_last { &request } else { b"GET / HT" });
        busy.push(client);
    }
    let lines_before = server.log_text().lines().count();
    ensure_rests(&server)?;
    let lines = server.log_text().lines().count() - lines_before;
    ensure(
        lines < 200,
        "fewer than 200 lines in the log",
        lines.to_string(),
    )?;
    // When a few descriptors are free, those who get them must not be closed in favor of the others.
    let mut waiting = busy.split_off(CLIENTS - 10);
    let mut accepted = 0;
    for client in &busy {
        accepted += usize::from(is_accepted(client)?);
    }
    busy.drain(..4);
    let next = busy.get(accepted.saturating_sub(4));
    // A server that closes newcomers in favor of others has accepted all.
    let next =
        next.ok_or_else(|| CheckError::failed("clients that wait in the backlog", "none"))?;
    let are_used = wait_until(RESPONSE_TIMEOUT, || is_accepted(next))?;
    let expected = "a client from the backlog accepted when descriptors are free again";
    ensure(are_used, expected, "none")?;
    thread::sleep(watch_time(Duration::from_millis(200)));
    // Now all must be accepted, and nothing but the free descriptors shows it.
    drop(busy);
    for client in &mut waiting {
        client
            .next_response(&request)?
            .ensure_serves(&ctx.site.index)?;
    }
    // The first one may have been closed, while it was idle.
    if kept.has_input()? {
        kept = connect_kept(ctx, &server)?;
    }
    ensure_served(ctx, &mut kept)
}

fn longest_idle_is_closed(ctx: &TestContext) -> CheckResult {
    const LIMIT: usize = 128;
    let program = limited(&ctx.program, LIMIT, LIMIT);
    let server = ctx.start_program(&program, Start::default())?;
    let mut active = connect_kept(ctx, &server)?;
    let mut idle = Vec::new();
    for _ in 0..2 * LIMIT {
        idle.push(connect_kept(ctx, &server)?);
        // It was idle for less time than any other but the newest.
        ensure_served(ctx, &mut active)?;
    }
    let first = &mut idle[0];
    ensure_quiet(first, b"", RESPONSE_TIMEOUT, ConnectionState::Closed)?;
    for client in idle.iter_mut().rev().take(LIMIT / 4) {
        ensure_served(ctx, client)?;
    }
    Ok(())
}

fn soft_limit_is_raised(ctx: &TestContext) -> CheckResult {
    let program = limited(&ctx.program, 64, 512);
    let server = ctx.start_program(&program, Start::default())?;
    let mut clients = connect_served(ctx, &server, 200)?;
    ensure_all_served(ctx, &mut clients)
}

/// Fails if each of these clients costs the server more than that much memory. `before` is what it
/// used without them.
fn ensure_cost(server: &Server, before: u64, count: usize, most: u64) -> CheckResult {
    let now = process::anonymous_memory(server.pid())?;
    let each = now.saturating_sub(before) / count as u64;
    let received = format!("{each} bytes for each of {count}");
    ensure(
        each <= most,
        format!("at most {most} bytes of memory for each"),
        received,
    )
}

fn unread_responses_are_small(ctx: &TestContext) -> CheckResult {
    const CLIENTS: usize = 500;
    let server = ctx.start()?;
    let large = large_file(ctx, 64 * MEBIBYTE)?;
    let _warm = connect_stalled(&server, &large, 10)?;
    let before = process::anonymous_memory(server.pid())?;
    let mut clients = connect_stalled(&server, &large, CLIENTS)?;
    ensure_cost(&server, before, CLIENTS, 64 * 1024)?;
    ensure_receives(&mut clients[0], 100_000)?;
    ensure_cost(&server, before, CLIENTS, 64 * 1024)
}

fn idle_connections_are_small(ctx: &TestContext) -> CheckResult {
    const CLIENTS: usize = 1000;
    let server = ctx.start()?;
    // What the server allocates once, such as memory for events, is no cost of these connections.
    let _warm = connect_served(ctx, &server, 200)?;
    let before = process::anonymous_memory(server.pid())?;
    let mut clients = connect_served(ctx, &server, CLIENTS)?;
    ensure_cost(&server, before, CLIENTS, 2 * 1024)?;
    ensure_served(ctx, &mut clients[0])
}

fn flood_is_not_read(ctx: &TestContext) -> CheckResult {
    const MOST: u64 = 64 * MEBIBYTE;
    let server = ctx.start()?;
    let file = ctx.site.add(&ctx.site.name(), &ctx.site.bytes(64 * 1024))?;
    let mut client = connect_kept(ctx, &server)?;
    let before = process::anonymous_memory(server.pid())?;
    let flood = get(&file.target()).repeat(1000);
    let (mut sent, mut progress) = (0, Instant::now());
    while progress.elapsed() < watch_time(Duration::from_millis(500)) && sent < MOST {
        let rest = &flood[sent as usize % flood.len()..];
        let accepted = client.send_some(rest)?;
        let accepted = accepted.ok_or_else(|| {
            let expected = "a connection that stays open";
            CheckError::failed(expected, format!("its end after {sent} bytes"))
        })?;
        if accepted > 0 {
            (sent, progress) = (sent + accepted as u64, Instant::now());
        } else {
            thread::sleep(Duration::from_millis(5));
        }
    }
    let received = format!("{sent} bytes were accepted");
    ensure(sent < MOST, "a server that stops reading", received)?;
    ensure_cost(&server, before, 1, 4 * MEBIBYTE)?;
    connect_kept(ctx, &server)?;
    client
        .next_response(&get(&file.target()))?
        .ensure_serves(&file.content)
}

/// Waits until the server has exited. Fails unless it does so in time.
pub fn ensure_exits(server: &Server, limit: Duration) -> CheckResult<ExitStatus> {
    let status = server.wait_for_exit(limit)?;
    let late = || CheckError::failed(format!("an exit within {limit:?}"), "it is still running");
    status.ok_or_else(late)
}

/// Fails unless the server refuses new clients soon.
fn ensure_refuses(server: &Server) -> CheckResult {
    let is_refused = || Ok(server.connect_immediately().is_err());
    let has_stopped = wait_until(RESPONSE_TIMEOUT, is_refused)?;
    ensure(
        has_stopped,
        "no new clients after the signal",
        "it still accepts them",
    )
}

fn shutdown_finishes_responses(ctx: &TestContext) -> CheckResult {
    const SIZE: usize = 16 * 1024 * 1024;
    for signal in [Signal::TERM, Signal::INT] {
        let server = ctx.start()?;
        let large = large_file(ctx, SIZE as u64)?;
        let mut idle = connect_kept(ctx, &server)?;
        let mut download = connect_kept(ctx, &server)?;
        let mut sender = connect_kept(ctx, &server)?;
        download.send(&large);
        sender.send_separately(b"GET / HT")?;
        let (start, _) = download.read_up_to(1000, RESPONSE_TIMEOUT)?;
        server.signal(signal);
        ensure_refuses(&server)?;
        ensure_quiet(&mut idle, b"", RESPONSE_TIMEOUT, ConnectionState::Closed)?;
        let index = request("GET", "/", "");
        sender.send(&index["GET / HT".len()..]);
        let response = sender.next_response(&index)?;
        response.ensure_serves(&ctx.site.index)?;
        response.ensure_field("Connection", "close")?;
        let (rest, state) = download.read(RESPONSE_TIMEOUT)?;
        let length = start.len() + rest.len();
        let received = format!("{length} bytes; {state}");
        let is_whole = length > SIZE && state == ConnectionState::Closed;
        ensure(
            is_whole,
            format!("the rest of {SIZE} bytes, and the close"),
            received,
        )?;
        drop((sender, download));
        let status = ensure_exits(&server, RESPONSE_TIMEOUT)?;
        ensure(status.success(), "exit code 0", status.to_string())?;
    }
    Ok(())
}

fn shutdown_is_bounded(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start::with_short_timeout())?;
    let large = large_file(ctx, 1024 * MEBIBYTE)?;
    connect_kept(ctx, &server)?;
    let mut clients = connect_stalled(&server, &large, 1)?;
    let start = Instant::now();
    server.signal(Signal::TERM);
    let mut status = None;
    // It takes more than a chunk each time, so the response alone would go on.
    while status.is_none() && start.elapsed() < CUTOFF_LIMIT {
        clients[0].read_up_to(128 * 1024, Duration::from_millis(20))?;
        status = server.wait_for_exit(Duration::ZERO)?;
    }
    ensure_waited(start.elapsed())?;
    let received = status.map_or("it is still running".into(), |status| status.to_string());
    let is_clean = status.is_some_and(|status| status.success());
    ensure(is_clean, "exit code 0 after `--timeout`", received)
}

fn second_signal_ends_at_once(ctx: &TestContext) -> CheckResult {
    for signal in [Signal::TERM, Signal::INT] {
        let server = ctx.start()?;
        let large = large_file(ctx, 64 * MEBIBYTE)?;
        let _stalled = connect_stalled(&server, &large, 1)?;
        server.signal(signal);
        ensure_refuses(&server)?;
        let exit = server.wait_for_exit(Duration::from_millis(100))?;
        let received = exit.map(|status| format!("it has exited: {status}"));
        let expected = "a server that finishes a response after the first signal";
        ensure(exit.is_none(), expected, received.unwrap_or_default())?;
        server.signal(signal);
        let status = ensure_exits(&server, RESPONSE_TIMEOUT)?;
        let is_end = status.signal().is_some() || status.code().is_some_and(|code| code != 0);
        let expected = "an end by the signal, or an exit code other than 0";
        ensure(is_end, expected, status.to_string())?;
    }
    Ok(())
}

fn unread_log_stops_nobody(ctx: &TestContext) -> CheckResult {
    const REQUESTS: usize = 600;
    const AT_ONCE: usize = 50;
    const DROPPED: &str = " lines of this log were dropped";
    let server = ctx.start_with(Start {
        log_is_unread: true,
        ..Start::default()
    })?;
    let mut client = connect_kept(ctx, &server)?;
    // Long lines: 4.5 MB of them.
    let target = format!("/{}{}", ctx.site.name(), "?".repeat(7500));
    let request = get(&target);
    for _ in 0..REQUESTS / AT_ONCE {
        client.try_send(&request.repeat(AT_ONCE));
        for _ in 0..AT_ONCE {
            client.next_response(&request)?.ensure_status(404)?;
        }
    }
    server.read_log();
    // The last line says that the log has caught up.
    let last = format!("/{}", ctx.site.name());
    exchange(&mut client, &get(&last))?.ensure_status(404)?;
    server.wait_for_log_line(&[&last])?;
    let log = server.log_text();
    let logged = log.lines().filter(|line| line.contains(&target)).count();
    let dropped = log
        .lines()
        .filter_map(|line| line.strip_suffix(DROPPED)?.parse::<usize>().ok());
    let dropped: usize = dropped.sum();
    let expected =
        format!("{REQUESTS} lines, logged or counted as `N{DROPPED}`, and some of these");
    let received = format!("{logged} lines, and {dropped} that were dropped");
    ensure(
        logged + dropped == REQUESTS && dropped > 0,
        expected,
        received,
    )
}
