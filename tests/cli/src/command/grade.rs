//! `cargo lab grade`: grades a stage, a program, a submission or a class.

use super::exit_code;
use super::help::values;
use crate::budget;
use crate::class;
use crate::file;
use crate::format::{self, Format};
use crate::grading::{Grading, User};
use crate::language;
use crate::program;
use crate::program::Problem;
use crate::report::{Budget, Report, Status};
use crate::scores;
use crate::single_checks;
use crate::submission::{self, Builder};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use harness::account::Account;
use harness::cleanup;
use harness::program::Program;
use harness::quota;
use harness::style::{CYAN, DIM, YELLOW, paint};
use harness::workspace::{self, stage};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use suite::checks;
use suite::explain::Details;
use suite::run;
use suite::translation::{fill, text};

#[derive(Args)]
pub struct Options {
    /// The stage, 1 to 6.
    #[arg(value_parser = super::stage_number)]
    stage: u8,

    /// Grade this program. Its own arguments follow after `--`.
    ///
    /// If its options differ from those of the stages, name a script that translates them.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,

    /// Grade a submission: a folder, .zip or .tar.gz with the sources of a stage, or with an executable
    /// `server`.
    #[arg(long, value_name = "DIR", conflicts_with = "server", value_parser = PathBufValueParser::new().try_map(existing))]
    submission: Option<PathBuf>,

    /// Grade each folder, .zip and .tar.gz in DIR as a submission, and write the results to the folder
    /// `--output`.
    #[arg(long, value_name = "DIR", requires = "output", conflicts_with_all = ["server", "submission"])]
    submissions: Option<PathBuf>,

    /// Grade the lab's own stage, even if you have a my_stageN.
    #[arg(long, conflicts_with_all = ["server", "submission", "submissions"])]
    original: bool,

    /// The format of the report.
    #[arg(
        long,
        value_parser = values::<Format>(),
        default_value = "human",
        conflicts_with = "submissions"
    )]
    format: Format,

    /// Write the report to this file; with `--submissions`, the results to this folder.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// How much to show of each failure.
    #[arg(long, value_parser = values::<Details>(), default_value = "full")]
    details: Details,

    /// Show hints only, after this many grades of a submission within an hour. Needs a JSON report in
    /// `--output`, or `--submissions`: there are the times of the earlier grades.
    #[arg(long, value_name = "GRADES", requires = "output", value_parser = clap::value_parser!(u32).range(1..))]
    details_budget: Option<u32>,

    /// Repeat the run with this seed.
    #[arg(long)]
    seed: Option<u64>,

    /// List the checks of the stage and their points, without running them.
    #[arg(long)]
    list: bool,

    /// Run only the checks with this in their names, and the checks they need. There is no score.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "output", "submissions"])]
    only: Option<String>,

    /// Build and run submissions as this user, which protects your files and processes from them. Needs
    /// root.
    ///
    /// Give it several times to grade several submissions at a time, each as a different user.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,

    /// How many submissions to grade at a time [default: one for each processor].
    #[arg(long, requires = "submissions", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Grade only a part of the class, such as 3/8: every eighth submission, from the third on.
    #[arg(
        long,
        value_name = "N/COUNT",
        requires = "submissions",
        conflicts_with = "merge"
    )]
    shard: Option<class::Shard>,

    /// Grade nothing, and join the results in this folder, the output of a shard. Give it several times.
    #[arg(long, value_name = "DIR", requires = "submissions")]
    merge: Vec<PathBuf>,

    /// How long it may take to build one submission.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400).map(Duration::from_secs))]
    build_limit: Duration,

    /// Arguments for the program, passed before the lab's own options.
    #[arg(last = true, requires = "server")]
    arguments: Vec<OsString>,
}

impl Options {
    /// Whether other programs read the report, whatever the language of the person is.
    pub fn is_for_programs(&self) -> bool {
        self.format != Format::Human || self.submissions.is_some()
    }
}

/// The path, if there is anything at it.
fn existing(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path.exists() {
        Ok(path)
    } else {
        Err("there is no such file or folder")
    }
}

