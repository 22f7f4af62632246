//! The waterfall: eight clients come one after the other and ask for the same file. One of
//! them stalls. Who waits for whom? That is the difference between the stages.
//!
//! Each client sends its request in two halves, as over a slow line. The stalled one never
//! sends its second half, until the server lets it go.

pub mod picture;

use crate::check::Trouble;
use crate::measure::Machine;
use crate::program::{Kept, Program};
use crate::server::{Server, Start};
use crate::site::{File, Site};
use crate::wire::{self, Answer, Client, Ending};
use crate::workspace::Stage;
use serde::{Deserialize, Serialize};
use std::thread;
use std::time::{Duration, Instant};

/// The name and version of the format.
pub const SCHEMA: &str = "http-lab/waterfall/v1";

/// How many clients come.
pub const CLIENTS: u32 = 8;

/// The one that stalls.
pub const STALLED: u32 = 3;

/// So long after one client comes the next.
pub const STEP: Duration = Duration::from_millis(50);

/// So long after it has connected a client sends the second half of its request.
pub const SECOND_HALF: Duration = Duration::from_millis(150);

/// How long a client waits in all, beyond the server's own patience.
const LIMIT: Duration = Duration::from_secs(10);

/// All of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it began (RFC 3339, in UTC).
    pub started: String,
    pub machine: Machine,
    /// How the clients came, in milliseconds.
    pub step: f64,
    pub second_half: f64,
    /// The server's `--timeout`, in seconds.
    pub timeout: u32,
    pub stages: Vec<Waterfall>,
}

/// What the clients of one stage saw.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Waterfall {
    pub stage: u8,
    pub name: String,
    pub idea: String,
    pub clients: Vec<Visit>,
}

/// What one client saw. Times are milliseconds since the first client came.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Visit {
    pub client: u32,
    pub stalled: bool,
    /// It began to connect.
    pub came: f64,
    /// The connection stood. The system sees to that: a server that is busy with somebody
    /// else has not even noticed.
    pub connected: f64,
    /// All that it ever sends was written.
    pub written: f64,
    /// The first byte of the answer came, if any did.
    pub first_byte: Option<f64>,
    /// The connection ended.
    pub ended: f64,
    /// The answer's status code, if there was an answer.
    pub status: Option<u16>,
}

impl Visit {
    /// How long it took in all, in milliseconds.
    pub fn took(&self) -> f64 {
        self.ended - self.came
    }
}

impl Waterfall {
    /// The client that stalled.
    pub fn stalled(&self) -> Option<&Visit> {
        self.clients.iter().find(|visit| visit.stalled)
    }

    /// Those who asked as they should.
    pub fn others(&self) -> impl Iterator<Item = &Visit> {
        self.clients.iter().filter(|visit| !visit.stalled)
    }

    /// What is to be seen, in a sentence.
    pub fn sentence(&self) -> String {
        let end = self.stalled().map_or(f64::MAX, |visit| visit.ended);
        let held_up = |visit: &&Visit| visit.first_byte.is_none_or(|first| first > end);
        let late: Vec<&Visit> = self.others().filter(held_up).collect();
        let longest = self.others().map(Visit::took).fold(0.0, f64::max);
        let longest = shown(longest);
        match late[..] {
            [] => {
                let stalled = self.stalled().map_or(0.0, Visit::took);
                format!(
                    "Only client {STALLED}, which stalls, takes {}; each of the others has its \
                     answer within {longest}.",
                    shown(stalled)
                )
            }
            [only] => format!(
                "Client {} gets nothing until client {STALLED}, which stalls, is let go: {longest}.",
                only.client
            ),
            [first, .., last] => format!(
                "Clients {} to {} get nothing until client {STALLED}, which stalls, is let go: up \
                 to {longest}.",
                first.client, last.client
            ),
        }
    }
}

/// A time in milliseconds, for people.
pub fn shown(milliseconds: f64) -> String {
    match milliseconds {
        ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.2} s", milliseconds / 1000.0),
    }
}

