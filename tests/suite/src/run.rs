//! Runs checks, many at a time, since most of the time they wait.

use crate::check::Check;
use crate::translation::{fill, text};
use harness::cleanup;
use harness::context::TestContext;
use harness::error::{CheckError, Evidence};
use harness::program::Program;
use harness::starvation::Watch;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::any::Any;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// How many checks run at the same time for each processor, in the whole process.
const CHECKS_PER_PROCESSOR: usize = 12;

/// How many of those connect hundreds of clients.
const CROWDS_PER_PROCESSOR: usize = 1;

/// How many descriptors the harness needs: some checks connect hundreds of clients.
const DESCRIPTORS: u64 = 8192;

/// How long a run normally waits for the next verdict. A check ends itself long before.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(120);

/// What a check found.
#[derive(Clone, Debug)]
pub enum Verdict {
    Passed,
    /// The server's fault.
    Failed(Failure),
    /// Something that it needs has failed, so it would tell nothing. The text says what.
    NotReached(String),
    /// It can't run here. The text says why.
    NotRun(String),
    /// The harness's fault, which says nothing about the server.
    Broken(String),
}

/// A fault of a server: what shows it, and the end of the server's log.
#[derive(Clone, Debug)]
pub struct Failure {
    pub evidence: Box<Evidence>,
    pub log: Vec<u8>,
    /// Whether what was sent names a file of the check's site, which is gone.
    pub names_site: bool,
}

/// A verdict, and how it was reached.
#[derive(Clone, Debug)]
pub struct TimedVerdict {
    pub verdict: Verdict,
    /// What the check found first, if it ran again because the machine was too busy.
    pub first_attempt: Option<Box<Verdict>>,
    pub duration: Duration,
}

impl TimedVerdict {
    /// A verdict without an attempt.
    fn without_attempt(verdict: Verdict, duration: Duration) -> TimedVerdict {
        TimedVerdict {
            verdict,
            first_attempt: None,
            duration,
        }
    }
}

/// Prepares this process to run checks: signals clean up, and there are enough descriptors.
pub fn prepare() -> Result<(), String> {
    cleanup::handle_signals().map_err(|error| format!("cannot handle signals: {error}"))?;
    raise_descriptor_limit(DESCRIPTORS).map(|_| ())
}

/// Raises the soft limit on descriptors to that number, if the hard one allows it. Returns the
/// limit.
pub fn raise_descriptor_limit(wanted: u64) -> Result<u64, String> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return Ok(current);
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("cannot raise the limit on descriptors: {error}"))?;
    Ok(wanted)
}

/// The seed of this run: the variable `LAB_SEED`, which repeats a run, or a random one.
pub fn seed() -> Result<u64, String> {
    let Ok(text) = env::var("LAB_SEED") else {
        return Ok(u64::from(fastrand::u32(..)));
    };
    text.parse()
        .map_err(|_| format!("LAB_SEED must be a whole number, not `{text}`."))
}

/// How many checks of a kind run at the same time, in the whole process. However many suites run at
/// once, they share this limit: more checks than the machine can handle would make correct servers
/// look slow.
struct Limit {
    running: Mutex<usize>,
    finished: Condvar,
    per_processor: usize,
}

static CHECKS: Limit = Limit::new(CHECKS_PER_PROCESSOR);
static CROWDS: Limit = Limit::new(CROWDS_PER_PROCESSOR);

impl Limit {
    const fn new(per_processor: usize) -> Limit {
        Limit {
            running: Mutex::new(0),
            finished: Condvar::new(),
            per_processor,
        }
    }

    fn get(&self) -> usize {
        self.per_processor * thread::available_parallelism().map_or(1, usize::from)
    }

    /// Does some work as soon as fewer than this limit are at work.
    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self
            .finished
            .wait_while(running, |running| *running >= self.get());
        *running.unwrap_or_else(PoisonError::into_inner) += 1;
        let result = work();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.finished.notify_one();
        result
    }
}

/// How many checks run at the same time.
pub fn max_concurrent() -> usize {
    CHECKS.get()
}

/// Runs one check on a program, regardless of what it needs. If it fails while the harness is
/// starved of processor time, it runs again, once and alone.
pub fn run_check(check: &Check, program: &Program, seed: u64) -> TimedVerdict {
    run_expecting(true, check, program, seed)
}

