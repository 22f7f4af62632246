//! `cargo lab grade N`.

use super::scores;
use super::submission::{self, Submission};
use super::submissions;
use crate::check::{Check, points};
use crate::ending;
use crate::explain::Details;
use crate::format::{self, Format};
use crate::grade::Grading;
use crate::paint::{BOLD, CYAN, DIM, YELLOW, paint};
use crate::program::{Account, Program, on_path};
use crate::report::{Report, Status, write_whole};
use crate::suite::{self, Run};
use crate::workspace::{self, stage};
use crate::{checks, explain, system};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub struct Options {
    /// The stage whose checks are run: 1 to 4.
    #[arg(value_parser = super::stage_number())]
    pub stage: u8,

    /// Grade this program; a script that translates options will do. Its own arguments follow
    /// behind `--`.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,

    /// Grade what a student handed in: a copy of a stage's folder, or an executable `server`.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    submission: Option<PathBuf>,

    /// Grade every folder in here as a submission; `--output` names a folder for the results.
    #[arg(long, value_name = "DIR", requires = "output", conflicts_with_all = ["server", "submission"])]
    pub submissions: Option<PathBuf>,

    /// Grade the lab's own stage, though there is a my_stageN of yours.
    #[arg(long, conflicts_with_all = ["server", "submission", "submissions"])]
    original: bool,

    /// In which form to report.
    #[arg(
        long,
        value_enum,
        default_value = "human",
        conflicts_with = "submissions"
    )]
    format: Format,

    /// Where to write the report; with `--submissions`, a folder for the results.
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// How much of each failure to tell.
    #[arg(long, value_enum, default_value = "full")]
    pub details: Details,

    /// Repeat the run of that seed.
    #[arg(long)]
    pub seed: Option<u64>,

    /// List the checks of the stage and their points, and run none.
    #[arg(long)]
    list: bool,

    /// Run only checks with this in their names, and those that they need; gives no score.
    #[arg(long, value_name = "PART", conflicts_with_all = ["format", "output", "submissions"])]
    only: Option<String>,

    /// As root: run servers as this user, which keeps them away from your files and processes.
    /// Given more than once, submissions are graded at the same time, one as each user.
    #[arg(long, value_name = "NAME")]
    pub user: Vec<String>,

    /// How many submissions to grade at the same time; as many as there are processors.
    #[arg(long, requires = "submissions", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// How long one submission may take to build.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub build_limit: u64,

    /// Arguments of the server, which stand before those of the suite.
    #[arg(last = true, requires = "server")]
    arguments: Vec<OsString>,
}

/// Grades, and exits with 0 only for full points.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    if options.list {
        list(&checks::of_stage(options.stage));
        return Ok(ExitCode::SUCCESS);
    }
    suite::prepare()?;
    if let Some(folder) = &options.submissions {
        return submissions::grade(folder, options);
    }
    let seed = options.seed.map_or_else(suite::seed, Ok)?;
    let target = Target::of(options)?;
    if let Some(part) = &options.only {
        let program = target.program(options)?;
        let checks = checks::of_stage(options.stage);
        return only(options.stage, checks, part, &program, seed);
    }
    must_be_writable(options)?;
    let grading = Grading::new(options.stage, target.shown(), seed, options.details);
    will_write(&grading, options);
    let report = match target.program(options) {
        Ok(program) => {
            let bar = bar(grading.so_far().checks.len());
            let report = grading.run(program, |line| {
                bar.inc(1);
                if line.status == Status::Failed {
                    bar.set_message(format!("red: {}", line.id));
                }
            });
            bar.finish_and_clear();
            report
        }
        Err(error) => {
            let mut report = grading.so_far();
            // A mistake of whoever grades is nobody's zero.
            let ours = matches!(&target, Target::Submission(folder) if !folder.is_dir());
            let status = match ours || account(options).is_err() {
                true => Status::Broken,
                false => Status::Failed,
            };
            report.give_up(status, error);
            report
        }
    };
    ending::set_last_will(None);
    hand_out(&report, &target, options)?;
    if let Target::Package(package, _) = &target {
        scores::keep(package, &report);
    }
    Ok(exit_code(&report))
}