/// Lets the clients come to a program, which is started with that `--timeout`; `tell` is
/// called as each of them ends. The error says what went wrong, and with which stage.
pub fn measure(
    stage: &Stage,
    program: &Program,
    timeout: u32,
    tell: impl Fn() + Sync,
) -> Result<Waterfall, String> {
    let wrong = |trouble| format!("{} was not measured: {}", stage.name, words(trouble));
    let clients = visits(program, timeout, tell).map_err(wrong)?;
    Ok(Waterfall {
        stage: stage.number,
        name: stage.name.to_string(),
        idea: stage.idea.to_string(),
        clients,
    })
}

fn words(trouble: Trouble) -> String {
    match trouble {
        Trouble::Broken(message) => message,
        Trouble::Failed(finding) => {
            format!(
                "expected {}; received {}",
                finding.expected, finding.received
            )
        }
    }
}

fn visits(program: &Program, timeout: u32, tell: impl Fn() + Sync) -> Result<Vec<Visit>, Trouble> {
    let site = Site::new(fastrand::Rng::new(), None)?;
    let start = Start {
        timeout,
        ..Start::default()
    };
    let mut server = Server::start(program, &site, start, Kept::default())?;
    let patience = LIMIT + Duration::from_secs(timeout.into());
    let zero = Instant::now();
    let visits: Result<Vec<Visit>, Trouble> = thread::scope(|scope| {
        let come = |number| {
            let (server, page, tell) = (&server, &site.page, &tell);
            scope.spawn(move || {
                let visit = visit(server, page, number, zero, patience);
                tell();
                visit
            })
        };
        let clients: Vec<_> = (1..=CLIENTS).map(come).collect();
        let lost = || Trouble::Broken("a client panicked".to_string());
        let end = |client: thread::ScopedJoinHandle<_>| client.join().map_err(|_| lost())?;
        clients.into_iter().map(end).collect()
    });
    // That it has died says more than what its clients saw of it, which may be first to see it.
    let patience = Duration::from_secs(visits.is_err().into());
    if let Some(status) = server.ended(patience)? {
        let log = String::from_utf8_lossy(&server.log()).into_owned();
        let received = format!("its end, {status}\n{log}");
        return Err(Trouble::failed("a server that goes on", received));
    }
    visits
}

/// One client, from its coming to its end.
fn visit(
    server: &Server,
    page: &File,
    number: u32,
    zero: Instant,
    patience: Duration,
) -> Result<Visit, Trouble> {
    // To the microsecond.
    let now = || (zero.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let request = wire::get(&page.target());
    let (half, rest) = request.split_at(request.len() / 2);
    let stalled = number == STALLED;
    let time = zero + STEP * (number - 1);
    sleep_until(time);
    let came = now();
    let mut client = server.connect()?;
    let connected = now();
    client.send(half);
    if !stalled {
        sleep_until(time + SECOND_HALF);
        client.send(rest);
    }
    let written = now();
    let (raw, first_byte) = read(&mut client, patience, now)?;
    // The client still holds the connection: before this moment no server has seen it go.
    let ended = now();
    let answer = Answer::parse(&request, &raw);
    if !stalled {
        let none = || Trouble::failed(format!("an answer to client {number}"), "none");
        let answer = answer.as_ref().ok_or_else(none)?;
        answer.must_serve(&page.content)?;
    }
    Ok(Visit {
        client: number,
        stalled,
        came,
        connected,
        written,
        first_byte,
        ended,
        status: answer.map(|answer| answer.status),
    })
}

/// Reads to the end of a connection; tells when the first byte came.
fn read(
    client: &mut Client,
    patience: Duration,
    now: impl Fn() -> f64,
) -> Result<(Vec<u8>, Option<f64>), Trouble> {
    let (mut raw, mut ending) = client.read_up_to(1, patience)?;
    let first_byte = (!raw.is_empty()).then(now);
    if ending == Ending::Open {
        let (more, then) = client.read(patience)?;
        raw.extend(more);
        ending = then;
    }
    match ending {
        Ending::Open => {
            let received = format!("none within {patience:?}");
            Err(Trouble::failed(
                "the end of a client's connection",
                received,
            ))
        }
        _ => Ok((raw, first_byte)),
    }
}

/// Keeps to a schedule.
fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}
