//! A report: the result of a grading, in a form that programs can read.
//!
//! `cargo lab grade N --format json` writes it; `tests/schema/grade-v2.json` is its schema. The
//! other formats are made from it. To rename or remove a field takes a new version of the
//! schema, to add one doesn't.

use harness::workspace;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use suite::CONTRACT_VERSION;
use suite::check::{Check, points};
use suite::explain::{Details, explain, summarize};
use suite::run::{TimedVerdict, Verdict};
use suite::translation::{fill, text};

/// The name and version of the schema.
pub const SCHEMA: &str = "http-lab/grade/v2";

/// The result of a grading.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub schema: String,
    /// The version of the lab that graded.
    pub lab_version: String,
    /// The version of the contract that the server was held to.
    pub contract_version: u32,
    /// The stage whose checks were run.
    pub stage: u8,
    /// What was graded, as a person would name it.
    pub program: String,
    /// `--seed` with this number repeats the run.
    pub seed: u64,
    /// When it started (RFC 3339, in UTC).
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    pub status: Status,
    /// Whole points.
    pub score: u32,
    pub max_score: u32,
    /// What there is to say about the whole run; usually nothing.
    pub message: String,
    pub checks: Vec<CheckReport>,
    /// Which submission this is, if a class was graded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<SubmissionId>,
    /// How often it was graded, if that decides how much is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details_budget: Option<Budget>,
}

/// How many grades within an hour show all details, and how many there were.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Budget {
    pub grades: u32,
    /// When the submission was graded within an hour, this time included (RFC 3339, in UTC).
    pub recent: Vec<String>,
}

impl Budget {
    /// Whether only hints are shown.
    pub fn is_exceeded(&self) -> bool {
        self.recent.len() > self.grades as usize
    }

    /// What a student must know about it, if only hints are shown.
    pub fn note(&self) -> Option<String> {
        let (count, grades) = (self.recent.len(), self.grades);
        self.is_exceeded().then(|| {
            fill(
                "This is grade {count} within an hour. After {grades}, there are hints only. Test your server \
                 yourself before the next one.",
                &[("count", &count), ("grades", &grades)],
            )
        })
    }
}

/// A submission of a class.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SubmissionId {
    pub name: String,
    /// Changes with the submission's files, and with what graded them.
    pub fingerprint: String,
}

/// The result of one check.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CheckReport {
    pub id: String,
    /// What a server must do, in a line.
    pub must: String,
    pub status: Status,
    pub score: u32,
    pub max_score: u32,
    pub seconds: f64,
    /// What it found first, if it ran again because the machine was too busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_attempt: Option<String>,
    /// Where to read more.
    pub lesson: String,
    /// The explanation for the student; empty if the check passed.
    pub output: String,
}

/// How a check, or the whole run, ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Passed,
    /// The server's fault.
    Failed,
    /// A check that it needs has failed.
    NotReached,
    /// It can't run here, or the run ended before it started.
    NotRun,
    /// The harness's fault: grade again.
    Broken,
}

impl Status {
    /// Its name in the formats.
    pub fn name(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::NotReached => "not-reached",
            Status::NotRun => "not-run",
            Status::Broken => "broken",
        }
    }
}

impl CheckReport {
    /// A check that has not run yet.
    fn new(check: &Check, points: u32) -> CheckReport {
        CheckReport {
            id: check.id.to_string(),
            must: text(check.must).to_string(),
            status: Status::NotRun,
            score: 0,
            max_score: points,
            seconds: 0.0,
            first_attempt: None,
            lesson: check.lesson(),
            output: format!(
                "  {}{}\n",
                text("not run: "),
                text("the run ended before this check started")
            ),
        }
    }

    /// Records the verdict of this check.
    pub fn record(&mut self, check: &Check, timed: &TimedVerdict, details: Details, stage: u8) {
        self.status = match timed.verdict {
            Verdict::Passed => Status::Passed,
            Verdict::Failed(_) => Status::Failed,
            Verdict::NotReached(_) => Status::NotReached,
            Verdict::NotRun(_) => Status::NotRun,
            Verdict::Broken(_) => Status::Broken,
        };
        let passed = self.status == Status::Passed;
        self.score = if passed { self.max_score } else { 0 };
        self.seconds = timed.duration.as_secs_f64();
        let port = workspace::stage(stage).port;
        let first_attempt = timed.first_attempt.as_ref();
        self.first_attempt = first_attempt.map(|first| summarize(first, details));
        self.output = explain(check, timed, details, port);
    }
}

impl Report {
    /// The report of a run that starts now.
    pub fn new(checks: &[&Check], stage: u8, program: String, seed: u64) -> Report {
        let points = points(checks);
        let checks = checks.iter().zip(points);
        Report {
            schema: SCHEMA.to_string(),
            lab_version: env!("CARGO_PKG_VERSION").to_string(),
            contract_version: CONTRACT_VERSION,
            stage,
            program,
            seed,
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            seconds: 0.0,
            status: Status::NotRun,
            score: 0,
            max_score: 100,
            message: text("The run was interrupted.").to_string(),
            checks: checks
                .map(|(check, points)| CheckReport::new(check, points))
                .collect(),
            submission: None,
            details_budget: None,
        }
    }

    /// How many checks have this status.
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }

    /// Computes the score and the status of the whole from those of the checks.
    pub fn sum_up(&mut self) {
        self.score = self.checks.iter().map(|check| check.score).sum();
        self.status = if self.count(Status::Broken) > 0 {
            Status::Broken
        } else if self.count(Status::Passed) == self.checks.len() {
            Status::Passed
        } else {
            Status::Failed
        };
    }
}
