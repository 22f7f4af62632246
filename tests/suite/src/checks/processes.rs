//! Many clients at once, and a process for each of them.

use super::{ensure_alive, wait_for_count};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{Client, ConnectionState, get};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_for, wait_until};
use harness::error::{CheckError, CheckResult, FailureKind, ensure};
use harness::process::{self, Process, Signal};
use harness::server::Server;
use harness::starvation::watch_time;
use harness::tcp;
use std::collections::BTreeSet;
use std::time::Duration;

/// What the checks of child processes have in common, for `..STAGE_2`.
const STAGE_2: Check = Check {
    stages: 2..=2,
    needs: &[PREREQUISITE, "process-per-connection"],
    linux_only: true,
    ..DEFAULTS
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "silent-clients-do-not-block",
        stages: 2..=6,
        must: "serve a client while other clients are connected and silent",
        why: "This is the limit of stage 1: one silent client blocks all others.",
        hint: "The code that accepts clients must not wait for any of them.",
        about: &[FailureKind::TooSlow],
        weight: 3,
        replayable: false,
        run: silent_clients_do_not_block,
        ..DEFAULTS
    },
    Check {
        id: "sixty-four-clients",
        stages: 2..=6,
        must: "serve 64 clients that are connected at the same time, the newest first",
        why: "A server with one connection at a time would have to finish the oldest first.",
        hint: "Each connection needs a process, a thread or a state of its own.",
        about: &[FailureKind::TooSlow],
        needs: &[PREREQUISITE, "silent-clients-do-not-block"],
        weight: 2,
        replayable: false,
        run: sixty_four_clients,
        ..DEFAULTS
    },
    Check {
        id: "turned-away-at-once",
        stages: 2..=6,
        must: "keep no client waiting for others while no process or thread can be started",
        why: "The process table may be full for a while. Draining a client takes as long as it likes.",
        hint: "The code that accepts clients may write, read and close only without waiting.",
        about: &[FailureKind::TooSlow],
        needs: &[PREREQUISITE, "silent-clients-do-not-block"],
        linux_only: true,
        without_root: true,
        replayable: false,
        run: turned_away_at_once,
        ..DEFAULTS
    },
    Check {
        id: "process-per-connection",
        must: "handle each connection in its own process",
        why: "A fault in one connection then can't reach the memory of another.",
        hint: "Start one for each accepted socket, and pass the socket as standard input.",
        needs: &[PREREQUISITE, "silent-clients-do-not-block"],
        weight: 3,
        replayable: false,
        run: process_per_connection,
        ..STAGE_2
    },
    Check {
        id: "no-zombies",
        must: "reap each child within a second of its exit, even if no further client connects",
        why: "wait(2): a child that has exited keeps its process table entry until it is reaped.",
        hint: "Children must be reaped while the parent waits for the next client.",
        replayable: false,
        run: no_zombies,
        ..STAGE_2
    },
    Check {
        id: "killed-child-ends-one-connection",
        must: "lose one connection, and no other, when a child is killed",
        why: "Isolation between connections is what the cost of a process buys.",
        hint: "The parent and the other children must not hold that socket.",
        about: &[
            FailureKind::TooSlow,
            FailureKind::NoResponse,
            FailureKind::Exited,
        ],
        weight: 2,
        run: killed_child_ends_one_connection,
        ..STAGE_2
    },
    Check {
        id: "children-are-bounded",
        slow: true,
        crowd: true,
        must: "run at most 256 children at once, and serve further clients later",
        why: "Without a limit, anybody can fill the process table for everybody.",
        hint: "Count the running children, and don't accept while there are too many.",
        weight: 2,
        replayable: false,
        run: children_are_bounded,
        ..STAGE_2
    },
    Check {
        id: "child-holds-only-its-socket",
        must: "give a child the socket of its client, and neither the listener nor another socket",
        why: "A child that holds the listener keeps the port in use after the parent has exited.",
        hint: "Look at /proc/PID/fd: what isn't passed on must be closed on exec(2).",
        run: child_holds_only_its_socket,
        ..STAGE_2
    },
];

