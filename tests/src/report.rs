//! A report: what a grading found, in a form that programs can read.
//!
//! This is the JSON format of `cargo lab grade`, version `http-lab/grade/v1`; the schema
//! stands in `tests/schema/grade-v1.json`. Fields may be added to a version, none is renamed
//! or taken away. The other formats are made from it.

use crate::check::Check;
use crate::explain::{Details, explain, lesson};
use crate::suite::{Timed, Verdict};
use crate::workspace;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::Path;

/// The name and version of the format.
pub const SCHEMA: &str = "http-lab/grade/v1";

/// What a grading found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub schema: String,
    /// The stage whose suite was run.
    pub stage: u8,
    /// What was graded, as a person would name it.
    pub program: String,
    /// Repeats the run, as `--seed`.
    pub seed: u64,
    /// When it began (RFC 3339, in UTC).
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    pub status: Status,
    /// Whole points; the greatest possible number is 100 for each stage.
    pub score: u32,
    pub max_score: u32,
    /// What there is to say of the whole; often nothing.
    pub message: String,
    pub checks: Vec<Line>,
    /// The submission that this belongs to, where many are graded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<Submission>,
}

/// A submission, among many.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Submission {
    pub name: String,
    /// Changes with the submission's files, and with what graded them.
    pub fingerprint: String,
}

/// What one check found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    pub id: String,
    /// What must be true, in a line.
    pub must: String,
    pub status: Status,
    pub score: u32,
    pub max_score: u32,
    pub seconds: f64,
    /// Where to read on.
    pub lesson: String,
    /// What there is to say to the student; nothing if it passed.
    pub output: String,
}

/// How a check, or the whole, ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Passed,
    /// The server's fault.
    Failed,
    /// Something that it needs has failed.
    NotReached,
    /// It cannot be run here, or the run was ended before.
    NotRun,
    /// The harness's fault: what it concerns must be graded again.
    Broken,
}

impl Status {
    /// As it stands in the formats.
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

impl Line {
    /// A check of that many points that has not been run yet.
    pub fn new(check: &Check, points: u32) -> Line {
        Line {
            id: check.id.to_string(),
            must: check.must.to_string(),
            status: Status::NotRun,
            score: 0,
            max_score: points,
            seconds: 0.0,
            lesson: lesson(check),
            output: "  not run: the run ended before its turn\n".to_string(),
        }
    }

    /// Takes in a verdict of that stage's suite, told with these details.
    pub fn set(&mut self, check: &Check, timed: &Timed, details: Details, stage: u8) {
        self.status = match timed.verdict {
            Verdict::Passed => Status::Passed,
            Verdict::Failed(_) => Status::Failed,
            Verdict::NotReached(_) => Status::NotReached,
            Verdict::NotRun(_) => Status::NotRun,
            Verdict::Broken(_) => Status::Broken,
        };
        self.score = match self.status {
            Status::Passed => self.max_score,
            _ => 0,
        };
        self.seconds = timed.took.as_secs_f64();
        self.output = explain(check, &timed.verdict, details, workspace::stage(stage).port);
    }
}

impl Report {
    /// How many checks ended like that.
    pub fn count(&self, status: Status) -> usize {
        self.checks
            .iter()
            .filter(|line| line.status == status)
            .count()
    }

    /// Sums up the checks.
    pub fn sum_up(&mut self) {
        self.score = self.checks.iter().map(|line| line.score).sum();
        self.status = if self.count(Status::Broken) > 0 {
            Status::Broken
        } else if self.score == self.max_score {
            Status::Passed
        } else {
            Status::Failed
        };
    }

    /// Nothing could be checked, for a reason that is the server's fault or the harness's.
    pub fn give_up(&mut self, status: Status, message: String) {
        for line in &mut self.checks {
            line.status = match status {
                Status::Broken => Status::Broken,
                _ => Status::NotReached,
            };
            let why = message.lines().next().unwrap_or_default();
            line.output = format!(
                "  must be true: {}\n  {}: {why}\n",
                line.must,
                line.status.name()
            );
        }
        self.message = message;
        self.sum_up();
    }
}

/// Writes a file as a whole or not at all: first beside its place, then into it.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".lab-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}