/// The same for a check that is expected to pass or to fail: a failure that is expected needs no
/// second run.
fn run_expecting(must_pass: bool, check: &Check, program: &Program, seed: u64) -> TimedVerdict {
    /// Held shared by every check, and exclusively by one that runs alone.
    static TURN: RwLock<()> = RwLock::new(());
    let started = Instant::now();
    let first = || {
        let _shared = TURN.read().unwrap_or_else(PoisonError::into_inner);
        let watch = Watch::start();
        (attempt(check, program, seed), watch.was_starved())
    };
    let limited = || CHECKS.run(first);
    let (mut verdict, was_starved) = if check.crowd {
        CROWDS.run(limited)
    } else {
        limited()
    };
    let mut first_attempt = None;
    let needs_rerun = match verdict {
        Verdict::Failed(_) => must_pass,
        Verdict::Broken(_) => true,
        _ => false,
    };
    if was_starved && needs_rerun {
        let _alone = TURN.write().unwrap_or_else(PoisonError::into_inner);
        first_attempt = Some(Box::new(verdict));
        verdict = attempt(check, program, seed);
    }
    TimedVerdict {
        verdict,
        first_attempt,
        duration: started.elapsed(),
    }
}

fn attempt(check: &Check, program: &Program, seed: u64) -> Verdict {
    if !check.is_supported() {
        return Verdict::NotRun(text("it needs /proc, which only Linux has").to_string());
    }
    let unprivileged = check
        .without_root
        .then(|| program.without_root())
        .transpose();
    let program = match &unprivileged {
        Ok(unprivileged) => unprivileged.as_ref().unwrap_or(program),
        Err(reason) => return Verdict::NotRun(reason.clone()),
    };
    let ctx = match TestContext::new(program, seed, check.id) {
        Ok(ctx) => ctx,
        Err(error) => return Verdict::Broken(format!("cannot create a site: {error}")),
    };
    match panic::catch_unwind(AssertUnwindSafe(|| (check.run)(&ctx))) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(CheckError::Failed(evidence))) => Verdict::Failed(Failure {
            names_site: ctx.site.is_named_in(&evidence.sent),
            evidence,
            log: ctx.log_tail(),
        }),
        Ok(Err(CheckError::Broken(reason))) => Verdict::Broken(reason),
        Err(payload) => Verdict::Broken(format!("the check panicked: {}", panic_text(&payload))),
    }
}

fn panic_text(payload: &Box<dyn Any + Send>) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// A run of some checks on one program. Each check runs once, when its verdict is first asked
/// for, and after those that it needs.
pub struct Run {
    pub checks: Vec<&'static Check>,
    /// How long to wait for the next verdict before the run is given up.
    pub verdict_timeout: Duration,
    program: Program,
    seed: u64,
    /// The checks that are expected to fail.
    expected_failures: Vec<String>,
    verdicts: Vec<OnceLock<TimedVerdict>>,
}

impl Run {
    pub fn new(checks: Vec<&'static Check>, program: Program, seed: u64) -> Run {
        let verdicts = checks.iter().map(|_| OnceLock::new()).collect();
        Run {
            checks,
            verdict_timeout: VERDICT_TIMEOUT,
            program,
            seed,
            expected_failures: Vec::new(),
            verdicts,
        }
    }

    /// Expects the checks with these ids to fail. These don't run again on a busy machine.
    pub fn expecting_failures(self, ids: impl IntoIterator<Item = String>) -> Run {
        Run {
            expected_failures: ids.into_iter().collect(),
            ..self
        }
    }

    /// The verdict of the check at that index.
    pub fn verdict(&self, index: usize) -> &TimedVerdict {
        self.verdicts[index].get_or_init(|| {
            let started = Instant::now();
            let check = self.checks[index];
            match check.needs.iter().find_map(|id| self.obstacle(id)) {
                Some(verdict) => TimedVerdict::without_attempt(verdict, started.elapsed()),
                None => {
                    let must_pass = !self.expected_failures.iter().any(|id| id == check.id);
                    run_expecting(must_pass, check, &self.program, self.seed)
                }
            }
        })
    }

    /// The verdict of a check that needs the one with this id; `None` if it can run.
    fn obstacle(&self, id: &str) -> Option<Verdict> {
        let index = self.checks.iter().position(|check| check.id == id)?;
        match &self.verdict(index).verdict {
            Verdict::Passed => None,
            Verdict::Broken(_) => {
                let reason = fill("it needs `{id}`, which broke", &[("id", &id)]);
                Some(Verdict::Broken(reason))
            }
            Verdict::NotRun(reason) => Some(Verdict::NotRun(reason.clone())),
            Verdict::Failed(_) => {
                let reason = fill("`{id}` must pass first", &[("id", &id)]);
                Some(Verdict::NotReached(reason))
            }
            Verdict::NotReached(reason) => Some(Verdict::NotReached(reason.clone())),
        }
    }

