//! The exercises: each can be solved, and each of its checks can fail.
//!
//! For every exercise its stage, as it is, fails the exercise's own checks, but for those that
//! it lists as `already` green. Its solution, `tests/exercises/NAME.diff`, passes them all, and
//! of the stage's checks all but just those that are excused. And for each check there is a
//! fault in `tests/exercises/faults.toml`, a small change of the solution, that it sees.
//!
//! In an ordinary run one fault of each exercise is tried, another for each seed. With the
//! variable LAB_ALL_FAULTS set, all are, and the solutions' unit tests run as well.

use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};
use lab::check::Check;
use lab::exercises::{self, Exercise};
use lab::explain::{Details, explain};
use lab::program::Program;
use lab::suite::{self, Verdict};
use lab::{checks, system, workspace};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};
use toml::Table;

/// The files of a stage's or a solution's `src/`, by name.
type Sources = BTreeMap<String, String>;

/// A change that makes a solution wrong.
#[derive(Clone, Deserialize)]
struct Fault {
    file: String,
    /// What is replaced; it stands there once.
    find: String,
    replace: String,
    /// The exercise's own checks that must turn red, and no others.
    red: BTreeSet<String>,
}

/// What is tried in this run.
struct Plan {
    seed: u64,
    all: bool,
    /// The faults that are tried, by exercise, each with its place in the table.
    faults: BTreeMap<&'static str, Vec<(usize, Fault)>>,
    built: OnceLock<Result<BTreeMap<String, PathBuf>, String>>,
    stages: OnceLock<Result<Vec<PathBuf>, String>>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of the time they wait.
    arguments.test_threads.get_or_insert(6);
    let seed = match suite::prepare().and_then(|()| suite::seed()) {
        Ok(seed) => seed,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.list {
        println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    }
    system::adopt_orphans();
    let table = match table() {
        Ok(table) => table,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let all = std::env::var_os("LAB_ALL_FAULTS").is_some();
    let plan = Arc::new(Plan {
        seed,
        all,
        faults: chosen(&table, seed, all),
        built: OnceLock::new(),
        stages: OnceLock::new(),
    });
    libtest_mimic::run(&arguments, trials(&plan, &Arc::new(table))).exit_code()
}

/// All faults, by exercise.
fn table() -> Result<BTreeMap<String, Vec<Fault>>, String> {
    let path = home().join("faults.toml");
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The faults that are tried in this run.
fn chosen(
    table: &BTreeMap<String, Vec<Fault>>,
    seed: u64,
    all: bool,
) -> BTreeMap<&'static str, Vec<(usize, Fault)>> {
    let of = |exercise: &'static Exercise| {
        let faults = table.get(exercise.name).into_iter().flatten().cloned();
        let mut faults: Vec<(usize, Fault)> = faults.enumerate().collect();
        if !all && !faults.is_empty() {
            faults = vec![faults.swap_remove(seed as usize % faults.len())];
        }
        (exercise.name, faults)
    };
    exercises::all().map(of).collect()
}

/// What a trial does.
type Test = Box<dyn Fn(&Plan) -> Result<(), Failed> + Send>;

fn trials(plan: &Arc<Plan>, table: &Arc<BTreeMap<String, Vec<Fault>>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Test| {
        let plan = Arc::clone(plan);
        trials.push(Trial::test(name, move || test(&plan)));
    };
    for exercise in exercises::all() {
        let name = exercise.name;
        let test = Box::new(move |_: &Plan| Ok(solution(exercise).map(drop)?));
        add(format!("{name}::its-diff-applies"), test);
        let test = Box::new(move |plan: &Plan| stage_is_red(plan, exercise));
        add(format!("{name}::its-stage-does-not-pass"), test);
        let test = Box::new(move |plan: &Plan| solution_is_right(plan, exercise));
        add(format!("{name}::its-solution-passes"), test);
        for (place, fault) in plan.faults[name].clone() {
            let test = Box::new(move |plan: &Plan| fault_is_seen(plan, exercise, place, &fault));
            add(format!("{name}::fault-{place}-is-seen"), test);
        }
        let table = Arc::clone(table);
        let test = Box::new(move |_: &Plan| every_check_has_a_fault(exercise, &table));
        add(format!("{name}::every-check-has-a-fault"), test);
    }
    let test = Box::new(|plan: &Plan| the_command_tells(plan));
    add("the-command-tells-what-is-done".to_string(), test);
    if plan.all {
        let test = Box::new(|plan: &Plan| unit_tests_pass(plan));
        add("the-solutions-pass-their-unit-tests".to_string(), test);
    }
    trials
}

/// Where the solutions are.
fn home() -> PathBuf {
    workspace::root().join("tests/exercises")
}

/// The sources of the stage that an exercise starts from.
fn stage_sources(exercise: &Exercise) -> Result<Sources, String> {
    let folder = workspace::folder(workspace::stage(exercise.stage), false).join("src");
    let mut sources = Sources::new();
    for entry in fs::read_dir(&folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sources.insert(name.into_owned(), text);
    }
    Ok(sources)
}

/// The sources of an exercise's solution: its diff, applied to the stage.
fn solution(exercise: &Exercise) -> Result<Sources, String> {
    let name = format!("tests/exercises/{}.diff", exercise.name);
    let text = fs::read_to_string(workspace::root().join(&name));
    let text = text.map_err(|error| format!("{name}: {error}"))?;
    let mut sources = stage_sources(exercise)?;
    for file in PatchSet::parse(&text, ParseOptions::unidiff()) {
        let file = file.map_err(|error| format!("{name}: {error}"))?;
        let operation = file.operation().strip_prefix(2);
        let (FileOperation::Create(path) | FileOperation::Modify { modified: path, .. }) =
            operation
        else {
            return Err(format!("{name}: {operation:?} is more than a change"));
        };
        let before = sources.remove(path.as_ref()).unwrap_or_default();
        let patch = file.patch().as_text().ok_or(format!("{name}: no text"))?;
        let after = diffy::apply(&before, patch).map_err(|error| {
            let stage = workspace::stage(exercise.stage).name;
            format!("{name} does not fit {stage}/src/{path} any more: {error}")
        })?;
        sources.insert(path.into_owned(), after);
    }
    Ok(sources)
}

/// A solution with a fault.
fn broken(exercise: &Exercise, fault: &Fault) -> Result<Sources, String> {
    let mut sources = solution(exercise)?;
    let missing = || format!("{}: no file {}", exercise.name, fault.file);
    let text = sources.get_mut(&fault.file).ok_or_else(missing)?;
    let count = text.matches(&fault.find).count();
    if count != 1 {
        return Err(format!(
            "{}, {}: this stands there {count} times, and not once: {}",
            exercise.name, fault.file, fault.find
        ));
    }
    *text = text.replacen(&fault.find, &fault.replace, 1);
    Ok(sources)
}

/// The name of a fault's package.
fn fault_package(exercise: &Exercise, place: usize) -> String {
    format!("{}_fault_{place}", exercise.package())
}

/// The binary of one of all that is tried in this run: they are built together, once.
fn binary<'a>(plan: &'a Plan, package: &str) -> Result<&'a Path, Failed> {
    let built = plan.built.get_or_init(|| {
        let house = write_house(plan)?;
        let output = cargo(&house, "build").output();
        let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
        Ok(workspace::binaries(output.stdout.as_slice()))
    });
    let binaries = built
        .as_ref()
        .map_err(|error| Failed::from(error.clone()))?;
    let binary = binaries.get(package).map(PathBuf::as_path);
    let missing = || format!("{package} does not build; the compiler's words stand above");
    binary.ok_or_else(|| missing().into())
}

