//! A pool of processes that accept from one listening socket.

use super::{Exercise, defaults};
use crate::check::Check;
use crate::checks::processes::{ensure_served, process_of};
use crate::checks::{ensure_alive, ensure_quiet};
use harness::client::{ConnectionState, get};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckError, CheckResult, ensure};
use harness::process::{self, Signal};
use harness::server::Server;
use harness::starvation::watch_time;
use harness::tcp;
use std::net::TcpStream;
use std::time::Duration;

pub const EXERCISE: Exercise = Exercise {
    name: "prefork",
    stage: 2,
    title: "a pool of processes that accept from one listening socket",
    task: "\
The server starts four children before the first client connects. Each gets the listening socket
as its standard input and accepts from it: it serves one client after another, one at a time,
and doesn't exit. The parent serves no clients and has no other children.

The parent looks after the pool. If a child exits or is killed, it starts another within five
seconds and leaves no zombie. While three silent clients keep three children waiting, the fourth
serves the others. If all four are busy, further clients wait in the backlog.

If the parent ends, for whatever reason, its children exit within five seconds, so that nobody
holds the port any longer.",
    references: &[
        "accept(2), dup2(2), wait(2), getppid(2)",
        "https://httpd.apache.org/docs/2.4/mod/prefork.html (a server that works like this)",
    ],
    checks: CHECKS,
    excused: &[
        "silent-clients-do-not-block",
        "sixty-four-clients",
        "turned-away-at-once",
        "no-zombies",
        "children-are-bounded",
        "child-holds-only-its-socket",
    ],
    already_passing: &["three-silent-clients", "children-end-with-parent"],
};

const DEFAULTS: Check = Check {
    linux_only: true,
    ..defaults("prefork", 2, &["children-before-clients"])
};

const CHECKS: &[Check] = &[
    Check {
        id: "children-before-clients",
        must: "have four children that hold the listening socket before the first client connects",
        why: "Stage 2 starts a process for each client, and each client waits for that.",
        hint: "Stage 2 hands over an accepted socket. Hand over the listening socket the same way.",
        needs: &[],
        weight: 2,
        run: children_before_clients,
        ..DEFAULTS
    },
    Check {
        id: "children-are-reused",
        must: "still have the same four children after 50 requests",
        why: "If a child exits with its client, the next client waits for a new one.",
        hint: "Each child runs the loop of stage 1.",
        run: children_are_reused,
        ..DEFAULTS
    },
    Check {
        id: "one-client-per-child",
        must: "serve four clients in four children, one each, while a fifth waits",
        why: "The children share the work, and a fault in one connection stays in its process.",
        hint: "The system gives each connection to one of the processes that wait in accept(2).",
        run: one_client_per_child,
        ..DEFAULTS
    },
    Check {
        id: "three-silent-clients",
        must: "serve others while three clients say nothing",
        why: "A pool of four can spare three children.",
        hint: "Each child waits only for its own client.",
        run: three_silent_clients,
        ..DEFAULTS
    },
    Check {
        id: "killed-child-is-replaced",
        must: "replace a child that was killed, and leave no zombie",
        why: "Otherwise the pool shrinks until nobody accepts.",
        hint: "Ask regularly whether the children still run: wait(2) also removes the zombie.",
        run: killed_child_is_replaced,
        ..DEFAULTS
    },
    Check {
        id: "children-end-with-parent",
        must: "leave no child behind, and nobody at the port, when the parent is killed",
        why: "A process that holds the listening socket holds the port: a restart would fail.",
        hint: "An orphan gets a new parent, and getppid(2) shows it.",
        run: children_end_with_parent,
        ..DEFAULTS
    },
];

/// How many children there must be.
const POOL: usize = 4;

/// Waits for the pool. Returns the ids of the children, which all hold the listening socket.
fn pool(server: &Server) -> CheckResult<Vec<i32>> {
    let listener = tcp::listener(server.address)?;
    let listener = listener.ok_or(CheckError::Broken("found no listener".to_string()))?;
    let mut pool = Vec::new();
    let mut others = 0;
    let is_right = wait_until(RESPONSE_TIMEOUT, || {
        pool.clear();
        let children = server.children()?;
        for child in &children {
            if process::sockets(child.pid)?.contains(&listener.inode) {
                pool.push(child.pid);
            }
        }
        pool.sort_unstable();
        others = children.len() - pool.len();
        Ok(pool.len() == POOL && others == 0)
    })?;
    let expected = format!("{POOL} children, all with the listening socket");
    let received = format!("{} with it, and {others} without", pool.len());
    ensure(is_right, expected, received)?;
    Ok(pool)
}

fn children_before_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    pool(&server)?;
    ensure_alive(ctx, &server)?;
    // A pool that is too large looks right while it grows.
    let mut most = POOL;
    let limit = watch_time(Duration::from_millis(300));
    let has_grown = wait_until(limit, || {
        most = most.max(server.children()?.len());
        Ok(most > POOL)
    })?;
    ensure(!has_grown, format!("{POOL} children"), most.to_string())
}

fn children_are_reused(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let before = pool(&server)?;
    for _ in 0..50 {
        ensure_alive(ctx, &server)?;
    }
    let after = pool(&server)?;
    let expected = format!("the processes {before:?}");
    ensure(after == before, expected, format!("{after:?}"))
}

fn one_client_per_child(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let pool = pool(&server)?;
    let mut clients = server.connect_many(POOL)?;
    let mut holders = Vec::new();
    for client in &clients {
        holders.push(process_of(&server, client)?.pid);
    }
    holders.sort_unstable();
    let expected = format!("one client for each of {pool:?}");
    ensure(holders == pool, expected, format!("{holders:?} hold them"))?;
    let mut fifth = server.connect()?;
    fifth.send(&get("/"));
    // However long this takes, a correct server never responds.
    let limit = watch_time(RESPONSE_TIMEOUT / 10);
    ensure_quiet(&mut fifth, &get("/"), limit, ConnectionState::Open)?;
    for client in &mut clients {
        ensure_served(ctx, client)?;
    }
    fifth.response()?.ensure_serves(&ctx.site.index)
}

fn three_silent_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let _silent = server.connect_many(POOL - 1)?;
    for _ in 0..5 {
        ensure_alive(ctx, &server)?;
    }
    Ok(())
}

fn killed_child_is_replaced(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for victim in &pool(&server)?[..2] {
        process::kill(*victim, Signal::KILL);
        let is_gone = || Ok(process::process(*victim)?.is_none());
        let gone = wait_until(RESPONSE_TIMEOUT, is_gone)?;
        ensure(gone, "no zombie of a killed child", "a zombie")?;
    }
    pool(&server)?;
    // All four work: each gets one of these.
    for client in server.connect_many(POOL)?.iter_mut().rev() {
        ensure_served(ctx, client)?;
    }
    Ok(())
}

fn children_end_with_parent(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    ensure_alive(ctx, &server)?;
    server.signal(Signal::KILL);
    let mut left = Vec::new();
    let are_gone = wait_until(RESPONSE_TIMEOUT, || {
        left = server.children()?;
        // The process that adopts orphans may be slow to reap them.
        left.retain(|child| !child.is_zombie());
        Ok(left.is_empty())
    })?;
    let received = format!("{} of them", left.len());
    ensure(are_gone, "no children without their parent", received)?;
    // The parent itself may take a moment to end.
    let is_refused = || Ok(TcpStream::connect(server.address).is_err());
    let refused = wait_until(RESPONSE_TIMEOUT, is_refused)?;
    ensure(refused, "nobody at the port", "a connection")
}
