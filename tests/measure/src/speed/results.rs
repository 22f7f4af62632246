//! The results of a run, in the format of `speed.json`: every round, and every failure. Fields
//! may be added to a version of the format; none is renamed or removed.

use crate::speed::generator::{Kind, LoadReport};
use crate::speed::memory::Memory;
use crate::speed::peer::Tuning;
use crate::speed::server::Origin;
use crate::{Machine, median, range};
use serde::{Deserialize, Serialize};

/// The name and version of the format.
pub const SCHEMA: &str = "http-lab/speed/v1";

/// The results of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it started (RFC 3339, in UTC).
    pub started: String,
    pub machine: Machine,
    pub generator: Kind,
    pub keep_alive: bool,
    #[serde(default)]
    pub tuning: Tuning,
    pub rounds: u32,
    /// The length of a round.
    pub seconds: u32,
    /// The size of the requested page, in bytes.
    pub page: usize,
    pub servers: Vec<ServerResult>,
}

/// The results of one server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServerResult {
    pub name: String,
    pub origin: Origin,
    /// Why it wasn't measured at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    pub levels: Vec<Level>,
    /// `None` where the system doesn't report it.
    pub memory: Option<Memory>,
}

/// The rounds of one server at one concurrency level.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Level {
    /// How many clients send requests at the same time.
    pub clients: u32,
    /// Why there is no figure: what went wrong in any of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    pub rounds: Vec<Round>,
}

/// The result of one round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Round {
    /// The server's position in the order of this round, from 1 on.
    pub position: usize,
    #[serde(flatten)]
    pub load: LoadReport,
    /// The server's processor time per response, in microseconds; Linux only.
    pub processor_time: Option<f64>,
    /// The share of one processor that the load generator used; Linux only.
    pub generator_load: Option<f64>,
}

/// Why there is no figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// The last lines of the server's log, or what the load generator or the system reported.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    NotStarted,
    WrongResponse,
    Died,
    GeneratorFailed,
    /// In keep-alive mode: it closes each connection after a response.
    Closes,
}

impl FailureKind {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::NotStarted => "not started",
            FailureKind::WrongResponse => "wrong response",
            FailureKind::Died => "died",
            FailureKind::GeneratorFailed => "no result",
            FailureKind::Closes => "closes",
        }
    }
}

impl Level {
    fn is_measured(&self) -> bool {
        self.failure.is_none() && !self.rounds.is_empty()
    }

    /// The median of a figure over the rounds; `None` if no round has that figure.
    pub fn median<F: Into<Option<f64>>>(&self, figure: impl Fn(&Round) -> F) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| figure(round).into()))
    }

    /// Correct responses per second.
    pub fn rate(&self) -> f64 {
        self.median(|round| round.load.rate()).unwrap_or_default()
    }

    pub fn errors(&self) -> u64 {
        self.rounds.iter().map(|round| round.load.errors).sum()
    }

    /// The highest rate of a round minus the lowest, as a share of the median; `None` if there
    /// was one round.
    pub fn spread(&self) -> Option<f64> {
        let rates = self.rounds.iter().map(|round| round.load.rate());
        (self.rounds.len() > 1).then(|| range(rates) / self.rate())
    }
}

impl ServerResult {
    /// The rounds at a concurrency level; `None` if there was a failure.
    pub fn level(&self, clients: u32) -> Option<&Level> {
        let mut levels = self.levels.iter();
        levels.find(|level| level.clients == clients && level.is_measured())
    }

    /// Why there is no figure at a concurrency level.
    pub fn failure(&self, clients: u32) -> Option<&Failure> {
        let level = self.levels.iter().find(|level| level.clients == clients)?;
        self.failure.as_ref().or(level.failure.as_ref())
    }
}

impl Run {
    /// The concurrency levels.
    pub fn clients(&self) -> Vec<u32> {
        let levels = self.servers.iter().take(1).flat_map(|it| &it.levels);
        levels.map(|level| level.clients).collect()
    }

    /// All levels that were measured, with their servers.
    pub fn levels(&self) -> Vec<(&ServerResult, &Level)> {
        let mut levels = Vec::new();
        for server in &self.servers {
            let measured = server.levels.iter().filter(|level| level.is_measured());
            levels.extend(measured.map(|level| (server, level)));
        }
        levels
    }

    /// All failures, each with its server and concurrency level, if it has one.
    pub fn failures(&self) -> Vec<(&ServerResult, Option<u32>, &Failure)> {
        let mut failures = Vec::new();
        for server in &self.servers {
            failures.extend(server.failure.as_ref().map(|it| (server, None, it)));
            for level in &server.levels {
                let failure = level.failure.as_ref();
                failures.extend(failure.map(|it| (server, Some(level.clients), it)));
            }
        }
        failures
    }

    /// Drops the servers that close each connection after a response.
    pub fn drop_closing(&mut self) {
        let closes = |failure: &Failure| failure.kind == FailureKind::Closes;
        self.servers
            .retain(|server| !server.failure.as_ref().is_some_and(closes));
    }

    /// Whether no server failed or sent a wrong response.
    pub fn is_clean(&self) -> bool {
        let (failures, levels) = (self.failures(), self.levels());
        let mut failures = failures.iter().map(|(.., failure)| failure.kind);
        let mut errors = levels.iter().map(|(_, level)| level.errors());
        failures.all(|kind| kind == FailureKind::Closes) && errors.all(|count| count == 0)
    }
}

/// A concurrency level in words.
pub fn clients_text(clients: u32) -> String {
    match clients {
        1 => "1 client".to_string(),
        _ => format!("{clients} clients"),
    }
}
