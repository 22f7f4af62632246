//! Speed and memory of servers, side by side. A load generator sends requests to one server after
//! the other, in rounds whose order rotates, so that a change of the machine affects all servers.
//!
//! - [`server`] starts a server; [`peer`] are web servers to compare with.
//! - [`generator`] runs `ab` or `hey`.
//! - [`gateway`] are applications behind stage 5, and behind other servers.
//! - [`usage`] reads processor time and memory; [`memory`] measures idle connections.
//! - [`results`] is what a run returns; [`table`], [`remarks`] and [`plot`] show it.

pub mod gateway;
pub mod generator;
pub mod memory;
pub mod peer;
pub mod plot;
pub mod remarks;
pub mod results;
pub mod server;
pub mod table;
pub mod usage;

use crate::{Machine, describe, timestamp};
use generator::Generator;
use harness::site::Site;
use peer::Tuning;
use results::{Failure, FailureKind, Level, Round, Run, SCHEMA, ServerResult, clients_text};
use server::{RunningServer, ServerSpec};
use std::io;
use std::time::Duration;

/// The concurrency levels: how many clients send requests at the same time, each on a new connection
/// or on one that it keeps.
pub const CLIENTS: [u32; 4] = [1, 8, 64, 256];
pub const KEPT_CLIENTS: [u32; 5] = [1, 8, 64, 256, 1024];

/// The level that the first table shows, and the one for connections that are kept.
pub const MAIN_LEVEL: u32 = 8;
pub const KEPT_MAIN_LEVEL: u32 = 64;

/// How many idle connections there are while memory is measured.
pub const IDLE: [usize; 5] = [0, 10, 100, 1_000, 10_000];

/// The length of a round at one level, for one server, in seconds.
const SECONDS: u32 = 1;

/// The size of the requested page, in bytes.
const PAGE: usize = 4096;

/// How long a server that has made errors may take to exit.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The concurrency levels.
    pub clients: Vec<u32>,
    pub rounds: u32,
    pub keep_alive: bool,
    /// With how many idle connections memory is measured; not at all if there are none.
    pub idle: Vec<usize>,
    pub tuning: Tuning,
}

impl Plan {
    /// How many steps a run reports to its progress function.
    pub fn steps(&self, servers: usize) -> usize {
        servers * (1 + self.clients.len() * self.rounds as usize)
    }
}

/// What all rounds of a run have in common.
struct Setup<'a> {
    plan: &'a Plan,
    site: &'a Site,
    generator: &'a Generator,
}

/// Measures these servers on a site from [`site`]. `progress` is called before each step, with its
/// name.
pub fn measure(
    plan: &Plan,
    servers: &[ServerSpec],
    site: &Site,
    generator: &Generator,
    machine: Machine,
    progress: &dyn Fn(&str),
) -> Run {
    let setup = Setup {
        plan,
        site,
        generator,
    };
    let mut run = Run {
        schema: SCHEMA.to_string(),
        started: timestamp(),
        machine,
        generator: generator.kind,
        keep_alive: plan.keep_alive,
        tuning: plan.tuning,
        rounds: plan.rounds,
        seconds: SECONDS,
        page: PAGE,
        servers: Vec::new(),
    };
    for spec in servers {
        progress(&format!("{}: memory", spec.name));
        run.servers.push(setup.measure_memory(spec));
    }
    let mut shift = 0;
    for round in 1..=plan.rounds {
        for (level, clients) in plan.clients.iter().enumerate() {
            shift += 1;
            for position in 0..servers.len() {
                let index = (position + shift) % servers.len();
                let (spec, text) = (&servers[index], clients_text(*clients));
                progress(&format!("{}: {text}, round {round}", spec.name));
                let server = &mut run.servers[index];
                let level = &mut server.levels[level];
                // After a failure there will be no figure, so further rounds would be in vain.
                if server.failure.is_some() || level.failure.is_some() {
                    continue;
                }
                match setup.measure_round(spec, *clients) {
                    Ok(measured) => level.rounds.push(Round {
                        position: position + 1,
                        ..measured
                    }),
                    Err(failure) => level.failure = Some(failure),
                }
            }
        }
    }
    run
}

/// A site with a page of 4 KiB.
pub fn site() -> Result<Site, String> {
    let create = || -> io::Result<Site> {
        let mut site = Site::new(fastrand::Rng::new(), None)?;
        site.page = site.add(&site.page.name, &site.bytes(PAGE))?;
        Ok(site)
    };
    create().map_err(|error| format!("Cannot create a document root: {error}"))
}

impl Setup<'_> {
    /// Starts a server, which must serve the page.
    fn start(&self, spec: &ServerSpec) -> Result<RunningServer, Failure> {
        let started = spec.start(self.site, self.plan.tuning);
        let mut server = started.map_err(|error| failure(FailureKind::NotStarted, error))?;
        let served = server.ensure_serves_page(self.site, self.generator.kind);
        served.map_err(|error| {
            let died = died(&mut server, EXIT_TIMEOUT);
            died.unwrap_or(failure(FailureKind::WrongResponse, describe(error)))
        })?;
        Ok(server)
    }

    /// Measures the memory of a server; returns its results without any rounds.
    fn measure_memory(&self, spec: &ServerSpec) -> ServerResult {
        let level = |clients: &u32| Level {
            clients: *clients,
            failure: None,
            rounds: Vec::new(),
        };
        let mut memory = None;
        let outcome = self.start(spec).and_then(|server| {
            memory = memory::measure(&server, &self.plan.idle);
            if !self.plan.keep_alive {
                return Ok(());
            }
            let kept = server.ensure_keeps_connections(self.site, self.generator.kind);
            kept.map_err(|error| failure(FailureKind::Closes, describe(error)))
        });
        ServerResult {
            name: spec.name.clone(),
            origin: spec.origin,
            failure: outcome.err(),
            levels: self.plan.clients.iter().map(level).collect(),
            memory,
        }
    }

    /// Measures one round, whose position the caller knows. The server is started again, on another
    /// port, so that no connection of an earlier round affects it.
    fn measure_round(&self, spec: &ServerSpec, clients: u32) -> Result<Round, Failure> {
        let mut server = self.start(spec)?;
        let outcome = self.generate_load(&server, clients);
        let has_errors = outcome.as_ref().map_or(true, |round| round.load.errors > 0);
        // That it has died explains more than what the generator reports.
        match died(&mut server, EXIT_TIMEOUT * u32::from(has_errors)) {
            Some(died) => Err(died),
            None => outcome.map_err(|error| failure(FailureKind::GeneratorFailed, error)),
        }
    }

    fn generate_load(&self, server: &RunningServer, clients: u32) -> Result<Round, String> {
        let target = self.site.page.target();
        let before = usage::processor_time(server.pid());
        let (load, generator_load) = self.generator.run(self.plan, server, &target, clients)?;
        let after = usage::processor_time(server.pid());
        let processor_time = before.zip(after).filter(|_| load.responses > 0);
        let per_response = |(before, after): (Duration, Duration)| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / load.responses as f64
        };
        Ok(Round {
            position: 0,
            load,
            processor_time: processor_time.map(per_response),
            generator_load,
        })
    }
}

fn failure(kind: FailureKind, detail: String) -> Failure {
    Failure { kind, detail }
}

/// Whether a server exits within that time, with the end of its log.
fn died(server: &mut RunningServer, limit: Duration) -> Option<Failure> {
    let status = server.exit_status(limit)?;
    let detail = format!("{status}; the end of its log:\n{}", server.log_tail());
    Some(failure(FailureKind::Died, detail))
}
