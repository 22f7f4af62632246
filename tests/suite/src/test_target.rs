//! The suite as a test target of a stage: each check is a test.

use crate::check::Check;
use crate::explain::{Details, explain};
use crate::run::{self, Run, Verdict};
use crate::translation::{self, fill, text};
use crate::{checks, exercises};
use harness::cleanup;
use harness::program::Program;
use harness::workspace::{self, Stage};
use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the checks of a package, a stage or a student's own, on its binary.
pub fn run(package: &str, binary: &Path) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(run::max_concurrent());
    let prepared = checks_of(package).and_then(|suite| {
        translation::choose()?;
        run::prepare()?;
        Ok((suite, run::seed()?))
    });
    let ((stage, mut checks), seed) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.list {
        let line = fill(
            "seed {seed} (LAB_SEED={seed} repeats this run)",
            &[("seed", &seed)],
        );
        println!("{line}");
    }
    checks.sort_by_key(|check| !check.slow);
    let run = Arc::new(Run::new(checks, Program::new(binary), seed));
    let trials = run.checks.iter().enumerate().map(|(index, check)| {
        let run = Arc::clone(&run);
        let test = move || {
            let timed = run.verdict(index);
            if matches!(timed.verdict, Verdict::Passed) {
                return Ok(());
            }
            let explanation = explain(run.checks[index], timed, Details::Full, stage.port);
            let repeat = text("repeat: ");
            Err(format!("{explanation}  {repeat}LAB_SEED={seed}\n").into())
        };
        Trial::test(check.id, test).with_ignored_flag(!check.is_supported())
    });
    let exit_code = libtest_mimic::run(&arguments, trials.collect()).exit_code();
    cleanup::clean_up();
    exit_code
}

/// The stage of a package, and its checks: those of the stage, or those of an exercise with those
/// of its stage that must still pass.
fn checks_of(package: &str) -> Result<(&'static Stage, Vec<&'static Check>), String> {
    if let Some(exercise) = exercises::of_package(package) {
        let checks = [exercise.own_checks(), exercise.stage_checks()].concat();
        return Ok((workspace::stage(exercise.stage), checks));
    }
    match workspace::stage_of(package) {
        Some(stage) => Ok((stage, checks::of_stage(stage.number))),
        None => Err(format!(
            "`{package}` is not a stage. A stage is called as in tests/harness/src/workspace.rs, \
             my_stageN, or my_stageN_EXERCISE."
        )),
    }
}
