//! Measuring: what the lessons say of speed and of waiting comes from here, from real runs.
//!
//! - [`speed`] is how fast each server is, and how much memory it takes.
//! - [`process`] is what a process costs, part by part.
//! - [`waterfall`] is what eight clients live through, one of them stalled.
//! - Here is what any measurement needs: the programs, and what to know of the machine.

pub mod process;
pub mod speed;
pub mod waterfall;

use crate::program::Program;
use crate::workspace;
use serde::{Deserialize, Serialize};
use std::thread;

/// The machine that was measured on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    pub system: String,
    pub processors: usize,
    /// How many tasks wanted a processor in the minute before the start, where that is known.
    pub load: Option<f32>,
}

impl Machine {
    /// This machine, now.
    pub fn here() -> Machine {
        Machine {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processors: thread::available_parallelism().map_or(1, usize::from),
            load: load(),
        }
    }

    /// What is to be said if it has other things to do.
    pub fn warning(&self) -> Option<String> {
        let (load, processors) = (self.load?, self.processors);
        (load > processors as f32).then(|| {
            format!(
                "This machine is busy: its load is {load:.1} and it has {processors} processors. \
                 Measure again when it is at rest."
            )
        })
    }
}

#[cfg(target_os = "linux")]
fn load() -> Option<f32> {
    use procfs::Current;
    procfs::LoadAverage::current().ok().map(|load| load.one)
}

#[cfg(not(target_os = "linux"))]
fn load() -> Option<f32> {
    None
}

/// A package's program as it is measured: in release, and a copy, so that what is built
/// meanwhile does not change it.
pub fn program(package: &str) -> Result<Program, String> {
    let binary = workspace::build_package(package, true)?;
    let copy = Program::copy_of(&binary);
    copy.map_err(|error| format!("Cannot copy {}: {error}", binary.display()))
}
