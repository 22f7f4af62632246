//! Behind a script that starts the server without `exec`, every verdict is the same: what counts is
//! the process that listens, not the one that was started.

#![cfg(target_os = "linux")]

use crate::{ensure_verdicts, faults, jobs};
use faulty::faults::Fault;
use harness::program::Program;
use harness::workspace::{self, STAGES};
use suite::checks;

/// A program behind such a script.
fn wrapped(program: Program) -> Program {
    let mut wrapper = Program::new("/bin/sh");
    // With only one command, some shells replace themselves with it.
    let script = r#""$0" "$@"; exit $?"#;
    wrapper.arguments = vec!["-c".into(), script.into(), program.path.into()];
    wrapper.arguments.extend(program.arguments);
    wrapper
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "takes as long as all suites: LAB_CI=1 runs it")]
fn stages_pass_behind_a_wrapper() {
    let binaries = workspace::build_stages().unwrap();
    let all = STAGES.iter().zip(binaries).flat_map(|(stage, binary)| {
        let program = wrapped(Program::new(binary));
        jobs(checks::of_stage(stage.number), &program, |_| true)
    });
    ensure_verdicts(all.collect());
}

#[test]
fn faults_fail_behind_a_wrapper() {
    let faults = [
        Fault::LeaksDescriptors,
        Fault::NeverReapsChildren,
        Fault::UnboundedChildren,
        Fault::UnboundedThreads,
    ];
    let all = faults.into_iter().flat_map(|fault| {
        let row = fault.row();
        let mut checks = checks::of_stage(row.stage);
        checks.retain(|check| row.fails.contains(check.id));
        let program = wrapped(faults::program(row.stage, Some(fault)));
        jobs(checks, &program, |_| false)
    });
    ensure_verdicts(all.collect());
}
