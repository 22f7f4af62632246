//! Workers: FastCGI applications that the server starts and keeps running.

use super::gateway::{
    STAGE_5, ensure_ends, ensure_line, numbers, require_python, start_with, time_out,
};
use super::{ensure_alive, ensure_status_in};
use crate::check::{Check, PREREQUISITE};
use harness::client::{Client, get, request};
use harness::context::{RESPONSE_TIMEOUT, START_TIMEOUT, TestContext, wait_for, wait_until};
use harness::error::{CheckError, CheckResult, FailureKind, ensure};
use harness::process::{self, Signal};
use harness::response::Response;
use harness::server::{Server, Start};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// What the checks of workers have in common.
const WORKERS: Check = Check {
    needs: &[PREREQUISITE, "worker-responds"],
    ..STAGE_5
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "worker-responds",
        must: "start the command of --spawn, with a listening socket as descriptor 0, and use it",
        why: "FastCGI 1.0, 2.2: the worker accepts the server's connections itself.",
        hint: "Bind a socket for each worker, and make it the standard input of the command.",
        needs: &[PREREQUISITE],
        weight: 3,
        run: worker_responds,
        ..WORKERS
    },
    Check {
        id: "worker-for-each-request",
        must: "run --workers workers, each with a socket of its own, and use only idle ones",
        why: "A worker takes one request at a time: a second one would wait, while others are idle.",
        hint: "Keep a list of idle workers, and wait for one to come back.",
        run: worker_for_each_request,
        ..WORKERS
    },
    Check {
        id: "worker-connection-is-kept",
        must: "use the connection to a worker again for the next request",
        why: "FastCGI 1.0, 3.5: FCGI_KEEP_CONN. To connect takes longer than some requests do.",
        hint: "After FCGI_END_REQUEST the connection is idle, like the worker.",
        run: worker_connection_is_kept,
        ..WORKERS
    },
    Check {
        id: "surplus-reaches-nobody",
        must: "send no client what a worker sends after the end of its response to another one",
        why: "On a connection that is kept, it would be taken for the next response.",
        hint: "Before the next request, look whether anything has come. Then the connection can't be used.",
        run: surplus_reaches_nobody,
        ..WORKERS
    },
    Check {
        id: "requests-wait-for-workers",
        must: "queue 200 requests for 2 workers, and lose none",
        why: "Short bursts are normal. To refuse them would be worse than to be slow.",
        hint: "Wait for an idle worker, not for a certain one.",
        weight: 2,
        crowd: true,
        run: requests_wait_for_workers,
        ..WORKERS
    },
    Check {
        id: "request-is-aborted",
        must: "abort a worker's request when the client has left, and use the worker again",
        why: "FastCGI 1.0, 5.4: FCGI_ABORT_REQUEST saves the worker from being killed.",
        hint: "Read on until FCGI_END_REQUEST. Then the connection is idle again.",
        slow: true,
        run: request_is_aborted,
        ..WORKERS
    },
    Check {
        id: "killed-worker-is-replaced",
        must: "replace a worker that was killed: its request, if any, is 502, and no other one suffers",
        why: "An application may crash at any time. That is why it has a process of its own.",
        hint: "Wait for the end of each worker, and start the next.",
        about: &[FailureKind::TooSlow, FailureKind::NoResponse],
        weight: 2,
        linux_only: true,
        run: killed_worker_is_replaced,
        ..WORKERS
    },
    Check {
        id: "worker-timeout",
        must: "respond with 504 after --app-timeout, kill the worker with its group, and replace it",
        why: "RFC 9110, 15.6.5. A worker that hangs would be missing forever.",
        hint: "Start each worker in a process group of its own.",
        weight: 2,
        slow: true,
        linux_only: true,
        run: worker_timeout,
        ..WORKERS
    },
    Check {
        id: "worker-restarts-are-delayed",
        must: "wait longer and longer before it replaces a worker that ends at once",
        why: "A broken application would use the processor for nothing but its own starts.",
        hint: "Double the delay, up to a few seconds. Reset it when a worker has lived for a while.",
        slow: true,
        run: worker_restarts_are_delayed,
        ..WORKERS
    },
    Check {
        id: "workers-end-with-server",
        must: "leave no worker behind, even if the server is ended by SIGKILL",
        why: "The next server would start its own, and the old ones would never end.",
        hint: "The system closes the descriptors of a process that is killed. Somebody may wait for that.",
        weight: 2,
        linux_only: true,
        run: workers_end_with_server,
        ..WORKERS
    },
];

