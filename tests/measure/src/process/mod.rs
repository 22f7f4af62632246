//! What it costs to start a process: a staircase of programs, each of which does one thing more
//! than the one before. How much longer it takes is the cost of that thing.
//!
//! Each program is started many times. The order is random in each round, so that a change of the
//! machine affects all programs. Linux only.

pub mod plot;
pub mod steps;
mod timing;

use crate::{Machine, median, range, timestamp};
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use steps::Step;

/// The name and version of the format of `process.json`.
pub const SCHEMA: &str = "http-lab/process/v1";

/// The package whose processes are measured: it starts one for each client.
pub const PACKAGE: &str = "stage2_multiprocess";

/// Into how many parts the starts of a step are divided, to see how much their medians differ.
const TENTHS: usize = 10;

/// How the programs of a staircase are linked to libc.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// As usual: the dynamic linker finds and maps libc at the start.
    Dynamic,
    /// libc is a part of the executable.
    Static,
}

impl Build {
    pub const ALL: [Build; 2] = [Build::Dynamic, Build::Static];

    pub fn name(self) -> &'static str {
        match self {
            Build::Dynamic => "linked dynamically",
            Build::Static => "linked statically",
        }
    }
}

/// The results of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it started (RFC 3339, in UTC).
    pub started: String,
    pub machine: Machine,
    /// How often each program was started.
    pub starts: usize,
    pub builds: Vec<Staircase>,
}

/// The times of one build's programs, each a step higher than the one before.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Staircase {
    pub build: Build,
    pub steps: Vec<StepTimes>,
}

/// How long a program ran, in microseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StepTimes {
    /// What this program does in addition to the one before.
    pub phase: String,
    /// The program in words.
    pub program: String,
    pub median: f64,
    /// The medians of each tenth of the starts, in the order of time.
    pub tenths: Vec<f64>,
}

impl StepTimes {
    fn new(step: &Step, times: &[f64]) -> StepTimes {
        // To a tenth of a microsecond.
        let round = |time: f64| (time * 10.0).round() / 10.0;
        let middle = |times: &[f64]| round(median(times.iter().copied()).unwrap_or_default());
        let bound = |tenth| tenth * times.len() / TENTHS;
        let tenths = (0..TENTHS).map(|tenth| middle(&times[bound(tenth)..bound(tenth + 1)]));
        StepTimes {
            phase: step.phase.to_string(),
            program: step.program.to_string(),
            median: middle(times),
            tenths: tenths.collect(),
        }
    }
}

impl Staircase {
    /// How long a process takes in all.
    pub fn total(&self) -> f64 {
        self.steps.last().map_or(0.0, |step| step.median)
    }

    /// The cost of each phase.
    pub fn costs(&self) -> Vec<Cost<'_>> {
        let nothing = vec![0.0; TENTHS];
        let (mut start, mut tenths) = (0.0, &nothing);
        let mut costs = Vec::new();
        for step in &self.steps {
            let pairs = step.tenths.iter().zip(tenths);
            let noise = range(pairs.map(|(it, before)| it - before)) / 2.0;
            costs.push(Cost { step, start, noise });
            (start, tenths) = (step.median, &step.tenths);
        }
        costs
    }
}

/// How much longer a program ran than the one before, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost<'a> {
    pub step: &'a StepTimes,
    /// The median of the program before.
    pub start: f64,
    /// Half of the range of the difference in each tenth of the starts.
    pub noise: f64,
}

impl Cost<'_> {
    /// It may be negative if it is too small to be measured.
    pub fn time(&self) -> f64 {
        self.step.median - self.start
    }
}

/// A time in microseconds, for people.
pub fn time_text(microseconds: f64) -> String {
    match microseconds {
        // Without a sign.
        -0.5..0.5 => "0 µs".to_string(),
        _ => format!("{microseconds:.0} µs").replace('-', "−"),
    }
}

/// What the picture shows: how much of the time passes before the program's own work starts.
pub fn caption(builds: &[Staircase]) -> Option<String> {
    let mut figures = builds.iter().filter_map(|staircase| {
        let rust = staircase.steps.iter().find(|it| it.phase == steps::RUST)?;
        let (rust, total) = (time_text(rust.median), time_text(staircase.total()));
        Some((staircase.build.name(), rust, total))
    });
    let (_, rust, total) = figures.next()?;
    let mut caption = format!(
        "What one process of stage 2 costs, from start to exit. An empty Rust program takes {rust} \
         of these {total}"
    );
    for (build, rust, total) in figures {
        caption += &format!("; {build}, {rust} of {total}");
    }
    Some(caption + ".")
}

/// Starts each program that many times. `progress` is called after each round. The error names the
/// program that didn't do what its step is about.
pub fn measure(
    steps: &[Step],
    starts: usize,
    machine: Machine,
    progress: impl Fn(),
) -> Result<Run, String> {
    let started = timestamp();
    let listener = TcpListener::bind("127.0.0.1:0")
        .map_err(|error| format!("Cannot listen on 127.0.0.1: {error}"))?;
    for step in steps {
        step.rehearse(&listener)?;
    }
    let mut times = vec![Vec::with_capacity(starts); steps.len()];
    let mut order: Vec<usize> = (0..steps.len()).collect();
    for _ in 0..starts {
        fastrand::shuffle(&mut order);
        for index in &order {
            let time = steps[*index].measure(&listener)?;
            times[*index].push(time.as_secs_f64() * 1e6);
        }
        progress();
    }
    let staircase = |build| {
        let steps = steps.iter().zip(&times);
        let steps = steps.filter(|(step, _)| step.build == build);
        let steps = steps.map(|(step, times)| StepTimes::new(step, times));
        let steps = steps.collect();
        Staircase { build, steps }
    };
    Ok(Run {
        schema: SCHEMA.to_string(),
        started,
        machine,
        starts,
        builds: Build::ALL.map(staircase).to_vec(),
    })
}
