//! The suite: runs checks, many at once, since most of the time they wait.

use crate::bench::Bench;
use crate::check::{Check, Finding, Trouble};
use crate::explain::{Details, explain};
use crate::program::Program;
use crate::workspace::{self, Stage};
use crate::{checks, ending, exercises};
use libtest_mimic::{Arguments, Trial};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::any::Any;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How many checks run at once.
const AT_ONCE: usize = 16;

/// How many descriptors the harness wants: some checks connect hundreds of clients.
const DESCRIPTORS: u64 = 8192;

/// How long to wait for the next verdict before the harness gives itself up. A check ends
/// itself long before.
const STALLED: Duration = Duration::from_secs(120);

/// What a check found.
#[derive(Clone, Debug)]
pub enum Verdict {
    Passed,
    /// The server's fault.
    Failed(Failure),
    /// It would tell nothing, since something that it needs has failed: this.
    NotReached(String),
    /// It cannot be run here, for this reason.
    NotRun(String),
    /// The harness's fault, which says nothing about the server.
    Broken(String),
}

/// A fault of a server: what was seen of it, and the end of the server's log.
#[derive(Clone, Debug)]
pub struct Failure {
    pub finding: Box<Finding>,
    pub log: Vec<u8>,
}

/// A verdict, and how long it took to find it.
#[derive(Clone, Debug)]
pub struct Timed {
    pub verdict: Verdict,
    pub took: Duration,
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

/// Runs one check on a program, whatever it needs.
pub fn run(check: &Check, program: &Program, seed: u64) -> Verdict {
    if check.linux_only && !cfg!(target_os = "linux") {
        return Verdict::NotRun("it needs what only Linux tells of processes".to_string());
    }
    let bench = match Bench::new(program, seed, check.id) {
        Ok(bench) => bench,
        Err(error) => return Verdict::Broken(format!("cannot make a site: {error}")),
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (check.run)(&bench)));
    match outcome {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Trouble::Failed(finding))) => Verdict::Failed(Failure {
            finding,
            log: bench.last_words(),
        }),
        Ok(Err(Trouble::Broken(what))) => Verdict::Broken(what),
        Err(payload) => Verdict::Broken(format!("the check panicked: {}", panic_text(&payload))),
    }
}

fn panic_text(payload: &Box<dyn Any + Send>) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// Some checks on one program. Each is run once, when its verdict is first asked for, and
/// after those that it needs.
pub struct Run {
    pub checks: Vec<&'static Check>,
    program: Program,
    seed: u64,
    verdicts: Vec<OnceLock<Timed>>,
}

impl Run {
    pub fn new(checks: Vec<&'static Check>, program: Program, seed: u64) -> Run {
        let verdicts = checks.iter().map(|_| OnceLock::new()).collect();
        Run {
            checks,
            program,
            seed,
            verdicts,
        }
    }

    /// The verdict of the check in that place.
    pub fn verdict(&self, place: usize) -> &Timed {
        self.verdicts[place].get_or_init(|| {
            let started = Instant::now();
            let check = self.checks[place];
            let missed = check.needs.iter().find_map(|needed| self.missed(needed));
            let verdict = missed.unwrap_or_else(|| run(check, &self.program, self.seed));
            let took = started.elapsed();
            Timed { verdict, took }
        })
    }

    /// Why a check is not reached that needs the one of that name; `None`: it is reached.
    fn missed(&self, needed: &str) -> Option<Verdict> {
        let place = self.checks.iter().position(|check| check.id == needed)?;
        match &self.verdict(place).verdict {
            Verdict::Passed => None,
            Verdict::Broken(_) => Some(Verdict::Broken(format!(
                "so was `{needed}`, which it needs"
            ))),
            Verdict::NotRun(why) => Some(Verdict::NotRun(why.clone())),
            Verdict::Failed(_) => Some(Verdict::NotReached(format!("`{needed}` comes first"))),
            Verdict::NotReached(why) => Some(Verdict::NotReached(why.clone())),
        }
    }

    /// The order in which to start: first what others need, then what waits for long.
    fn order(&self) -> Vec<usize> {
        let needed = |id: &str| self.checks.iter().any(|check| check.needs.contains(&id));
        let mut places: Vec<usize> = (0..self.checks.len()).collect();
        places.sort_by_key(|place| {
            let check = self.checks[*place];
            (check.needs.len(), !needed(check.id), !check.waits)
        });
        places
    }

    /// Runs all checks, many at once, and hands on each verdict with its place as it comes.
    /// The threads outlive the receiver if a check never ends: nobody waits for them.
    pub fn start(self: &Arc<Run>) -> Receiver<(usize, Timed)> {
        let (sender, receiver) = mpsc::channel();
        let order = Arc::new((self.order(), AtomicUsize::new(0)));
        for _ in 0..AT_ONCE {
            let (run, order, sender) = (Arc::clone(self), Arc::clone(&order), sender.clone());
            thread::spawn(move || {
                let next = || {
                    order
                        .0
                        .get(order.1.fetch_add(1, Ordering::Relaxed))
                        .copied()
                };
                while let Some(place) = next() {
                    if sender.send((place, run.verdict(place).clone())).is_err() {
                        return;
                    }
                }
            });
        }
        receiver
    }
}

