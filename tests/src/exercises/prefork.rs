//! A pool of processes that accept from one listening socket.

use super::Exercise;
use crate::bench::{Bench, PATIENCE, wait_until};
use crate::check::{COMMON, Check, Outcome, Trouble, must};
use crate::checks::processes::{begin_many, holder};
use crate::server::Server;
use crate::system;
use crate::wire::{Ending, get};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpStream;

pub const EXERCISE: Exercise = Exercise {
    name: "prefork",
    stage: 2,
    title: "a pool of processes that accept from one listening socket",
    asked: "\
Four children are started before the first client comes. Each gets the listening socket, as
its standard input, and accepts by itself: it serves one client after another, one at a time,
and does not end. The parent serves nobody. It looks after the pool: for a child that has
ended, or was killed from outside, it starts another (the check waits five seconds for it),
and leaves no zombie. Three silent clients hold up three children; the fourth goes on serving.
A fifth client waits in the backlog. When the parent has ended, however that came, its
children end too, so that nobody is left who holds the port.",
    read: &[
        "accept(2), dup2(2), wait(2), getppid(2)",
        "https://httpd.apache.org/docs/2.4/mod/prefork.html (a server that works like that)",
    ],
    checks: CHECKS,
    excuses: &[
        "silent-clients-hold-nobody-up",
        "sixty-four-at-once",
        "no-zombies",
        "children-are-bounded",
        "a-child-holds-its-socket-alone",
    ],
    already: &["three-silent-clients", "children-end-with-their-parent"],
};

const OWN: Check = Check {
    stages: 2..=2,
    needs: &["children-before-clients"],
    linux_only: true,
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "children-before-clients",
        must: "four children hold the listening socket before the first client comes",
        why: "To start a process for each client is what stage 2 pays for each of them.",
        hint: "What stage 2 does with an accepted socket can be done with the listening one.",
        needs: &[],
        weight: 2,
        run: children_before_clients,
        ..OWN
    },
    Check {
        id: "children-stay",
        must: "after 50 requests the children are the same four processes",
        why: "A child that ends with its client has to be started anew for the next.",
        hint: "The loop of stage 1, in each child.",
        run: children_stay,
        ..OWN
    },
    Check {
        id: "each-child-has-one-client",
        must: "four clients are held by the four children, one each, and a fifth waits for its turn",
        why: "So they share the work, and a fault in one connection stays in its process.",
        hint: "The system gives each connection to one of those who wait in accept(2).",
        run: each_child_has_one_client,
        ..OWN
    },
    Check {
        id: "three-silent-clients",
        must: "while three clients say nothing, others are served",
        why: "A pool of four has room for three who keep it waiting.",
        hint: "Each child waits for its own client only.",
        run: three_silent_clients,
        ..OWN
    },
    Check {
        id: "a-killed-child-is-replaced",
        must: "in the place of a child that was killed there soon is another, and no zombie",
        why: "Else the pool would shrink, until nobody is left to accept.",
        hint: "Ask again and again how the children are; what wait(2) has told of is no zombie.",
        run: a_killed_child_is_replaced,
        ..OWN
    },
    Check {
        id: "children-end-with-their-parent",
        must: "when the parent was killed, no child is left, and nobody answers at the port",
        why: "Whoever holds the listening socket holds the port: a restart would fail.",
        hint: "Who has lost its parent has another one: getppid(2) tells.",
        run: children_end_with_their_parent,
        ..OWN
    },
];

/// How many children there are to be.
const POOL: usize = 4;

/// Waits for the pool: the children that hold the listening socket, by their ids.
fn pool(server: &Server) -> Result<Vec<i32>, Trouble> {
    let listener = system::listener(server.address.port())?;
    let listener = listener.ok_or(Trouble::Broken("found no listener".to_string()))?;
    let mut pool = Vec::new();
    let mut others = 0;
    wait_until(PATIENCE, || {
        pool.clear();
        let children = system::children(server.pid())?;
        for child in &children {
            if system::sockets(child.pid)?.contains(&listener) {
                pool.push(child.pid);
            }
        }
        pool.sort_unstable();
        others = children.len() - pool.len();
        Ok(pool.len() == POOL && others == 0)
    })?;
    let received = format!("{} of them, and {others} other children", pool.len());
    must(
        pool.len() == POOL && others == 0,
        format!("{POOL} children that hold the listening socket"),
        received,
    )?;
    Ok(pool)
}

fn children_before_clients(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    pool(&server)?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn children_stay(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let before = pool(&server)?;
    for _ in 0..50 {
        server.get("/")?.must_serve(&bench.site.index)?;
    }
    let after = pool(&server)?;
    must(
        after == before,
        format!("the processes {before:?}"),
        format!("{after:?}"),
    )
}

fn each_child_has_one_client(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let pool = pool(&server)?;
    let mut clients = begin_many(&server, POOL, &bench.site.page.target())?;
    let mut holders = Vec::new();
    for client in &clients {
        holders.push(holder(&server, client)?.pid);
    }
    holders.sort_unstable();
    must(
        holders == pool,
        format!("one client for each of {pool:?}"),
        format!("{holders:?} hold them"),
    )?;
    let mut fifth = server.connect()?;
    fifth.send(&get("/"));
    // A right server never answers here, however long we listen.
    let (bytes, ending) = fifth.read(PATIENCE / 10)?;
    if !bytes.is_empty() || ending != Ending::Open {
        let received = format!("\"{}\"; {ending}", bytes.escape_ascii());
        let expected = "no answer while four others are being served";
        return Err(Trouble::after(&get("/"), expected, received));
    }
    for client in &mut clients {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.page.content)?;
    }
    fifth.answer()?.must_serve(&bench.site.index)
}

fn three_silent_clients(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let _silent = server.connect_many(POOL - 1)?;
    for _ in 0..5 {
        server.get("/")?.must_serve(&bench.site.index)?;
    }
    Ok(())
}

fn a_killed_child_is_replaced(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let before = pool(&server)?;
    for victim in &before[..2] {
        kill(Pid::from_raw(*victim), Signal::SIGKILL).map_err(std::io::Error::from)?;
        let gone = wait_until(PATIENCE, || Ok(system::process(*victim)?.is_none()))?;
        must(gone, "no zombie of a killed child", "one is left")?;
    }
    pool(&server)?;
    // All four serve: each gets one of these.
    for mut client in begin_many(&server, POOL, "/")?.into_iter().rev() {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    Ok(())
}

fn children_end_with_their_parent(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    server.get("/")?.must_serve(&bench.site.index)?;
    server.tell(Signal::SIGKILL);
    let mut left = Vec::new();
    wait_until(PATIENCE, || {
        left = system::children(server.pid())?;
        // Whoever takes in the orphans may be slow to ask after them.
        left.retain(|child| !child.zombie);
        Ok(left.is_empty())
    })?;
    must(
        left.is_empty(),
        "no child behind its parent",
        format!("{} of them are there still", left.len()),
    )?;
    // The parent itself may take a moment to end.
    let refused = wait_until(PATIENCE, || Ok(TcpStream::connect(server.address).is_err()))?;
    must(refused, "nobody at the port", "a connection")
}
