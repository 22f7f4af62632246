//! One round: a server is started anew, on another port than the last, which leaves the
//! connections of before behind; it must serve the right page; then it is driven.

use crate::measure::speed::generator::{Generator, Kind, Load, Order, Refusal};
use crate::measure::speed::run::{Round, What};
use crate::measure::speed::server::{Contender, Running};
use crate::measure::speed::{Plan, Step, Tell, kernel};
use crate::site::{File, Site};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server that has made errors may take to be seen dead.
const DYING: Duration = Duration::from_millis(500);

/// How long the generator goes at a server before it is measured.
const WARMING: Duration = Duration::from_secs(1);
/// And how many requests that are at least: `hey` tells no percentile of fewer than a hundred.
const WARM: u64 = 128;

/// A round is not shorter than this: percentiles of fewer requests mean nothing.
const FEWEST: u64 = 200;

/// More requests a second than a generator can make: no bound but the time.
const ENDLESS: f64 = 100_000.0;

/// What all rounds have in common.
pub struct Setting<'a> {
    pub plan: &'a Plan,
    pub site: &'a Site,
    pub page: &'a File,
    pub generator: &'a Generator,
    /// So many requests are the most of one round.
    pub requests: u64,
}

/// What went wrong, and what is known of it.
type Failed = (What, String);

impl Setting<'_> {
    /// Starts a server, which must serve the page.
    pub fn started(&self, contender: &Contender) -> Result<Running, Failed> {
        let mut running = { contender.start(self.site) }.map_err(|why| (What::NotStarted, why))?;
        match running.must_serve(self.page, self.generator.kind) {
            Ok(()) => Ok(running),
            Err(wrong) => Err(died(&mut running, DYING).unwrap_or((What::WrongAnswer, wrong))),
        }
    }

    /// A round of that many clients; who is told of it fills in which one it was.
    pub fn round(&self, contender: &Contender, clients: u32) -> Result<Round, Failed> {
        let mut running = self.started(contender)?;
        let outcome = self.drive(&running, clients);
        let errors = outcome.as_ref().map_or(1, |round| round.errors);
        // That it has died says more than what the generator saw of it.
        let patience = if errors > 0 { DYING } else { Duration::ZERO };
        if let Some(died) = died(&mut running, patience) {
            return Err(died);
        }
        outcome.map_err(|refusal| match refusal {
            Refusal::PortsUsedUp => {
                let way = "all ports of this machine were in use: see if another program holds \
                           them, or measure with a lower `--seconds`";
                (What::PortsUsedUp, way.to_string())
            }
            Refusal::Hung => {
                let name = self.generator.kind.name();
                (What::GeneratorHung, format!("{name} did not end in time"))
            }
            Refusal::GaveUp(words) => (What::GeneratorGaveUp, words),
        })
    }

    fn drive(&self, running: &Running, clients: u32) -> Result<Round, Refusal> {
        let folder = running.folder.path();
        let warming = Order {
            address: running.address,
            target: &self.page.target(),
            length: self.page.content.len(),
            clients,
            requests: WARM.max(clients.into()),
            time: WARMING,
            keep_alive: self.plan.keep_alive,
        };
        let (warm, _) = self.generator.drive(&warming, folder)?;
        // Its port is new: all of these are of this moment.
        let used_up = kernel::fading_clients(running.address.port());
        let order = Order {
            requests: self.requests(&warm, used_up, clients),
            time: self.plan.time,
            ..warming
        };
        let leader = running.leader();
        let before = kernel::processor_time(leader);
        let (load, share) = self.generator.drive(&order, folder)?;
        let worked = kernel::processor_time(leader).zip(before);
        let worked = worked.map(|(after, before)| after.saturating_sub(before));
        Ok(Round {
            round: 0,
            turn: 0,
            answered: load.answered,
            errors: load.errors,
            seconds: load.seconds,
            rate: load.answered as f64 / load.seconds,
            mean: load.mean,
            p50: load.p50,
            p99: load.p99,
            processor: worked
                .filter(|_| load.answered > 0)
                .map(|worked| worked.as_secs_f64() * 1e6 / load.answered as f64),
            generator: share,
        })
    }

    /// How many requests a round is. `ab` watches the time by itself, in whole seconds;
    /// otherwise it is what will take about that time. Only a server that leaves it to its
    /// clients to close uses up their ports, and so needs a bound; with a bound, a generator
    /// waits for the last of its clients, who may have come to a full backlog.
    fn requests(&self, warm: &Load, used_up: Option<usize>, clients: u32) -> u64 {
        let (time, kind) = (self.plan.time, self.generator.kind);
        let spares_ports = used_up.is_some_and(|ports| (ports as u64) < warm.answered / 2);
        let most = match self.plan.keep_alive || spares_ports {
            true => (ENDLESS * time.as_secs_f64()) as u64,
            false => self.requests,
        };
        if kind == Kind::Ab && time >= Duration::from_secs(1) {
            return most;
        }
        let rate = (warm.answered + warm.errors) as f64 / warm.seconds.max(0.001);
        let about = (rate * time.as_secs_f64()) as u64;
        about.max(FEWEST).max(2 * u64::from(clients)).min(most)
    }

    /// Waits while closed connections occupy more than half of the ports, up to a bound.
    pub fn wait_for_ports(&self, tell: Tell) {
        let since = Instant::now();
        let few = |fading: usize| (fading as u64) < kernel::ports() / 2;
        while let Some(fading) = kernel::fading_ports().filter(|fading| !few(*fading)) {
            if since.elapsed() > self.plan.patience {
                return;
            }
            tell(Step::Waits(format!(
                "waiting for {fading} ports of closed connections"
            )));
            thread::sleep(Duration::from_secs(1));
        }
    }
}

/// That a server has died, and its last words, if it has.
pub fn died(running: &mut Running, patience: Duration) -> Option<Failed> {
    let status = running.ends_within(patience)?;
    let words = format!("{status}; its last lines:\n{}", running.last_lines());
    Some((What::Died, words))
}
