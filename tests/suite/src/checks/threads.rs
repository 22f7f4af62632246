//! A thread for each client, in one process.

use super::processes::{ensure_served, ensure_workers_are_bounded};
use super::wait_for_count;
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckResult, ensure};
use harness::process;
use harness::server::Server;
use std::time::Duration;

/// What the checks of threads have in common, for `..FROM_STAGE_3`.
const FROM_STAGE_3: Check = Check {
    stages: 3..=5,
    needs: &[PREREQUISITE, "thread-per-connection"],
    linux_only: true,
    ..DEFAULTS
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "single-process",
        stages: 3..=6,
        must: "serve all clients in one process",
        why: "Starting a process for each client is what made stage 2 expensive.",
        hint: "Don't start a process for a client.",
        needs: &[PREREQUISITE],
        run: single_process,
        ..FROM_STAGE_3
    },
    Check {
        id: "thread-per-connection",
        must: "handle each connection in its own thread",
        why: "A thread starts much faster than a process, and waits just as well.",
        hint: "Start one for each accepted socket, and move the socket into it.",
        needs: &[PREREQUISITE, "silent-clients-do-not-block"],
        weight: 3,
        run: thread_per_connection,
        ..FROM_STAGE_3
    },
    Check {
        id: "threads-end-with-clients",
        must: "end a client's thread when the client leaves",
        why: "A thread that stays keeps its stack, and counts toward the limit.",
        hint: "A thread ends when its function returns.",
        run: threads_end_with_clients,
        ..FROM_STAGE_3
    },
    Check {
        id: "threads-are-bounded",
        slow: true,
        crowd: true,
        must: "run at most 256 threads at once, and serve further clients later",
        why: "Without a limit, anybody can use up the memory.",
        hint: "Count the running threads, and don't accept while there are too many.",
        weight: 2,
        replayable: false,
        run: threads_are_bounded,
        ..FROM_STAGE_3
    },
];

/// How many clients connect to see whether each gets a thread.
const CLIENTS: usize = 16;

/// The number of threads of a server.
pub fn thread_count(server: &Server) -> CheckResult<usize> {
    Ok(process::process(server.pid())?.map_or(0, |process| process.threads))
}

/// Waits until a server's number of threads is as wanted, for at most `limit`. Returns the last
/// number.
pub fn wait_for_threads(
    server: &Server,
    limit: Duration,
    is_wanted: impl Fn(usize) -> bool,
) -> CheckResult<usize> {
    wait_for_count(limit, || thread_count(server), is_wanted)
}

/// How many threads a server has without clients. It is counted after a first request, which may
/// start helper threads.
pub fn idle_threads(ctx: &TestContext, server: &Server) -> CheckResult<usize> {
    server.get(&ctx.site.page.target())?.ensure_status(200)?;
    let mut fewest = thread_count(server)?;
    wait_until(Duration::from_millis(200), || {
        fewest = fewest.min(thread_count(server)?);
        Ok(false)
    })?;
    Ok(fewest)
}

/// Fails unless the server has as many threads as before, once its clients have left.
fn ensure_threads_end(server: &Server, idle: usize) -> CheckResult {
    let left = wait_for_threads(server, RESPONSE_TIMEOUT, |count| count <= idle)?;
    let expected = format!("{idle} threads after all clients have left, as before");
    ensure(left <= idle, expected, left.to_string())
}

fn single_process(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = server.connect_many(8)?;
    let mut children = 0;
    for client in clients.iter_mut().take(4) {
        ensure_served(ctx, client)?;
        children = server.children()?.len().max(children);
    }
    let received = format!("{children} other processes");
    ensure(children == 0, "no process other than the server", received)
}

fn thread_per_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let wanted = idle_threads(ctx, &server)? + CLIENTS;
    let _clients = server.connect_many(CLIENTS)?;
    let busy = wait_for_threads(&server, RESPONSE_TIMEOUT, |count| count >= wanted)?;
    let expected = format!("{wanted} threads, {CLIENTS} of them for {CLIENTS} clients");
    ensure(busy >= wanted, expected, busy.to_string())
}

fn threads_end_with_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let idle = idle_threads(ctx, &server)?;
    let clients = server.connect_many(CLIENTS)?;
    let busy = wait_for_threads(&server, RESPONSE_TIMEOUT, |count| count >= idle + CLIENTS)?;
    let expected = format!("more than {idle} threads while clients are connected");
    ensure(busy > idle, expected, busy.to_string())?;
    drop(clients);
    ensure_threads_end(&server, idle)
}

fn threads_are_bounded(ctx: &TestContext) -> CheckResult {
    const MAX_THREADS: usize = 256;
    let server = ctx.start()?;
    let idle = idle_threads(ctx, &server)?;
    let count = || Ok(thread_count(&server)?.saturating_sub(idle));
    ensure_workers_are_bounded(ctx, &server, "threads", MAX_THREADS, count)?;
    ensure_threads_end(&server, idle)
}