/// 0 only for full points, and another for a grade that does not count.
pub fn exit_code(report: &Report) -> ExitCode {
    match report.status {
        Status::Passed => ExitCode::SUCCESS,
        Status::Broken => ExitCode::from(super::TROUBLE),
        _ => ExitCode::FAILURE,
    }
}

/// What is graded.
enum Target {
    /// A package of this workspace, and whether it is the student's own.
    Package(String, bool),
    Server(PathBuf),
    Submission(PathBuf),
}

impl Target {
    fn of(options: &Options) -> Result<Target, String> {
        if let Some(server) = &options.server {
            return Ok(Target::Server(server.clone()));
        }
        if let Some(submission) = &options.submission {
            return Ok(Target::Submission(submission.clone()));
        }
        let (package, own) = workspace::chosen(stage(options.stage), options.original);
        Ok(Target::Package(package, own))
    }

    fn shown(&self) -> String {
        match self {
            Target::Package(package, _) => package.clone(),
            Target::Server(path) | Target::Submission(path) => path.display().to_string(),
        }
    }

    /// Builds what is to be built. The error is told to whoever reads the report.
    fn program(&self, options: &Options) -> Result<Program, String> {
        let user = account(options)?;
        let mut program = match self {
            Target::Package(package, _) => {
                let binary = workspace::build_package(package, false)?;
                Program::copy_of(&binary)
                    .map_err(|error| format!("Cannot copy {}: {error}", binary.display()))?
            }
            Target::Server(path) => {
                let mut program = Program::new(executable(path)?);
                program.arguments = options.arguments.clone();
                program
            }
            Target::Submission(folder) => {
                let limit = Duration::from_secs(options.build_limit);
                match Submission::find(folder)? {
                    Submission::Server(path) => Program::new(executable(&path)?),
                    Submission::Sources(sources) => {
                        submission::build(options.stage, &sources, limit)?
                    }
                }
            }
        };
        program.user = user;
        Ok(program)
    }
}

/// The user that servers are to run as.
fn account(options: &Options) -> Result<Option<Account>, String> {
    let name = options.user.first();
    name.map(|name| Account::named(name)).transpose()
}

/// The path of a program, in full; it must be there and be executable.
pub fn executable(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    // A bare name is looked up in PATH, as a shell would.
    let bare = path.components().count() == 1 && !path.exists();
    let found = bare.then(|| on_path(path)).flatten();
    let path = found.as_deref().unwrap_or(path);
    let path = path
        .canonicalize()
        .map_err(|error| format!("There is no program `{shown}`: {error}"))?;
    let metadata = fs::metadata(&path).map_err(|error| format!("{shown}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("`{shown}` is no file, and cannot be started."));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "`{shown}` is not executable. Make it so: chmod +x {shown}"
        ));
    }
    Ok(path)
}