/// Fails unless a client that was connected and silent until now gets the site's page. Silence is
/// what holds a connection: to half a request, a server may respond early.
pub fn ensure_served(ctx: &TestContext, client: &mut Client) -> CheckResult {
    client.send(&get(&ctx.site.page.target()));
    client.response()?.ensure_serves(&ctx.site.page.content)
}

fn silent_clients_do_not_block(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let _silent = server.connect_many(4)?;
    ensure_alive(ctx, &server)
}

fn sixty_four_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = server.connect_many(64)?;
    while let Some(mut newest) = clients.pop() {
        ensure_served(ctx, &mut newest)?;
    }
    Ok(())
}

fn turned_away_at_once(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    ensure_alive(ctx, &server)?;
    let limit = process::limit_processes(server.pid(), 0, ctx.program.user)?;
    let silent = server.connect_many(5)?;
    let mut client = server.connect()?;
    client.send(&get(&ctx.site.page.target()));
    // Whether it gets a response is a matter of luck.
    let (bytes, state) = client.read_up_to(1, RESPONSE_TIMEOUT)?;
    let received = format!("nothing; {state}");
    let has_outcome = !bytes.is_empty() || state != ConnectionState::Open;
    ensure(
        has_outcome,
        "a response, or the end of the connection",
        received,
    )?;
    if let Err(error) = process::limit_processes(server.pid(), limit, ctx.program.user) {
        // It has exited. A wrapper does so a moment later.
        let Some(status) = server.wait_for_exit(RESPONSE_TIMEOUT)? else {
            return Err(error);
        };
        let (kind, expected) = (FailureKind::Exited, "a server that keeps running");
        let received = format!("the server has exited: {status}");
        return Err(CheckError::of_kind(kind, b"", expected, received));
    }
    drop((silent, client));
    ensure_alive(ctx, &server)
}

/// The process, other than the server itself, that holds a client's connection.
pub fn process_of(server: &Server, client: &Client) -> CheckResult<Process> {
    let failure = || {
        let expected = "a child of the server that holds the connection";
        CheckError::failed(expected, "no such child")
    };
    // A socket has no inode until it is accepted.
    let inode = wait_for(RESPONSE_TIMEOUT, || {
        let inode = client.server_socket()?.map(|socket| socket.inode);
        Ok(inode.filter(|inode| *inode != 0))
    })?;
    let inode = inode.ok_or_else(failure)?;
    let child = wait_for(RESPONSE_TIMEOUT, || {
        for child in server.children()? {
            if process::sockets(child.pid)?.contains(&inode) {
                return Ok(Some(child));
            }
        }
        Ok(None)
    })?;
    child.ok_or_else(failure)
}

fn process_per_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut pids = BTreeSet::new();
    for client in &server.connect_many(4)? {
        let is_new = pids.insert(process_of(&server, client)?.pid);
        let received = "one process with two connections";
        ensure(is_new, "another process for each connection", received)?;
    }
    Ok(())
}

/// Fails unless all children of a server exit once their clients have left, and are reaped soon
/// after that.
fn ensure_no_children(server: &Server) -> CheckResult {
    let count = |is_counted: fn(&Process) -> bool| {
        let children = server.children()?;
        Ok(children.iter().filter(|child| is_counted(child)).count())
    };
    let running = || count(|child| !child.is_zombie());
    let left = wait_for_count(RESPONSE_TIMEOUT, running, |left| left == 0)?;
    let expected = format!("no child {RESPONSE_TIMEOUT:?} after the last client has left");
    ensure(left == 0, expected, format!("{left} running children"))?;
    let zombies = wait_for_count(REAP_LIMIT, || count(Process::is_zombie), |left| left == 0)?;
    let expected = format!("no zombie {REAP_LIMIT:?} after the last child has exited");
    ensure(zombies == 0, expected, format!("{zombies} zombies"))
}

fn no_zombies(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = server.connect_many(8)?;
    for client in &clients {
        process_of(&server, client)?;
    }
    for client in &mut clients {
        ensure_served(ctx, client)?;
    }
    // A server may keep a child as long as its client stays.
    drop(clients);
    ensure_no_children(&server)
}

