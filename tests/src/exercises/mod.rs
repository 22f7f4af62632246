//! Exercises: what to build onto a stage, beyond the next one, each with checks of its own.
//!
//! An exercise begins with a copy of its stage (`cargo lab start NAME`). It is done when its
//! own checks are green, and those of the stage still are, but for what it cannot keep: its
//! `excuses`. A solution of each stands in `tests/exercises/`, as a diff.

mod folder_listing;
mod gateway;
mod keep_alive;
mod not_modified;
mod prefork;
mod query_parameters;
mod ranges;
mod thread_pool;

use crate::check::Check;
use crate::checks;

/// Something to build onto a stage.
pub struct Exercise {
    /// Its name, in kebab-case.
    pub name: &'static str,
    /// The stage that it starts from.
    pub stage: u8,
    /// What it is about, in a line.
    pub title: &'static str,
    /// What is asked, as a student reads it in a terminal.
    pub asked: &'static str,
    /// Where to read on.
    pub read: &'static [&'static str],
    /// Its own checks.
    pub checks: &'static [Check],
    /// The checks of its stage that a right solution turns red.
    pub excuses: &'static [&'static str],
    /// Those of its own checks that its stage passes as it is: they guard what must stay.
    pub already: &'static [&'static str],
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
        &gateway::EXERCISE,
    ]
    .into_iter()
}

/// The exercise of that name; the error lists those that there are.
pub fn named(name: &str) -> Result<&'static Exercise, String> {
    let names: Vec<&str> = all().map(|exercise| exercise.name).collect();
    all().find(|exercise| exercise.name == name).ok_or_else(|| {
        format!(
            "There is no exercise `{name}`. There are: {}.",
            names.join(", ")
        )
    })
}

/// The exercise that is solved in the package of that name.
pub fn of_package(package: &str) -> Option<&'static Exercise> {
    all().find(|exercise| exercise.package() == package)
}

impl Exercise {
    /// The package, and the folder, in which a student solves it.
    pub fn package(&self) -> String {
        format!("my_stage{}_{}", self.stage, self.name.replace('-', "_"))
    }

    /// Its own checks.
    pub fn own(&self) -> Vec<&'static Check> {
        self.checks.iter().collect()
    }

    /// The checks of its stage that must stay green. What needs an excused one is run even so.
    pub fn kept(&self) -> Vec<&'static Check> {
        let mut checks = checks::of_stage(self.stage);
        checks.retain(|check| !self.excuses.contains(&check.id));
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::points;
    use std::collections::BTreeSet;

    #[test]
    fn every_exercise_has_a_name_of_its_own_and_something_to_say() {
        let mut names = BTreeSet::new();
        for exercise in all() {
            let name = exercise.name;
            let kebab = |byte: u8| byte == b'-' || byte.is_ascii_lowercase();
            assert!(name.bytes().all(kebab) && names.insert(name), "{name}");
            assert!(!exercise.title.is_empty() && !exercise.read.is_empty());
            for line in exercise.asked.lines() {
                assert!(line.chars().count() <= 96, "{name}: {line}");
            }
        }
    }

    #[test]
    fn every_check_has_a_name_of_its_own_in_the_whole_suite() {
        let mut ids: BTreeSet<&str> = checks::all().map(|check| check.id).collect();
        for exercise in all() {
            let own: BTreeSet<&str> = exercise.checks.iter().map(|check| check.id).collect();
            for check in exercise.checks {
                let id = check.id;
                let kebab =
                    |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
                assert!(id.bytes().all(kebab), "{id}");
                assert!(ids.insert(id), "{id} is there twice");
                assert_eq!(check.stages, exercise.stage..=exercise.stage, "{id}");
                assert!(
                    check.needs.iter().all(|needed| own.contains(needed)),
                    "{id}"
                );
                for text in [check.must, check.why, check.hint] {
                    assert!(!text.is_empty() && !text.contains('\n'), "{id}");
                }
            }
            assert!(exercise.already.iter().all(|id| own.contains(id)));
            assert_eq!(points(&exercise.own()).iter().sum::<u32>(), 100);
        }
    }

    #[test]
    fn what_is_excused_is_in_the_suite_of_the_stage() {
        for exercise in all() {
            for excuse in exercise.excuses {
                let there = checks::of_stage(exercise.stage)
                    .iter()
                    .any(|check| check.id == *excuse);
                assert!(there, "{}: {excuse}", exercise.name);
            }
        }
    }
}
