//! The list of checks, by what they look at.

mod arriving;
mod building;
mod command_line;
pub mod faults;
mod getting;
mod malformed;
mod outside;
pub mod processes;
pub mod threads;

use crate::check::Check;

/// All checks, in the order of the lessons.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let groups = [
        command_line::CHECKS,
        getting::CHECKS,
        outside::CHECKS,
        arriving::CHECKS,
        malformed::CHECKS,
        faults::CHECKS,
        processes::CHECKS,
        threads::CHECKS,
        building::CHECKS,
    ];
    groups.into_iter().flatten()
}

/// The checks of a stage's suite.
pub fn of_stage(stage: u8) -> Vec<&'static Check> {
    all()
        .filter(|check| check.stages.contains(&stage))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::points;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_a_name_of_its_own_and_something_to_say() {
        let mut ids = BTreeSet::new();
        for check in all() {
            let kebab =
                |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(check.id.bytes().all(kebab), "{}", check.id);
            assert!(ids.insert(check.id), "{} is there twice", check.id);
            for text in [check.must, check.why, check.hint] {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", check.id);
            }
        }
    }

    #[test]
    fn what_a_check_needs_comes_in_the_same_suites() {
        for check in all() {
            for id in check.needs {
                let needed = all().find(|other| other.id == *id);
                let needed = needed.unwrap_or_else(|| panic!("{} needs {id}", check.id));
                let suites = check.stages.clone();
                assert!(
                    suites
                        .into_iter()
                        .all(|stage| needed.stages.contains(&stage)),
                    "{} needs {id}, which is not in all its suites",
                    check.id
                );
            }
        }
    }

    #[test]
    fn every_stage_has_100_points_and_no_check_is_for_nothing() {
        for stage in 1..=4 {
            let points = points(&of_stage(stage));
            assert_eq!(points.iter().sum::<u32>(), 100, "stage {stage}");
            assert!(points.iter().all(|points| *points > 0), "stage {stage}");
        }
    }
}