/// That a report has no place to go is said before it is made.
fn must_be_writable(options: &Options) -> Result<(), String> {
    let Some(path) = &options.output else {
        return Ok(());
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    match tempfile::tempfile_in(folder) {
        Ok(_) if !path.is_dir() => Ok(()),
        Ok(_) => Err(format!(
            "`--output {}` is a folder; name a file.",
            path.display()
        )),
        Err(error) => Err(format!(
            "Cannot write to the folder {}: {error}",
            folder.display()
        )),
    }
}

/// When a signal ends us, what is known by then is written to the place asked for.
fn will_write(grading: &Grading, options: &Options) {
    if let Some(output) = options.output.clone() {
        let (so_far, format) = (grading.so_far_later(), options.format);
        ending::set_last_will(Some(Box::new(move || {
            if let Err(error) = write_whole(&output, format::write(&so_far(), format).as_bytes()) {
                eprintln!("Cannot write {}: {error}", output.display());
            }
        })));
    }
}

/// Prints the report, or writes it to the place asked for.
fn hand_out(report: &Report, target: &Target, options: &Options) -> Result<(), String> {
    match (&options.output, options.format) {
        (None, Format::Human) => show(report, target),
        (None, format) => print!("{}", format::write(report, format)),
        (Some(path), format) => {
            let text = format::write(report, format);
            write_whole(path, text.as_bytes())
                .map_err(|error| format!("Cannot write {}: {error}", path.display()))?;
            // Whoever looks at the log of an automation would rather read.
            show(report, target);
            anstream::println!(
                "{}",
                paint(DIM, format!("The report is in {}.", path.display()))
            );
        }
    }
    Ok(())
}

/// Prints a report for a person.
fn show(report: &Report, target: &Target) {
    let own = matches!(target, Target::Package(_, true));
    anstream::println!("{}", first_line(report, own));
    format::print(report);
    if own && report.status == Status::Passed {
        let command = paint(CYAN, format!("cargo lab diff {} --mine", report.stage));
        anstream::println!("Compare it with the lab's own: {command}");
    }
}

/// The first line: what was graded, and, of a student's own stage, that red is to be expected.
pub fn first_line(report: &Report, own: bool) -> String {
    let Report {
        stage: number,
        program,
        ..
    } = report;
    if own && report.score < report.max_score {
        let text = format!(
            "{program} is on its way to stage {number}: red is expected, and is your list of what is left."
        );
        return paint(YELLOW.bold(), text);
    }
    let idea = stage(*number).idea;
    paint(BOLD, format!("Stage {number} ({idea}): {program}"))
}

/// A progress bar, where somebody looks.
pub fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30.cyan/dim} {pos} of {len}  {wide_msg}");
    let bar = ProgressBar::new(length as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Lists checks with their points.
pub fn list(checks: &[&Check]) {
    let points = points(checks);
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for (check, points) in checks.iter().zip(&points) {
        let name = paint(CYAN, format!("{:width$}", check.id));
        let system = match check.linux_only {
            true => paint(DIM, " (Linux only)"),
            false => String::new(),
        };
        anstream::println!("{points:3}  {name}  {}{system}", check.must);
    }
    let total: u32 = points.iter().sum();
    anstream::println!("{total:3}  points in {} checks", checks.len());
}

/// Of these checks, runs those with that part in their names.
pub fn only(
    number: u8,
    checks: Vec<&'static Check>,
    part: &str,
    program: &Program,
    seed: u64,
) -> Result<ExitCode, String> {
    match run_and_tell(number, checks, |id| id.contains(part), program, seed)? {
        None => Err(format!(
            "No check has `{part}` in its name. `--list`, in the place of `--only`, shows all."
        )),
        Some(true) => Ok(ExitCode::SUCCESS),
        Some(false) => Ok(ExitCode::FAILURE),
    }
}

/// Of these checks, runs those of the wanted names and tells all there is to tell: whether all
/// have passed, or `None` if there are none.
pub fn run_and_tell(
    number: u8,
    checks: Vec<&'static Check>,
    wanted: impl Fn(&str) -> bool,
    program: &Program,
    seed: u64,
) -> Result<Option<bool>, String> {
    system::adopt_orphans();
    let run = Run::new(checks, program.clone(), seed);
    let places = (0..run.checks.len()).filter(|place| wanted(run.checks[*place].id));
    let places: Vec<usize> = places.collect();
    if places.is_empty() {
        return Ok(None);
    }
    let mut passed = true;
    for place in places {
        let (check, timed) = (run.checks[place], run.verdict(place));
        let text = explain::explain(check, &timed.verdict, Details::Full, stage(number).port);
        let good = matches!(timed.verdict, suite::Verdict::Passed);
        passed &= good;
        let (style, sign) = match good {
            true => (crate::paint::GREEN, '✓'),
            false => (crate::paint::RED, '✗'),
        };
        anstream::println!("{}\n{text}", paint(style, format!("{sign} {}", check.id)));
    }
    ending::sweep();
    anstream::println!("{}", paint(DIM, format!("seed {seed}")));
    Ok(Some(passed))
}
