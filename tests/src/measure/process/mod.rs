//! What a process costs: a staircase of programs, each of which does one thing more than the
//! one before. What a step takes longer than the one below it is the price of that thing.
//!
//! Each program is started many times, all of them in turn and in another order each time, so
//! that what else happens on the machine meets all alike.

pub mod picture;
pub mod programs;
mod start;

use crate::measure::Machine;
use serde::{Deserialize, Serialize};
use start::Running;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

/// The name and version of the format.
pub const SCHEMA: &str = "http-lab/process/v1";

/// Into how many parts the starts of a step are divided, in order, to see how much their
/// medians differ.
const TENTHS: usize = 10;

/// What a process spends its time with, in the order of the steps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Kernel,
    Libc,
    Linker,
    Rust,
    Stage,
    Answer,
    Regex,
    File,
}

impl Part {
    pub const ALL: [Part; 8] = [
        Part::Kernel,
        Part::Libc,
        Part::Linker,
        Part::Rust,
        Part::Stage,
        Part::Answer,
        Part::Regex,
        Part::File,
    ];

    /// What the time is spent with.
    pub fn words(self) -> &'static str {
        match self {
            Part::Kernel => "kernel: start, exec, end",
            Part::Libc => "libc's own start",
            Part::Linker => "dynamic linker",
            Part::Rust => "Rust's own start",
            Part::Stage => "server: options, root",
            Part::Answer => "client: read, answer",
            Part::Regex => "regex: build, match",
            Part::File => "file: find, read, send",
        }
    }

    /// The program that shows it: the step which takes this longer than the one before.
    pub fn step(self) -> &'static str {
        match self {
            Part::Kernel => "a program without libc that only ends",
            Part::Libc => "an empty C program, libc within it",
            Part::Linker => "an empty C program, libc beside it",
            Part::Rust => "an empty Rust program",
            Part::Stage => "stage 2 for a client that leaves without a word",
            Part::Answer => "a request line too long for it: 414, before the regex",
            Part::Regex => "a version it does not speak: 505, behind the regex",
            Part::File => "a page of 4 KiB: 200",
        }
    }
}

/// A program to be started.
#[derive(Clone, Debug)]
pub struct Step {
    pub part: Part,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// What its client sends before it stops sending; `None`: there is no client, and standard
    /// input is empty.
    pub request: Option<Vec<u8>>,
    /// What must come back; `None`: nothing.
    pub answer: Option<Expected>,
}

/// The answer that shows that a program has done what its step is about.
#[derive(Clone, Debug)]
pub struct Expected {
    pub status: u16,
    /// The exact content, where that matters.
    pub content: Option<Vec<u8>>,
}

/// The steps of one way to build, from the lowest to the highest.
#[derive(Clone, Debug)]
pub struct Staircase {
    pub build: programs::Build,
    pub steps: Vec<Step>,
    /// What cannot be measured here, and why: a part's time then counts with the next one's.
    pub missing: Vec<(Part, String)>,
}

/// All of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub schema: String,
    /// When it began (RFC 3339, in UTC).
    pub started: String,
    pub machine: Machine,
    /// How often each program was started.
    pub starts: usize,
    pub builds: Vec<Process>,
    /// What was not measured, and what to do about it.
    pub missing: Vec<String>,
}

/// Where the time of a process goes, built in one way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Process {
    pub build: programs::Build,
    pub costs: Vec<Cost>,
}

/// What a step takes, from its start to its end. Times are microseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cost {
    pub part: Part,
    /// The parts that this step adds to the one before: its own, and those in between that
    /// could not be measured.
    pub adds: Vec<Part>,
    /// The size of the executable, in bytes.
    pub executable: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    pub least: f64,
    pub quarter: f64,
    pub median: f64,
    pub three_quarters: f64,
    pub most: f64,
    /// The median of each tenth of the starts, in the order of time.
    pub tenths: Vec<f64>,
}

impl Process {
    /// What each part takes: how much longer its step takes than the step before, by their
    /// medians. Where that is too little to be seen it may be less than nothing.
    pub fn prices(&self) -> Vec<f64> {
        let below = |index: usize| match index {
            0 => 0.0,
            index => self.costs[index - 1].median,
        };
        let prices = self.costs.iter().enumerate();
        prices
            .map(|(index, cost)| cost.median - below(index))
            .collect()
    }