/// Grades. The exit code is 0 only if all checks pass.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    if options.list {
        single_checks::list(&checks::of_stage(options.stage));
        return Ok(ExitCode::SUCCESS);
    }
    run::prepare()?;
    let seed = options.seed.map_or_else(run::seed, Ok)?;
    if let (Some(folder), Some(output)) = (&options.submissions, &options.output) {
        class::grade(folder, output, class_settings(options, seed)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    // What is graded, if it isn't a package of this workspace.
    let external = options.server.as_ref().or(options.submission.as_ref());
    let (name, is_own) = match external {
        Some(path) => (path.display().to_string(), false),
        None => workspace::select_package(stage(options.stage), options.original),
    };
    if let Some(part) = &options.only {
        let program = program(options, &name).map_err(|(_, error)| error)?;
        let checks = checks::of_stage(options.stage);
        return single_checks::run_matching(options.stage, checks, part, &program, seed);
    }
    if let Some(path) = &options.output {
        file::ensure_writable(path)?;
    }
    let budget = budget(options)?;
    let details = budget::details(options.details, budget.as_ref());
    let grading = Grading::of_stage(options.stage, name.clone(), seed, details).within(budget);
    write_on_interrupt(&grading, options);
    let report = match program(options, &name) {
        Ok(program) => {
            if external.is_some() {
                quota::watch();
            }
            grading.run_with_bar(program)
        }
        Err((status, message)) => grading.abort(status, message),
    };
    cleanup::on_interrupt(None);
    print_or_write(&report, is_own, options)?;
    if external.is_none() {
        scores::save(&name, &report);
    }
    Ok(exit_code(report.status))
}

/// The budget for details with this grade included; `None` without `--details-budget`.
fn budget(options: &Options) -> Result<Option<Budget>, String> {
    let (Some(grades), Some(path)) = (options.details_budget, &options.output) else {
        return Ok(None);
    };
    if options.format != Format::Json {
        return Err("`--details-budget` needs `--format json`, which has the times.".to_string());
    }
    Ok(Some(budget::spend(grades, options.stage, path)))
}

fn class_settings(options: &Options, seed: u64) -> Result<class::Settings, String> {
    let users = options.user.iter().map(|name| User::named(name));
    Ok(class::Settings {
        stage: options.stage,
        seed,
        details: options.details,
        details_budget: options.details_budget,
        users: users.collect::<Result<_, String>>()?,
        jobs: options.jobs,
        build_limit: options.build_limit,
        shard: options.shard,
        merge: options.merge.clone(),
    })
}

/// Builds the package with that name, or finds the program that the options name. An error comes
/// with the status of the grade: if the command was wrong, it is broken, not zero points.
fn program(options: &Options, package: &str) -> Result<Program, (Status, String)> {
    let user = options.user.first().map(|name| Account::named(name));
    let user = user.transpose().map_err(|error| (Status::Broken, error))?;
    let program = match (&options.server, &options.submission) {
        (Some(path), _) => program::named(path, &options.arguments),
        (None, Some(path)) => return submitted_program(options, path, user),
        (None, None) => program::build(package),
    };
    let mut program = program.map_err(|error| (Status::Failed, text(&error).to_string()))?;
    program.user = user;
    Ok(program)
}

/// The program of one submission.
fn submitted_program(
    options: &Options,
    path: &Path,
    user: Option<Account>,
) -> Result<Program, (Status, String)> {
    let users = user.into_iter().collect();
    let builder = Builder::new(options.stage, options.build_limit, users);
    for gap in builder.gaps() {
        anstream::eprintln!("{} {gap}", paint(YELLOW, "note:"));
    }
    let program = submission::program(&builder, path, user);
    let mut program = program.map_err(|problem| match problem {
        Problem::Lab(error) => (Status::Broken, error),
        Problem::Submission(error) | Problem::TimedOut(error) => (Status::Failed, error),
    })?;
    program.user = user;
    Ok(program)
}

/// If a signal ends this process, the report of what is known by then is written.
fn write_on_interrupt(grading: &Grading, options: &Options) {
    let Some(path) = options.output.clone() else {
        return;
    };
    let (snapshot, format) = (grading.later_snapshot(), options.format);
    cleanup::on_interrupt(Some(Box::new(move || {
        if let Err(error) = file::write_atomically(&path, format::text(&snapshot(), format)) {
            eprintln!("{error}");
        }
    })));
}

/// Prints the report. If it goes to a file, a version for people is printed.
fn print_or_write(report: &Report, is_own: bool, options: &Options) -> Result<(), String> {
    match (&options.output, options.format) {
        (None, Format::Human) => print(report, is_own),
        (None, format) => print!("{}", format::text(report, format)),
        (Some(path), format) => {
            file::write_atomically(path, format::text(report, format))?;
            print(report, is_own);
            let text = fill("The report is in {path}.", &[("path", &path.display())]);
            anstream::println!("{}", paint(DIM, text));
        }
    }
    Ok(())
}

fn print(report: &Report, is_own: bool) {
    anstream::println!("{}", format::headline(report, is_own));
    format::print(report);
    let is_in_rust = !language::is_used_in(&workspace::root().join(&report.program));
    if is_own && is_in_rust && report.status == Status::Passed {
        let command = paint(CYAN, format!("cargo lab diff {} --mine", report.stage));
        let text = fill(
            "Compare it with the lab's own stage: {command}",
            &[("command", &command)],
        );
        anstream::println!("{text}");
    }
}
