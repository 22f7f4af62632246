//! The exercises: each can be solved, and each of its checks can fail.
//!
//! `tests/suite/exercises/NAME.diff` turns the stage of an exercise into a solution. Each fault
//! in `faults.toml` is a small change to a solution that fails exactly the checks that it lists.
//! Normally, diffs and faults are applied but not built. With `LAB_CI=1` they are built and run.

use crate::{BUILDING, ensure_verdicts, jobs};
use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};
use harness::program::Program;
use harness::workspace::{self, stage};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use suite::checks;
use suite::exercises::{self, Exercise};
use toml::Table;

/// The files in `src/` of a stage or a solution, by name.
type Sources = BTreeMap<String, String>;

/// A change that makes a solution wrong.
#[derive(Deserialize)]
struct Fault {
    file: String,
    /// What is replaced. The file contains it once.
    find: String,
    replace: String,
    /// The checks of the exercise that fail.
    fails: BTreeSet<String>,
}

fn folder() -> PathBuf {
    workspace::root().join("tests/suite/exercises")
}

/// The folder in which solutions are built, as a workspace of their own.
fn build_folder() -> PathBuf {
    workspace::root().join("target/exercises")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The faults of each exercise.
fn faults() -> BTreeMap<String, Vec<Fault>> {
    toml::from_str(&read(&folder().join("faults.toml"))).unwrap()
}

/// The solution of an exercise: its diff, applied to the stage.
fn solution(exercise: &Exercise) -> Sources {
    let stage = stage(exercise.stage);
    let mut sources = Sources::new();
    for entry in fs::read_dir(workspace::folder(stage, false).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy();
        sources.insert(file.into_owned(), read(&path));
    }
    let name = format!("{}.diff", exercise.name);
    let diff = read(&folder().join(&name));
    for patch in PatchSet::parse(&diff, ParseOptions::unidiff()) {
        let patch = patch.unwrap_or_else(|error| panic!("{name}: {error}"));
        let operation = patch.operation().strip_prefix(2);
        let (FileOperation::Create(file) | FileOperation::Modify { modified: file, .. }) =
            operation
        else {
            panic!("{name} must only change and add files: {operation:?}");
        };
        let before = sources.remove(file.as_ref()).unwrap_or_default();
        let after = diffy::apply(&before, patch.patch().as_text().unwrap());
        let after =
            after.unwrap_or_else(|error| panic!("{name} no longer fits {}: {error}", stage.name));
        sources.insert(file.into_owned(), after);
    }
    sources
}

/// The solution of an exercise with a fault.
fn faulty_solution(exercise: &Exercise, fault: &Fault) -> Sources {
    let Fault { file, find, .. } = fault;
    let mut sources = solution(exercise);
    let text = sources.get_mut(file).unwrap();
    let count = text.matches(find).count();
    let name = exercise.name;
    assert_eq!(count, 1, "{name}: {file} must contain this once: {find}");
    *text = text.replacen(find, &fault.replace, 1);
    sources
}

fn faulty_package(exercise: &Exercise, number: usize) -> String {
    format!("{}_fault_{number}", exercise.package())
}

/// The programs of all solutions and all faults, by package. They are built once for all tests.
static PROGRAMS: LazyLock<BTreeMap<String, Program>> = LazyLock::new(|| {
    let faults = faults();
    let mut packages = Vec::new();
    let mut add = |package: String, exercise: &Exercise, sources: &Sources| {
        write_package(&package, exercise, sources);
        packages.push(package);
    };
    for exercise in exercises::all() {
        add(exercise.package(), exercise, &solution(exercise));
        for (number, fault) in faults[exercise.name].iter().enumerate() {
            let sources = faulty_solution(exercise, fault);
            add(faulty_package(exercise, number), exercise, &sources);
        }
    }
    write_workspace(packages);
    let _building = BUILDING.write().unwrap();
    let mut cargo = cargo("build");
    cargo.args(["--workspace", "--message-format=json-render-diagnostics"]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "see the compiler's messages above");
    let binaries = workspace::binaries(output.stdout.as_slice()).into_iter();
    binaries
        .map(|binary| (binary.name, Program::new(binary.path)))
        .collect()
});

/// Cargo, to be run on the solutions. Their target folder is their own: other features of their
/// dependencies would replace the binaries of the stages.
fn cargo(command: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(build_folder())
        .args([command, "--quiet", "--offline"])
        .env("CARGO_TARGET_DIR", build_folder().join("target"))
        // A fault may leave something unused.
        .env("RUSTFLAGS", "-Awarnings")
        .stderr(Stdio::inherit());
    cargo
}

/// Writes the manifest and the lock file of the workspace, from those of the lab.
fn write_workspace(members: Vec<String>) {
    let mut manifest = manifest(workspace::root());
    let table = manifest["workspace"].as_table_mut().unwrap();
    table.insert("members".into(), members.into());
    table.remove("default-members");
    // Paths would lead nowhere there.
    let dependencies = table["dependencies"].as_table_mut().unwrap();
    dependencies.retain(|_, dependency| dependency.get("path").is_none());
    // Without debug information they build faster.
    let profile: Table = toml::from_str("dev.debug = false").unwrap();
    manifest.insert("profile".into(), profile.into());
    write_if_changed(&build_folder().join("Cargo.toml"), &manifest.to_string());
    let lock = read(&workspace::root().join("Cargo.lock"));
    // Cargo adds the members.
    write_if_changed(&build_folder().join("Cargo.lock"), &lock);
}

fn manifest(folder: &Path) -> Table {
    toml::from_str(&read(&folder.join("Cargo.toml"))).unwrap()
}

/// Writes a package with these sources, and the manifest of its stage without the suite.
fn write_package(package: &str, exercise: &Exercise, sources: &Sources) {
    let mut manifest = manifest(&workspace::folder(stage(exercise.stage), false));
    manifest.remove("test");
    let dependencies = manifest["dev-dependencies"].as_table_mut().unwrap();
    dependencies.remove("suite");
    manifest["package"]["name"] = package.into();
    let folder = build_folder().join(package);
    write_if_changed(&folder.join("Cargo.toml"), &manifest.to_string());
    for (file, text) in sources {
        write_if_changed(&folder.join("src").join(file), text);
    }
}

/// Writes a file unless it already has this content, so that Cargo builds only what has changed.
fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

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
    let mut cargo = cargo("test");
    for exercise in exercises::all() {
        cargo.args(["--package", &exercise.package()]);
    }
    let output = cargo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}
