//! Load generators: programs that ask a server for the same page again and again, from many
//! clients at once, and tell how long that took.
//!
//! `ab` comes first. It is written in C and costs the machine least; it opens a connection for
//! every request and counts that in its times; it takes content that ends with the connection,
//! as stages 1 to 3 send it; and it tells all hundred percentiles. Its limits: one core, about
//! 40,000 requests per second, and HTTP/1.0, so that a server which keeps only connections of
//! HTTP/1.1 is measured with `hey`. That one uses all cores, which the server then lacks, tells
//! times to a tenth of a millisecond, and does not see that content without a length is cut short.
//!
//! `wrk` is no choice: content that ends with the connection is a read error for it, and its
//! times leave out connecting.

mod ab;
mod hey;

use crate::ending;
use crate::measure::speed::kernel;
use crate::measure::speed::server::version;
use crate::program::{Program, on_path};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// How to get one, for whoever has none.
pub const INSTALL: &str = "There is no load generator. Install one: apt-get install apache2-utils (Debian), \
     apk add apache2-utils (Alpine); macOS has `ab` already. Or hey: apt-get install hey, \
     brew install hey.";

/// So long after its time a generator is ended.
pub const HANGING: Duration = Duration::from_secs(10);

/// A kind of load generator.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Ab,
    Hey,
}

/// A load generator of this machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Generator {
    pub kind: Kind,
    pub version: String,
    /// Why this one.
    pub reason: String,
    #[serde(skip)]
    path: PathBuf,
}

/// What to ask for, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub address: SocketAddr,
    pub target: &'a str,
    /// How long the right content is, in bytes.
    pub length: usize,
    /// How many ask at once.
    pub clients: u32,
    /// It ends with the first of these, as far as it can.
    pub requests: u64,
    pub time: Duration,
    /// Connections are used again.
    pub keep_alive: bool,
}

/// What a generator saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests with a right answer, and all else.
    pub answered: u64,
    pub errors: u64,
    pub seconds: f64,
    /// How long a request took, in milliseconds: the mean, half of them at most, 99 of 100.
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
}

/// Why there is no figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The system had no port left for another connection.
    PortsUsedUp,
    /// It did not end in time.
    Hung,
    /// It could not go on; its words.
    GaveUp(String),
}

/// All that a generator has written.
pub struct Said<'a> {
    pub output: &'a str,
    /// The file of percentiles, if it writes one.
    pub percentiles: &'a str,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ab => "ab",
            Kind::Hey => "hey",
        }
    }

    /// The version of HTTP that it speaks: what it can keep a connection open with.
    pub fn speaks(self) -> &'static str {
        match self {
            Kind::Ab => "HTTP/1.0",
            Kind::Hey => "HTTP/1.1",
        }
    }

    /// Reads what it has written.
    pub fn read(self, said: &Said, order: &Order) -> Result<Load, Refusal> {
        if { said.output.to_lowercase() }.contains("assign requested address") {
            return Err(Refusal::PortsUsedUp);
        }
        match self {
            Kind::Ab => ab::read(said, order),
            Kind::Hey => hey::read(said, order),
        }
    }
}

/// Finds the one that was asked for, or else the best that there is.
pub fn find(wanted: Option<Kind>, keep_alive: bool) -> Result<Generator, String> {
    let best = match keep_alive {
        false => [Kind::Ab, Kind::Hey],
        true => [Kind::Hey, Kind::Ab],
    };
    let there = |kind: &Kind| on_path(kind.name()).is_some();
    let kind = match wanted {
        Some(kind) if !there(&kind) => {
            let name = kind.name();
            return Err(format!("`--generator {name}`: it is not here. {INSTALL}"));
        }
        Some(kind) => kind,
        None => best.into_iter().find(there).ok_or(INSTALL)?,
    };
    let reason = match (wanted, kind, keep_alive) {
        (Some(_), ..) => "it was asked for",
        (_, Kind::Ab, false) => {
            "it costs the machine least, connects for every request and counts that in its times"
        }
        (_, Kind::Ab, true) => {
            "there is no `hey`; it speaks HTTP/1.0, in which few keep a connection"
        }
        (_, Kind::Hey, true) => "it speaks HTTP/1.1, in which connections are kept",
        (_, Kind::Hey, false) => {
            "there is no `ab`, which would leave the servers more of the machine and see cut content"
        }
    };
    Ok(Generator {
        kind,
        path: on_path(kind.name()).unwrap_or_default(),
        version: match kind {
            Kind::Ab => version(&Program::new("ab"), &["-V"]),
            // It does not tell.
            Kind::Hey => None,
        }
        .unwrap_or_else(|| kind.name().to_string()),
        reason: reason.to_string(),
    })
}

impl Generator {
    /// Drives a server, and tells with what it saw which share of one processor it took
    /// itself, where that is known. It writes its files into that folder.
    pub fn drive(&self, order: &Order, folder: &Path) -> Result<(Load, Option<f64>), Refusal> {
        let (output, percentiles) = (folder.join("generator"), folder.join("percentiles"));
        let arguments = match self.kind {
            Kind::Ab => ab::arguments(order, &percentiles),
            Kind::Hey => hey::arguments(order),
        };
        let gave_up = |error: std::io::Error| Refusal::GaveUp(error.to_string());
        let _ = fs::remove_file(&percentiles);
        let file = File::create(&output).map_err(gave_up)?;
        let mut command = Program::new(&self.path).command();
        let errors = file.try_clone().map_err(gave_up)?;
        command.args(arguments).stdout(file).stderr(errors);
        let share = run(&mut command, order.time + HANGING)?;
        let text = |path| fs::read(path).unwrap_or_default();
        let (output, percentiles) = (text(output), text(percentiles));
        let said = Said {
            output: &String::from_utf8_lossy(&output),
            percentiles: &String::from_utf8_lossy(&percentiles),
        };
        Ok((self.kind.read(&said, order)?, share))
    }
}

/// Runs a generator to its end; which share of one processor it took.
fn run(command: &mut Command, limit: Duration) -> Result<Option<f64>, Refusal> {
    let gave_up = |error: std::io::Error| Refusal::GaveUp(error.to_string());
    let started = Instant::now();
    let (mut child, group) = ending::Group::start(command).map_err(gave_up)?;
    let ended = waits_to_be_asked(&child, limit);
    let took = started.elapsed();
    let worked = kernel::own_processor_time(child.id().cast_signed());
    drop(group);
    child.wait().map_err(gave_up)?;
    match ended {
        true => Ok(worked.map(|worked| worked.as_secs_f64() / took.as_secs_f64())),
        false => Err(Refusal::Hung),
    }
}

/// Waits for the end of a child, but does not ask how it ended: until then the system keeps
/// what it knows of it. Whether it has ended within that time.
fn waits_to_be_asked(child: &Child, limit: Duration) -> bool {
    let since = Instant::now();
    while since.elapsed() < limit {
        if ending::has_ended(child) {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The number behind a label at the start of a line.
fn number(text: &str, label: &str) -> Option<f64> {
    let rest = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The last words of a text, for people.
fn last_line(text: &str) -> String {
    let line = { text.lines() }.rfind(|line| !line.trim().is_empty());
    crate::measure::speed::server::plain(line.unwrap_or("it said nothing"))
}
