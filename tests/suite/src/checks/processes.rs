//! Many clients at once, and a process for each of them.

use super::{ensure_alive, wait_for_count};
use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::client::{Client, get};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_for, wait_until};
use harness::error::{CheckError, CheckResult, ensure};
use harness::process::{self, Process, Signal};
use harness::response::Response;
use harness::server::Server;
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
        stages: 2..=4,
        must: "serve a client while other clients are connected and silent",
        why: "This is the limit of stage 1: one silent client blocks all others.",
        hint: "The code that accepts clients must not wait for any of them.",
        weight: 3,
        replayable: false,
        run: silent_clients_do_not_block,
        ..DEFAULTS
    },
    Check {
        id: "sixty-four-clients",
        stages: 2..=4,
        must: "serve 64 clients in the middle of their requests, the newest first",
        why: "A server with one connection at a time would have to finish the oldest first.",
        hint: "Each connection needs its own process or thread.",
        needs: &[PREREQUISITE, "silent-clients-do-not-block"],
        weight: 2,
        replayable: false,
        run: sixty_four_clients,
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

/// Connects that many clients. Each sends a request without its empty line, so the server
/// accepts it but can't respond yet.
pub fn start_requests(server: &Server, count: usize, target: &str) -> CheckResult<Vec<Client>> {
    let mut clients = server.connect_many(count)?;
    let request = get(target);
    for client in &mut clients {
        client.send(&request[..request.len() - 2]);
    }
    Ok(clients)
}

/// Sends the empty line that [`start_requests`] left out, and reads the response.
pub fn finish_request(client: &mut Client) -> CheckResult<Response> {
    client.send(b"\r\n");
    client.response()
}

fn silent_clients_do_not_block(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let _silent = server.connect_many(4)?;
    ensure_alive(ctx, &server)
}

fn sixty_four_clients(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = start_requests(&server, 64, &ctx.site.page.target())?;
    while let Some(mut newest) = clients.pop() {
        finish_request(&mut newest)?.ensure_serves(&ctx.site.page.content)?;
    }
    Ok(())
}

/// The process, other than the server itself, that holds a client's connection.
pub fn process_of(server: &Server, client: &Client) -> CheckResult<Process> {
    let (server_port, client_port) = (server.address.port(), client.port()?);
    let failure = || {
        let expected = "a child of the server that holds the connection";
        CheckError::failed(expected, "no such child")
    };
    // A socket has no inode until it is accepted.
    let socket = wait_for(RESPONSE_TIMEOUT, || {
        Ok(process::server_socket(server_port, client_port)?.filter(|inode| *inode != 0))
    })?;
    let socket = socket.ok_or_else(failure)?;
    let child = wait_for(RESPONSE_TIMEOUT, || {
        for child in process::children(server.pid())? {
            if process::sockets(child.pid)?.contains(&socket) {
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
    for client in &start_requests(&server, 4, "/")? {
        let is_new = pids.insert(process_of(&server, client)?.pid);
        let received = "one process with two connections";
        ensure(is_new, "another process for each connection", received)?;
    }
    Ok(())
}

/// Fails unless all children of a server have exited and are reaped within `limit`.
fn ensure_no_children_within(server: &Server, limit: Duration) -> CheckResult {
    let mut left = Vec::new();
    wait_until(limit, || {
        left = process::children(server.pid())?;
        Ok(left.is_empty())
    })?;
    let zombies = left.iter().filter(|child| child.is_zombie()).count();
    let expected = format!("no child {limit:?} after the last client");
    let received = format!("{} children, {zombies} of them zombies", left.len());
    ensure(left.is_empty(), expected, received)
}

fn no_zombies(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = start_requests(&server, 8, "/")?;
    for client in &clients {
        process_of(&server, client)?;
    }
    for client in &mut clients {
        finish_request(client)?.ensure_serves(&ctx.site.index)?;
    }
    // One second for the server, and another because the machine may be busy.
    ensure_no_children_within(&server, Duration::from_secs(2))
}

fn killed_child_ends_one_connection(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut clients = start_requests(&server, 3, "/")?;
    let victim = process_of(&server, &clients[1])?;
    process::kill(victim.pid, Signal::KILL);
    clients.remove(1).ensure_ends_within(RESPONSE_TIMEOUT)?;
    for client in &mut clients {
        finish_request(client)?.ensure_serves(&ctx.site.index)?;
    }
    ensure_alive(ctx, &server)
}

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
    let mut clients = server.connect_crowd(max + MORE_CLIENTS);
    // Waits while their number grows, at most to the limit.
    let mut before = 0;
    loop {
        let now = wait_for_count(RESPONSE_TIMEOUT / 5, &count, |workers| workers > before)?;
        if now <= before || now >= max {
            break;
        }
        before = now;
    }
    // Without a limit, there would soon be more.
    let workers = wait_for_count(Duration::from_millis(300), &count, |workers| workers > max)?;
    let expected = format!("at least 64 and at most {max} {noun}");
    ensure((64..=max).contains(&workers), expected, workers.to_string())?;
    // Clients beyond the limit wait, and are served when the others have left.
    let mut waiting = clients.split_off((max - 1).min(clients.len().saturating_sub(1)));
    for client in &mut waiting {
        client.send(&get("/"));
    }
    drop((first, clients));
    for client in &mut waiting {
        client.response()?.ensure_serves(&ctx.site.index)?;
    }
    drop(waiting);
    ensure_alive(ctx, server)
}

fn children_are_bounded(ctx: &TestContext) -> CheckResult {
    const MAX_CHILDREN: usize = 256;
    let server = ctx.start()?;
    let count = || Ok(process::children(server.pid())?.len());
    ensure_workers_are_bounded(ctx, &server, "children", MAX_CHILDREN, count)?;
    ensure_no_children_within(&server, RESPONSE_TIMEOUT)
}

fn child_holds_only_its_socket(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let clients = start_requests(&server, 3, "/")?;
    let listener = process::listener(server.address.port())?;
    let listener = listener.ok_or(CheckError::Broken("found no listener".to_string()))?;
    for client in &clients {
        let child = process_of(&server, client)?;
        // Between fork(2) and exec(2) it briefly holds everything that its parent holds.
        let mut sockets = BTreeSet::new();
        wait_until(RESPONSE_TIMEOUT / 5, || {
            sockets = process::sockets(child.pid)?;
            Ok(sockets.len() == 1)
        })?;
        let received = if sockets.contains(&listener) {
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