/// The worker, and its files.
struct Worker<'a> {
    ctx: &'a TestContext,
    path: PathBuf,
}

impl<'a> Worker<'a> {
    fn add(ctx: &'a TestContext) -> CheckResult<Worker<'a>> {
        require_python()?;
        let text = include_str!("worker.py");
        let path = ctx.site.add_executable("workers/worker", text)?;
        Ok(Worker { ctx, path })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// Starts the server with this number of workers at `/app`.
    fn start(&self, workers: &str, start: Start, options: &[&str]) -> CheckResult<Server> {
        let mount = format!("/app={}", self.path.display());
        let own = ["--spawn", &mount, "--workers", workers];
        let before = self.started()?;
        let server = start_with(self.ctx, start, &[&own, options].concat())?;
        self.wait_until_started(before + workers.parse().unwrap_or(1))?;
        Ok(server)
    }

    /// How many workers have started in all.
    fn started(&self) -> CheckResult<usize> {
        let files = fs::read_dir(self.file("."))?.filter_map(Result::ok);
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name.ends_with(".ready")).count())
    }

    /// Waits until this many have started. On a busy machine Python takes its time.
    fn wait_until_started(&self, count: usize) -> CheckResult {
        let has_started = wait_until(START_TIMEOUT, || Ok(self.started()? >= count))?;
        let received = format!("{} have started", self.started()?);
        ensure(
            has_started,
            format!("the start of worker {count}"),
            received,
        )
    }

    /// Asks the worker that replaces one, which may not have started yet.
    fn about_next(&self, server: &Server, count: usize) -> CheckResult<About> {
        let mut client = server.connect()?;
        client.send(&get("/app"));
        self.wait_until_started(count)?;
        About::parse(&client.response()?)
    }

    /// Sends a request that a worker works on until it is released. Returns the worker's id.
    fn occupy(&self, server: &Server, name: &str) -> CheckResult<(Client, i32)> {
        let mut client = server.connect()?;
        client.send(&get(&format!("/app?wait={name}")));
        let ids = numbers(&self.file(&format!("{name}.started")))?;
        Ok((client, ids.first().copied().unwrap_or_default()))
    }

    /// Lets a worker respond. Fails unless it does.
    fn release(&self, mut client: Client, name: &str) -> CheckResult {
        fs::write(self.file(&format!("{name}.go")), "")?;
        client.response()?.ensure_status(200)
    }
}

/// What a worker says about itself.
#[derive(Clone, Copy)]
struct About {
    id: i32,
    /// How many connections it has accepted.
    connections: u64,
}

impl About {
    fn parse(response: &Response) -> CheckResult<About> {
        response.ensure_status(200)?;
        let text = String::from_utf8_lossy(&response.content).into_owned();
        let mut words = text.split_whitespace();
        let id = words.next().and_then(|word| word.parse().ok());
        let connections = words.next().and_then(|word| word.parse().ok());
        let unexpected = || CheckError::failed("the response of the worker", text.clone());
        let (id, connections) = id.zip(connections).ok_or_else(unexpected)?;
        Ok(About { id, connections })
    }
}

fn about(server: &Server) -> CheckResult<About> {
    About::parse(&server.get("/app")?)
}

