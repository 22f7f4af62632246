//! A class: many submissions, graded several at a time.
//!
//! Each submission is graded by a process of its own, so that a server that kills or confuses the
//! grading process harms only its own grade. Results are written as soon as they are known, so an
//! interrupted run resumes.

mod folder;
mod student;
mod summary;

pub use folder::Shard;

use crate::format::{self, Format};
use crate::grading::{self, Grading, User};
use crate::program::Problem;
use crate::report::{Report, SCHEMA, Status, SubmissionId};
use crate::submission::{self, Builder};
use crate::{budget, file, fingerprint, progress};
use folder::{Folder, Submission};
use harness::style::{BOLD, YELLOW, paint};
use harness::{cleanup, process, workspace};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use suite::explain::Details;

/// What decides a verdict, other than the submission and the stage's manifest.
const GRADER: [&str; 5] = [
    "Cargo.lock",
    "Cargo.toml",
    "tests/cli/src",
    "tests/harness/src",
    "tests/suite/src",
];

/// How a class is graded.
pub struct Settings {
    pub stage: u8,
    pub seed: u64,
    pub details: Details,
    /// After this many grades within an hour there are hints only; `None` for no such limit.
    pub details_budget: Option<u32>,
    /// The users that submissions are built and run as. Each user has one submission at a time, since
    /// processes of the same user can kill each other.
    pub users: Vec<User>,
    /// How many submissions to grade at a time; `None` for one for each processor.
    pub jobs: Option<u16>,
    pub build_limit: Duration,
    /// The part of the class to grade; `None` for all of it.
    pub shard: Option<Shard>,
    /// The outputs of other runs, whose results are joined; nothing is graded then.
    pub merge: Vec<PathBuf>,
}

struct Class {
    settings: Settings,
    builder: Builder,
    submissions: Vec<Submission>,
    /// What is in the folder but no submission, and why.
    skipped: Vec<(String, String)>,
    output: PathBuf,
    /// Changes with everything that decides a verdict, other than the submission.
    grader: String,
    reports: Mutex<BTreeMap<String, Report>>,
    bar: ProgressBar,
}

/// Grades every submission in `folder`, and writes the results and summaries to `output`. Fails if a
/// grade doesn't count.
pub fn grade(folder: &Path, output: &Path, settings: Settings) -> Result<(), String> {
    let class = Arc::new(Class::open(folder, output, settings)?);
    class.load_results(output);
    if class.settings.merge.is_empty() {
        for gap in class.builder.gaps() {
            anstream::eprintln!("{} {gap}", paint(YELLOW, "note:"));
        }
        process::adopt_orphans();
        let interrupted = Arc::clone(&class);
        cleanup::on_interrupt(Some(Box::new(move || interrupted.save_unfinished())));
        class.grade_all();
        cleanup::on_interrupt(None);
    } else {
        for other in &class.settings.merge {
            class.load_results(other);
        }
    }
    class.bar.finish_and_clear();
    class.finish()
}

/// A text that changes with everything that decides a verdict, other than the submission.
fn grader_fingerprint(settings: &Settings) -> Result<String, String> {
    let mut paths: Vec<PathBuf> = GRADER.map(|path| workspace::root().join(path)).into();
    paths.push(workspace::folder(workspace::stage(settings.stage), false).join("Cargo.toml"));
    let sources = fingerprint::of(&paths);
    let sources = sources.map_err(|error| format!("Cannot read the suite: {error}"))?;
    let (details, limit) = (settings.details.name(), settings.build_limit.as_secs());
    Ok(format!("{sources:016x}-{details}-{limit}"))
}

impl Class {
    fn open(folder: &Path, output: &Path, settings: Settings) -> Result<Class, String> {
        let results = output.join("results");
        fs::create_dir_all(&results)
            .map_err(|error| format!("Cannot create {}: {error}", results.display()))?;
        let mut found = Folder::read(folder, output)
            .map_err(|error| format!("Cannot read {}: {error}", folder.display()))?;
        if let Some(shard) = settings.shard {
            found.keep(shard);
        }
        if found.submissions.is_empty() && settings.shard.is_none() {
            let shown = folder.display();
            return Err(format!(
                "There are no submissions in {shown}. Each submission is a folder in it, or a .zip or \
                 .tar.gz."
            ));
        }
        let users = settings.users.iter().map(|user| user.account).collect();
        Ok(Class {
            grader: grader_fingerprint(&settings)?,
            builder: Builder::new(settings.stage, settings.build_limit, users),
            settings,
            bar: progress::bar(found.submissions.len()),
            submissions: found.submissions,
            skipped: found.skipped,
            output: output.to_path_buf(),
            reports: Mutex::default(),
        })
    }

