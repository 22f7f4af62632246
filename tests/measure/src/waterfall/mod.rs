//! The waterfall: eight clients, one shortly after the other, request the same file, and one of
//! them stalls. Which clients wait for it is the difference between the stages.
//!
//! Each client sends its request in two parts, as over a slow line. The client that stalls never
//! sends the second part, so the server closes its connection after its timeout.

pub mod plot;

use crate::{Machine, describe, timestamp};
use harness::client::request;
use harness::error::{CheckError, CheckResult};
use harness::program::{CapturedOutput, Program};
use harness::response::Response;
use harness::server::{Server, Start};
use harness::site::{File, Site};
use harness::workspace::Stage;
use serde::{Deserialize, Serialize};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The name and version of the format of `waterfall.json`.
pub const SCHEMA: &str = "http-lab/waterfall/v1";

/// How many clients there are.
pub const CLIENTS: u32 = 8;

/// The client that stalls.
pub const STALLED: u32 = 3;

/// The time between one client and the next.
const STEP: Duration = Duration::from_millis(50);

/// When a client sends the second part of its request, after it has connected.
const SECOND_PART: Duration = Duration::from_millis(150);

/// How long a client waits, in addition to the server's timeout.
const WAIT: Duration = Duration::from_secs(10);

/// The results of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it started (RFC 3339, in UTC).
    pub started: String,
    pub machine: Machine,
    /// The server's `--timeout`, in seconds.
    pub timeout: u32,
    pub stages: Vec<Waterfall>,
}

/// What the clients of one stage experienced.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Waterfall {
    pub stage: u8,
    pub name: String,
    pub idea: String,
    pub clients: Vec<ClientTimes>,
}

/// What one client experienced. Times are in milliseconds, from the start of the first client.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClientTimes {
    pub client: u32,
    pub stalled: bool,
    /// When it started to connect.
    pub started: f64,
    /// When it had sent everything that it sends.
    pub sent: f64,
    /// When the first byte of the response arrived, if one did.
    pub first_byte: Option<f64>,
    /// When the connection ended.
    pub ended: f64,
    pub status: Option<u16>,
}

impl ClientTimes {
    /// How long it took in all, in milliseconds.
    pub fn duration(&self) -> f64 {
        self.ended - self.started
    }
}

impl Waterfall {
    /// What there is to see, in a sentence.
    pub fn sentence(&self) -> String {
        let stalled = self.clients.iter().find(|times| times.stalled);
        let others = || self.clients.iter().filter(|times| !times.stalled);
        let end = stalled.map_or(f64::MAX, |times| times.ended);
        let waited = |times: &&ClientTimes| times.first_byte.is_none_or(|first| first > end);
        let waiting: Vec<u32> = others().filter(waited).map(|times| times.client).collect();
        let longest = others().map(ClientTimes::duration).fold(0.0, f64::max);
        let longest = duration_text(longest);
        let who = match waiting[..] {
            [] => {
                let duration = duration_text(stalled.map_or(0.0, ClientTimes::duration));
                return format!(
                    "Only client {STALLED}, which stalls, takes {duration}. Each of the others \
                     has its response within {longest}."
                );
            }
            [only] => format!("Client {only} gets"),
            [first, .., last] => format!("Clients {first} to {last} get"),
        };
        format!(
            "{who} nothing until the server drops client {STALLED}, which stalls: up to {longest}."
        )
    }
}

/// A time in milliseconds, for people.
pub fn duration_text(milliseconds: f64) -> String {
    match milliseconds {
        ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.2} s", milliseconds / 1000.0),
    }
}

/// Measures these stages one after the other, with that `--timeout` in seconds. `progress` is
/// called with the name of each stage before. The error names the stage.
pub fn measure(
    stages: &[(&Stage, Program)],
    timeout: u32,
    machine: Machine,
    progress: impl Fn(&str),
) -> Result<Run, String> {
    let mut waterfalls = Vec::new();
    let started = timestamp();
    for (stage, program) in stages {
        let name = stage.name;
        progress(name);
        let clients = measure_clients(program, timeout);
        let failed = |error| format!("{name} was not measured: {}", describe(error));
        waterfalls.push(Waterfall {
            stage: stage.number,
            name: name.to_string(),
            idea: stage.idea.to_string(),
            clients: clients.map_err(failed)?,
        });
    }
    Ok(Run {
        schema: SCHEMA.to_string(),
        started,
        machine,
        timeout,
        stages: waterfalls,
    })
}

fn measure_clients(program: &Program, timeout: u32) -> CheckResult<Vec<ClientTimes>> {
    let site = Site::new(fastrand::Rng::new(), None)?;
    let start = Start {
        timeout,
        ..Start::default()
    };
    let server = Server::start(program, &site, start, CapturedOutput::default())?;
    let limit = WAIT + Duration::from_secs(timeout.into());
    let start = Instant::now();
    let times: CheckResult<Vec<ClientTimes>> = thread::scope(|scope| {
        let (server, page) = (&server, &site.page);
        let spawn = |number| scope.spawn(move || run_client(server, page, number, start, limit));
        let clients: Vec<_> = (1..=CLIENTS).map(spawn).collect();
        let panicked = |_| CheckError::Broken("a client panicked".to_string());
        let join = |client: ScopedJoinHandle<_>| client.join().map_err(panicked)?;
        clients.into_iter().map(join).collect()
    });
    // That the server has died explains more than what its clients saw.
    let limit = Duration::from_secs(times.is_err().into());
    if let Some(status) = server.wait_for_exit(limit)? {
        let received = format!("its exit, {status}\n{}", server.log_text());
        return Err(CheckError::failed("a running server", received));
    }
    times
}

fn run_client(
    server: &Server,
    page: &File,
    number: u32,
    start: Instant,
    limit: Duration,
) -> CheckResult<ClientTimes> {
    // To the microsecond.
    let now = || (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    // Stage 6 would keep the connection open after the response.
    let request = request("GET", &page.target(), "Connection: close\r\n");
    let (first_part, second_part) = request.split_at(request.len() / 2);
    let stalled = number == STALLED;
    let planned = start + STEP * (number - 1);
    sleep_until(planned);
    let started = now();
    let mut client = server.connect()?;
    client.send(first_part);
    if !stalled {
        sleep_until(planned + SECOND_PART);
        client.send(second_part);
    }
    let sent = now();
    let (mut raw, _) = client.read_up_to(1, limit)?;
    let first_byte = (!raw.is_empty()).then(now);
    raw.extend(client.ensure_ends_within(limit)?);
    // The client still has the connection open, so the server didn't see it leave.
    let ended = now();
    let response = Response::parse(&request, &raw);
    if !stalled {
        let none = || CheckError::failed(format!("a response to client {number}"), "none");
        let response = response.as_ref().ok_or_else(none)?;
        response.ensure_serves(&page.content)?;
    }
    Ok(ClientTimes {
        client: number,
        stalled,
        started,
        sent,
        first_byte,
        ended,
        status: response.map(|response| response.status),
    })
}

fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}