    /// The order in which to start: first what others need, then what is slow.
    fn order(&self) -> Vec<usize> {
        let is_needed = |id: &str| self.checks.iter().any(|check| check.needs.contains(&id));
        let mut order: Vec<usize> = (0..self.checks.len()).collect();
        order.sort_by_key(|index| {
            let check = self.checks[*index];
            (check.needs.len(), !is_needed(check.id), !check.slow)
        });
        order
    }

    /// Starts all checks. The receiver gets each verdict with its index. The threads outlive the
    /// receiver if a check never ends.
    fn start(self: &Arc<Run>) -> Receiver<(usize, TimedVerdict)> {
        let (sender, receiver) = mpsc::channel();
        let queue = Arc::new(Mutex::new(self.order().into_iter()));
        for _ in 0..max_concurrent() {
            let (run, queue, sender) = (Arc::clone(self), Arc::clone(&queue), sender.clone());
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            thread::spawn(move || {
                while let Some(index) = next() {
                    if sender.send((index, run.verdict(index).clone())).is_err() {
                        return;
                    }
                }
            });
        }
        receiver
    }
}

/// Runs checks on a program and returns their verdicts in the same order. `progress` gets the
/// index and the verdict of each check when it ends.
pub fn run_all(run: Run, mut progress: impl FnMut(usize, &TimedVerdict)) -> Vec<TimedVerdict> {
    let timeout = run.verdict_timeout;
    let run = Arc::new(run);
    let mut verdicts: Vec<Option<TimedVerdict>> = vec![None; run.checks.len()];
    let receiver = run.start();
    while verdicts.iter().any(Option::is_none) {
        let Ok((index, timed)) = receiver.recv_timeout(timeout) else {
            break;
        };
        progress(index, &timed);
        verdicts[index] = Some(timed);
    }
    // The threads release the program, whose folder is removed with its last user.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Arc::strong_count(&run) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let stalled = || {
        let reason = format!("there was no verdict for {timeout:?}");
        TimedVerdict::without_attempt(Verdict::Broken(reason), timeout)
    };
    let verdicts = verdicts.into_iter();
    verdicts
        .map(|timed| timed.unwrap_or_else(stalled))
        .collect()
}

/// A check to run on a program, and what is expected of it.
pub struct Job {
    pub check: &'static Check,
    pub program: Program,
    pub must_pass: bool,
}

/// Runs each check by itself, regardless of what it needs. It is for the suite's own tests, in
/// which every check must show what it detects.
pub fn run_each(jobs: &[Job], seed: u64) -> Vec<TimedVerdict> {
    let verdicts: Vec<OnceLock<TimedVerdict>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..max_concurrent() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else {
                        return;
                    };
                    verdicts[index].get_or_init(|| {
                        run_expecting(job.must_pass, job.check, &job.program, seed)
                    });
                }
            });
        }
    });
    let verdicts = verdicts.into_iter();
    verdicts.filter_map(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::DEFAULTS;

    static SUITE: [Check; 5] = [
        Check {
            id: "fails",
            needs: &[],
            run: |_| Err(CheckError::failed("this", "that")),
            ..DEFAULTS
        },
        Check {
            id: "needs-failed",
            needs: &["fails"],
            ..DEFAULTS
        },
        Check {
            id: "needs-not-reached",
            needs: &["needs-failed"],
            ..DEFAULTS
        },
        Check {
            id: "panics",
            needs: &[],
            run: |_| panic!("oops"),
            ..DEFAULTS
        },
        Check {
            id: "needs-broken",
            needs: &["panics", "is-not-in-this-suite"],
            ..DEFAULTS
        },
    ];

    #[test]
    fn check_is_not_reached_if_a_needed_one_fails() {
        let run = Run::new(SUITE.iter().collect(), Program::new("true"), 1);
        let mut count = 0;
        let verdicts = run_all(run, |_, _| count += 1);
        assert_eq!(count, SUITE.len());
        let [failed, next, last, broken, after] = verdicts.try_into().unwrap();
        assert!(matches!(failed.verdict, Verdict::Failed(_)));
        for timed in [next, last] {
            let Verdict::NotReached(reason) = timed.verdict else {
                panic!("{timed:?}");
            };
            assert_eq!(reason, "`fails` must pass first");
        }
        for timed in [broken, after] {
            assert!(matches!(timed.verdict, Verdict::Broken(_)), "{timed:?}");
        }
    }
}
