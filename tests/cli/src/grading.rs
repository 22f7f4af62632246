//! A grading: runs checks on a program, and keeps a report that is up to date at any time.

use crate::report::{Budget, Report, Status};
use crate::{program, progress};
use harness::account::Account;
use harness::cleanup::{self, ScratchDir};
use harness::error::FailureKind;
use harness::program::Program;
use harness::{process, quota};
use indicatif::ProgressBar;
use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use suite::check::{ANNOUNCEMENT, Check};
use suite::checks;
use suite::explain::Details;
use suite::run::{self, Run, TimedVerdict, Verdict};
use suite::translation::{fill, text};

/// How long it may take to grade a program that is built. No server makes it take that long, so the
/// grading process itself must be stuck.
const GRADE_TIMEOUT: Duration = Duration::from_secs(300);

/// A grading, before, while and after it runs.
pub struct Grading {
    checks: Vec<&'static Check>,
    stage: u8,
    seed: u64,
    details: Details,
    started: Instant,
    report: Arc<Mutex<Report>>,
}

impl Grading {
    /// A grading by the checks of a stage. `program` names in the report what is graded.
    pub fn of_stage(stage: u8, program: String, seed: u64, details: Details) -> Grading {
        Grading::new(checks::of_stage(stage), stage, program, seed, details)
    }

    /// A grading by other checks.
    pub fn new(
        checks: Vec<&'static Check>,
        stage: u8,
        program: String,
        seed: u64,
        details: Details,
    ) -> Grading {
        let report = Report::new(&checks, stage, program, seed);
        Grading {
            checks,
            stage,
            seed,
            details,
            started: Instant::now(),
            report: Arc::new(Mutex::new(report)),
        }
    }

    /// The same grading, whose report says how much of a budget for details is spent.
    pub fn within(self, budget: Option<Budget>) -> Grading {
        lock(&self.report).details_budget = budget;
        self
    }

    /// For a signal handler: a function that returns what is known when it is called.
    pub fn later_snapshot(&self) -> impl Fn() -> Report + Send + use<> {
        let (report, started) = (Arc::clone(&self.report), self.started);
        move || snapshot(&report, started)
    }

    /// Runs the checks on a program, with a progress bar.
    pub fn run_with_bar(&self, program: Program) -> Report {
        self.run(program, &progress::bar(self.checks.len()))
    }

    /// Runs the checks on a program. The bar names the last check that failed.
    pub fn run(&self, program: Program, bar: &ProgressBar) -> Report {
        process::adopt_orphans();
        let run = Run::new(self.checks.clone(), program, self.seed);
        let verdicts = run::run_all(run, |index, timed| {
            self.record(index, timed);
            bar.inc(1);
            if matches!(timed.verdict, Verdict::Failed(_)) {
                let id = self.checks[index].id;
                bar.set_message(fill("failed: {id}", &[("id", &id)]));
            }
        });
        bar.finish_and_clear();
        cleanup::kill_orphans();
        // This includes the checks that never ended.
        for (index, timed) in verdicts.iter().enumerate() {
            self.record(index, timed);
        }
        lock(&self.report).message = self.summary(&verdicts);
        snapshot(&self.report, self.started)
    }

    /// What there is to say about the whole run: why nothing else could pass.
    fn summary(&self, verdicts: &[TimedVerdict]) -> String {
        if let Some(reason) = quota::exceeded() {
            return fill(
                "The server was stopped for good: {reason}.",
                &[("reason", &reason)],
            );
        }
        let announcement = self
            .checks
            .iter()
            .position(|check| check.id == ANNOUNCEMENT);
        let verdict = announcement.and_then(|index| verdicts.get(index));
        let Some(Verdict::Failed(failure)) = verdict.map(|timed| &timed.verdict) else {
            return String::new();
        };
        let problem = match failure.evidence.kind {
            FailureKind::NotStarted => text("The server doesn't start"),
            FailureKind::NotAnnounced => text("The server doesn't announce its address"),
            FailureKind::WrongAddress => text("The server listens on another address"),
            FailureKind::NotListening => text("The server doesn't accept connections"),
            _ => return String::new(),
        };
        let received = failure.evidence.received.lines().next();
        match (self.details, received) {
            (Details::Full, Some(received)) => fill(
                "{problem}: {received}.",
                &[("problem", &problem), ("received", &received)],
            ),
            _ => fill("{problem}.", &[("problem", &problem)]),
        }
    }

    /// Ends the grading before any check could run. A broken grading is the harness's fault, any
    /// other the server's.
    pub fn abort(&self, status: Status, message: String) -> Report {
        let reason = message.lines().next().unwrap_or_default().to_string();
        let timed = TimedVerdict {
            first_attempt: None,
            verdict: match status {
                Status::Broken => Verdict::Broken(reason),
                _ => Verdict::NotReached(reason),
            },
            duration: Duration::ZERO,
        };
        for index in 0..self.checks.len() {
            self.record(index, &timed);
        }
        lock(&self.report).message = message;
        snapshot(&self.report, self.started)
    }

    fn record(&self, index: usize, timed: &TimedVerdict) {
        let mut timed = timed.clone();
        // A check breaks when what it needs is killed, too.
        if let (Verdict::Broken(_), Some(reason)) = (&timed.verdict, quota::exceeded()) {
            timed.verdict = Verdict::NotReached(fill(
                "the server was stopped: {reason}",
                &[("reason", &reason)],
            ));
        }
        let check = &mut lock(&self.report).checks[index];
        check.record(self.checks[index], &timed, self.details, self.stage);
    }
}

/// A user that submissions are built and run as.
pub struct User {
    pub name: String,
    pub account: Account,
}

impl User {
    /// Looks up a user by name, as [`Account::named`] does.
    pub fn named(name: &str) -> Result<User, String> {
        Ok(User {
            name: name.to_string(),
            account: Account::named(name)?,
        })
    }
}

/// Grades a program in a process of its own, with the bounds of [`quota`], as a user.
/// So a server that kills or confuses the grading process harms only its own grade.
pub fn in_process(
    program: &Program,
    user: Option<&User>,
    stage: u8,
    seed: u64,
    details: Details,
) -> Result<Report, String> {
    let run_error = |error: io::Error| format!("Cannot run the grading process: {error}");
    // Temporary files of the process are removed with this folder, even if it is killed.
    let scratch = ScratchDir::new().map_err(run_error)?;
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).map_err(run_error)?;
    let mut command = Command::new(env::current_exe().map_err(run_error)?);
    command
        .env("TMPDIR", scratch.path())
        .args(["grade", &stage.to_string(), "--format", "json"])
        .args(["--seed", &seed.to_string(), "--details", details.name()])
        .arg("--server")
        .arg(&program.path);
    if let Some(user) = user {
        command.args(["--user", &user.name]);
    }
    let (output, _) = program::run_within(&mut command, GRADE_TIMEOUT).map_err(run_error)?;
    // If the process was killed, what it left behind becomes our child.
    cleanup::kill_orphans();
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let (status, errors) = (output.status, errors.trim());
        format!("The grading process wrote no report ({status}). {errors}")
    })
}

fn lock(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known so far.
fn snapshot(report: &Mutex<Report>, started: Instant) -> Report {
    let mut report = lock(report).clone();
    report.seconds = started.elapsed().as_secs_f64();
    report.sum_up();
    report
}
