//! What a run has found, in the form that `speed.json` has: every round as it was, and what
//! went wrong. Fields may be added to a version, none is renamed or taken away.

use crate::measure::Machine;
use crate::measure::speed::generator::Generator;
use crate::measure::speed::memory::{Large, Memory};
use crate::measure::speed::server::Origin;
use serde::{Deserialize, Serialize};

/// The name and version of the format.
pub const SCHEMA: &str = "http-lab/speed/v1";

/// All of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it began (RFC 3339, in UTC), and how long it took.
    pub started: String,
    pub took: f64,
    pub machine: Machine,
    /// Which share of its time the machine was busy right before, 0 to 1, where that is known.
    pub busy: Option<f64>,
    pub generator: Generator,
    pub keep_alive: bool,
    pub rounds: u32,
    /// A round ends after so many seconds, or so many requests where the server leaves it to its
    /// clients to close, which uses up their ports.
    pub seconds: f64,
    pub requests: u64,
    /// The page that is asked for, in bytes.
    pub page: usize,
    pub servers: Vec<Server>,
    /// What went wrong.
    pub incidents: Vec<Incident>,
}

/// What was seen of one server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Server {
    pub name: String,
    pub origin: Origin,
    pub version: Option<String>,
    /// It closes after each answer, though it was asked not to, and so was not measured.
    pub closes: bool,
    pub cells: Vec<Cell>,
    /// `None` where it is not known.
    pub memory: Option<Memory>,
    pub large: Option<Large>,
}

/// One server and one number of clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    pub clients: u32,
    pub rounds: Vec<Round>,
}

/// What one round has shown. A round that failed is an [`Incident`] instead.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Round {
    /// From 1 on.
    pub round: u32,
    /// Whose turn it was among the servers, from 1 on.
    pub turn: usize,
    /// Requests with a right answer, and all else.
    pub answered: u64,
    pub errors: u64,
    pub seconds: f64,
    /// Right answers per second.
    pub rate: f64,
    /// How long a request took, in milliseconds: the mean, half of them at most, 99 of 100.
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
    /// How long the server was at work for an answer, in microseconds.
    pub processor: Option<f64>,
    /// How much of one processor the generator itself took, 0 to 1, or more if it has many.
    pub generator: Option<f64>,
}

/// Something that went wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Incident {
    pub server: String,
    /// `None`: before any round.
    pub clients: Option<u32>,
    pub round: Option<u32>,
    pub what: What,
    /// What is known of it: words of the server, of the generator, or of the system.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    NotStarted,
    WrongAnswer,
    Died,
    PortsUsedUp,
    GeneratorHung,
    GeneratorGaveUp,
}

impl What {
    /// As it stands in a table.
    pub fn shown(self) -> &'static str {
        match self {
            What::NotStarted => "not started",
            What::WrongAnswer => "wrong answer",
            What::Died => "died",
            What::PortsUsedUp => "ports used up",
            What::GeneratorHung => "hung",
            What::GeneratorGaveUp => "gave up",
        }
    }
}

/// The rounds of a cell in one: medians, and all errors.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub rate: f64,
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
    pub errors: u64,
    pub processor: Option<f64>,
    pub generator: Option<f64>,
    /// How far apart the rates of the rounds were, highest from lowest, as a share of the
    /// median. `None` of a single round.
    pub spread: Option<f64>,
}

impl Cell {
    /// `None` if no round was measured.
    pub fn summary(&self) -> Option<Summary> {
        let of = |value: fn(&Round) -> Option<f64>| {
            let values: Option<Vec<f64>> = self.rounds.iter().map(value).collect();
            median(values?)
        };
        let rate = of(|round| Some(round.rate))?;
        let rates = self.rounds.iter().map(|round| round.rate);
        let (least, most) = (
            rates.clone().fold(f64::MAX, f64::min),
            rates.fold(0.0, f64::max),
        );
        Some(Summary {
            rate,
            mean: of(|round| Some(round.mean))?,
            p50: of(|round| Some(round.p50))?,
            p99: of(|round| Some(round.p99))?,
            errors: self.rounds.iter().map(|round| round.errors).sum(),
            processor: of(|round| round.processor),
            generator: of(|round| round.generator),
            spread: (self.rounds.len() > 1 && rate > 0.0).then(|| (most - least) / rate),
        })
    }
}

/// The middle one of these, or between the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Run {
    /// What is known of a server with that many clients; else what went wrong, if anything.
    pub fn cell(&self, server: &Server, clients: u32) -> Result<Summary, Option<What>> {
        let of = |incident: &&Incident| {
            incident.server == server.name && incident.clients.is_none_or(|of| of == clients)
        };
        let incidents: Vec<What> = { self.incidents.iter() }
            .filter(of)
            .map(|incident| incident.what)
            .collect();
        // Where a server has died, what the other rounds have shown is no figure of it.
        let grave = [What::Died, What::WrongAnswer, What::NotStarted];
        if let Some(what) = { incidents.iter() }.find(|what| grave.contains(what)) {
            return Err(Some(*what));
        }
        let cell = server.cells.iter().find(|cell| cell.clients == clients);
        let summary = cell.and_then(Cell::summary);
        summary.ok_or_else(|| incidents.first().copied())
    }

    /// The numbers of clients.
    pub fn counts(&self) -> Vec<u32> {
        let cells = self.servers.first().map_or(&[][..], |server| &server.cells);
        cells.iter().map(|cell| cell.clients).collect()
    }

    /// Whether all servers did all that was asked, without an error.
    pub fn went_well(&self) -> bool {
        let cells = self.servers.iter().flat_map(|server| &server.cells);
        let mut rounds = cells.flat_map(|cell| &cell.rounds);
        self.incidents.is_empty() && rounds.all(|round| round.errors == 0)
    }
}
