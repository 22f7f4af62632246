//! A thread for each client, in one process.

use crate::bench::{Bench, PATIENCE, wait_until};
use crate::check::{BASIC, COMMON, Check, Outcome, Trouble, must};
use crate::checks::processes::begin_many;
use crate::server::Server;
use crate::system;
use crate::wire::get;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Check {
        id: "one-process-only",
        stages: 3..=4,
        must: "one process serves all clients",
        why: "To start a process for each client is what stage 2 paid for.",
        hint: "No process is started for a client any more.",
        linux_only: true,
        run: one_process_only,
        ..COMMON
    },
    Check {
        id: "a-thread-for-each-connection",
        stages: 3..=4,
        must: "each connection has a thread of its own",
        why: "A thread starts much sooner than a process, and waits just as well.",
        hint: "Start one for each accepted socket, and move the socket into it.",
        needs: &[BASIC, "silent-clients-hold-nobody-up"],
        weight: 3,
        linux_only: true,
        run: a_thread_for_each_connection,
        ..COMMON
    },
    Check {
        id: "threads-end-with-their-clients",
        stages: 3..=4,
        must: "when clients have left, their threads are gone",
        why: "A thread that stays keeps its stack, and its place.",
        hint: "A thread ends when its function returns.",
        needs: &[BASIC, "a-thread-for-each-connection"],
        linux_only: true,
        run: threads_end_with_their_clients,
        ..COMMON
    },
    Check {
        id: "threads-are-bounded",
        stages: 3..=4,
        waits: true,
        must: "at most 512 threads serve at once; further clients wait, and are served later",
        why: "Without a bound anybody can use up the memory.",
        hint: "Count those that run, and do not accept while there are too many.",
        needs: &[BASIC, "a-thread-for-each-connection"],
        weight: 2,
        linux_only: true,
        alone: false,
        run: threads_are_bounded,
    },
];

pub fn thread_count(server: &Server) -> Result<usize, Trouble> {
    Ok(system::process(server.pid())?.map_or(0, |process| process.threads))
}

/// How many threads it has without clients, but not before it has served one: helpers may
/// start with the first.
fn idle_threads(server: &Server) -> Result<usize, Trouble> {
    server.get("/")?.must_have_status(200)?;
    let mut fewest = thread_count(server)?;
    wait_until(Duration::from_millis(200), || {
        fewest = fewest.min(thread_count(server)?);
        Ok(false)
    })?;
    Ok(fewest)
}

/// Waits until the server has that many threads; tells how many it has.
pub fn wait_for_threads(
    server: &Server,
    limit: Duration,
    enough: impl Fn(usize) -> bool,
) -> Result<usize, Trouble> {
    let mut count = 0;
    wait_until(limit, || {
        count = thread_count(server)?;
        Ok(enough(count))
    })?;
    Ok(count)
}

fn one_process_only(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut clients = begin_many(&server, 8, "/")?;
    for client in clients.iter_mut().rev().take(4) {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    let children = system::children(server.pid())?.len();
    must(
        children == 0,
        "no other process",
        format!("{children} more, besides the server itself"),
    )
}

fn a_thread_for_each_connection(bench: &Bench) -> Outcome {
    const CLIENTS: usize = 16;
    let server = bench.start()?;
    let idle = idle_threads(&server)?;
    let _clients = begin_many(&server, CLIENTS, "/")?;
    let busy = wait_for_threads(&server, PATIENCE, |count| count >= idle + CLIENTS)?;
    let received = format!("{idle} threads before, {busy} with them");
    must(
        busy >= idle + CLIENTS,
        format!("{CLIENTS} more threads for {CLIENTS} clients"),
        received,
    )
}

fn threads_end_with_their_clients(bench: &Bench) -> Outcome {
    const CLIENTS: usize = 16;
    let server = bench.start()?;
    let idle = idle_threads(&server)?;
    let clients = begin_many(&server, CLIENTS, "/")?;
    let busy = wait_for_threads(&server, PATIENCE, |count| count >= idle + CLIENTS)?;
    must(
        busy > idle,
        "threads that come with their clients",
        format!("{busy}, as before"),
    )?;
    drop(clients);
    let left = wait_for_threads(&server, PATIENCE, |count| count <= idle)?;
    must(
        left <= idle,
        format!("{idle} threads, as before them"),
        format!("{left}"),
    )
}

fn threads_are_bounded(bench: &Bench) -> Outcome {
    const MOST: usize = 512;
    let server = bench.start()?;
    let idle = idle_threads(&server)?;
    let first = server.connect()?;
    let busy = wait_for_threads(&server, PATIENCE, |count| count > idle)?;
    must(
        busy > idle,
        "a thread for each client",
        format!("{busy} threads, as before"),
    )?;
    let mut clients = server.connect_crowd(MOST + 68);
    // As long as more come, at most to the bound.
    let mut before = 0;
    loop {
        let now = wait_for_threads(&server, PATIENCE / 5, |count| count > before)?;
        if now <= before || now >= idle + MOST {
            break;
        }
        before = now;
    }
    // Were there no bound, the next ones would be there soon.
    let limit = Duration::from_millis(300);
    let found = wait_for_threads(&server, limit, |count| count > idle + MOST)?;
    let expected = format!("at most {MOST} more threads than without clients, and at least 64");
    must(
        (idle + 64..=idle + MOST).contains(&found),
        expected,
        format!("{idle}, then {found}"),
    )?;
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
    let left = wait_for_threads(&server, PATIENCE, |count| count <= idle)?;
    must(
        left <= idle,
        format!("{idle} threads when all have left"),
        format!("{left}"),
    )
}
