//! `cargo lab watch`: grades again after each save.

use super::{Selection, exercise, selection};
use crate::format::{self, problems};
use crate::grading::Grading;
use crate::report::{Report, Status};
use crate::{fingerprint, program, scores};
use harness::style::{BOLD, CYAN, DIM, GREEN, paint};
use harness::workspace::{self, stage};
use notify::RecursiveMode;
use notify_debouncer_mini::new_debouncer;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;
use suite::check::points;
use suite::checks;
use suite::exercises::Exercise;
use suite::explain::Details;
use suite::run;
use suite::steps::{self, STEPS};
use suite::translation::{fill, text};

/// How long no file may change before the next grading. Editors save a file in several steps.
const QUIET_TIME: Duration = Duration::from_millis(150);

/// What is graded after each save.
#[derive(Clone, Copy)]
pub enum Target {
    Stage(u8),
    /// A step to stage 4, by its place in [`STEPS`].
    Step(usize),
    Exercise(&'static Exercise),
}

impl Target {
    /// Parses the number of a stage, the id of a step, or the name of an exercise.
    pub fn parse(text: &str) -> Result<Target, String> {
        if let Some(place) = STEPS.iter().position(|step| step.id == text) {
            return Ok(Target::Step(place));
        }
        Ok(match selection(text, 1)? {
            Selection::Stage(number) => Target::Stage(number),
            Selection::Exercise(exercise) => Target::Exercise(exercise),
        })
    }

    /// The package that is watched, and whether it is the student's.
    fn package(self, original: bool) -> Result<(String, bool), String> {
        match self {
            Target::Stage(number) => Ok(workspace::select_package(stage(number), original)),
            Target::Step(_) => Ok(workspace::select_package(stage(4), original)),
            Target::Exercise(exercise) => Ok((exercise::own_package(exercise)?, true)),
        }
    }
}

/// Grades whenever the sources have changed, until Ctrl-C.
pub fn run(target: Target, original: bool) -> Result<ExitCode, String> {
    run::prepare()?;
    let (package, is_own) = target.package(original)?;
    let folder = workspace::root().join(&package);
    let (sender, events) = mpsc::channel();
    let watch_error = |error: notify::Error| format!("Cannot watch {}: {error}", folder.display());
    let mut watcher = new_debouncer(QUIET_TIME, sender).map_err(watch_error)?;
    let watched = watcher.watcher().watch(&folder, RecursiveMode::Recursive);
    watched.map_err(watch_error)?;
    loop {
        let graded = fingerprint::of(&[&folder]).ok();
        anstream::println!();
        if let Err(error) = grade(target, &package, is_own) {
            anstream::println!("{}", text(&error));
        }
        let hint = fill(
            "Waiting for changes in {package}/. Press Ctrl-C to stop.",
            &[("package", &package)],
        );
        anstream::println!("{}", paint(DIM, hint));
        // Reading a file is an event too, so only the contents show whether there was a change.
        while fingerprint::of(&[&folder]).ok() == graded {
            if events.recv().is_err() {
                return Err(format!("The watch on {} ended.", folder.display()));
            }
        }
    }
}

fn grade(target: Target, package: &str, is_own: bool) -> Result<(), String> {
    let (program, seed) = (program::build(package)?, run::seed()?);
    match target {
        Target::Stage(number) => {
            let grading = Grading::of_stage(number, package.to_string(), seed, Details::Full);
            let report = grading.run_with_bar(program);
            anstream::println!("{}", format::headline(&report, is_own));
            format::print(&report);
            scores::save(package, &report);
        }
        Target::Step(place) => {
            let all = checks::of_stage(4);
            let points = points(&all).into_iter();
            let mut reached: Vec<_> = all.into_iter().zip(points).collect();
            reached.retain(|(check, _)| steps::place_of(check.id).is_none_or(|it| it <= place));
            let (checks, points): (Vec<_>, Vec<_>) = reached.into_iter().unzip();
            let grading = Grading::new(checks, 4, package.to_string(), seed, Details::Full);
            let mut report = grading.run_with_bar(program);
            // A failing check shows the points that the whole stage has for it.
            for (check, points) in report.checks.iter_mut().zip(points) {
                check.max_score = points;
            }
            print_step(place, &report);
        }
        Target::Exercise(exercise) => {
            exercise::check(exercise, Details::Full, &program, seed);
        }
    }
    Ok(())
}

/// Shows how far a step is.
fn print_step(place: usize, report: &Report) {
    let step = &STEPS[place];
    let (id, all) = (step.id, report.checks.len());
    let passed = report.count(Status::Passed);
    let heading = fill(
        "Step {id} ({title}): {program}",
        &[
            ("id", &id),
            ("title", &text(step.title)),
            ("program", &report.program),
        ],
    );
    anstream::println!("{}", paint(BOLD, heading));
    anstream::print!("{}", problems(report));
    let count = fill(
        "{passed} of {all} checks up to step {id} pass.",
        &[("passed", &passed), ("all", &all), ("id", &id)],
    );
    if report.status != Status::Passed {
        anstream::println!("{}", paint(DIM, count));
        return;
    }
    let next = STEPS
        .get(place + 1)
        .map_or("cargo lab grade 4".to_string(), |next| {
            format!("cargo lab watch {}", next.id)
        });
    let (count, next) = (paint(GREEN, count), paint(CYAN, next));
    anstream::println!("{count} {}{next}", text("Next: "));
}
