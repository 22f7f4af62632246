//! A fixed number of threads, and a queue in front of them.

use super::{Exercise, defaults};
use crate::check::Check;
use crate::checks::processes::ensure_served;
use crate::checks::threads::{thread_count, wait_for_threads};
use crate::checks::{ensure_alive, ensure_quiet};
use harness::client::{ConnectionState, get};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, ensure};
use harness::server::Server;
use harness::starvation::watch_time;
use std::time::Duration;

pub const EXERCISE: Exercise = Exercise {
    name: "thread-pool",
    stage: 3,
    title: "a fixed number of threads, and a queue in front of them",
    task: "\
The server starts eight threads for clients before the first client connects. There may be up to
four other threads, for example one that accepts. From then on, the number of threads never
changes: not with eight clients, not after a hundred requests, not if a client leaves halfway.

Each thread serves one client after another, and all eight work at the same time. While all
eight are busy, further clients are neither refused nor served. They wait in a queue, yours or
the backlog, and are served when others have left.

A panic ends its connection, but not the thread. No check tests this: add a panic yourself, as
in lesson 3.",
    references: &[
        "https://doc.rust-lang.org/book/ch21-02-multithreaded.html (a pool, step by step)",
        "listen(2) (the backlog); std::sync::mpsc::sync_channel, std::panic::catch_unwind",
    ],
    checks: CHECKS,
    excused: &[
        "sixty-four-clients",
        "thread-per-connection",
        "threads-end-with-clients",
        "threads-are-bounded",
    ],
    already_passing: &["eight-clients"],
};

const DEFAULTS: Check = defaults("thread-pool", 3, &["threads-before-clients"]);

const CHECKS: &[Check] = &[
    Check {
        id: "threads-before-clients",
        must: "have eight to twelve threads before the first client connects",
        why: "Stage 3 starts a thread for each client, and each client waits for that.",
        hint: "Start them in a loop. Each takes clients in a loop of its own.",
        needs: &[],
        weight: 2,
        linux_only: true,
        run: threads_before_clients,
        ..DEFAULTS
    },
    Check {
        id: "thread-count-is-constant",
        must: "have as many threads with eight clients and after 100 requests as before",
        why: "A number that can't grow needs no limit, and one that can't shrink needs no repair.",
        hint: "No thread starts for a client, and none ends with one.",
        linux_only: true,
        run: thread_count_is_constant,
        ..DEFAULTS
    },
    Check {
        id: "eight-clients",
        must: "serve eight clients with unfinished requests, the newest first",
        why: "Eight threads that take turns are no better than one.",
        hint: "Hold a lock only while you take a client from the queue.",
        run: eight_clients,
        ..DEFAULTS
    },
    Check {
        id: "ninth-client-waits",
        must: "keep further clients waiting while it serves eight, then serve them",
        why: "A fixed number of threads needs a queue: clients would rather wait than be refused.",
        hint: "The thread that accepts may wait. What it doesn't accept stays in the backlog.",
        run: ninth_client_waits,
        ..DEFAULTS
    },
];

/// How many threads there must be for clients.
const POOL: usize = 8;

/// How many other threads there may be. The main thread is one of them.
const OTHERS: usize = 4;

/// Waits until there are as many threads as a pool may have.
fn ensure_pool(server: &Server) -> CheckResult {
    let is_right = |count: usize| (POOL..=POOL + OTHERS).contains(&count);
    let count = wait_for_threads(server, RESPONSE_TIMEOUT, is_right)?;
    let expected = format!("{POOL} threads for clients, and at most {OTHERS} others");
    ensure(is_right(count), expected, format!("{count} in all"))
}

/// Fails if the number of threads changes while one could start or end.
fn ensure_unchanged(server: &Server, before: usize, when: &str) -> CheckResult {
    let limit = watch_time(Duration::from_millis(300));
    let now = wait_for_threads(server, limit, |count| count != before)?;
    let expected = format!("{before} threads {when}");
    ensure(now == before, expected, now.to_string())
}

fn threads_before_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    ensure_pool(&server)?;
    ensure_alive(ctx, &server)?;
    // A pool that is too large looks right while it grows: the most that are ever seen count.
    let limit = watch_time(Duration::from_millis(300));
    let most = wait_for_threads(&server, limit, |count| count > POOL + OTHERS)?;
    let expected = format!("{POOL} threads for clients, and at most {OTHERS} others");
    ensure(most <= POOL + OTHERS, expected, format!("{most} in all"))
}

fn thread_count_is_constant(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    // Other threads may start with the first client.
    ensure_alive(ctx, &server)?;
    ensure_pool(&server)?;
    let before = thread_count(&server)?;
    let mut clients = server.connect_many(POOL)?;
    ensure_unchanged(&server, before, "with eight clients")?;
    for client in &mut clients {
        ensure_served(ctx, client)?;
    }
    let page = get("/");
    for turn in 0..100 {
        let mut client = server.connect()?;
        match turn % 4 {
            0 => client.send(&page[..9]),
            1 => client.send(b"garbage\r\n\r\n"),
            _ => client.send(&page),
        }
        client.finish_sending();
        client.ensure_ends_within(RESPONSE_TIMEOUT)?;
    }
    ensure_unchanged(&server, before, "after 100 requests")
}

fn eight_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for client in server.connect_many(POOL)?.iter_mut().rev() {
        ensure_served(ctx, client)?;
    }
    Ok(())
}

fn ninth_client_waits(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut busy = server.connect_many(POOL)?;
    let mut waiting = server.connect_many(4)?;
    let request = get(&ctx.site.page.target());
    for client in &mut waiting {
        client.send(&request);
    }
    // However long this takes, a correct server never responds.
    let limit = watch_time(RESPONSE_TIMEOUT / 10);
    ensure_quiet(&mut waiting[0], &request, limit, ConnectionState::Open)?;
    ensure_served(ctx, &mut busy.remove(0))?;
    for client in &mut waiting {
        client.response()?.ensure_serves(&ctx.site.page.content)?;
    }
    for client in &mut busy {
        ensure_served(ctx, client)?;
    }
    Ok(())
}