/// Cargo, at work on all solutions. They have a target folder of their own: other features
/// would give other binaries of the stages, put into the place of those under test.
fn cargo(house: &Path, command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(house)
        .args([command, "--quiet", "--offline", "--workspace"])
        .env("CARGO_TARGET_DIR", house.join("target"))
        // A fault may leave something unused.
        .env("RUSTFLAGS", "-Awarnings")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if command == "build" {
        cargo.args(["--message-format=json-render-diagnostics", "--keep-going"]);
    }
    cargo
}

/// Writes a workspace of all that is tried in this run.
fn write_house(plan: &Plan) -> Result<PathBuf, String> {
    let house = workspace::root().join("target/exercises");
    let mut members = Vec::new();
    for exercise in exercises::all() {
        let package = exercise.package();
        write_package(&house, exercise, &package, &solution(exercise)?)?;
        members.push(package);
        for (place, fault) in &plan.faults[exercise.name] {
            let package = fault_package(exercise, *place);
            write_package(&house, exercise, &package, &broken(exercise, fault)?)?;
            members.push(package);
        }
    }
    let mut outer = manifest(&workspace::root().join("Cargo.toml"))?;
    if let Some(workspace) = outer.get_mut("workspace").and_then(|it| it.as_table_mut()) {
        workspace.insert("members".into(), members.into());
        // The path of the suite means nothing there.
        let versions = workspace.get_mut("dependencies");
        versions.and_then(|it| it.as_table_mut()?.remove("lab"));
    }
    // Nobody looks into them with a debugger: so they are built sooner.
    let profile = "[dev]\ndebug = false\n".parse::<Table>();
    let profile = profile.map_err(|error| error.to_string())?;
    outer.insert("profile".into(), profile.into());
    write_if_other(&house.join("Cargo.toml"), &outer.to_string())?;
    // Cargo adds the members to it.
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock"));
    let lock = lock.map_err(|error| format!("Cargo.lock: {error}"))?;
    write_if_other(&house.join("Cargo.lock"), &lock)?;
    Ok(house)
}

