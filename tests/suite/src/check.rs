//! A check: one thing that a server must do, and what to say when it doesn't.

use crate::translation::fill;
use harness::context::TestContext;
use harness::error::{CheckResult, FailureKind};
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// One thing that a server must do.
pub struct Check {
    /// Its name in kebab-case, unique in the whole suite. It appears in reports, so it never
    /// changes.
    pub id: &'static str,
    /// The stages that it applies to.
    pub stages: RangeInclusive<u8>,
    /// The exercise that it belongs to; `None` for a check of the stages.
    pub exercise: Option<&'static str>,
    /// How much it counts compared with the others; [`points`] turns weights into points.
    pub weight: u32,
    /// What a server must do, in a line that completes "A server must ...".
    pub must: &'static str,
    /// Why: the section of an RFC, or the fault that it guards against.
    pub why: &'static str,
    /// A nudge in the right direction that doesn't give the solution away.
    pub hint: &'static str,
    /// The kinds of failure, apart from wrong behavior, that the hint is about. Other failures get
    /// the hint of their kind.
    pub about: &'static [FailureKind],
    /// The checks that must pass before this one can tell anything. If one of them fails, this
    /// one is not reached.
    pub needs: &'static [&'static str],
    /// Whether it waits for a timeout. Slow checks start first.
    pub slow: bool,
    /// Whether it connects hundreds of clients. Few of these run at the same time.
    pub crowd: bool,
    /// Whether it needs /proc. On other systems it is not run.
    pub linux_only: bool,
    /// Whether it limits the server's processes, which isn't possible for root.
    pub without_root: bool,
    /// Whether sending the request again shows the failure, so that it is worth a command line.
    pub replayable: bool,
    pub run: fn(&TestContext) -> CheckResult,
}

/// The check that nearly all others need. A server that can't serve a file by its name can't show
/// that it refuses one, and giving every request the same answer must earn no points.
pub const PREREQUISITE: &str = "named-file";

/// The check of the line that announces the address. Without that line, nobody can connect.
pub const ANNOUNCEMENT: &str = "announces-when-ready";

/// What most checks have in common, for `..DEFAULTS`.
pub const DEFAULTS: Check = Check {
    id: "",
    stages: 1..=6,
    exercise: None,
    weight: 1,
    must: "",
    why: "",
    hint: "",
    about: &[],
    needs: &[PREREQUISITE],
    slow: false,
    crowd: false,
    linux_only: false,
    without_root: false,
    replayable: true,
    run: |_| Ok(()),
};

impl Check {
    /// Where to read more: a lesson in LESSONS.md, or the text of the exercise.
    pub fn lesson(&self) -> String {
        match self.exercise {
            Some(exercise) => format!("cargo lab exercise {exercise}"),
            None => fill(
                "LESSONS.md, lesson {lesson}",
                &[("lesson", self.stages.start())],
            ),
        }
    }

    /// Whether it can run on this system.
    pub fn is_supported(&self) -> bool {
        !self.linux_only || cfg!(target_os = "linux")
    }
}

/// The points of each check: whole numbers that sum to 100. Each check gets the whole part of its
/// share; the remaining points go to the checks that lost most by rounding. A check that would be
/// worth nothing gets a point of the one that is worth most.
///
/// Of more than 100 checks, some must be worth nothing. Then a check of an earlier lesson counts one
/// less than its weight says: only the important ones are worth points again. All must pass
/// nevertheless.
pub fn points(checks: &[&Check]) -> Vec<u32> {
    let newest = checks.iter().map(|check| *check.stages.start()).max();
    let is_earlier = |check: &Check| checks.len() > 100 && Some(*check.stages.start()) < newest;
    let weight = |check: &&Check| check.weight - u32::from(is_earlier(check));
    let weights: Vec<u32> = checks.iter().map(weight).collect();
    let total: u32 = weights.iter().sum();
    let shares: Vec<u32> = weights.iter().map(|weight| weight * 100).collect();
    let mut points: Vec<u32> = shares.iter().map(|share| share / total).collect();
    let mut order: Vec<usize> = (0..checks.len()).collect();
    order.sort_by_key(|&index| (Reverse(shares[index] % total), index));
    let remaining = 100 - points.iter().sum::<u32>();
    for &index in order.iter().take(remaining as usize) {
        points[index] += 1;
    }
    while let Some(worthless) =
        (0..points.len()).find(|&index| points[index] == 0 && weights[index] > 0)
    {
        let most = (0..points.len()).max_by_key(|&index| (points[index], Reverse(index)));
        let Some(most) = most.filter(|&most| points[most] > 1) else {
            break;
        };
        points[most] -= 1;
        points[worthless] += 1;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_whole_and_sum_to_100() {
        let checks = [1, 1, 1, 3, 5].map(|weight| Check { weight, ..DEFAULTS });
        let checks: Vec<&Check> = checks.iter().collect();
        assert_eq!(points(&checks), [9, 9, 9, 27, 46]);
        let mut weights = [1; 100];
        weights[7..10].fill(3);
        let checks = weights.map(|weight| Check { weight, ..DEFAULTS });
        let checks: Vec<&Check> = checks.iter().collect();
        assert_eq!(points(&checks), [1; 100]);
    }

    #[test]
    fn of_more_than_100_checks_earlier_ones_count_less() {
        let check = |weight, first| Check {
            weight,
            stages: first..=5,
            ..DEFAULTS
        };
        let mut checks: Vec<Check> = (0..50).map(|_| check(1, 5)).collect();
        checks.extend((0..90).map(|_| check(1, 1)));
        checks.extend([check(2, 4), check(3, 2), check(3, 5)]);
        let points = points(&checks.iter().collect::<Vec<&Check>>());
        assert_eq!(points.iter().sum::<u32>(), 100);
        assert!(points[..50].iter().all(|points| (1..=2).contains(points)));
        assert_eq!(points[50..140], [0; 90]);
        assert_eq!(points[140..], [1, 3, 5]);
    }
}
