//! Many clients at once, and a process for each of them.

use crate::bench::{Bench, PATIENCE, wait_for, wait_until};
use crate::check::{BASIC, COMMON, Check, Outcome, Trouble, must};
use crate::server::Server;
use crate::system::{self, Process};
use crate::wire::{Client, get};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Check {
        id: "silent-clients-hold-nobody-up",
        stages: 2..=4,
        must: "a client is served while others are connected and say nothing",
        why: "The limit of stage 1: one silent client, and it serves nobody.",
        hint: "Whoever accepts must not be the one who waits for a client.",
        weight: 3,
        alone: false,
        run: silent_clients_hold_nobody_up,
        ..COMMON
    },
    Check {
        id: "sixty-four-at-once",
        stages: 2..=4,
        must: "64 clients in the middle of their requests are served, the newest first",
        why: "The newest first: so the backlog cannot answer in the server's place.",
        hint: "Each connection needs somebody of its own.",
        needs: &[BASIC, "silent-clients-hold-nobody-up"],
        weight: 2,
        alone: false,
        run: sixty_four_at_once,
        ..COMMON
    },
    Check {
        id: "a-process-for-each-connection",
        stages: 2..=2,
        must: "each connection is held by a process of its own",
        why: "So a fault in one connection cannot reach another's memory.",
        hint: "Start one for each accepted socket, and hand it over as standard input.",
        needs: &[BASIC, "silent-clients-hold-nobody-up"],
        weight: 3,
        linux_only: true,
        alone: false,
        run: a_process_for_each_connection,
        ..COMMON
    },
    Check {
        id: "no-zombies",
        stages: 2..=2,
        must: "a second after a child has ended, no zombie of it is left, even if nobody comes",
        why: "wait(2): an ended child keeps its place until its parent asks after it.",
        hint: "Somebody must ask while the parent waits for the next client.",
        needs: &[BASIC, "a-process-for-each-connection"],
        linux_only: true,
        alone: false,
        run: no_zombies,
        ..COMMON
    },
    Check {
        id: "a-killed-child-ends-one-connection",
        stages: 2..=2,
        must: "a child killed from outside takes its own connection along, and no other",
        why: "This is what a process for each is paid for.",
        hint: "The parent and the other children must not hold that socket.",
        needs: &[BASIC, "a-process-for-each-connection"],
        weight: 2,
        linux_only: true,
        run: a_killed_child_ends_one_connection,
        ..COMMON
    },
    Check {
        id: "children-are-bounded",
        stages: 2..=2,
        waits: true,
        must: "at most 256 children run at once; further clients wait, and are served later",
        why: "Without a bound anybody can fill the process table, for everybody.",
        hint: "Count those that run, and do not accept while there are too many.",
        needs: &[BASIC, "a-process-for-each-connection"],
        weight: 2,
        linux_only: true,
        alone: false,
        run: children_are_bounded,
    },
    Check {
        id: "a-child-holds-its-socket-alone",
        stages: 2..=2,
        must: "a child holds the socket of its client, and neither a listener nor another's",
        why: "A child that keeps the listener keeps the port when the parent has gone.",
        hint: "Look into /proc/PID/fd: what is not handed over must be closed on exec(2).",
        needs: &[BASIC, "a-process-for-each-connection"],
        linux_only: true,
        run: a_child_holds_its_socket_alone,
        ..COMMON
    },
];

/// The beginning of a request: enough to be taken in, not enough to be answered.
pub fn begin_many(server: &Server, count: usize, target: &str) -> Result<Vec<Client>, Trouble> {
    let mut clients = server.connect_many(count)?;
    let request = get(target);
    for client in &mut clients {
        client.send(&request[..request.len() - 2]);
    }
    Ok(clients)
}