/// Runs checks on a program, those that they need among them or not, and gives the verdicts
/// in their order. `progress` hears of each as it comes.
pub fn run_all(run: Run, mut progress: impl FnMut(usize, &Timed)) -> Vec<Timed> {
    let run = Arc::new(run);
    let mut verdicts: Vec<Option<Timed>> = vec![None; run.checks.len()];
    let receiver = run.start();
    while verdicts.iter().any(Option::is_none) {
        let Ok((place, timed)) = receiver.recv_timeout(STALLED) else {
            break;
        };
        progress(place, &timed);
        verdicts[place] = Some(timed);
    }
    // The threads let go of the program, whose folder goes with its last use.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Arc::strong_count(&run) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let stalled = || Timed {
        verdict: Verdict::Broken(format!("there was no verdict for {STALLED:?}")),
        took: STALLED,
    };
    verdicts
        .into_iter()
        .map(|timed| timed.unwrap_or_else(stalled))
        .collect()
}

/// Runs each check by itself, whatever it needs: for the tests of the suite, in which every
/// check must show what it sees.
pub fn run_each(checks: &[&'static Check], program: &Program, seed: u64) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = checks.get(place) else {
                        return;
                    };
                    let _ = sender.send((place, run(check, program, seed)));
                }
            });
        }
    });
    drop(sender);
    let mut verdicts: Vec<(usize, Verdict)> = receiver.iter().collect();
    verdicts.sort_by_key(|(place, _)| *place);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// The stage that a package is, or is to become, and the checks that are to be green then: the
/// stage's, or an exercise's own with those of the stage that must stay green.
fn checks_for(package: &str) -> Option<(&'static Stage, Vec<&'static Check>)> {
    if let Some(exercise) = exercises::of_package(package) {
        let checks = [exercise.own(), exercise.kept()].concat();
        return Some((workspace::stage(exercise.stage), checks));
    }
    let stage = workspace::stage_of(package)?;
    Some((stage, checks::of_stage(stage.number)))
}

/// The suite as a test target: runs the checks of the package with that name, a stage or a
/// student's own, on its binary, each as a test of its own.
pub fn test_stage(package: &str, program: &Path) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let Some((stage, mut checks)) = checks_for(package) else {
        eprintln!(
            "There is no stage `{package}`. Known are those in `STAGES`, my_stageN, and \
             my_stageN_EXERCISE."
        );
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
    checks.sort_by_key(|check| !check.waits);
    let run = Arc::new(Run::new(checks, Program::new(program), seed));
    let trials = run.checks.iter().enumerate().map(|(place, check)| {
        let run = Arc::clone(&run);
        let test = move || match &run.verdict(place).verdict {
            Verdict::Passed => Ok(()),
            verdict => {
                let text = explain(run.checks[place], verdict, Details::Full, stage.port);
                Err(format!("{text}  repeat: LAB_SEED={seed}\n").into())
            }
        };
        let ignored = check.linux_only && !cfg!(target_os = "linux");
        Trial::test(check.id, test).with_ignored_flag(ignored)
    });
    let trials = trials.collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::COMMON;

    static CHECKS: [Check; 5] = [
        Check {
            id: "fails",
            needs: &[],
            run: |_| Err(Trouble::failed("this", "that")),
            ..COMMON
        },
        Check {
            id: "needs-what-fails",
            needs: &["fails"],
            ..COMMON
        },
        Check {
            id: "needs-what-is-not-reached",
            needs: &["needs-what-fails"],
            ..COMMON
        },
        Check {
            id: "panics",
            needs: &[],
            run: |_| panic!("oops"),
            ..COMMON
        },
        Check {
            id: "needs-what-breaks",
            needs: &["panics", "is-not-among-them"],
            ..COMMON
        },
    ];

    #[test]
    fn what_needs_a_red_check_is_not_reached() {
        let run = Run::new(CHECKS.iter().collect(), Program::new("true"), 1);
        let mut heard = 0;
        let verdicts = run_all(run, |_, _| heard += 1);
        assert_eq!(heard, CHECKS.len());
        let [failed, next, last, broken, after] = verdicts.try_into().unwrap();
        assert!(matches!(failed.verdict, Verdict::Failed(_)));
        for timed in [next, last] {
            let Verdict::NotReached(why) = timed.verdict else {
                panic!("{timed:?}");
            };
            assert_eq!(why, "`fails` comes first");
        }
        for timed in [broken, after] {
            assert!(matches!(timed.verdict, Verdict::Broken(_)), "{timed:?}");
        }
    }
}
