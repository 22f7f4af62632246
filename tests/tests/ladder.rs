//! The ladder: each stage fails the next stage's suite exactly where the next stage's idea
//! is asked for. So every new check really sees its idea, and no other check depends on it.

use lab::check::Check;
use lab::suite::{self, Verdict};
use lab::{checks, workspace};
use std::path::Path;

#[test]
fn each_stage_fails_what_the_next_one_introduces_and_nothing_else() {
    suite::prepare().unwrap();
    let seed = suite::seed().unwrap();
    println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    let binaries = workspace::build_stages().unwrap();
    // Each stage on a thread of its own: most of the time they wait.
    std::thread::scope(|scope| {
        for (next, binary) in (2..).zip(&binaries[..3]) {
            scope.spawn(move || climb(binary, next, seed));
        }
    });
}

/// Runs the checks of stage `next` on the binary of the stage before.
fn climb(binary: &Path, next: u8, seed: u64) {
    let all = checks::of_stage(next);
    let runnable = |check: &&Check| !check.linux_only || cfg!(target_os = "linux");
    let all: Vec<&Check> = all.into_iter().filter(runnable).collect();
    let verdicts = suite::run_all(&all, next, binary, seed);
    for (check, verdict) in all.iter().zip(verdicts) {
        let introduced = !check.stages.contains(&(next - 1));
        match (verdict, introduced) {
            (Verdict::Passed, false) | (Verdict::Failed(_), true) => {}
            (Verdict::Passed, true) => {
                panic!(
                    "stage {} passes {}, which stage {next} introduces",
                    next - 1,
                    check.id
                )
            }
            (Verdict::Failed(text), false) => {
                panic!("stage {} fails what it should pass:\n{text}", next - 1)
            }
            (Verdict::Broken(text), _) => panic!("{} is broken: {text}", check.id),
        }
    }
}
