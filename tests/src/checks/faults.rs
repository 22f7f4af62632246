//! Faults: slow clients, vanishing clients, files that change under way, and a system that
//! has nothing left to give.

use crate::bench::{Bench, PATIENCE, wait_for, wait_until};
use crate::check::{BASIC, COMMON, Check, Outcome, Trouble, must};
use crate::server::{Server, Start};
use crate::system;
use crate::wire::{Answer, Ending, get, post, request, strict_fault};
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    Check {
        id: "silent-client-is-cut-off",
        waits: true,
        must: "a client that says nothing is closed without a word after `--timeout`, not before",
        why: "Without a bound one client holds a server's place for ever.",
        hint: "Give reading a timeout, and take its end for the end of the connection.",
        run: silent_client_is_cut_off,
        ..COMMON
    },
    Check {
        id: "half-a-request-is-cut-off",
        waits: true,
        must: "a client that stops in the middle of its head gets 408 after `--timeout`",
        why: "RFC 9110, 15.5.9: the request did not come in the time the server would wait.",
        hint: "Tell a client that said nothing from one that did not finish.",
        run: half_a_request_is_cut_off,
        ..COMMON
    },
    Check {
        id: "dripping-client-is-cut-off",
        waits: true,
        must: "a client that sends a byte now and then is cut off at the same deadline",
        why: "Slowloris: a timeout on each read alone never comes.",
        hint: "The deadline is for the whole head: before each read, see what is left of it.",
        run: dripping_client_is_cut_off,
        ..COMMON
    },
    Check {
        id: "parting-does-not-last",
        waits: true,
        must: "a refused client that sends on and on is left after a while",
        why: "RFC 9112, 9.6: read on behind an answer, but only for a bounded time.",
        hint: "Give the reading that follows your answer a deadline of its own.",
        run: parting_does_not_last,
        ..COMMON
    },
    Check {
        id: "client-that-never-reads",
        waits: true,
        must: "a client that does not take its answer is cut off after `--timeout`",
        why: "When its buffers are full, a write waits, perhaps for ever (send(2)).",
        hint: "Writing needs a timeout as much as reading does.",
        run: client_that_never_reads,
        ..COMMON
    },
    Check {
        id: "vanishing-clients",
        must: "50 clients that vanish in the middle of a large answer do no harm",
        why: "A write to a closed connection fails, and by default SIGPIPE ends the process.",
        hint: "Let the write fail, and go on with the next client.",
        run: vanishing_clients,
        ..COMMON
    },
    Check {
        id: "no-descriptor-leaks",
        waits: true,
        must: "100 requests leave no descriptor behind",
        why: "Each process has a bounded number of descriptors: a leak ends every server.",
        hint: "Close the socket and the file on every way out, after errors as well.",
        linux_only: true,
        run: no_descriptor_leaks,
        ..COMMON
    },
    Check {
        id: "descriptors-run-out",
        waits: true,
        linux_only: true,
        must: "a server that runs out of descriptors goes on when some are free again",
        why: "accept(2) fails with EMFILE: that is no reason to end, nor to spin.",
        hint: "Log it, rest for a moment, and accept again. What you do for a client may fail for want of a descriptor too: a `?` there ends the server.",
        run: descriptors_run_out,
        ..COMMON
    },
    Check {
        id: "large-file-needs-no-memory",
        must: "a file of 1 GiB is sent without being held in memory",
        why: "Memory must not grow with the file: ten clients would be enough to end it.",
        hint: "Read a piece, send it, read the next.",
        linux_only: true,
        run: large_file_needs_no_memory,
        ..COMMON
    },
    Check {
        id: "file-that-shrinks",
        must: "when a file shrinks while it is sent, that connection ends, and no other",
        why: "Between looking at a file and reading it, it may change.",
        hint: "The end of the file ends the sending, whatever you expected.",
        run: file_that_shrinks,
        ..COMMON
    },
    Check {
        id: "cut-short-and-seen",
        stages: 4..=4,
        must: "a file that changes under way makes its answer shorter than Content-Length, never longer",
        why: "RFC 9112, 8: so a client sees that something is missing. Never fill it up.",
        hint: "Promise the length you see at first; send no more than that, nor than there is.",
        needs: &[BASIC, "content-length"],
        run: cut_short_and_seen,
        ..COMMON
    },
    Check {
        id: "half-a-body-is-cut-off",
        stages: 4..=4,
        waits: true,
        must: "a form that does not arrive whole is 408 after `--timeout`; cut off, it is 400",
        why: "RFC 9112, 8: an incomplete request must not be taken for a whole one.",
        hint: "A body has its deadline like the head; the end of the stream comes too early.",
        needs: &[BASIC, "form-is-echoed"],
        run: half_a_body_is_cut_off,
        ..COMMON
    },
];