    /// How sure each of these is: half of how far the same difference, taken for each tenth of
    /// the starts, lies apart.
    pub fn noise(&self) -> Vec<f64> {
        let of = |index: usize| {
            let below = |tenth: usize| match index {
                0 => 0.0,
                index => self.costs[index - 1].tenths[tenth],
            };
            let tenths = self.costs[index].tenths.iter().enumerate();
            let differences: Vec<f64> = tenths.map(|(tenth, time)| time - below(tenth)).collect();
            let most = differences.iter().copied().fold(f64::MIN, f64::max);
            let least = differences.iter().copied().fold(f64::MAX, f64::min);
            (most - least) / 2.0
        };
        (0..self.costs.len()).map(of).collect()
    }

    /// What the highest step takes.
    pub fn whole(&self) -> f64 {
        self.costs.last().map_or(0.0, |cost| cost.median)
    }

    /// What was measured of that part.
    pub fn cost(&self, part: Part) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.part == part)
    }

    /// Whether it is the whole server, or only what runs below it.
    pub fn is_whole(&self) -> bool {
        self.cost(Part::File).is_some()
    }
}

/// A time in microseconds, for people.
pub fn shown(microseconds: f64) -> String {
    match microseconds {
        // No zero with a sign.
        -0.5..0.5 => "0 µs".to_string(),
        _ => format!("{microseconds:.0} µs").replace('-', "−"),
    }
}

/// Starts the programs of these staircases so often each; `tell` is called after each round.
/// The error names the program that did not do what its step is about.
pub fn measure(
    staircases: &[Staircase],
    starts: usize,
    tell: impl Fn(),
) -> Result<Vec<Process>, String> {
    let steps: Vec<&Step> = { staircases.iter() }
        .flat_map(|staircase| &staircase.steps)
        .collect();
    let times = timed(&steps, starts, tell)?;
    let mut times = times.into_iter();
    let mut processes = Vec::new();
    for staircase in staircases {
        let of_steps = { staircase.steps.iter() }.zip(times.by_ref());
        let costs: Result<Vec<Cost>, String> = of_steps
            .map(|(step, times)| cost(step, staircase, &times))
            .collect();
        processes.push(Process {
            build: staircase.build,
            costs: costs?,
        });
    }
    Ok(processes)
}

/// The times of each step, in microseconds and in the order in which they were taken.
fn timed(steps: &[&Step], starts: usize, tell: impl Fn()) -> Result<Vec<Vec<f64>>, String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .map_err(|error| format!("Cannot listen on 127.0.0.1: {error}"))?;
    let mut times = vec![Vec::with_capacity(starts); steps.len()];
    let mut order: Vec<usize> = (0..steps.len()).collect();
    let running = Running::default();
    running.watched(|| {
        // The first start of all reads executables from the disk, and shows what is wrong.
        for step in steps {
            step.rehearse(&listener, &running)?;
        }
        for _ in 0..starts {
            fastrand::shuffle(&mut order);
            for index in &order {
                let step = steps[*index];
                let time = step.start(&listener, &running, Stdio::null())?;
                times[*index].push(time.as_secs_f64() * 1e6);
            }
            tell();
        }
        Ok(times)
    })
}

/// What came of a step's starts.
fn cost(step: &Step, staircase: &Staircase, times: &[f64]) -> Result<Cost, String> {
    let program = fs::metadata(&step.program);
    let executable = program.map_err(|error| step.wrong(error))?.len();
    let below = { staircase.steps.iter().map(|step| step.part) }.filter(|part| *part < step.part);
    let below = below.max();
    let adds = { staircase.build.parts().iter().copied() }
        .filter(|part| below.is_none_or(|below| *part > below) && *part <= step.part);
    let tenths = (0..TENTHS).map(|tenth| {
        let (from, to) = (tenth * times.len(), (tenth + 1) * times.len());
        quantile(&times[from / TENTHS..to / TENTHS], 0.5)
    });
    Ok(Cost {
        part: step.part,
        adds: adds.collect(),
        executable,
        status: step.answer.as_ref().map(|answer| answer.status),
        least: quantile(times, 0.0),
        quarter: quantile(times, 0.25),
        median: quantile(times, 0.5),
        three_quarters: quantile(times, 0.75),
        most: quantile(times, 1.0),
        tenths: tenths.collect(),
    })
}

/// The time below which that share of all times lies, to a tenth of a microsecond.
fn quantile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    let place = share * last;
    let (below, above) = (place.floor(), place.ceil());
    let time = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let between = time(below) + (time(above) - time(below)) * (place - below);
    (between * 10.0).round() / 10.0
}
