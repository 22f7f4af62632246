//! `cargo lab exercise`: what to build onto a stage, and whether it is done.

use super::grade::{self, bar, executable};
use crate::check::Check;
use crate::exercises::{self, Exercise};
use crate::explain::Details;
use crate::format;
use crate::grade::Grading;
use crate::paint::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use crate::program::Program;
use crate::report::{Report, Status};
use crate::suite;
use crate::workspace::{self, STAGES, stage};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// The exercise; without it, all are listed.
    #[arg(value_name = "EXERCISE", value_parser = exercises::named)]
    exercise: Option<&'static Exercise>,

    /// Check this program, not your copy. Its own arguments follow behind `--`.
    #[arg(long, value_name = "PROGRAM", requires = "exercise")]
    server: Option<PathBuf>,

    /// How much of each failure to tell.
    #[arg(long, value_enum, default_value = "full")]
    details: Details,

    /// Repeat the run of that seed.
    #[arg(long)]
    seed: Option<u64>,

    /// List the checks of the exercise and their points, and run none.
    #[arg(long, requires = "exercise")]
    list: bool,

    /// Run only the exercise's checks with this in their names; gives no score.
    #[arg(long, value_name = "PART", requires = "exercise")]
    only: Option<String>,

    /// Arguments of the server, which stand before those of the suite.
    #[arg(last = true, requires = "server")]
    arguments: Vec<OsString>,
}

/// Lists the exercises, or checks one: 0 only when it is done.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let Some(exercise) = options.exercise else {
        list();
        return Ok(ExitCode::SUCCESS);
    };
    if options.list {
        grade::list(&exercise.own());
        return Ok(ExitCode::SUCCESS);
    }
    if options.only.is_none() {
        print_asked(exercise);
    }
    if options.server.is_none() && !workspace::root().join(exercise.package()).is_dir() {
        let start = paint(CYAN, format!("cargo lab start {}", exercise.name));
        anstream::println!("{} {start}", paint(BOLD, "Next:"));
        return Ok(ExitCode::FAILURE);
    }
    suite::prepare()?;
    let seed = options.seed.map_or_else(suite::seed, Ok)?;
    let program = match program(exercise, options) {
        Ok(program) => program,
        Err(error) => {
            anstream::println!("{} {error}", paint(RED.bold(), "✗"));
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(part) = &options.only {
        return grade::only(exercise.stage, exercise.own(), part, &program, seed);
    }
    check(exercise, options, &program, seed)
}

/// Lists all exercises, by lesson.
fn list() {
    for stage in &STAGES {
        anstream::println!(
            "{}",
            paint(BOLD, format!("Stage {}: {}", stage.number, stage.idea))
        );
        for exercise in exercises::all().filter(|exercise| exercise.stage == stage.number) {
            let begun = match workspace::root().join(exercise.package()).is_dir() {
                true => paint(DIM, format!(", begun in {}/", exercise.package())),
                false => String::new(),
            };
            let name = paint(CYAN, format!("{:16}", exercise.name));
            anstream::println!("  {name}  {}{begun}", exercise.title);
        }
    }
    anstream::println!(
        "\n{} says what one asks for, and {} begins it.\n\
         A solution of each is in tests/exercises/, as a diff from its stage.",
        paint(CYAN, "cargo lab exercise NAME"),
        paint(CYAN, "cargo lab start NAME"),
    );
}

/// Says what is asked.
fn print_asked(exercise: &Exercise) {
    let Exercise {
        name,
        stage,
        title,
        asked,
        read,
        ..
    } = exercise;
    let heading = paint(BOLD, format!("{name}: {title}"));
    anstream::println!("{heading} (from stage {stage})\n\n{asked}\n");
    for place in *read {
        anstream::println!("{} {place}", paint(DIM, "read on:"));
    }
    if !exercise.excuses.is_empty() {
        let excuses = exercise.excuses.join(", ");
        let text = format!("checks of stage {stage} that may turn red: {excuses}");
        anstream::println!("{}", paint(DIM, text));
    }
    anstream::println!();
}

/// The student's package for an exercise, which must have been begun.
pub fn own_package(exercise: &Exercise) -> Result<String, String> {
    let (name, package) = (exercise.name, exercise.package());
    match workspace::root().join(&package).is_dir() {
        true => Ok(package),
        false => Err(format!(
            "You have not begun `{name}`. Begin: cargo lab start {name}"
        )),
    }
}

/// What is to be checked: the student's copy, built, or another program.
fn program(exercise: &Exercise, options: &Options) -> Result<Program, String> {
    if let Some(path) = &options.server {
        let mut program = Program::new(executable(path)?);
        program.arguments = options.arguments.clone();
        return Ok(program);
    }
    let package = own_package(exercise)?;
    let binary = workspace::build_package(&package, false)?;
    Program::copy_of(&binary).map_err(|error| format!("Cannot copy {}: {error}", binary.display()))
}

/// Runs the checks of the exercise and those of its stage, and says what is left.
fn check(
    exercise: &Exercise,
    options: &Options,
    program: &Program,
    seed: u64,
) -> Result<ExitCode, String> {
    let graded = |checks: Vec<&'static Check>| {
        let shown = program.path.display().to_string();
        let grading = Grading::by(checks, exercise.stage, shown, seed, options.details);
        let bar = bar(grading.so_far().checks.len());
        let report = grading.run(program.clone(), |_| bar.inc(1));
        bar.finish_and_clear();
        report
    };
    let own = graded(exercise.own());
    format::print(&own);
    let kept = graded(exercise.kept());
    print_kept(exercise, &kept);
    let reports = [&own, &kept];
    if reports.iter().any(|report| report.status == Status::Broken) {
        return Ok(ExitCode::from(super::TROUBLE));
    }
    match reports.iter().all(|report| report.status == Status::Passed) {
        true => {
            anstream::println!(
                "{}",
                paint(GREEN.bold(), format!("{} is done.", exercise.name))
            );
            Ok(ExitCode::SUCCESS)
        }
        false => Ok(ExitCode::FAILURE),
    }
}

/// Says which checks of the stage are no longer green.
fn print_kept(exercise: &Exercise, report: &Report) {
    let number = exercise.stage;
    let (all, green) = (report.checks.len(), report.count(Status::Passed));
    if green == all {
        let text = format!("All {all} checks that stage {number} asks for besides are green.");
        anstream::println!("{}", paint(GREEN, text));
        return;
    }
    let text = format!("Of stage {number}'s own checks, these must be green as well:");
    anstream::println!("\n{}", paint(BOLD, text));
    for line in report
        .checks
        .iter()
        .filter(|line| line.status != Status::Passed)
    {
        let style = match line.status {
            Status::Failed => RED,
            _ => YELLOW,
        };
        let name = paint(style, format!("✗ {}", line.id));
        anstream::println!(
            "{name} ({})\n{}",
            line.status.name(),
            line.output.trim_end()
        );
    }
    let package = stage(number).name;
    let text = format!("{green} of {all} of {package}'s checks are green.");
    anstream::println!("{}", paint(DIM, text));
}
