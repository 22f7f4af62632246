//! The ladder: each stage fails the next stage's suite exactly where the next stage's idea
//! is asked for. So every new check really sees its idea.
//!
//! A check does not know whose suite it stands in: those that two neighbours share are the
//! same on the same binary, and each stage's own suite holds them. What is left to see is
//! that the lower stage fails all that the upper one introduces.

use lab::check::Check;
use lab::program::Program;
use lab::suite::{self, Verdict};
use lab::{checks, workspace};
use std::path::Path;

#[test]
fn each_stage_fails_all_that_the_next_one_introduces() {
    suite::prepare().unwrap();
    let seed = suite::seed().unwrap();
    println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    let binaries = workspace::build_stages().unwrap();
    // Each stage on a thread of its own: most of the time they wait.
    std::thread::scope(|scope| {
        for (next, binary) in (2..).zip(&binaries[..3]) {
            scope.spawn(move || must_fail_what_is_new(binary, next, seed));
        }
    });
}

/// Runs the checks that stage `next` introduces on the binary of the stage before.
fn must_fail_what_is_new(binary: &Path, next: u8, seed: u64) {
    let is_new = |check: &&'static Check| !check.stages.contains(&(next - 1));
    let runnable = |check: &&'static Check| !check.linux_only || cfg!(target_os = "linux");
    let new: Vec<&'static Check> = checks::of_stage(next)
        .into_iter()
        .filter(is_new)
        .filter(runnable)
        .collect();
    let program = Program::new(binary);
    assert!(!new.is_empty(), "stage {next} introduces nothing");
    for (check, verdict) in new.iter().zip(suite::run_each(&new, &program, seed)) {
        match verdict {
            Verdict::Failed(_) => {}
            Verdict::Passed => {
                panic!(
                    "stage {} passes {}, which stage {next} introduces",
                    next - 1,
                    check.id
                )
            }
            verdict => panic!("{}: {verdict:?}", check.id),
        }
    }
}
