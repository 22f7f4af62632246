//! The steps from stage 3 to stage 4: each is a complete program that passes its own checks and
//! those before, and fails the later ones.

use crate::packages::{Workspace, read};
use crate::{BUILDING, ensure_verdicts, jobs};
use harness::cleanup;
use harness::program::Program;
use harness::workspace::{self, stage};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;
use suite::checks;
use suite::patch::{self, Sources};
use suite::steps::{self, STEPS, Step};

/// The files that the last step changes. A change of another file in stage 4, as of a line that an
/// earlier step has too, belongs to that step.
const LAST_FILES: [&str; 7] = [
    "Cargo.toml",
    "src/connection.rs",
    "src/form.rs",
    "src/handler.rs",
    "src/main.rs",
    "src/request.rs",
    "src/response.rs",
];

/// The most lines that the last step may remove. If a line that an earlier step has too changes in
/// stage 4, the last step removes one more.
const LAST_REMOVED_LIMIT: usize = 24;

/// The workspace of the steps that have a patch. It is written once for all tests.
static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| {
    let mut workspace = Workspace::new("steps");
    for step in steps::patched() {
        workspace.add(&package(step), &step.sources().unwrap());
    }
    workspace.finish();
    workspace
});

/// Their programs, by package. They are built once for all tests.
static PROGRAMS: LazyLock<BTreeMap<String, Program>> = LazyLock::new(|| {
    let _building = BUILDING.write().unwrap();
    WORKSPACE.build()
});

fn package(step: &Step) -> String {
    format!("step_{}", step.id)
}

fn run(mut cargo: Command) {
    let _building = BUILDING.write().unwrap();
    let output = cleanup::run(&mut cargo).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

#[test]
fn patches_fit_exactly() {
    let mut before = patch::read(&workspace::folder(stage(3), false)).unwrap();
    for step in steps::patched() {
        let after = step.sources().unwrap();
        let is_exact = read(&step.patch()) == patch::make(&before, &after);
        let id = step.id;
        assert!(is_exact, "{id}.diff is out of date: run `cargo lab steps`");
        before = after;
    }
}

#[test]
fn last_step_is_only_the_form() {
    let [.., before, last] = &STEPS;
    let [before, after] = [before, last].map(|step| step.sources().unwrap());
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = |name: &&&String| before.get(**name) != after.get(**name);
    let changed: Vec<&str> = names
        .iter()
        .filter(changed)
        .map(|name| name.as_str())
        .collect();
    let hint = "steps 4a to 4c lag behind stage 4: run `cargo lab steps`";
    assert_eq!(changed, LAST_FILES, "{hint}");
    let patch = patch::make(&before, &after);
    let is_removed = |line: &&str| line.starts_with('-') && !line.starts_with("--- ");
    let removed: Vec<&str> = patch.lines().filter(is_removed).collect();
    assert!(removed.len() <= LAST_REMOVED_LIMIT, "{hint}: {removed:#?}");
}

#[test]
fn steps_are_called_like_stage_4() {
    let of_stage: Sources = STEPS[3].sources().unwrap();
    for step in steps::patched() {
        let sources = step.sources().unwrap();
        for (file, line) in [("Cargo.toml", "name = "), ("src/options.rs", "9001")] {
            let find = |sources: &Sources| {
                let line = sources[file].lines().find(|text| text.contains(line));
                line.map(str::to_string)
            };
            assert!(find(&sources).is_some(), "{}: {file}", step.id);
            assert_eq!(find(&sources), find(&of_stage), "{}: {file}", step.id);
        }
    }
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds the steps: LAB_CI=1 runs it")]
fn step_passes_its_checks_and_fails_the_later_ones() {
    let mut all = Vec::new();
    for (place, step) in steps::patched().iter().enumerate() {
        let program = &PROGRAMS[&package(step)];
        let is_reached = |id: &str| steps::place_of(id).is_none_or(|other| other <= place);
        all.extend(jobs(checks::of_stage(4), program, is_reached));
    }
    ensure_verdicts(all);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds the steps: LAB_CI=1 runs it")]
fn steps_pass_their_unit_tests() {
    let mut cargo = WORKSPACE.cargo("test");
    cargo.arg("--workspace");
    run(cargo);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds the steps: LAB_CI=1 runs it")]
fn steps_have_no_warnings() {
    let mut clippy = WORKSPACE.cargo("clippy");
    clippy
        .args(["--workspace", "--all-targets", "--", "-D", "warnings"])
        .env_remove("RUSTFLAGS");
    run(clippy);
    let mut fmt = WORKSPACE.cargo("fmt");
    fmt.args(["--all", "--check"]);
    run(fmt);
}
