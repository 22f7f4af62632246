//! The suite: runs checks, many at once, since most of the time they wait.

use crate::bench::Bench;
use crate::check::{Check, Trouble, lesson, readable, replay};
use crate::workspace::STAGES;
use crate::{checks, ending};
use libtest_mimic::{Arguments, Trial};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many checks run at once.
const AT_ONCE: usize = 16;

/// How many descriptors the harness wants: some checks connect hundreds of clients.
const DESCRIPTORS: u64 = 8192;

/// What a check found.
#[derive(Debug)]
pub enum Verdict {
    Passed,
    /// The server's fault, told to a person.
    Failed(String),
    /// The harness's fault, which says nothing about the server.
    Broken(String),
}

/// Gets ready to run checks: signals end what was started, and descriptors suffice.
pub fn prepare() -> Result<(), String> {
    ending::watch_for_signals().map_err(|error| format!("cannot watch for signals: {error}"))?;
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (soft, hard) = limits.map_err(|error| format!("cannot read the limits: {error}"))?;
    if soft < DESCRIPTORS.min(hard) {
        setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard)
            .map_err(|error| format!("cannot raise the limit on descriptors: {error}"))?;
    }
    Ok(())
}

/// The seed of this run: of the variable `LAB_SEED`, to repeat a run, or a new one.
pub fn seed() -> Result<u64, String> {
    match env::var("LAB_SEED") {
        Ok(text) => {
            let seed = text.parse();
            seed.map_err(|_| format!("LAB_SEED must be a whole number, and not `{text}`."))
        }
        Err(_) => Ok(u64::from(fastrand::u32(..))),
    }
}

/// Runs one check of that stage's suite on a program.
pub fn run(check: &Check, stage: u8, program: &Path, seed: u64) -> Verdict {
    let bench = match Bench::new(program.to_path_buf(), seed, check.id) {
        Ok(bench) => bench,
        Err(error) => return Verdict::Broken(format!("cannot make a site: {error}")),
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (check.run)(&bench)));
    match outcome {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Trouble::Failed(finding))) => {
            let port = STAGES[usize::from(stage) - 1].port;
            let mut text = format!("  must be true: {}\n{finding}\n", check.must);
            let log = bench.last_words();
            if !log.is_empty() {
                text += &format!("  last in its log:\n{}", readable(&log));
            }
            text += &format!("  why: {}\n  hint: {}\n", check.why, check.hint);
            text += &format!("  read: {}\n", lesson(check));
            if let Some(line) = replay(&finding.sent, port) {
                text += &format!("  try: {line}\n");
            }
            text += &format!("  repeat: LAB_SEED={seed}\n");
            Verdict::Failed(text)
        }
        Ok(Err(Trouble::Broken(what))) => Verdict::Broken(what),
        Err(_) => Verdict::Broken("the check panicked; its message stands above".to_string()),
    }
}

/// Runs checks of that stage's suite on a program, and gives the verdicts in their order.
pub fn run_all(checks: &[&Check], stage: u8, program: &Path, seed: u64) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = checks.get(place) else {
                        return;
                    };
                    let verdict = run(check, stage, program, seed);
                    verdicts.lock().unwrap().push((place, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap();
    verdicts.sort_by_key(|(place, _)| *place);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// The suite as a test target: runs the checks of the stage with that package name on its
/// binary, each as a test of its own.
pub fn test_stage(package: &str, program: &Path) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let Some(stage) = STAGES.iter().find(|stage| stage.name == package) else {
        eprintln!("There is no stage `{package}`. Known are those in `STAGES`.");
        return ExitCode::FAILURE;
    };
    let seed = match prepare().and_then(|()| seed()) {
        Ok(seed) => seed,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.list {
        println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    }
    let mut checks = checks::of_stage(stage.number);
    checks.sort_by_key(|check| !check.waits);
    let trials = checks.into_iter().map(|check| {
        let program = program.to_path_buf();
        let run = move || match run(check, stage.number, &program, seed) {
            Verdict::Passed => Ok(()),
            Verdict::Failed(text) => Err(text.into()),
            Verdict::Broken(text) => Err(format!("BROKEN, the harness's fault: {text}").into()),
        };
        Trial::test(check.id, run).with_ignored_flag(check.linux_only && !cfg!(target_os = "linux"))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
