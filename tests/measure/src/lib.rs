//! Measurements of servers, as figures and as SVG pictures.
//!
//! - [`speed`] measures the speed and the memory of servers side by side.
//! - [`process`] measures what it costs to start a process, step by step.
//! - [`waterfall`] measures which clients wait for a stalled one.
//! - [`plot`] has what their pictures share.

pub mod plot;
pub mod process;
pub mod speed;
pub mod waterfall;

use harness::error::CheckError;
use harness::workspace::{STAGES, Stage};
use serde::{Deserialize, Serialize};
use std::fs;
use std::thread;
use std::time::SystemTime;

/// The stages that are measured unless others are named. Stage 5 serves files as stage 4 does, so its
/// figures would be the same twice.
pub fn default_stages() -> impl Iterator<Item = &'static Stage> {
    STAGES.iter().filter(|stage| stage.number != 5)
}

/// The machine that the figures come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    pub system: String,
    pub processors: usize,
    /// How many tasks were ready to run, on average over the minute before; Linux only.
    pub load: Option<f64>,
}

impl Machine {
    /// This machine, as it is now.
    pub fn current() -> Machine {
        let load = fs::read_to_string("/proc/loadavg").ok();
        Machine {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processors: thread::available_parallelism().map_or(1, usize::from),
            load: load.and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }

    /// A warning if it was busy with something else.
    pub fn warning(&self) -> Option<String> {
        let load = self.load.filter(|load| *load > self.processors as f64)?;
        Some(format!(
            "This machine is busy: its load is {load:.1}, and it has {} processors. Measure again \
             when it is idle.",
            self.processors
        ))
    }
}

/// The median, or the mean of the two values in the middle; `None` if there are no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(f64::midpoint(values[(values.len() - 1) / 2], upper))
}

/// The greatest value minus the least.
fn range(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
}

/// A whole number with a comma between thousands.
pub fn thousands(number: f64) -> String {
    let digits: Vec<char> = format!("{number:.0}").chars().collect();
    let groups: Vec<String> = digits.rchunks(3).rev().map(String::from_iter).collect();
    groups.join(",")
}

/// The current time (RFC 3339, in UTC).
fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// What went wrong, as text.
fn describe(error: CheckError) -> String {
    match error {
        CheckError::Broken(reason) => reason,
        CheckError::Failed(evidence) => {
            let (expected, received) = (evidence.expected, evidence.received);
            format!("expected {expected}; received {received}")
        }
    }
}
