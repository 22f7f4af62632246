//! `cargo lab soak`: does the suite always say the same? It is run again and again while the
//! machine is kept busy, and every verdict that differs from a pass is told.

use crate::ending;
use crate::explain::Details;
use crate::grade::Grading;
use crate::paint::{BOLD, GREEN, RED, paint};
use crate::program::Program;
use crate::report::Status;
use crate::suite;
use crate::workspace::{self, STAGES, Stage};
use clap::Args;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Only this stage; else all four.
    #[arg(value_parser = super::stage_number())]
    stage: Option<u8>,

    /// How often each suite is run.
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// How many threads do nothing but keep the processors busy; as many as there are.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=256))]
    busy: Option<u16>,
}

/// Runs the suites, and exits with 0 only if every check passed every time.
pub fn soak(options: &Options) -> Result<ExitCode, String> {
    suite::prepare()?;
    let busy = options.busy.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let wanted = |stage: &&Stage| options.stage.is_none_or(|number| stage.number == number);
    let stages: Vec<&Stage> = STAGES.iter().filter(wanted).collect();
    let mut programs = Vec::new();
    for stage in &stages {
        let binary = workspace::build_package(stage.name, false)?;
        let program = Program::copy_of(&binary);
        programs
            .push(program.map_err(|error| format!("Cannot copy {}: {error}", binary.display()))?);
    }
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let odd = thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let odd = run_often(options.runs, &stages, &programs);
        stop.store(true, Ordering::Relaxed);
        odd
    })?;
    let runs = options.runs;
    let spent = started.elapsed().as_secs();
    anstream::println!(
        "{runs} runs of {} suites in {spent} s, {busy} threads busy beside them.",
        stages.len()
    );
    for (check, times) in &odd {
        anstream::println!(
            "{}",
            paint(RED, format!("{check}: not passed {times} times"))
        );
    }
    match odd.is_empty() {
        true => {
            anstream::println!("{}", paint(GREEN, "Every check passed every time."));
            Ok(ExitCode::SUCCESS)
        }
        false => Ok(ExitCode::FAILURE),
    }
}

/// Runs the suites that often; returns how often which check did not pass.
fn run_often(
    runs: u32,
    stages: &[&Stage],
    programs: &[Program],
) -> Result<BTreeMap<String, u32>, String> {
    let mut odd: BTreeMap<String, u32> = BTreeMap::new();
    let bar = super::grade::bar(runs as usize * stages.len());
    for number in 1..=runs {
        for (stage, program) in stages.iter().zip(programs) {
            let grading = Grading::new(
                stage.number,
                stage.name.into(),
                suite::seed()?,
                Details::Full,
            );
            let report = grading.run(program.clone(), |_| {});
            let expected = |status| matches!(status, Status::Passed | Status::NotRun);
            for line in { report.checks.iter() }.filter(|line| !expected(line.status)) {
                *odd.entry(format!("stage {} {}", stage.number, line.id))
                    .or_default() += 1;
                let heading = format!(
                    "run {number}, stage {}: {} {}, seed {}",
                    stage.number,
                    line.id,
                    line.status.name(),
                    report.seed
                );
                let text = format!("{}\n{}", paint(BOLD, heading), line.output);
                bar.suspend(|| anstream::println!("{text}"));
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    ending::sweep();
    Ok(odd)
}