fn worker_responds(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let value = ctx.site.name();
    let command = format!("/command=python3 {} started", worker.path.display());
    let option = format!("LAB={value}");
    let options = ["--spawn", &command, "--env", &option];
    let server = worker.start("2", Start::default(), &options)?;
    about(&server)?;
    // Its command has arguments.
    numbers(&worker.file("started"))?;
    server.get("/command")?.ensure_status(200)?;
    let response = server.get("/app?env")?;
    response.ensure_status(200)?;
    ensure_line(&response, &option)?;
    let text = String::from_utf8_lossy(&response.content);
    response.ensure(
        !text.contains("\nHOME=") && !text.starts_with("HOME="),
        "no other variables",
    )?;
    let content = ctx.site.bytes(100_000);
    let head = request("POST", "/app?length", "Content-Length: 100000\r\n");
    server
        .exchange(&[head, content].concat())?
        .ensure_serves(b"100000")?;
    ensure_alive(ctx, &server)
}

fn worker_for_each_request(ctx: &TestContext) -> CheckResult {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let worker = Worker::add(ctx)?;
    let server = worker.start("3", Start::default(), &[])?;
    let mut clients = Vec::new();
    let mut ids = BTreeSet::new();
    for name in NAMES {
        let (client, id) = worker.occupy(&server, name)?;
        clients.push(client);
        ids.insert(id);
    }
    ensure(
        ids.len() == 3,
        "three workers for three requests",
        format!("{ids:?}"),
    )?;
    // All are busy, so the next request waits for the first that is not.
    let mut next = server.connect()?;
    next.send(&get("/app"));
    let (bytes, _) = next.read(Duration::from_millis(300))?;
    let received = bytes.escape_ascii().to_string();
    ensure(
        bytes.is_empty(),
        "no response while all workers are busy",
        received,
    )?;
    if let Some(last) = clients.pop() {
        worker.release(last, NAMES[2])?;
    }
    next.response()?.ensure_status(200)?;
    for (client, name) in clients.into_iter().zip(NAMES) {
        worker.release(client, name)?;
    }
    Ok(())
}

fn worker_connection_is_kept(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("1", Start::default(), &[])?;
    let first = about(&server)?;
    let mut last = first;
    for _ in 0..10 {
        last = about(&server)?;
    }
    let more = last.connections.saturating_sub(first.connections);
    let received = format!("{more} more connections for 10 requests");
    ensure(
        last.id == first.id && more < 5,
        "the same connection again",
        received,
    )
}

fn surplus_reaches_nobody(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("1", Start::default(), &[])?;
    let word = ctx.site.name();
    let response = server.get(&format!("/app?surplus={word}"))?;
    response.ensure_serves(b"response")?;
    fs::write(worker.file(&format!("{word}.go")), "")?;
    numbers(&worker.file(&format!("{word}.sent")))?;
    server.get("/app?length")?.ensure_serves(b"0")?;
    ensure_alive(ctx, &server)
}

fn requests_wait_for_workers(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("2", Start::default(), &[])?;
    let (one, _) = worker.occupy(&server, "one")?;
    let (two, _) = worker.occupy(&server, "two")?;
    let mut clients = server.connect_many(200)?;
    for client in &mut clients {
        client.send(&get("/app"));
    }
    worker.release(one, "one")?;
    worker.release(two, "two")?;
    for mut client in clients {
        client.response()?.ensure_status(200)?;
    }
    Ok(())
}

fn request_is_aborted(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("1", Start::with_short_timeout(), &["--app-timeout", "100"])?;
    let (client, id) = worker.occupy(&server, "left")?;
    drop(client);
    let next = about(&server)?;
    ensure(next.id == id, "the same worker", "another one")?;
    let is_aborted = worker.file("left.aborted").exists();
    ensure(
        is_aborted,
        "FCGI_ABORT_REQUEST",
        "the connection to the worker was closed",
    )
}

fn killed_worker_is_replaced(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("2", Start::default(), &[])?;
    let (mut killed, id) = worker.occupy(&server, "killed")?;
    let (other, other_id) = worker.occupy(&server, "other")?;
    process::kill(id, Signal::KILL);
    killed.response()?.ensure_status(502)?;
    // While the other worker is busy, there must be a new one.
    let new = worker.about_next(&server, 3)?.id;
    let received = format!("process {new}");
    ensure(new != id && new != other_id, "a new worker", received)?;
    worker.release(other, "other")?;
    server.get("/app?die")?.ensure_status(502)?;
    worker.wait_until_started(4)?;
    for _ in 0..4 {
        about(&server)?;
    }
    ensure_idle_worker_is_replaced(&worker)
}

