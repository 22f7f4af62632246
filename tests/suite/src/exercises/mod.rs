//! Exercises: optional extensions of a stage, each with checks of its own.
//!
//! A student starts from a copy of the stage (`cargo lab start NAME`). The exercise is done when
//! its own checks pass, and those of the stage that it doesn't excuse. `tests/suite/exercises/`
//! has a solution of each, as a diff against its stage.

mod compression;
mod folder_listing;
mod keep_alive;
mod not_modified;
mod prefork;
mod query_parameters;
mod ranges;
mod server_sent_events;
mod thread_pool;

use crate::check::{self, Check};
use crate::checks;
use harness::client::{post, request};
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::server::Server;
use harness::site::File;
use std::fs;
use std::io;
use std::time::SystemTime;

/// An optional extension of a stage.
pub struct Exercise {
    /// Its name in kebab-case.
    pub name: &'static str,
    /// The stage that it starts from.
    pub stage: u8,
    /// What it is about, in a line.
    pub title: &'static str,
    /// What a solution must do, as a student reads it in a terminal. It is a contract: no check
    /// asks for more.
    pub task: &'static str,
    /// Where to read more.
    pub references: &'static [&'static str],
    /// Its own checks.
    pub checks: &'static [Check],
    /// The checks of its stage that a correct solution fails.
    pub excused: &'static [&'static str],
    /// Those of its own checks that the unchanged stage passes. They protect what must not change.
    pub already_passing: &'static [&'static str],
}

/// All exercises, in the order of the lessons.
pub fn all() -> impl Iterator<Item = &'static Exercise> {
    [
        &query_parameters::EXERCISE,
        &folder_listing::EXERCISE,
        &prefork::EXERCISE,
        &thread_pool::EXERCISE,
        &not_modified::EXERCISE,
        &ranges::EXERCISE,
        &keep_alive::EXERCISE,
        &compression::EXERCISE,
        &server_sent_events::EXERCISE,
    ]
    .into_iter()
}

/// The exercise with that name. The error lists the names that exist.
pub fn named(name: &str) -> Result<&'static Exercise, String> {
    all().find(|exercise| exercise.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|exercise| exercise.name).collect();
        let names = names.join(", ");
        format!("There is no exercise `{name}`. The exercises are: {names}.")
    })
}

/// The exercise that is solved in the package with that name.
pub fn of_package(package: &str) -> Option<&'static Exercise> {
    all().find(|exercise| exercise.package() == package)
}

impl Exercise {
    /// The package, and the folder, in which a student solves it.
    pub fn package(&self) -> String {
        format!("my_stage{}_{}", self.stage, self.name.replace('-', "_"))
    }

    /// Its own checks.
    pub fn own_checks(&self) -> Vec<&'static Check> {
        self.checks.iter().collect()
    }

    /// The checks of its stage that a solution must still pass, also if they need an excused one.
    pub fn stage_checks(&self) -> Vec<&'static Check> {
        let mut checks = checks::of_stage(self.stage);
        checks.retain(|check| !self.excused.contains(&check.id));
        checks
    }
}

/// What the checks of an exercise have in common. Most need the one that shows that there is a
/// solution at all.
const fn defaults(exercise: &'static str, stage: u8, needs: &'static [&'static str]) -> Check {
    Check {
        exercise: Some(exercise),
        stages: stage..=stage,
        needs,
        ..check::DEFAULTS
    }
}

/// Fails if a field, a complete line, changes the response to methods other than GET and HEAD.
fn ensure_other_methods_ignore(server: &Server, target: &str, field: &str) -> CheckResult {
    for (method, status) in [("OPTIONS", 204), ("PUT", 405), ("BREW", 501)] {
        let response = server.exchange(&request(method, target, field))?;
        response.ensure_status(status)?;
    }
    let form = String::from_utf8_lossy(&post("/MyForm.html", b"a=b")).into_owned();
    let form = form.replacen("Content-Type", &format!("{field}Content-Type"), 1);
    server.exchange(form.as_bytes())?.ensure_status(200)
}

/// Sets when a file was last changed.
fn set_modified(ctx: &TestContext, file: &File, time: SystemTime) -> io::Result<()> {
    let path = ctx.site.path(&file.name);
    let file = fs::File::options().write(true).open(path)?;
    file.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::points;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_texts_fit_a_terminal() {
        let mut names = BTreeSet::new();
        for exercise in all() {
            let name = exercise.name;
            let is_kebab = |byte: u8| byte == b'-' || byte.is_ascii_lowercase();
            assert!(name.bytes().all(is_kebab) && names.insert(name), "{name}");
            assert!(!exercise.title.is_empty() && !exercise.references.is_empty());
            for line in exercise.task.lines() {
                assert!(line.chars().count() <= 96, "{name}: {line}");
            }
        }
    }

    #[test]
    fn checks_of_an_exercise_belong_to_it() {
        for exercise in all() {
            let own: Vec<&str> = exercise.checks.iter().map(|check| check.id).collect();
            for check in exercise.checks {
                let id = check.id;
                assert_eq!(check.exercise, Some(exercise.name), "{id}");
                assert_eq!(check.stages, exercise.stage..=exercise.stage, "{id}");
                assert!(check.needs.iter().all(|id| own.contains(id)), "{id}");
            }
            let mut already_passing = exercise.already_passing.iter();
            assert!(already_passing.all(|id| own.contains(id)));
            assert_eq!(points(&exercise.own_checks()).iter().sum::<u32>(), 100);
        }
    }

    #[test]
    fn excused_checks_are_checks_of_the_stage() {
        for exercise in all() {
            let excused = checks::of_stage(exercise.stage).len() - exercise.stage_checks().len();
            assert_eq!(excused, exercise.excused.len(), "{}", exercise.name);
        }
    }
}
