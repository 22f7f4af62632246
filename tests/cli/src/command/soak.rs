//! `cargo lab soak`: runs the suites many times on a busy machine. Every verdict must be the same
//! each time.

use crate::grading::Grading;
use crate::program;
use crate::progress;
use crate::report::Status;
use clap::Args;
use harness::program::Program;
use harness::style::{BOLD, GREEN, RED, paint};
use harness::workspace::{STAGES, Stage};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::hint;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;
use suite::explain::Details;
use suite::run;

#[derive(Args)]
pub struct Options {
    /// Run only the suite of this stage, 1 to 4.
    #[arg(value_parser = super::stage_number())]
    stage: Option<u8>,

    /// How many times to run each suite.
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// How many threads keep the processors busy [default: one for each processor].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=256))]
    busy: Option<u16>,
}

/// Runs the suites. The exit code is 0 only if every check passed every time.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    run::prepare()?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let busy = options.busy.map_or(processors, usize::from);
    let is_selected = |stage: &&Stage| options.stage.is_none_or(|number| stage.number == number);
    let stages = STAGES.iter().filter(is_selected);
    let servers = stages.map(|stage| Ok((stage, program::build(stage.name)?)));
    let servers: Vec<(&Stage, Program)> = servers.collect::<Result<_, String>>()?;
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let failures = thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let failures = run_suites(options.runs, &servers);
        stop.store(true, Ordering::Relaxed);
        failures
    })?;
    anstream::println!(
        "Ran {} suites {} times in {} s, alongside {busy} busy threads.",
        servers.len(),
        options.runs,
        started.elapsed().as_secs()
    );
    if failures.is_empty() {
        let text = "Every check passed every time.";
        anstream::println!("{}", paint(GREEN, text));
        return Ok(ExitCode::SUCCESS);
    }
    for (check, count) in failures {
        let text = format!("{check}: did not pass in {count} runs.");
        anstream::println!("{}", paint(RED, text));
    }
    Ok(ExitCode::FAILURE)
}

/// Runs the suites that many times. Returns how often each check did not pass.
fn run_suites(runs: u32, servers: &[(&Stage, Program)]) -> Result<BTreeMap<String, u32>, String> {
    let mut failures = BTreeMap::new();
    let bar = progress::bar(runs as usize * servers.len());
    for number in 1..=runs {
        for (stage, program) in servers {
            let name = stage.name.to_string();
            let grading = Grading::of_stage(stage.number, name, run::seed()?, Details::Full);
            let report = grading.run(program.clone(), &ProgressBar::hidden());
            for check in &report.checks {
                if matches!(check.status, Status::Passed | Status::NotRun) {
                    continue;
                }
                let name = format!("stage {}: {}", stage.number, check.id);
                let (status, seed) = (check.status.name(), report.seed);
                let heading = format!("run {number}, {name} {status}, seed {seed}");
                bar.suspend(|| {
                    anstream::println!("{}\n{}", paint(BOLD, heading), check.output);
                });
                *failures.entry(name).or_default() += 1;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(failures)
}
