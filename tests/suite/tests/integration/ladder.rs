//! The ladder: under the suite of the next stage, a stage fails every check that the next stage
//! introduces. So every new check detects that its idea is missing.
//!
//! The checks that two stages share give the same verdict in both suites; each stage's own suite
//! covers them.

use crate::{ensure_verdicts, jobs};
use harness::program::Program;
use harness::workspace;
use suite::checks;

#[test]
fn each_stage_fails_every_check_that_the_next_one_introduces() {
    let mut all = Vec::new();
    for (next, binary) in (2..=5).zip(workspace::build_stages().unwrap()) {
        let mut introduced = checks::of_stage(next);
        introduced.retain(|check| !check.stages.contains(&(next - 1)));
        let jobs = jobs(introduced, &Program::new(binary), |_| false);
        assert!(!jobs.is_empty(), "stage {next} introduces nothing");
        all.extend(jobs);
    }
    ensure_verdicts(all);
}