fn ensure_idle_worker_is_replaced(worker: &Worker) -> CheckResult {
    let server = worker.start("1", Start::default(), &[])?;
    for _ in 0..3 {
        let (id, started) = (about(&server)?.id, worker.started()?);
        process::kill(id, Signal::KILL);
        // Until then, it could still take a request.
        let has_ended = || Ok(process::process(id)?.is_none_or(|process| process.is_zombie()));
        wait_until(RESPONSE_TIMEOUT, has_ended)?;
        let new = worker.about_next(&server, started + 1)?.id;
        ensure(new != id, "a new worker", "the one that was killed")?;
    }
    Ok(())
}

fn worker_timeout(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    let server = worker.start("1", Start::default(), &["--app-timeout", "2"])?;
    let ids = time_out(
        &server,
        "/app?hang=hanging",
        &worker.file("hanging.started"),
    )?;
    for id in &ids {
        ensure_ends(&server, *id)?;
    }
    worker.wait_until_started(2)?;
    // On a busy machine, the time may be up again.
    let next = wait_for(RESPONSE_TIMEOUT, || {
        let response = server.get("/app")?;
        Ok((response.status != 504).then_some(response))
    })?;
    let next = next.ok_or_else(|| CheckError::failed("a worker that responds", "504 again"))?;
    let is_new = !ids.contains(&About::parse(&next)?.id);
    ensure(is_new, "a new worker", "the one that was killed")
}

fn worker_restarts_are_delayed(ctx: &TestContext) -> CheckResult {
    const MAX_STARTS: usize = 15;
    let worker = Worker::add(ctx)?;
    let (broken, starts) = (worker.file("broken"), worker.file("starts"));
    let lines = format!(
        "#!/bin/sh\nif [ -e {} ]; then echo >> {}; exit 1; fi\nexec python3 {}\n",
        broken.display(),
        starts.display(),
        worker.path.display()
    );
    let shell = ctx.site.add_executable("workers/shell", &lines)?;
    let mount = format!("/shell={}", shell.display());
    let server = start_with(
        ctx,
        Start::default(),
        &["--spawn", &mount, "--workers", "1"],
    )?;
    let count = || {
        fs::read_to_string(&starts)
            .unwrap_or_default()
            .lines()
            .count()
    };
    worker.wait_until_started(1)?;
    server.get("/shell")?.ensure_status(200)?;
    fs::write(&broken, "")?;
    ensure_status_in(&server.get("/shell?die")?, &[502])?;
    let is_replaced = wait_until(RESPONSE_TIMEOUT, || Ok(count() > 0))?;
    ensure(is_replaced, "a new worker", "none")?;
    // There is no event to wait for: there must be only a few.
    thread::sleep(Duration::from_secs(5));
    ensure_alive(ctx, &server)?;
    let received = format!("{} starts in 5 seconds", count());
    ensure(
        count() <= MAX_STARTS,
        format!("at most {MAX_STARTS} starts"),
        received,
    )?;
    fs::remove_file(&broken)?;
    worker.wait_until_started(2)?;
    server.get("/shell")?.ensure_status(200)
}

fn workers_end_with_server(ctx: &TestContext) -> CheckResult {
    let worker = Worker::add(ctx)?;
    for signal in [Signal::KILL, Signal::TERM] {
        let server = worker.start("2", Start::default(), &[])?;
        let names = [ctx.site.name(), ctx.site.name()];
        let (_one, id) = worker.occupy(&server, &names[0])?;
        let (_two, other) = worker.occupy(&server, &names[1])?;
        server.signal(signal);
        let exit = server.wait_for_exit(RESPONSE_TIMEOUT)?;
        ensure(exit.is_some(), "a server that has exited", "it is running")?;
        for id in [id, other] {
            ensure_ends(&server, id)?;
        }
    }
    Ok(())
}