/// What `--timeout` is in these checks.
const TIMEOUT: Duration = Duration::from_secs(1);

const MEBIBYTE: u64 = 1024 * 1024;

/// How long being cut off may take on a busy machine: less than the 5 seconds of a server
/// that does not look at `--timeout`.
pub const LATEST: Duration = Duration::from_secs(4);

fn silent_client_is_cut_off(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    let since = Instant::now();
    let mut client = server.connect()?;
    let bytes = client.must_end_within(LATEST)?;
    let passed = since.elapsed();
    drop(client);
    must(
        passed >= TIMEOUT,
        format!("{TIMEOUT:?} of patience"),
        format!("the end of the connection after {passed:?}"),
    )?;
    // A browser would take it for the answer to what it asks next.
    must(
        bytes.is_empty(),
        "no answer, since nothing was asked",
        bytes.escape_ascii().to_string(),
    )?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn half_a_request_is_cut_off(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    let since = Instant::now();
    let mut client = server.connect()?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    let answer = client.answer()?;
    let passed = since.elapsed();
    answer.must_have_status(408)?;
    drop(client);
    // Where all answers have a fault, `well-formed-answer` says so.
    let fault = strict_fault(&answer.raw).unwrap_or_default();
    let other = server.get("/")?;
    answer.must(
        fault.is_empty() || strict_fault(&other.raw).is_some(),
        format!("a well-formed answer, but {fault}"),
    )?;
    must(
        (TIMEOUT..LATEST).contains(&passed),
        format!("{TIMEOUT:?} of patience"),
        format!("{passed:?}"),
    )?;
    server.get("/")?.must_serve(&bench.site.index)?;
    // One that stops for good: half a request is none (RFC 9112, 8).
    let mut client = server.connect()?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    client.finish_sending();
    let (bytes, _) = client.read(PATIENCE)?;
    let served = Answer::parse(b"", &bytes).is_some_and(|answer| answer.status < 400);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n";
    match served {
        true => Err(Trouble::after(
            request,
            "the end, or an error: the empty line never came",
            "an answer as if it had",
        )),
        false => Ok(()),
    }
}

fn parting_does_not_last(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    let mut client = server.connect()?;
    client.send(b"garbage\r\n\r\n");
    // When the server has closed both ways, its system refuses what comes.
    // No timeout is asked about here, so a server may take its time, within a bound.
    let gone = wait_until(2 * LATEST, || Ok(!client.try_send(b"a")))?;
    let received = format!("it took in what came for {:?}", 2 * LATEST);
    if !gone {
        return Err(Trouble::after(
            b"garbage\r\n\r\naaaa",
            "the end of the connection soon after the answer",
            received,
        ));
    }
    server.get("/")?.must_serve(&bench.site.index)
}

fn dripping_client_is_cut_off(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    let mut client = server.connect()?;
    client.send(b"GET / HTTP/1.1\r\nA: ");
    let since = Instant::now();
    while since.elapsed() < LATEST {
        client.send(b"a");
        let (bytes, ending) = client.read(TIMEOUT / 10)?;
        if ending != Ending::Open || !bytes.is_empty() {
            drop(client);
            return server.get("/")?.must_serve(&bench.site.index);
        }
    }
    let expected = format!("the end of the connection when {TIMEOUT:?} had passed");
    let received = format!("it was open still after {LATEST:?} of one byte now and then");
    Err(Trouble::after(
        b"GET / HTTP/1.1\r\nA: a",
        expected,
        received,
    ))
}

fn client_that_never_reads(bench: &Bench) -> Outcome {
    const LENGTH: u64 = 64 * 1024 * 1024;
    let server = bench.start_with(Start::impatient())?;
    let name = bench.site.name();
    bench.site.add_large(&name, LENGTH)?;
    let mut client = server.connect()?;
    // The sooner no more of the answer fits, the sooner the server waits for nothing.
    client.take_little()?;
    let request = get(&format!("/{name}"));
    client.send(&request);
    // A system refuses what comes to a connection that its program has closed.
    let closed = wait_until(2 * LATEST, || Ok(!client.try_send(b"a")))?;
    let expected = format!("the server's close when nothing was read for {TIMEOUT:?}");
    if !closed {
        return Err(Trouble::after(&request, expected, "it waits still"));
    }
    let (bytes, _) = client.read(PATIENCE)?;
    let Some(answer) = Answer::parse(&request, &bytes) else {
        return Err(Trouble::after(&request, "a response", "something else"));
    };
    answer.must_have_status(200)?;
    answer.must((answer.content.len() as u64) < LENGTH, expected)?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn vanishing_clients(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    bench.site.add_large(&name, 16 * 1024 * 1024)?;
    for _ in 0..50 {
        let mut client = server.connect()?;
        client.send(&get(&format!("/{name}")));
        let (bytes, ending) = client.read_up_to(1000, PATIENCE)?;
        if bytes.len() < 1000 {
            let received = format!("{} bytes; {ending}", bytes.len());
            return Err(Trouble::after(
                &get(&format!("/{name}")),
                "1000 bytes of a large file",
                received,
            ));
        }
    }
    server.get("/")?.must_serve(&bench.site.index)?;
    server.must_not_have_panicked()
}

fn no_descriptor_leaks(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let missing = format!("/{}", bench.site.name());
    let requests = [
        get("/"),
        get(&missing),
        b"garbage\r\n\r\n".to_vec(),
        b"GET / HT".to_vec(),
    ];
    let ask = |count: usize| -> Outcome {
        for request in requests.iter().cycle().take(count) {
            let mut client = server.connect()?;
            client.send(request);
            client.finish_sending();
            client.must_end_within(PATIENCE)?;
        }
        Ok(())
    };
    // The first requests may open what stays open.
    ask(8)?;
    let before = system::descriptors(server.pid())?;
    ask(100)?;
    let mut after = 0;
    wait_until(PATIENCE, || {
        after = system::descriptors(server.pid())?;
        Ok(after <= before)
    })?;
    must(
        after <= before,
        format!("{before} descriptors, as before"),
        format!("{after}"),
    )
}

fn descriptors_run_out(bench: &Bench) -> Outcome {
    const WATCHED: Duration = Duration::from_millis(500);
    let mut server = bench.start()?;
    server.get("/")?.must_serve(&bench.site.index)?;
    // Input, output, error and the listener: not one more.
    let limit = system::limit_descriptors(server.pid(), 4, bench.program.user)?;
    // The number of one more may be taken already, by the accept(2) that waits.
    server.connect()?.finish_sending();
    let mut client = server.connect()?;
    client.send(&request("GET", "/", "Connection: close\r\n"));
    let busy_before = system::processor_time(server.pid())?;
    // On a busy machine it may get no processor: what counts is whether it wants one.
    let mut looks = 0;
    let mut wants = 0;
    let ended = wait_for(WATCHED, || {
        looks += 1;
        wants += usize::from(system::wants_to_run(server.pid())?);
        server.ended(Duration::ZERO)
    })?;
    let log = String::from_utf8_lossy(&server.log()).into_owned();
    must(
        ended.is_none(),
        "a server that goes on",
        format!(
            "{}\n{log}",
            ended.map_or(String::new(), |status| status.to_string())
        ),
    )?;
    let busy = system::processor_time(server.pid())?.saturating_sub(busy_before);
    let received = format!(
        "{busy:?} of {WATCHED:?} at work, at {wants} of {looks} looks ready to run, {} lines in the log",
        log.lines().count()
    );
    let rests = busy < WATCHED / 10 && wants < looks * 9 / 10 && log.lines().count() < 100;
    must(rests, "a rest between one failure and the next", received)?;
    system::limit_descriptors(server.pid(), limit, bench.program.user)?;
    // The client has waited in the backlog, or was turned away; the next one is served.
    client.must_end_within(PATIENCE)?;
    drop(client);
    server.get("/")?.must_serve(&bench.site.index)
}

fn large_file_needs_no_memory(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    bench.site.add_large(&name, 1024 * MEBIBYTE)?;
    let mut client = server.connect()?;
    let request = get(&format!("/{name}"));
    client.send(&request);
    let (part, ending) = client.read_up_to(8 * MEBIBYTE as usize, 2 * PATIENCE)?;
    if ending != Ending::Open || Answer::parse(&request, &part).is_none_or(|a| a.status != 200) {
        return Err(Trouble::after(
            &request,
            "status 200 and 8 MiB of content to begin with",
            format!("{} bytes; {ending}", part.len()),
        ));
    }
    let mut peak = system::peak_memory(server.pid())?;
    for child in system::children(server.pid())? {
        peak = peak.max(system::peak_memory(child.pid)?);
    }
    let received = format!("{} MiB", peak / MEBIBYTE);
    must(
        peak < 128 * MEBIBYTE,
        "a process of less than 128 MiB",
        received,
    )
}

/// Asks for a large file, gives it another length when some of it has come, and reads what
/// comes.
fn read_resized(
    bench: &Bench,
    server: &Server,
    length: u64,
    other: u64,
) -> Result<(Answer, Ending), Trouble> {
    let name = bench.site.name();
    bench.site.add_large(&name, length)?;
    let request = get(&format!("/{name}"));
    let mut client = server.connect()?;
    client.send(&request);
    let (mut bytes, _) = client.read_up_to(1000, PATIENCE)?;
    bench.site.resize(&name, other)?;
    let (rest, ending) = client.read(PATIENCE)?;
    bytes.extend(rest);
    match Answer::parse(&request, &bytes) {
        Some(answer) => Ok((answer, ending)),
        None => Err(Trouble::after(&request, "a response", "something else")),
    }
}

fn file_that_shrinks(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (answer, ending) = read_resized(bench, &server, 64 * MEBIBYTE, 100_000)?;
    answer.must(ending != Ending::Open, "the end of the connection")?;
    server.get("/")?.must_serve(&bench.site.index)
}

fn cut_short_and_seen(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let promised = |answer: &Answer| answer.field("content-length").and_then(|v| v.parse().ok());
    let (answer, ending) = read_resized(bench, &server, 64 * MEBIBYTE, 100_000)?;
    answer.must(ending != Ending::Open, "the end of the connection")?;
    let short = promised(&answer).is_some_and(|promised: usize| answer.content.len() < promised);
    answer.must(
        short,
        format!("fewer bytes than promised, not {}", answer.content.len()),
    )?;
    // What is there by now may be more than was promised.
    let (answer, _) = read_resized(bench, &server, 16 * MEBIBYTE, 20 * MEBIBYTE)?;
    answer.must(
        promised(&answer) == Some(answer.content.len()),
        format!("as many bytes as promised, not {}", answer.content.len()),
    )
}

fn half_a_body_is_cut_off(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    let whole = post("/MyForm.html", b"name=value");
    let part = &whole[..whole.len() - 4];
    let since = Instant::now();
    server.ask(part)?.must_have_status(408)?;
    let passed = since.elapsed();
    must(
        passed >= TIMEOUT,
        format!("{TIMEOUT:?} of patience"),
        format!("{passed:?}"),
    )?;
    let mut client = server.connect()?;
    client.send(part);
    client.finish_sending();
    client.answer()?.must_have_status(400)?;
    drop(client);
    // One that sends a byte now and then.
    let whole = post("/MyForm.html", &[b'a'; 1000]);
    let mut client = server.connect()?;
    client.send(&whole[..whole.len() - 1000]);
    let since = Instant::now();
    while since.elapsed() < LATEST {
        client.send(b"a");
        let (bytes, ending) = client.read(TIMEOUT / 10)?;
        if ending != Ending::Open || !bytes.is_empty() {
            return Ok(());
        }
    }
    let expected = format!("408 when {TIMEOUT:?} had passed");
    Err(Trouble::after(
        part,
        expected,
        format!("still open after {LATEST:?} of one byte now and then"),
    ))
}
