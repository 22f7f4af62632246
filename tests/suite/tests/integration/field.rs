//! Servers that nobody wrote for the lab, behind a wrapper, as a course would grade them. For each
//! check that one of them fails, `tests/suite/field/programs.toml` gives the reason. A difference
//! means that a verdict has changed, or that the program has: then find out which of the two is right.

use harness::context::RESPONSE_TIMEOUT;
use harness::program::Program;
use harness::workspace;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use suite::check::{Check, points};
use suite::checks;
use suite::explain::{Details, explain};
use suite::run::{Run, TimedVerdict, Verdict, run_all};

/// What a program gets.
#[derive(Deserialize)]
struct Grade {
    /// The command that installs it.
    install: String,
    stage: u8,
    points: u32,
    /// Each check that it fails, and why.
    fails: BTreeMap<String, String>,
}

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "needs servers from Debian and npm: LAB_CI=1 runs it on Linux"
)]
fn programs_fail_what_is_listed() {
    let seed = crate::prepare();
    let folder = workspace::root().join("tests/suite/field");
    let text = fs::read_to_string(folder.join("programs.toml")).unwrap();
    let grades: BTreeMap<String, Grade> = toml::from_str(&text).unwrap();
    let _running = crate::BUILDING.read().unwrap();
    let differences = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (name, grade) in &grades {
            let (folder, differences) = (&folder, &differences);
            scope.spawn(move || {
                let found = differences_of(name, grade, folder.join("wrapper"), seed);
                differences.lock().unwrap().extend(found);
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Grades a program. Returns an explanation of everything that isn't as listed.
fn differences_of(name: &str, grade: &Grade, wrapper: PathBuf, seed: u64) -> Vec<String> {
    let checks = checks::of_stage(grade.stage);
    let mut program = Program::new(wrapper);
    program.arguments = vec![name.into()];
    let version = program.run(&["--version"], RESPONSE_TIMEOUT).unwrap();
    if !version.status.success() {
        return vec![format!("{name} is missing. Run: {}\n", grade.install)];
    }
    let run = Run::new(checks.clone(), program, seed);
    let mut run = run.expecting_failures(grade.fails.keys().cloned());
    // Its checks wait while those of other tests run.
    run.verdict_timeout = Duration::from_secs(1000);
    let verdicts = run_all(run, |_, _| ());
    let mut differences = Vec::new();
    let mut sum = 0;
    for ((check, points), timed) in checks.iter().zip(points(&checks)).zip(&verdicts) {
        differences.extend(difference(name, grade, check, timed));
        if matches!(timed.verdict, Verdict::Passed) {
            sum += points;
        }
    }
    for id in grade.fails.keys() {
        if checks.iter().all(|check| check.id != id) {
            differences.push(format!("{name}: stage {} has no check {id}\n", grade.stage));
        }
    }
    if sum != grade.points {
        differences.push(format!("{name}: {sum} points, not {}\n", grade.points));
    }
    differences
}

/// Explains a verdict that isn't as listed.
fn difference(name: &str, grade: &Grade, check: &Check, timed: &TimedVerdict) -> Option<String> {
    let reason = grade.fails.get(check.id);
    let is_expected = match timed.verdict {
        Verdict::Passed => reason.is_none(),
        Verdict::Failed(_) => reason.is_some(),
        Verdict::NotReached(_) => reason.is_none(),
        _ => false,
    };
    if is_expected {
        return None;
    }
    let id = check.id;
    let listed = match reason {
        Some(reason) => format!("{name} must fail {id}: {reason}\n"),
        None => format!("{name} must pass {id}\n"),
    };
    Some(listed + &explain(check, timed, Details::Full, 0))
}
