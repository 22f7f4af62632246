//! A class: many submissions, graded several at a time.
//!
//! Each submission is graded by a process of its own, so that a server that kills or confuses the
//! grading process harms only its own grade. Results are written as soon as they are known, so an
//! interrupted run resumes.

mod summary;

use crate::format::{self, Format};
use crate::grading::Grading;
use crate::report::{Report, SCHEMA, Status, SubmissionId};
use crate::{file, fingerprint, program, progress, submission};
use harness::cleanup::{self, ScratchDir};
use harness::program::Program;
use harness::style::{BOLD, paint};
use harness::{process, workspace};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use suite::explain::Details;

/// How long it may take to grade one submission, without building it. No server makes it take
/// that long, so the grading process itself must be stuck.
const GRADE_TIMEOUT: Duration = Duration::from_secs(300);

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
    /// The users that servers run as. Each user runs one server at a time, since processes of
    /// the same user can kill each other.
    pub users: Vec<String>,
    /// How many submissions to grade at a time; `None` for one for each processor.
    pub jobs: Option<u16>,
    pub build_limit: Duration,
}

struct Class {
    settings: Settings,
    /// The folder of submissions, and the folder for the results of each.
    folder: PathBuf,
    results: PathBuf,
    names: Vec<String>,
    /// Changes with everything that decides a verdict, other than the submission.
    grader: String,
    reports: Mutex<BTreeMap<String, Report>>,
    bar: ProgressBar,
}

/// Grades every folder in `folder`, and writes the results and summaries to `output`. Fails if a
/// grade doesn't count.
pub fn grade(folder: &Path, output: &Path, settings: Settings) -> Result<(), String> {
    let results = output.join("results");
    fs::create_dir_all(&results)
        .map_err(|error| format!("Cannot create {}: {error}", results.display()))?;
    let names = submission_names(folder, output)
        .map_err(|error| format!("Cannot read {}: {error}", folder.display()))?;
    if names.is_empty() {
        let shown = folder.display();
        return Err(format!(
            "There are no submissions in {shown}. Each submission is a folder in it."
        ));
    }
    let class = Class {
        grader: grader_fingerprint(&settings)?,
        settings,
        folder: folder.to_path_buf(),
        results,
        bar: progress::bar(names.len()),
        names,
        reports: Mutex::default(),
    };
    process::adopt_orphans();
    class.load_earlier_results();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..class.workers() {
            let (class, next) = (&class, &next);
            scope.spawn(move || {
                while let Some(name) = class.names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    class.grade_one(name, class.settings.users.get(worker));
                }
            });
        }
    });
    class.bar.finish_and_clear();
    class.finish(output)
}

/// The folders in a folder, by name, without hidden ones and without the output.
fn submission_names(folder: &Path, output: &Path) -> io::Result<Vec<String>> {
    let output = output.canonicalize()?;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_output = entry.path().canonicalize().is_ok_and(|path| path == output);
        if entry.file_type()?.is_dir() && !is_output && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
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

    fn result_path(&self, name: &str) -> PathBuf {
        self.results.join(format!("{name}.json"))
    }

    /// Loads the results of an earlier run that are still valid.
    fn load_earlier_results(&self) {
        for name in &self.names {
            let text = fs::read(self.result_path(name)).unwrap_or_default();
            let Ok(report) = serde_json::from_slice::<Report>(&text) else {
                continue;
            };
            let submission = report.submission.as_ref();
            let is_valid = report.schema == SCHEMA
                && report.stage == self.settings.stage
                && report.status != Status::Broken
                && submission.is_some_and(|id| id.fingerprint == self.fingerprint(name));
            if is_valid {
                self.bar.inc(1);
                self.reports().insert(name.clone(), report);
            }
        }
    }

    fn fingerprint(&self, name: &str) -> String {
        match fingerprint::of(&[self.folder.join(name)]) {
            Ok(files) => format!("{files:016x}-{}", self.grader),
            Err(error) => format!("unreadable: {error}"),
        }
    }

    /// Grades one submission, unless an earlier run did.
    fn grade_one(&self, name: &str, user: Option<&String>) {
        if self.reports().contains_key(name) {
            return;
        }
        self.bar.set_message(name.to_string());
        let settings = &self.settings;
        let submission = SubmissionId {
            name: name.to_string(),
            fingerprint: self.fingerprint(name),
        };
        let folder = self.folder.join(name);
        let report = submission::program(settings.stage, &folder, settings.build_limit)
            .map_err(|message| (Status::Failed, message))
            .and_then(|program| {
                let report = self.grade_in_process(&program, user);
                report.map_err(|message| (Status::Broken, message))
            });
        let mut report = report.unwrap_or_else(|(status, message)| {
            let (stage, seed, details) = (settings.stage, settings.seed, settings.details);
            Grading::of_stage(stage, String::new(), seed, details).abort(status, message)
        });
        report.program = name.to_string();
        report.submission = Some(submission);
        self.save(name, &report);
        self.reports().insert(name.to_string(), report);
        self.bar.inc(1);
    }

    /// Grades a program in a process of its own, and reads its report.
    fn grade_in_process(&self, program: &Program, user: Option<&String>) -> Result<Report, String> {
        let run_error = |error: io::Error| format!("Cannot run the grading process: {error}");
        // Temporary files of the process are removed with this folder, even if it is killed.
        let scratch = ScratchDir::new().map_err(run_error)?;
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).map_err(run_error)?;
        let settings = &self.settings;
        let mut command = Command::new(env::current_exe().map_err(run_error)?);
        command
            .env("TMPDIR", scratch.path())
            .args(["grade", &settings.stage.to_string()])
            .args(["--format", "json"])
            .args(["--seed", &settings.seed.to_string()])
            .args(["--details", settings.details.name()])
            .arg("--server")
            .arg(&program.path);
        if let Some(user) = user {
            command.args(["--user", user]);
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

    /// Writes the result of a submission.
    fn save(&self, name: &str, report: &Report) {
        let text = format::text(report, Format::Json);
        if let Err(error) = file::write_atomically(&self.result_path(name), text) {
            self.bar.suspend(|| eprintln!("{error}"));
        }
    }

    /// Writes all results again, now that no server runs that could have changed them, and the
    /// summaries.
    fn finish(&self, output: &Path) -> Result<(), String> {
        let reports = self.reports();
        for (name, report) in reports.iter() {
            self.save(name, report);
        }
        let reports: Vec<&Report> = reports.values().collect();
        let (csv, html) = (output.join("summary.csv"), output.join("summary.html"));
        file::write_atomically(&csv, summary::csv(&reports)?)?;
        file::write_atomically(&html, summary::html(self.settings.stage, &reports))?;
        for report in &reports {
            let score = format!("{:3} of {}", report.score, report.max_score);
            let score = paint(format::style(report.status), score);
            let message = report.message.lines().next().unwrap_or_default();
            anstream::println!("{score}  {}  {message}", report.program);
        }
        anstream::println!(
            "{} {}, {}, {}/",
            paint(BOLD, "Wrote"),
            html.display(),
            csv.display(),
            self.results.display()
        );
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