fn manifest(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let table = text.parse::<Table>();
    table.map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a package with these sources, and the manifest of the exercise's stage without the
/// suite.
fn write_package(
    house: &Path,
    exercise: &Exercise,
    package: &str,
    sources: &Sources,
) -> Result<(), String> {
    let stage = workspace::folder(workspace::stage(exercise.stage), false);
    let mut inner = manifest(&stage.join("Cargo.toml"))?;
    inner.remove("test");
    for (part, name) in [("package", "name"), ("dev-dependencies", "lab")] {
        let table = inner.get_mut(part).and_then(|it| it.as_table_mut());
        let table = table.ok_or(format!("{}: no [{part}]", stage.display()))?;
        match part {
            "package" => table.insert(name.into(), package.into()),
            _ => table.remove(name),
        };
    }
    let folder = house.join(package);
    write_if_other(&folder.join("Cargo.toml"), &inner.to_string())?;
    for (name, text) in sources {
        write_if_other(&folder.join("src").join(name), text)?;
    }
    // What a diff no longer has is not to be built.
    for entry in fs::read_dir(folder.join("src")).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !sources.contains_key(name.as_ref()) {
            fs::remove_file(&path).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Writes a file unless it is like that already: what has not changed is not built anew.
fn write_if_other(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs checks on a program, whatever they need, and holds those that are red against those
/// that are to be.
fn must_be_red(
    plan: &Plan,
    binary: &Path,
    checks: Vec<&'static Check>,
    is_red: impl Fn(&str) -> bool,
) -> Result<(), Failed> {
    let runnable = |check: &&Check| !check.linux_only || cfg!(target_os = "linux");
    let checks: Vec<&'static Check> = checks.into_iter().filter(runnable).collect();
    let mut lines = Vec::new();
    let verdicts = suite::run_each(&checks, &Program::new(binary), plan.seed);
    for (check, verdict) in checks.iter().zip(verdicts) {
        match (&verdict, is_red(check.id)) {
            (Verdict::Passed, false) | (Verdict::Failed(_), true) => {}
            (Verdict::Passed, true) => lines.push(format!("{} is green", check.id)),
            _ => {
                let text = explain(check, &verdict, Details::Full, 0);
                lines.push(format!("{} is not as it is to be:\n{text}", check.id));
            }
        }
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(lines.join("\n").into()),
    }
}

fn stage_is_red(plan: &Plan, exercise: &'static Exercise) -> Result<(), Failed> {
    let stages = plan.stages.get_or_init(workspace::build_stages);
    let stages = stages
        .as_ref()
        .map_err(|error| Failed::from(error.clone()))?;
    let binary = &stages[usize::from(exercise.stage) - 1];
    must_be_red(plan, binary, exercise.own(), |id| {
        !exercise.already.contains(&id)
    })
}

fn solution_is_right(plan: &Plan, exercise: &'static Exercise) -> Result<(), Failed> {
    let binary = binary(plan, &exercise.package())?;
    let checks = [exercise.own(), checks::of_stage(exercise.stage)].concat();
    must_be_red(plan, binary, checks, |id| exercise.excuses.contains(&id))
}

fn fault_is_seen(
    plan: &Plan,
    exercise: &'static Exercise,
    place: usize,
    fault: &Fault,
) -> Result<(), Failed> {
    let binary = binary(plan, &fault_package(exercise, place))?;
    must_be_red(plan, binary, exercise.own(), |id| fault.red.contains(id))
}

fn every_check_has_a_fault(
    exercise: &Exercise,
    table: &BTreeMap<String, Vec<Fault>>,
) -> Result<(), Failed> {
    let faults = table.get(exercise.name).into_iter().flatten();
    let mut seen = BTreeSet::new();
    for fault in faults {
        broken(exercise, fault)?;
        seen.extend(fault.red.iter().map(String::as_str));
    }
    let own: BTreeSet<&str> = exercise.checks.iter().map(|check| check.id).collect();
    match seen == own {
        true => Ok(()),
        false => Err(format!("its faults turn {seen:?} red, its checks are {own:?}").into()),
    }
}

/// `cargo lab exercise` ends with 0 only if its own checks are green, and no other is broken.
fn the_command_tells(plan: &Plan) -> Result<(), Failed> {
    let (query, listing) = ("my_stage1_query_parameters", "my_stage1_folder_listing");
    for (name, server, code, told) in [
        ("query-parameters", query, 0, "query-parameters is done."),
        (
            "query-parameters",
            listing,
            1,
            "✗ folder-is-no-file (failed)",
        ),
        ("folder-listing", query, 1, "besides are green."),
    ] {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
        lab.args(["exercise", name, "--server"]);
        let output = lab.arg(binary(plan, server)?).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(code) || !text.contains(told) {
            let status = output.status;
            let seen = format!("{name}, {server}: not {code} and `{told}`, but {status}");
            return Err(format!("{seen}\n{text}").into());
        }
    }
    Ok(())
}

/// The solutions' own unit tests.
fn unit_tests_pass(plan: &Plan) -> Result<(), Failed> {
    for exercise in exercises::all() {
        binary(plan, &exercise.package())?;
    }
    let house = workspace::root().join("target/exercises");
    let mut cargo = cargo(&house, "test");
    for exercise in exercises::all() {
        for (place, _) in &plan.faults[exercise.name] {
            cargo.args(["--exclude", &fault_package(exercise, *place)]);
        }
    }
    let output = cargo.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stdout).into_owned().into()),
    }
}
