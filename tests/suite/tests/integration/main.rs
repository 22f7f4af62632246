//! The suite's own tests: every check can fail, correct servers pass, and the stages keep their
//! shape. With `LAB_CI=1` the tests that take minutes run too.

mod applications;
mod changed_stages;
mod cleanup;
mod descriptors;
mod differential;
mod exercises;
mod faults;
mod field;
mod hostile_load;
mod ladder;
mod packages;
mod races;
mod stage_layout;
mod stages;
mod steps;
mod wrappers;

use harness::program::Program;
use std::ffi::OsStr;
use std::sync::{OnceLock, RwLock};
use suite::check::Check;
use suite::explain::{Details, explain};
use suite::run::{self, Job, Verdict, run_each};

/// Locked for reading while checks run, and for writing while programs are built: compilers make
/// correct servers look slow.
static BUILDING: RwLock<()> = RwLock::new(());

/// Prepares this process to run checks, once for all tests, and returns the seed of the run.
fn prepare() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| {
        run::prepare().unwrap();
        run::seed().unwrap()
    });
    println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    seed
}

/// The jobs of these checks on a program.
fn jobs(
    checks: Vec<&'static Check>,
    program: &Program,
    must_pass: impl Fn(&str) -> bool,
) -> Vec<Job> {
    let is_supported = |check: &&'static Check| {
        check.is_supported() && (!check.without_root || program.without_root().is_ok())
    };
    let supported = checks.into_iter().filter(is_supported);
    supported
        .map(|check| Job {
            check,
            program: program.clone(),
            must_pass: must_pass(check.id),
        })
        .collect()
}

/// Runs each job by itself. Panics with all verdicts that are not the expected ones.
fn ensure_verdicts(mut jobs: Vec<Job>) {
    let seed = prepare();
    // Mixed, so that those that start hundreds of processes don't all run at the same time.
    fastrand::Rng::with_seed(seed).shuffle(&mut jobs);
    let _running = BUILDING.read().unwrap();
    let mut failures = Vec::new();
    for (job, timed) in jobs.iter().zip(run_each(&jobs, seed)) {
        let is_expected = match timed.verdict {
            Verdict::Passed => job.must_pass,
            Verdict::Failed(_) => !job.must_pass,
            _ => false,
        };
        if !is_expected {
            let name = job.program.path.file_name().unwrap().display();
            let arguments = job.program.arguments.join(OsStr::new(" "));
            let must = if job.must_pass { "pass" } else { "fail" };
            let details = explain(job.check, &timed, Details::Full, 0);
            failures.push(format!(
                "{name} {} must {must} {}\n{details}",
                arguments.display(),
                job.check.id
            ));
        }
    }
    failures.sort();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
