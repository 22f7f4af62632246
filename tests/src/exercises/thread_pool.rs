//! A fixed number of threads, and a queue in front of them.

use super::Exercise;
use crate::bench::{Bench, PATIENCE};
use crate::check::{COMMON, Check, Outcome, Trouble, must};
use crate::checks::processes::begin_many;
use crate::checks::threads::{thread_count, wait_for_threads};
use crate::server::Server;
use crate::wire::{Ending, get};
use std::time::Duration;

pub const EXERCISE: Exercise = Exercise {
    name: "thread-pool",
    stage: 3,
    title: "a fixed number of threads, and a queue in front of them",
    asked: "\
Eight threads for clients are started before the first client comes, and stay; besides them
there may be up to four that do other things, such as accepting. How many there are never
changes: not with eight clients, not after a hundred requests, not when a client leaves half
way. Each thread serves one client after another. When all eight are busy, further clients are
neither refused nor answered: they wait in a queue, of yours or in the backlog, and are served
when others have left. A panic in one connection ends that connection, and costs no thread (no
check looks for that: build one in, as in lesson 3).",
    read: &[
        "https://doc.rust-lang.org/book/ch21-02-multithreaded.html (a pool, step by step)",
        "listen(2) (the backlog); std::sync::mpsc::sync_channel, std::panic::catch_unwind",
    ],
    checks: CHECKS,
    excuses: &[
        "sixty-four-at-once",
        "a-thread-for-each-connection",
        "threads-end-with-their-clients",
        "threads-are-bounded",
    ],
    already: &["eight-at-once"],
};

const OWN: Check = Check {
    stages: 3..=3,
    needs: &["threads-before-clients"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "threads-before-clients",
        must: "eight threads are there before the first client comes, and at most four besides",
        why: "To start a thread for each client is what stage 3 pays for each of them.",
        hint: "Start them in a loop, and let each take clients in a loop of its own.",
        needs: &[],
        weight: 2,
        linux_only: true,
        run: threads_before_clients,
        ..OWN
    },
    Check {
        id: "threads-stay-as-they-are",
        must: "there are as many threads with eight clients and after a hundred requests as before",
        why: "A number that cannot grow needs no bound, one that cannot shrink no repair.",
        hint: "No thread is started for a client, and none ends with one.",
        linux_only: true,
        run: threads_stay_as_they_are,
        ..OWN
    },
    Check {
        id: "eight-at-once",
        must: "eight clients in the middle of their requests are served, the newest first",
        why: "Eight threads that take turns would be one.",
        hint: "Hold a lock only while you take a client from the queue.",
        run: eight_at_once,
        ..OWN
    },
    Check {
        id: "the-ninth-waits",
        must: "further clients get no answer while eight are served, and theirs when others have left",
        why: "A queue is what a fixed number needs: to wait is better than to be refused.",
        hint: "Who accepts may wait; what is not accepted waits in the backlog.",
        run: the_ninth_waits,
        ..OWN
    },
];

/// How many threads there are to be for clients.
const POOL: usize = 8;

/// How many there may be for other things; the main thread is one of them.
const BESIDES: usize = 4;

/// Waits until the pool is there; tells how many threads there are in all.
fn pool(server: &Server) -> Result<usize, Trouble> {
    let right = |count: usize| (POOL..=POOL + BESIDES).contains(&count);
    let count = wait_for_threads(server, PATIENCE, right)?;
    must(
        right(count),
        format!("{POOL} threads for clients, and at most {BESIDES} others"),
        format!("{count} in all"),
    )?;
    Ok(count)
}

/// The number of threads must be that, and stay so while one could start or end.
fn must_stay(server: &Server, before: usize, when: &str) -> Outcome {
    let limit = Duration::from_millis(300);
    let now = wait_for_threads(server, limit, |count| count != before)?;
    must(
        now == before,
        format!("{before} threads {when}"),
        format!("{now}"),
    )
}

fn threads_before_clients(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    pool(&server)?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn threads_stay_as_they_are(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    // Helpers may start with the first client.
    server.get("/")?.must_serve(&bench.site.index)?;
    pool(&server)?;
    let before = thread_count(&server)?;
    let mut clients = begin_many(&server, POOL, "/")?;
    must_stay(&server, before, "with eight clients")?;
    for client in &mut clients {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    drop(clients);
    let page = get("/");
    for turn in 0..100 {
        let mut client = server.connect()?;
        match turn % 4 {
            0 => client.send(&page[..9]),
            1 => client.send(b"garbage\r\n\r\n"),
            _ => client.send(&page),
        }
        client.finish_sending();
        client.must_end_within(PATIENCE)?;
    }
    must_stay(&server, before, "after a hundred requests")
}

fn eight_at_once(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut clients = begin_many(&server, POOL, &bench.site.page.target())?;
    while let Some(mut newest) = clients.pop() {
        newest.send(b"\r\n");
        newest.answer()?.must_serve(&bench.site.page.content)?;
    }
    Ok(())
}

fn the_ninth_waits(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let mut busy = begin_many(&server, POOL, "/")?;
    let mut waiting = server.connect_many(4)?;
    let request = get(&bench.site.page.target());
    for client in &mut waiting {
        client.send(&request);
    }
    // A right server never answers here, however long we listen.
    let (bytes, ending) = waiting[0].read(PATIENCE / 10)?;
    if !bytes.is_empty() || ending != Ending::Open {
        let received = format!("\"{}\"; {ending}", bytes.escape_ascii());
        let expected = "no answer while eight others are being served";
        return Err(Trouble::after(&request, expected, received));
    }
    busy[0].send(b"\r\n");
    busy.remove(0).answer()?.must_serve(&bench.site.index)?;
    for client in &mut waiting {
        client.answer()?.must_serve(&bench.site.page.content)?;
    }
    for client in &mut busy {
        client.send(b"\r\n");
        client.answer()?.must_serve(&bench.site.index)?;
    }
    Ok(())
}
