//! A check: one thing that must be true of a server, and what to say when it is not.

use crate::bench::Bench;
use std::io;
use std::ops::RangeInclusive;

/// One thing that must be true of a server.
pub struct Check {
    /// Its name, in kebab-case, once in the whole suite.
    pub id: &'static str,
    /// The stages that it holds for.
    pub stages: RangeInclusive<u8>,
    /// How much it counts beside the others; [`points`] turns weights into points.
    pub weight: u32,
    /// What must be true, in a line.
    pub must: &'static str,
    /// Why: the section of an RFC, or the fault that it guards against.
    pub why: &'static str,
    /// A push in the right direction that does not give the answer away.
    pub hint: &'static str,
    /// The checks that a server must pass before this one can tell anything. Where one of
    /// them has failed, this one is not reached.
    pub needs: &'static [&'static str],
    /// Whether it waits for a timeout: such checks start first, to be done when others are.
    pub waits: bool,
    /// Whether it needs what only Linux tells; elsewhere it is not run.
    pub linux_only: bool,
    /// Whether one request by itself shows what is wrong, so that there is a line to try.
    pub alone: bool,
    pub run: fn(&Bench) -> Outcome,
}

/// The check that nearly all others need: whoever cannot serve a file by its name cannot show
/// that it refuses one, and an answer that never changes must not earn points for being right
/// by chance.
pub const BASIC: &str = "named-file";

/// What most checks have in common, for `..COMMON` behind what is their own.
pub const COMMON: Check = Check {
    id: "",
    stages: 1..=4,
    weight: 1,
    must: "",
    why: "",
    hint: "",
    needs: &[BASIC],
    waits: false,
    linux_only: false,
    alone: true,
    run: |_| Ok(()),
};

/// How a check ends when nothing is wrong, and when something is.
pub type Outcome = Result<(), Trouble>;

/// What went wrong.
#[derive(Debug)]
pub enum Trouble {
    /// The server's fault.
    Failed(Box<Finding>),
    /// The harness's own fault: it says nothing about the server.
    Broken(String),
}

/// What was seen of a server's fault.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// The bytes that the server got, if it got any.
    pub sent: Vec<u8>,
    pub expected: String,
    pub received: String,
}

impl Trouble {
    /// A fault of the server that no request stands behind.
    pub fn failed(expected: impl Into<String>, received: impl Into<String>) -> Self {
        Trouble::after(b"", expected, received)
    }

    /// A fault that shows after these bytes were sent.
    pub fn after(sent: &[u8], expected: impl Into<String>, received: impl Into<String>) -> Self {
        Trouble::Failed(Box::new(Finding {
            sent: sent.to_vec(),
            expected: expected.into(),
            received: received.into(),
        }))
    }
}

/// The harness could not do its own work: make a file, say.
impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Broken(error.to_string())
    }
}

/// Fails with this expectation unless the condition holds.
pub fn must(condition: bool, expected: impl Into<String>, received: impl Into<String>) -> Outcome {
    match condition {
        true => Ok(()),
        false => Err(Trouble::failed(expected, received)),
    }
}

/// The points of each check, in whole numbers that sum to 100: each gets the whole part of
/// its share, and what is left goes to those that lost most by rounding.
pub fn points(checks: &[&Check]) -> Vec<u32> {
    let total: u32 = checks.iter().map(|check| check.weight).sum();
    let shares: Vec<u32> = checks.iter().map(|check| check.weight * 100).collect();
    let mut points: Vec<u32> = shares.iter().map(|share| share / total).collect();
    let mut order: Vec<usize> = (0..checks.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(shares[index] % total), index));
    let left = 100 - points.iter().sum::<u32>();
    for &index in order.iter().take(left as usize) {
        points[index] += 1;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighing(weight: u32) -> Check {
        Check { weight, ..COMMON }
    }

    #[test]
    fn points_are_whole_and_sum_to_100() {
        let checks = [1, 1, 1, 3, 5].map(weighing);
        let checks: Vec<&Check> = checks.iter().collect();
        assert_eq!(points(&checks), [9, 9, 9, 27, 46]);
    }
}
