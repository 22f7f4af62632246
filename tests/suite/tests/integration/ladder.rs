//! The ladder: under the suite of a stage that builds on it, a stage fails every check that the other
//! introduces. So every new check detects that its idea is missing.
//!
//! The checks that two stages share give the same verdict in both suites; each stage's own suite
//! covers them.

use crate::{ensure_verdicts, jobs};
use harness::program::Program;
use harness::workspace;
use suite::checks;

#[test]
fn each_stage_fails_every_check_that_one_built_on_it_introduces() {
    let mut all = Vec::new();
    let binaries = workspace::build_stages().unwrap();
    for (base, new) in workspace::pairs() {
        let mut introduced = checks::of_stage(new.number);
        introduced.retain(|check| !check.stages.contains(&base.number));
        let program = Program::new(&binaries[usize::from(base.number) - 1]);
        let jobs = jobs(introduced, &program, |_| false);
        assert!(!jobs.is_empty(), "{} introduces nothing", new.name);
        all.extend(jobs);
    }
    ensure_verdicts(all);
}
