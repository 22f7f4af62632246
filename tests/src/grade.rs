//! Grading: the suite of a stage, or other checks, on one program, and what it found.

use crate::check::{Check, points};
use crate::explain::Details;
use crate::program::Program;
use crate::report::{Line, Report, SCHEMA};
use crate::suite::{self, Run, Timed};
use crate::{checks, ending, system};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// What is graded, and how.
pub struct Grading {
    pub stage: u8,
    /// What is graded, as a person would name it.
    pub shown: String,
    pub seed: u64,
    pub details: Details,
    checks: Vec<&'static Check>,
    started: Instant,
    report: Arc<Mutex<Report>>,
}

impl Grading {
    /// Gets ready: until something is known, no check has been run.
    pub fn new(stage: u8, shown: String, seed: u64, details: Details) -> Grading {
        Grading::by(checks::of_stage(stage), stage, shown, seed, details)
    }

    /// The same, by these checks in place of the whole suite.
    pub fn by(
        checks: Vec<&'static Check>,
        stage: u8,
        shown: String,
        seed: u64,
        details: Details,
    ) -> Grading {
        let lines = checks
            .iter()
            .zip(points(&checks))
            .map(|(check, points)| Line::new(check, points));
        let report = Report {
            schema: SCHEMA.to_string(),
            stage,
            program: shown.clone(),
            seed,
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            seconds: 0.0,
            status: crate::report::Status::NotRun,
            score: 0,
            max_score: 100,
            message: "The run was ended before it was through.".to_string(),
            checks: lines.collect(),
            submission: None,
        };
        Grading {
            stage,
            shown,
            seed,
            details,
            checks,
            started: Instant::now(),
            report: Arc::new(Mutex::new(report)),
        }
    }

    /// What is known so far.
    pub fn so_far(&self) -> Report {
        self.so_far_later()()
    }

    /// The same, for later: when a signal ends us.
    pub fn so_far_later(&self) -> impl Fn() -> Report + Send + use<> {
        let (report, started) = (Arc::clone(&self.report), self.started);
        move || {
            let mut report = report
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            report.seconds = started.elapsed().as_secs_f64();
            report.sum_up();
            report
        }
    }

    /// Runs the checks on a program. `progress` hears of each check as it ends.
    pub fn run(&self, program: Program, mut progress: impl FnMut(&Line)) -> Report {
        system::adopt_orphans();
        let checks = &self.checks;
        let run = Run::new(checks.clone(), program, self.seed);
        let set = |place: usize, timed: &Timed| {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.checks[place].set(checks[place], timed, self.details, self.stage);
            report.checks[place].clone()
        };
        let verdicts = suite::run_all(run, |place, timed| progress(&set(place, timed)));
        ending::sweep();
        // Of a check that never ended nothing was heard.
        for (place, timed) in verdicts.iter().enumerate() {
            set(place, timed);
        }
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.message.clear();
        drop(report);
        self.so_far()
    }
}