fn killed_child_ends_one_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = server.connect_many(3)?;
    let victim = process_of(&server, &clients[1])?;
    process::kill(victim.pid, Signal::KILL);
    clients.remove(1).ensure_ends_within(RESPONSE_TIMEOUT)?;
    for client in &mut clients {
        ensure_served(ctx, client)?;
    }
    ensure_alive(ctx, &server)
}

/// How long a child that has exited may stay a zombie: one second for the server, and another since
/// the harness can't see when exactly it exited.
const REAP_LIMIT: Duration = Duration::from_secs(2);

/// How many clients more than there may be workers connect.
const MORE_CLIENTS: usize = 68;

/// Fails unless the server starts at least 64 and at most `max` workers for more clients than that,
/// and serves the other clients later. Workers are called `noun`, and `count` counts them.
pub fn ensure_workers_are_bounded(
    ctx: &TestContext,
    server: &Server,
    noun: &str,
    max: usize,
    count: impl Fn() -> CheckResult<usize>,
) -> CheckResult {
    let first = server.connect()?;
    let workers = wait_for_count(RESPONSE_TIMEOUT, &count, |workers| workers > 0)?;
    ensure(workers > 0, format!("{noun} for the clients"), "none")?;
    let mut clients = server.connect_crowd(max + MORE_CLIENTS)?;
    let workers = most(max, &count)?;
    let expected = format!("at least 64 and at most {max} {noun}");
    ensure((64..=max).contains(&workers), expected, workers.to_string())?;
    // Clients beyond the limit wait, and are served when the others have left.
    let mut waiting = clients.split_off((max - 1).min(clients.len().saturating_sub(1)));
    for client in &mut waiting {
        client.send(&get(&ctx.site.page.target()));
    }
    drop((first, clients));
    for client in &mut waiting {
        client.response()?.ensure_serves(&ctx.site.page.content)?;
    }
    drop(waiting);
    ensure_alive(ctx, server)
}

/// The most that a server starts for a crowd, or more than `max` without a limit.
pub fn most(max: usize, count: impl Fn() -> CheckResult<usize>) -> CheckResult<usize> {
    // Waits while their number grows, at most to the limit.
    let mut before = 0;
    loop {
        let now = wait_for_count(RESPONSE_TIMEOUT / 5, &count, |now| now > before)?;
        if now <= before || now >= max {
            break;
        }
        before = now;
    }
    // Without a limit, there would soon be more. The most that were ever seen count.
    let limit = watch_time(Duration::from_millis(300));
    let last = wait_for_count(limit, &count, |now| now > max)?;
    Ok(last.max(before))
}

fn children_are_bounded(ctx: &TestContext) -> CheckResult {
    const MAX_CHILDREN: usize = 256;
    let server = ctx.start()?;
    let count = || Ok(server.children()?.len());
    ensure_workers_are_bounded(ctx, &server, "children", MAX_CHILDREN, count)?;
    ensure_no_children(&server)
}

fn child_holds_only_its_socket(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let clients = server.connect_many(3)?;
    let listener = tcp::listener(server.address)?;
    let listener = listener.ok_or(CheckError::Broken("found no listener".to_string()))?;
    for client in &clients {
        let child = process_of(&server, client)?;
        // Between fork(2) and exec(2) it briefly holds everything that its parent holds.
        let mut sockets = BTreeSet::new();
        wait_until(RESPONSE_TIMEOUT, || {
            sockets = process::sockets(child.pid)?;
            Ok(sockets.len() == 1)
        })?;
        let received = if sockets.contains(&listener.inode) {
            "the listener as well".to_string()
        } else {
            format!("{} sockets", sockets.len())
        };
        ensure(sockets.len() == 1, "a child with one socket", received)?;
    }
    let count = || Ok(process::sockets(server.pid())?.len());
    let left = wait_for_count(RESPONSE_TIMEOUT / 5, count, |count| count <= 1)?;
    let expected = "a parent with only its listener";
    ensure(left <= 1, expected, format!("{left} sockets in it"))
}
