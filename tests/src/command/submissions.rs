//! `cargo lab grade N --submissions DIR --output DIR`: a whole class.
//!
//! Each submission is graded by a harness of its own, a process: whatever one does to it, the
//! others have theirs. What is finished is kept, so that a run that was stopped goes on.

use super::fingerprint;
use super::grade::{Options, bar, executable};
use super::submission::{self, Submission as HandedIn};
use super::summary;
use crate::ending::{self, Folder, Group};
use crate::format::{self, Format};
use crate::grade::Grading;
use crate::paint::{BOLD, GREEN, RED, YELLOW, paint};
use crate::program::{Kept, Program, collect, settled};
use crate::report::{Report, SCHEMA, Status, Submission, write_whole};
use crate::{suite, system, workspace};
use clap::ValueEnum;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the grading of one submission may take, building aside. No server is slow
/// for so long: after that the harness itself hangs.
const GRADE_LIMIT: Duration = Duration::from_secs(300);

/// How long a harness may take to clean up when it is told to end.
const CLEANING_UP: Duration = Duration::from_secs(5);

/// What is graded, and where it goes.
struct Class<'a> {
    options: &'a Options,
    results: PathBuf,
    seed: u64,
    /// Changes with the suite.
    suite: u64,
    names: Vec<String>,
    folder: &'a Path,
    reports: Mutex<BTreeMap<String, Report>>,
    bar: ProgressBar,
}

/// Grades every folder in `folder`, several at a time.
pub fn grade(folder: &Path, options: &Options) -> Result<ExitCode, String> {
    let output = options.output.clone().unwrap_or_default();
    let results = output.join("results");
    fs::create_dir_all(&results)
        .map_err(|error| format!("Cannot make {}: {error}", results.display()))?;
    let names = names(folder, &output)?;
    let suite = fingerprint::of(&workspace::root().join("tests/src"));
    let class = Class {
        options,
        results,
        seed: options.seed.map_or_else(suite::seed, Ok)?,
        suite: suite.map_err(|error| format!("Cannot read the suite: {error}"))?,
        bar: bar(names.len()),
        names,
        folder,
        reports: Mutex::default(),
    };
    system::adopt_orphans();
    class.take_over();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..class.workers() {
            let (class, next) = (&class, &next);
            scope.spawn(move || {
                while let Some(name) = class.names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    class.grade_one(name, class.options.user.get(worker));
                }
            });
        }
    });
    class.bar.finish_and_clear();
    class.finish(&output)
}

/// The submissions: the folders in a folder, by name.
fn names(folder: &Path, output: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error: io::Error| format!("Cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_output = entry.path().canonicalize().ok() == output.canonicalize().ok();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !is_output && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    match names.is_empty() {
        true => Err(format!(
            "There are no submissions in {}: each is a folder of its own there.",
            folder.display()
        )),
        false => Ok(names),
    }
}