fn silent_clients_hold_nobody_up(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let _silent = server.connect_many(4)?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn sixty_four_at_once(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut clients = begin_many(&server, 64, &bench.site.page.target())?;
    while let Some(mut newest) = clients.pop() {
        newest.send(b"\r\n");
        newest.answer()?.must_serve(&bench.site.page.content)?;
    }
    Ok(())
}

/// The process, other than the server itself, that holds a client's connection.
pub fn holder(server: &Server, client: &Client) -> Result<Process, Trouble> {
    let (server_port, port) = (server.address.port(), client.port()?);
    // Until it is accepted, a socket has no inode.
    let socket = wait_for(PATIENCE, || {
        Ok(system::socket_of(server_port, port)?.filter(|inode| *inode != 0))
    })?;
    let found = wait_for(PATIENCE, || {
        let Some(socket) = socket else {
            return Ok(None);
        };
        for child in system::children(server.pid())? {
            if system::sockets(child.pid)?.contains(&socket) {
                return Ok(Some(child));
            }
        }
        Ok(None)
    })?;
    let expected = "a child of the server that holds the connection";
    found.ok_or_else(|| Trouble::failed(expected, "no child that does"))
}

fn a_process_for_each_connection(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let clients = begin_many(&server, 4, "/")?;
    let mut holders = Vec::new();
    for client in &clients {
        let holder = holder(&server, client)?;
        let new = !holders.contains(&holder.pid);
        must(
            new,
            "another process for each connection",
            "one process with two of them",
        )?;
        holders.push(holder.pid);
    }
    Ok(())
}

/// Waits until no process is left of a server but itself.
fn must_be_alone_within(server: &Server, limit: Duration) -> Outcome {
    let mut left = Vec::new();
    wait_until(limit, || {
        left = system::children(server.pid())?;
        Ok(left.is_empty())
    })?;
    let zombies = left.iter().filter(|child| child.zombie).count();
    let received = format!("{} children, {zombies} of them zombies", left.len());
    must(
        left.is_empty(),
        format!("no child left {limit:?} after the last client"),
        received,
    )
}

fn no_zombies(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut clients = begin_many(&server, 8, "/")?;
    for client in &clients {
        holder(&server, client)?;
    }
    for client in &mut clients {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    // A second for the server, and as long again for a busy machine.
    must_be_alone_within(&server, Duration::from_secs(2))
}

fn a_killed_child_ends_one_connection(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut clients = begin_many(&server, 3, "/")?;
    let victim = holder(&server, &clients[1])?;
    kill(Pid::from_raw(victim.pid), Signal::SIGKILL).map_err(std::io::Error::from)?;
    clients.remove(1).must_end_within(PATIENCE)?;
    for client in &mut clients {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}

fn children_are_bounded(bench: &Bench) -> Outcome {
    const MOST: usize = 256;
    let server = bench.start()?;
    let first = server.connect()?;
    let count = || system::children(server.pid()).map(|children| children.len());
    let begun = wait_until(PATIENCE, || Ok(count()? > 0))?;
    must(begun, "a child for each client", "no child at all")?;
    let mut clients = server.connect_crowd(MOST + 43);
    // As long as more come, at most to the bound.
    let mut before = 0;
    while let Some(more) = wait_for(PATIENCE / 5, || {
        Ok(Some(count()?).filter(|now| *now > before))
    })? {
        before = more;
        if before >= MOST {
            break;
        }
    }
    // Were there no bound, the next ones would be there soon.
    let unbounded = wait_until(Duration::from_millis(300), || Ok(count()? > MOST))?;
    let found = count()?;
    let expected = format!("at most {MOST} children, and at least 64");
    must(!unbounded && found >= 64, expected, format!("{found}"))?;
    // Those beyond the bound have waited, and are served when the others have left.
    let mut waiting = clients.split_off((MOST - 1).min(clients.len().saturating_sub(1)));
    for client in &mut waiting {
        client.send(&get("/"));
    }
    drop((first, clients));
    for client in &mut waiting {
        client.answer()?.must_serve(&bench.site.index)?;
    }
    drop(waiting);
    server.get("/")?.must_serve(&bench.site.index)?;
    must_be_alone_within(&server, PATIENCE)
}

fn a_child_holds_its_socket_alone(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let clients = begin_many(&server, 3, "/")?;
    let listener = system::listener(server.address.port())?;
    let listener = listener.ok_or(Trouble::Broken("found no listener".to_string()))?;
    for client in &clients {
        let holder = holder(&server, client)?;
        // Between fork and exec (or its own close) it has for a moment all that the parent has.
        let mut sockets = system::sockets(holder.pid)?;
        wait_until(PATIENCE / 5, || {
            sockets = system::sockets(holder.pid)?;
            Ok(sockets.len() == 1)
        })?;
        let received = match sockets.contains(&listener) {
            true => "the listener as well".to_string(),
            false => format!("{} sockets", sockets.len()),
        };
        must(sockets.len() == 1, "a child with one socket", received)?;
    }
    let mut kept = 0;
    wait_until(PATIENCE / 5, || {
        kept = system::sockets(server.pid())?.len();
        Ok(kept <= 1)
    })?;
    must(
        kept <= 1,
        "a parent with its listener only",
        format!("{kept} sockets in it"),
    )
}