    /// Grades what has no result yet, several submissions at a time.
    fn grade_all(&self) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for worker in 0..self.workers() {
                let next = &next;
                scope.spawn(move || {
                    let next = || self.submissions.get(next.fetch_add(1, Ordering::Relaxed));
                    while let Some(submission) = next() {
                        self.grade_one(submission, self.settings.users.get(worker));
                    }
                });
            }
        });
    }

    /// How many submissions are graded at a time.
    fn workers(&self) -> usize {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.settings.jobs.map_or(processors, usize::from);
        match self.settings.users.len() {
            0 => jobs,
            users => jobs.min(users),
        }
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<String, Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file in the results of an output.
    fn result_path(output: &Path, name: &str, ending: &str) -> PathBuf {
        output.join("results").join(format!("{name}.{ending}"))
    }

    /// Loads the results in the output of an earlier run that are still valid.
    fn load_results(&self, output: &Path) {
        for submission in &self.submissions {
            let path = Class::result_path(output, &submission.name, "json");
            let Ok(report) = serde_json::from_slice::<Report>(&fs::read(path).unwrap_or_default())
            else {
                continue;
            };
            let id = report.submission.as_ref();
            let is_valid = report.schema == SCHEMA
                && report.stage == self.settings.stage
                && report.status != Status::Broken
                && id.is_some_and(|id| id.fingerprint == self.fingerprint(submission));
            if is_valid {
                let earlier = self.reports().insert(submission.name.clone(), report);
                self.bar.inc(u64::from(earlier.is_none()));
            }
        }
    }

    fn fingerprint(&self, submission: &Submission) -> String {
        match fingerprint::of(&[&submission.path]) {
            Ok(files) => format!("{files:016x}-{}", self.grader),
            Err(error) => format!("unreadable: {error}"),
        }
    }

    /// Grades one submission, unless an earlier run did.
    fn grade_one(&self, submission: &Submission, user: Option<&User>) {
        let name = &submission.name;
        if self.reports().contains_key(name) {
            return;
        }
        self.bar.set_message(name.clone());
        let mut fingerprint = self.fingerprint(submission);
        let account = user.map(|user| user.account);
        let path = Class::result_path(&self.output, name, "json");
        let grades = self.settings.details_budget;
        let budget = grades.map(|grades| budget::spend(grades, self.settings.stage, &path));
        let details = budget::details(self.settings.details, budget.as_ref());
        let report =
            submission::program(&self.builder, &submission.path, account).and_then(|program| {
                let Settings { stage, seed, .. } = self.settings;
                let report = grading::in_process(&program, user, stage, seed, details);
                report.map_err(Problem::Lab)
            });
        let mut report = report.unwrap_or_else(|problem| {
            let (status, message) = match problem {
                Problem::Submission(message) => (Status::Failed, message),
                Problem::Lab(message) => (Status::Broken, message),
                Problem::TimedOut(message) => {
                    // The next run tries again.
                    fingerprint.clear();
                    (Status::Failed, message)
                }
            };
            let Settings { stage, seed, .. } = self.settings;
            Grading::of_stage(stage, String::new(), seed, details).abort(status, message)
        });
        report.program.clone_from(name);
        report.details_budget = budget;
        report.submission = Some(SubmissionId {
            name: name.clone(),
            fingerprint,
        });
        self.save(&report);
        self.reports().insert(name.clone(), report);
        self.bar.inc(1);
    }

    /// Writes the result of a submission.
    fn save(&self, report: &Report) {
        let path = |ending| Class::result_path(&self.output, &report.program, ending);
        let text = format::text(report, Format::Json);
        let saved = file::write_atomically(&path("json"), text)
            .and_then(|()| file::write_atomically(&path("html"), student::page(report)));
        if let Err(error) = saved {
            self.bar.suspend(|| eprintln!("{error}"));
        }
    }

    /// Writes results again, now that no server runs that could have changed them, and the summaries.
    fn save_all(&self, reports: &[&Report]) -> Result<(), String> {
        for report in reports {
            self.save(report);
        }
        let summary = summary::Summary {
            stage: self.settings.stage,
            reports,
            submissions: self.submissions.len(),
            skipped: &self.skipped,
        };
        file::write_atomically(&self.output.join("summary.csv"), summary.csv()?)?;
        file::write_atomically(&self.output.join("gradebook.csv"), summary.gradebook()?)?;
        file::write_atomically(&self.output.join("summary.html"), summary.html())
    }

    /// Writes what is known when a signal ends the run.
    fn save_unfinished(&self) {
        let reports = self.reports();
        // The signal has ended the gradings that were running.
        let counts = |report: &&Report| report.status != Status::Broken;
        let reports: Vec<&Report> = reports.values().filter(counts).collect();
        if let Err(error) = self.save_all(&reports) {
            eprintln!("{error}");
        }
        eprintln!(
            "Interrupted: {} of {} submissions are graded; {}/summary.html shows them. To grade the \
             others, run the same command again.",
            reports.len(),
            self.submissions.len(),
            self.output.display()
        );
    }

    /// Writes and prints the results.
    fn finish(&self) -> Result<(), String> {
        let reports = self.reports();
        let reports: Vec<&Report> = reports.values().collect();
        self.save_all(&reports)?;
        for report in &reports {
            let score = format!("{:3} of {}", report.score, report.max_score);
            let score = paint(format::style(report.status), score);
            let message = report.message.lines().next().unwrap_or_default();
            anstream::println!("{score}  {}  {message}", report.program);
        }
        for (name, reason) in &self.skipped {
            anstream::println!("{}  {name}: {reason}", paint(YELLOW, "skipped   "));
        }
        let shown = self.output.display();
        let wrote = paint(BOLD, "Wrote");
        anstream::println!(
            "{wrote} {shown}/summary.html, {shown}/summary.csv, {shown}/gradebook.csv, {shown}/results/"
        );
        self.ensure_complete(&reports)
    }

    /// Fails if a grade is missing or doesn't count.
    fn ensure_complete(&self, reports: &[&Report]) -> Result<(), String> {
        let has_report = |name: &str| reports.iter().any(|report| report.program == name);
        let names = self.submissions.iter().map(|it| it.name.as_str());
        let missing: Vec<&str> = names.filter(|name| !has_report(name)).collect();
        if !missing.is_empty() {
            return Err(format!(
                "{} of the submissions have no current result: {}. To grade them, run the same \
                 command without --merge.",
                missing.len(),
                missing.join(", ")
            ));
        }
        let is_broken = |report: &&&Report| report.status == Status::Broken;
        match reports.iter().filter(is_broken).count() {
            0 => Ok(()),
            count => Err(format!(
                "{count} of the grades don't count, because the harness broke. Run the same \
                 command again to grade these submissions again."
            )),
        }
    }
}