impl Class<'_> {
    /// How many submissions are graded at the same time. A user may end what is the user's
    /// own, so each has a user to itself, where there are users.
    fn workers(&self) -> usize {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let wanted = self.options.jobs.map_or(processors, usize::from);
        match self.options.user.len() {
            0 => wanted,
            users => wanted.min(users),
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.results.join(format!("{name}.json"))
    }

    /// Takes over what an earlier run has finished, if nothing has changed since.
    fn take_over(&self) {
        for name in &self.names {
            let kept = fs::read(self.place(name)).ok();
            let report = kept.and_then(|text| serde_json::from_slice::<Report>(&text).ok());
            let same = |report: &Report| {
                let known = report.submission.as_ref();
                report.schema == SCHEMA
                    && report.stage == self.options.stage
                    && report.status != Status::Broken
                    && known.is_some_and(|known| known.fingerprint == self.fingerprint(name))
            };
            if let Some(report) = report.filter(same) {
                self.bar.inc(1);
                self.locked().insert(name.clone(), report);
            }
        }
    }

    fn fingerprint(&self, name: &str) -> String {
        let files = fingerprint::of(&self.folder.join(name));
        let details = self.options.details.to_possible_value();
        let details = details.map_or(String::new(), |value| value.get_name().to_string());
        match files {
            Ok(files) => format!("{files:016x}-{:016x}-{details}", self.suite),
            Err(error) => format!("unreadable: {error}"),
        }
    }

    /// Grades one submission, if that is still to be done.
    fn grade_one(&self, name: &str, user: Option<&String>) {
        if self.locked().contains_key(name) {
            return;
        }
        self.bar.set_message(name.to_string());
        let fingerprint = self.fingerprint(name);
        let grading = Grading::new(
            self.options.stage,
            name.to_string(),
            self.seed,
            self.options.details,
        );
        let graded = self
            .program(name)
            .map_err(|message| (Status::Failed, message))
            .and_then(|program| {
                let graded = self.in_own_harness(&program, user);
                graded.map_err(|message| (Status::Broken, message))
            });
        let mut report = graded.unwrap_or_else(|(status, message)| {
            let mut report = grading.so_far();
            report.give_up(status, message);
            report
        });
        report.program = name.to_string();
        report.submission = Some(Submission {
            name: name.to_string(),
            fingerprint,
        });
        self.keep(name, &report);
        self.locked().insert(name.to_string(), report);
        self.bar.inc(1);
    }

    /// Finds and builds a submission.
    fn program(&self, name: &str) -> Result<Program, String> {
        match HandedIn::find(&self.folder.join(name))? {
            HandedIn::Server(path) => Ok(Program::new(executable(&path)?)),
            HandedIn::Sources(sources) => {
                let limit = Duration::from_secs(self.options.build_limit);
                submission::build(self.options.stage, &sources, limit)
            }
        }
    }

    /// Has a program graded by another process, and reads its report.
    fn in_own_harness(&self, program: &Program, user: Option<&String>) -> Result<Report, String> {
        let failed = |error: io::Error| format!("Cannot run the grading: {error}");
        // Its temporary files go with this folder, even if it cannot clean up itself.
        let room = Folder::new().map_err(failed)?;
        fs::set_permissions(room.path(), Permissions::from_mode(0o755)).map_err(failed)?;
        let mut harness = Command::new(std::env::current_exe().map_err(failed)?);
        harness.env("TMPDIR", room.path());
        harness
            .args(["grade", &self.options.stage.to_string()])
            .args(["--format", "json"])
            .args(["--seed", &self.seed.to_string()]);
        if let Some(details) = self.options.details.to_possible_value() {
            harness.args(["--details", details.get_name()]);
        }
        if let Some(user) = user {
            harness.args(["--user", user]);
        }
        harness
            .arg("--server")
            .arg(&program.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut child, group) = Group::start(&mut harness).map_err(failed)?;
        group.mark_as_grader();
        let (report, words) = (Kept::default(), Kept::default());
        collect(child.stdout.take(), &report);
        collect(child.stderr.take(), &words);
        let deadline = Instant::now() + GRADE_LIMIT;
        let mut asked = None;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            match asked {
                None if Instant::now() > deadline => {
                    group.ask_to_end();
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > CLEANING_UP => {
                    drop(group);
                    break child.wait().map_err(failed)?;
                }
                _ => thread::sleep(Duration::from_millis(20)),
            }
        };
        // What a harness that was killed has left behind comes to us.
        ending::sweep();
        serde_json::from_slice(&settled(&report)).map_err(|_| {
            let words = settled(&words);
            let words = String::from_utf8_lossy(&words);
            format!(
                "The grading ended without a report ({status}). {}",
                words.trim()
            )
        })
    }

    /// Writes the result of a submission.
    fn keep(&self, name: &str, report: &Report) {
        let text = format::write(report, Format::Json);
        let place = self.place(name);
        if let Err(error) = write_whole(&place, text.as_bytes()) {
            let message = format!("Cannot write {}: {error}", place.display());
            self.bar.suspend(|| eprintln!("{message}"));
        }
    }

    /// Writes everything that is known once more, now that nothing runs which could have
    /// meddled, and the summaries.
    fn finish(&self, output: &Path) -> Result<ExitCode, String> {
        let reports = self.locked();
        for (name, report) in reports.iter() {
            self.keep(name, report);
        }
        let reports: Vec<&Report> = reports.values().collect();
        let csv = output.join("summary.csv");
        let html = output.join("summary.html");
        let unwritten =
            |path: &Path, error: String| format!("Cannot write {}: {error}", path.display());
        let table = summary::csv(&reports).map_err(|error| unwritten(&csv, error))?;
        write_whole(&csv, &table).map_err(|error| unwritten(&csv, error.to_string()))?;
        let page = summary::html(self.options.stage, &reports);
        write_whole(&html, page.as_bytes()).map_err(|error| unwritten(&html, error.to_string()))?;
        for report in &reports {
            let style = match report.status {
                Status::Passed => GREEN,
                Status::Broken => YELLOW,
                _ => RED,
            };
            let score = format!("{:3} of {}", report.score, report.max_score);
            let first = report.message.lines().next().unwrap_or_default();
            anstream::println!("{}  {}  {first}", paint(style, score), report.program);
        }
        anstream::println!(
            "{} {}, {}, {}/",
            paint(BOLD, "Written:"),
            html.display(),
            csv.display(),
            self.results.display()
        );
        let broken = reports
            .iter()
            .filter(|report| report.status == Status::Broken);
        match broken.count() {
            0 => Ok(ExitCode::SUCCESS),
            count => Err(format!(
                "{count} gradings broke and do not count. The same command grades them again."
            )),
        }
    }
}
