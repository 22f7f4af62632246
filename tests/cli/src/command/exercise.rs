//! `cargo lab exercise`: shows the task of an exercise, and checks whether it is done.

use super::exit_code;
use super::help::values;
use crate::grading::Grading;
use crate::report::{Report, Status};
use crate::{format, program, single_checks};
use clap::Args;
use harness::program::Program;
use harness::style::{BOLD, CYAN, DIM, GREEN, RED, paint};
use harness::workspace::{self, STAGES, Stage};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use suite::check::Check;
use suite::exercises::{self, Exercise};
use suite::explain::Details;
use suite::run;
use suite::translation::{fill, paragraphs, text};

#[derive(Args)]
pub struct Options {
    /// The exercise; without one, list all exercises.
    #[arg(value_name = "EXERCISE", value_parser = exercises::named)]
    exercise: Option<&'static Exercise>,

    /// Check this program instead of your copy. Its own arguments follow after `--`.
    #[arg(long, value_name = "PROGRAM", requires = "exercise")]
    server: Option<PathBuf>,

    /// How much to show of each failure.
    #[arg(long, value_parser = values::<Details>(), default_value = "full")]
    details: Details,

    /// Repeat the run with this seed.
    #[arg(long)]
    seed: Option<u64>,

    /// List the checks of the exercise and their points, without running them.
    #[arg(long, requires = "exercise")]
    list: bool,

    /// Run only the checks with this in their names, and the checks they need. There is no score.
    #[arg(long, value_name = "NAME", requires = "exercise")]
    only: Option<String>,

    /// Arguments for the program, passed before the lab's own options.
    #[arg(last = true, requires = "server")]
    arguments: Vec<OsString>,
}

/// Lists the exercises, or checks one. The exit code is 0 only if it is done.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let Some(exercise) = options.exercise else {
        list();
        return Ok(ExitCode::SUCCESS);
    };
    if options.list {
        single_checks::list(&exercise.own_checks());
        return Ok(ExitCode::SUCCESS);
    }
    if options.only.is_none() {
        print_task(exercise);
    }
    if options.server.is_none() && !is_started(exercise) {
        let start = paint(CYAN, format!("cargo lab start {}", exercise.name));
        anstream::println!("{}{start}", paint(BOLD, text("Next: ")));
        return Ok(ExitCode::FAILURE);
    }
    run::prepare()?;
    let seed = options.seed.map_or_else(run::seed, Ok)?;
    let program = match &options.server {
        Some(path) => program::named(path, &options.arguments),
        None => program::build(&exercise.package()),
    };
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            anstream::println!("{} {}", paint(RED.bold(), "✗"), text(&error));
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(part) = &options.only {
        let checks = [exercise.own_checks(), exercise.stage_checks()].concat();
        return single_checks::run_matching(exercise.stage, checks, part, &program, seed);
    }
    Ok(check(exercise, options.details, &program, seed))
}

fn is_started(exercise: &Exercise) -> bool {
    workspace::root().join(exercise.package()).is_dir()
}

/// Lists all exercises, by stage.
fn list() {
    let has_exercise = |stage: &&Stage| exercises::all().any(|it| it.stage == stage.number);
    for stage in STAGES.iter().filter(has_exercise) {
        let heading = fill(
            "Stage {number}: {idea}",
            &[("number", &stage.number), ("idea", &text(stage.idea))],
        );
        anstream::println!("{}", paint(BOLD, heading));
        for exercise in exercises::all().filter(|exercise| exercise.stage == stage.number) {
            let name = paint(CYAN, format!("{:18}", exercise.name));
            anstream::print!("  {name}  {}", text(exercise.title));
            if is_started(exercise) {
                let started = fill(
                    " (started in {package}/)",
                    &[("package", &exercise.package())],
                );
                anstream::print!("{}", paint(DIM, started));
            }
            anstream::println!();
        }
    }
    let commands = fill(
        "To read a task: {task}. To start it: {start}.",
        &[
            ("task", &paint(CYAN, "cargo lab exercise NAME")),
            ("start", &paint(CYAN, "cargo lab start NAME")),
        ],
    );
    let solutions =
        text("tests/suite/exercises/ has a solution for each, as a diff against its stage.");
    anstream::println!("\n{commands}\n{solutions}");
}

fn print_task(exercise: &Exercise) {
    let (stage, task) = (exercise.stage, paragraphs(exercise.task));
    let title = format!("{}: {}", exercise.name, text(exercise.title));
    let from = fill(" (from stage {stage})", &[("stage", &stage)]);
    anstream::println!("{}{from}\n\n{task}\n", paint(BOLD, title));
    for reference in exercise.references {
        let label = paint(DIM, text("read: "));
        anstream::println!("{label}{}", text(reference));
    }
    if !exercise.excused.is_empty() {
        let excused = fill(
            "checks of stage {stage} that may fail: {excused}",
            &[("stage", &stage), ("excused", &exercise.excused.join(", "))],
        );
        anstream::println!("{}", paint(DIM, excused));
    }
    anstream::println!();
}

/// The student's package for an exercise, which must have been started.
pub fn own_package(exercise: &Exercise) -> Result<String, String> {
    let name = exercise.name;
    if is_started(exercise) {
        Ok(exercise.package())
    } else {
        Err(format!(
            "You haven't started `{name}` yet. Start it: cargo lab start {name}"
        ))
    }
}

/// Runs the checks of the exercise, and those of its stage that must still pass.
pub fn check(exercise: &Exercise, details: Details, program: &Program, seed: u64) -> ExitCode {
    let grade = |checks: Vec<&'static Check>| {
        let name = program.path.display().to_string();
        let grading = Grading::new(checks, exercise.stage, name, seed, details);
        grading.run_with_bar(program.clone())
    };
    let own = grade(exercise.own_checks());
    format::print(&own);
    let stage = grade(exercise.stage_checks());
    print_stage_report(&stage);
    exit_code(match [own.status, stage.status] {
        [Status::Passed, Status::Passed] => {
            let done = fill("{name} is done.", &[("name", &exercise.name)]);
            anstream::println!("{}", paint(GREEN.bold(), done));
            Status::Passed
        }
        [Status::Broken, _] | [_, Status::Broken] => Status::Broken,
        _ => Status::Failed,
    })
}

/// Shows which checks of the stage no longer pass.
fn print_stage_report(report: &Report) {
    let (number, all) = (report.stage, report.checks.len());
    let passed = report.count(Status::Passed);
    if passed == all {
        let text = fill(
            "All {all} checks of stage {number} that must still pass do.",
            &[("all", &all), ("number", &number)],
        );
        anstream::println!("{}", paint(GREEN, text));
        return;
    }
    let heading = fill(
        "These checks of stage {number} must still pass:",
        &[("number", &number)],
    );
    let problems = format::problems(report);
    anstream::println!("\n{}\n{problems}", paint(BOLD, heading));
    let text = fill(
        "{passed} of {all} checks of stage {number} pass.",
        &[("passed", &passed), ("all", &all), ("number", &number)],
    );
    anstream::println!("{}", paint(DIM, text));
}
