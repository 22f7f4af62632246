//! The exercises: each can be solved, and each of its checks can fail.
//!
//! `tests/suite/exercises/NAME.diff` turns the stage of an exercise into a solution. Each fault
//! in `faults.toml` is a small change to a solution that fails exactly the checks that it lists.
//! Normally, diffs and faults are applied but not built. With `LAB_CI=1` they are built and run.

use crate::packages::{Fault, Workspace, read};
use crate::{BUILDING, ensure_verdicts, jobs};
use harness::cleanup;
use harness::program::Program;
use harness::workspace::{self, stage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;
use suite::checks;
use suite::exercises::{self, Exercise};
use suite::patch::{self, Sources};

fn folder() -> PathBuf {
    workspace::root().join("tests/suite/exercises")
}

/// The faults of each exercise.
fn faults() -> BTreeMap<String, Vec<Fault>> {
    toml::from_str(&read(&folder().join("faults.toml"))).unwrap()
}

/// The solution of an exercise: its diff, applied to the stage.
fn solution(exercise: &Exercise) -> Sources {
    let stage = stage(exercise.stage);
    let sources = patch::read(&workspace::folder(stage, false)).unwrap();
    let name = format!("{}.diff", exercise.name);
    let diff = read(&folder().join(&name));
    patch::apply(sources, &diff)
        .unwrap_or_else(|error| panic!("{name} no longer fits {}: {error}", stage.name))
}

/// The solution of an exercise with a fault.
fn faulty_solution(exercise: &Exercise, fault: &Fault) -> Sources {
    fault.apply(solution(exercise))
}

fn faulty_package(exercise: &Exercise, number: usize) -> String {
    format!("{}_fault_{number}", exercise.package())
}

/// The workspace of all solutions and all faults. It is written once for all tests.
static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| {
    let faults = faults();
    let mut workspace = Workspace::new("exercises");
    for exercise in exercises::all() {
        workspace.add(&exercise.package(), &solution(exercise));
        for (number, fault) in faults[exercise.name].iter().enumerate() {
            let sources = faulty_solution(exercise, fault);
            workspace.add(&faulty_package(exercise, number), &sources);
        }
    }
    workspace.finish();
    workspace
});

/// Their programs, by package. They are built once for all tests.
static PROGRAMS: LazyLock<BTreeMap<String, Program>> = LazyLock::new(|| {
    let _building = BUILDING.write().unwrap();
    WORKSPACE.build()
});

#[test]
fn every_check_fails_for_a_fault() {
    let faults = faults();
    for exercise in exercises::all() {
        let mut listed = BTreeSet::new();
        for fault in &faults[exercise.name] {
            faulty_solution(exercise, fault);
            listed.extend(fault.fails.iter().map(String::as_str));
        }
        let own: BTreeSet<&str> = exercise.checks.iter().map(|check| check.id).collect();
        assert_eq!(listed, own, "{}: listed checks, and its own", exercise.name);
    }
    assert_eq!(faults.len(), exercises::all().count(), "unknown exercise");
}

#[test]
fn unchanged_stage_fails_the_checks_of_its_exercises() {
    let stages = workspace::build_stages().unwrap();
    let all = exercises::all().flat_map(|exercise| {
        let program = Program::new(&stages[usize::from(exercise.stage) - 1]);
        jobs(exercise.own_checks(), &program, |id| {
            exercise.already_passing.contains(&id)
        })
    });
    ensure_verdicts(all.collect());
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all solutions: LAB_CI=1 runs it")]
fn solution_passes_its_checks_and_those_of_its_stage() {
    let all = exercises::all().flat_map(|exercise| {
        let checks = [exercise.own_checks(), checks::of_stage(exercise.stage)].concat();
        jobs(checks, &PROGRAMS[&exercise.package()], |id| {
            !exercise.excused.contains(&id)
        })
    });
    ensure_verdicts(all.collect());
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all solutions: LAB_CI=1 runs it")]
fn fault_fails_exactly_the_checks_that_it_lists() {
    let faults = faults();
    let mut all = Vec::new();
    for exercise in exercises::all() {
        for (number, fault) in faults[exercise.name].iter().enumerate() {
            let program = &PROGRAMS[&faulty_package(exercise, number)];
            let must_pass = |id: &str| !fault.fails.contains(id);
            all.extend(jobs(exercise.own_checks(), program, must_pass));
        }
    }
    ensure_verdicts(all);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all solutions: LAB_CI=1 runs it")]
fn solutions_pass_their_unit_tests() {
    LazyLock::force(&PROGRAMS);
    let _building = BUILDING.write().unwrap();
    let mut cargo = WORKSPACE.cargo("test");
    for exercise in exercises::all() {
        cargo.args(["--package", &exercise.package()]);
    }
    let output = cleanup::run(&mut cargo).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}
