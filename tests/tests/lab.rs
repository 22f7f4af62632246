//! The `lab` command as people call it, in a copy of the workspace.

use assert_cmd::Command;
use assert_cmd::assert::OutputAssertExt;
use lab::exercises;
use lab::workspace::{self, STAGES};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use walkdir::WalkDir;

/// A copy of the workspace, in which a student may begin.
fn workspace_copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let stages = STAGES.iter().map(|stage| stage.name);
    for part in ["Cargo.toml", "Cargo.lock", ".cargo", "tests"]
        .into_iter()
        .chain(stages)
    {
        for entry in WalkDir::new(workspace::root().join(part)) {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(workspace::root()).unwrap();
            let place = copy.path().join(name);
            match entry.file_type().is_dir() {
                true => fs::create_dir_all(place).unwrap(),
                false => {
                    fs::copy(entry.path(), place).unwrap();
                }
            }
        }
    }
    copy
}

/// The command, at home in that workspace.
fn lab(root: &Path) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.env("CARGO_MANIFEST_DIR", root.join("tests"));
    // What it builds is kept apart from what is under test here.
    lab.env(
        "CARGO_TARGET_DIR",
        workspace::root().join("target/packages"),
    );
    lab
}

#[test]
fn a_student_finds_the_next_step() {
    let copy = workspace_copy();
    let root = copy.path();
    let mut shown = lab(root).assert().success();
    for stage in &STAGES {
        shown = shown.stdout(contains(stage.name).and(contains(stage.idea)));
    }
    // In a pipe there is no colour.
    shown.stdout(
        contains("Next:")
            .and(contains("cargo lab run 1"))
            .and(contains("\x1b").not()),
    );

    lab(root)
        .args(["start", "2"])
        .assert()
        .success()
        .stdout(contains("cargo lab watch 2"));
    lab(root).assert().stdout(contains("make my_stage2 green"));
    let main = root.join("my_stage2/src/main.rs");
    fs::write(&main, "// mine").unwrap();
    let again = lab(root).args(["start", "2"]).assert().failure();
    again.stderr(contains("my_stage2/ is there already").and(contains("mv my_stage2")));
    assert_eq!(fs::read_to_string(&main).unwrap(), "// mine");

    // It does not build: the compiler's words are shown, and the reason.
    let red = lab(root).args(["grade", "2"]).assert().code(1);
    red.stdout(starts_with("my_stage2 is on its way to stage 2").and(contains("0 of 100 points")));

    fs::copy(root.join("stage1_single/src/main.rs"), &main).unwrap();
    let red = lab(root).args(["grade", "2"]).assert().code(1);
    red.stdout(
        starts_with("my_stage2 is on its way to stage 2: red is expected")
            .and(contains("silent-clients-hold-nobody-up"))
            .and(contains("not reached")),
    );
    let same = lab(root)
        .args(["diff", "1", "2", "--mine"])
        .assert()
        .success();
    same.stdout(contains("= src/serve.rs: the same"));
    watches(root, &main);
}

/// Grades at once, again after a save, and not without one: to build reads files as well.
fn watches(root: &Path, main: &Path) {
    let mut watch = std::process::Command::new(env!("CARGO_BIN_EXE_lab"));
    watch.env("CARGO_MANIFEST_DIR", root.join("tests"));
    watch.env(
        "CARGO_TARGET_DIR",
        workspace::root().join("target/packages"),
    );
    let watch = watch.args(["watch", "2"]).stdout(Stdio::piped());
    let watch = watch.stderr(Stdio::null());
    let mut watch = watch.spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let wait_for = |text: &str| {
        let next = || receiver.recv_timeout(Duration::from_secs(120)).unwrap();
        while !next().contains(text) {}
    };
    wait_for(" of 100 points");
    wait_for("Waiting");
    let silence = receiver.recv_timeout(Duration::from_secs(1));
    fs::write(main, "fn main() { oops }").unwrap();
    wait_for("it does not build");
    wait_for("Waiting");
    let pid = Pid::from_raw(watch.id() as i32);
    kill(pid, Signal::SIGINT).unwrap();
    watch.wait().unwrap();
    assert_eq!(
        silence,
        Err(mpsc::RecvTimeoutError::Timeout),
        "nothing had changed"
    );
}

#[test]
fn a_diff_goes_from_room_to_room() {
    let root = workspace::root();
    let diff = lab(root).args(["diff", "1", "2"]).assert().success();
    diff.stdout(
        contains("src/serve.rs  +")
            .and(contains("+fn start_child("))
            .and(contains("= src/client.rs: the same")),
    );
    let missing = lab(root)
        .args(["diff", "1", "4", "--mine"])
        .assert()
        .failure();
    missing.stderr(contains("cargo lab start 4"));
}

#[test]
fn a_list_sums_to_100() {
    for stage in &STAGES {
        let mut list = lab(workspace::root());
        let output = list
            .args(["grade", &stage.number.to_string(), "--list"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (lines, total) = text.trim_end().rsplit_once('\n').unwrap();
        let points = |line: &str| {
            line.split_whitespace()
                .next()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        };
        assert_eq!(lines.lines().map(points).sum::<u32>(), 100);
        assert!(total.starts_with("100  points in"), "{total}");
    }
}

#[test]
fn an_exercise_is_begun_in_a_copy_of_its_stage() {
    let copy = workspace_copy();
    let root = copy.path();
    let list = lab(root).arg("exercise").assert().success();
    exercises::all().fold(list, |list, exercise| {
        list.stdout(contains(exercise.name).and(contains(exercise.title)))
    });
    // Not begun: it says what is asked, and how to begin.
    let asked = lab(root).args(["exercise", "keep-alive"]).assert().code(1);
    asked.stdout(
        starts_with("keep-alive: a connection")
            .and(contains("RFC 9112, 9.3"))
            .and(contains("cargo lab start keep-alive")),
    );
    let run = lab(root).args(["run", "keep-alive"]).assert().code(3);
    run.stderr(contains("cargo lab start keep-alive"));
    let start = || lab(root).args(["start", "keep-alive"]).assert();
    start()
        .success()
        .stdout(contains("cargo lab exercise keep-alive"));
    let package = root.join("my_stage4_keep_alive");
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let original = fs::read_to_string(root.join("stage4_builder/Cargo.toml")).unwrap();
    let renamed = original.replace("stage4_builder", "my_stage4_keep_alive");
    assert_eq!(manifest, renamed);
    let main = package.join("src/main.rs");
    fs::write(&main, "// mine").unwrap();
    let again = start().failure();
    again.stderr(contains("my_stage4_keep_alive/ is there already"));
    assert_eq!(fs::read_to_string(&main).unwrap(), "// mine");
    let list = lab(root).arg("exercise").assert().success();
    list.stdout(contains("begun in my_stage4_keep_alive/"));
    // It is no stage: where the student is does not change.
    lab(root)
        .assert()
        .success()
        .stdout(contains("lessons 0 and 1"));
    let broken = lab(root).args(["exercise", "keep-alive"]).assert().code(1);
    broken.stdout(contains("it does not build"));
}

#[test]
fn what_cannot_be_is_said_and_named() {
    let root = workspace::root();
    for (arguments, code, named) in [
        (&["grade", "5"][..], 2, "1..=4"),
        (&["start", "1"], 2, "2..=4"),
        (&["start", "5"], 2, "2..=4"),
        (&["run", "0"], 2, "1..=4"),
        (
            &["start", "keepalive"],
            2,
            "no exercise `keepalive`. There are: query-parameters,",
        ),
        (&["exercise", "1"], 2, "There are: query-parameters,"),
        (&["exercise", "--list"], 2, "EXERCISE"),
        (&["grade", "1", "--format", "pdf"], 2, "junit"),
        (&["grade", "1", "--submissions", "/nowhere"], 2, "--output"),
        (
            &["grade", "1", "--server", "a", "--submission", "b"],
            2,
            "cannot be used with",
        ),
        (
            &[
                "grade",
                "1",
                "--submissions",
                "/nowhere",
                "--output",
                "/proc/x",
            ],
            3,
            "/proc/x",
        ),
        (
            &["grade", "1", "--only", "no-such-check", "--server", "true"],
            3,
            "--list",
        ),
        (
            &["grade", "1", "--server", "true", "--user", "no-such-user"],
            3,
            "no-such-user",
        ),
    ] {
        let output = lab(root).args(arguments).output().unwrap();
        let text = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
        output.assert().code(code);
        assert!(text.contains(named), "{arguments:?}: {text}");
    }
}

#[test]
fn a_server_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").unwrap();
    for (path, named) in [
        (folder.path().join("none"), "There is no program"),
        (folder.path().to_path_buf(), "is no file"),
        (plain, "chmod +x"),
    ] {
        let mut grade = lab(workspace::root());
        let refused = grade
            .args(["grade", "1", "--server"])
            .arg(&path)
            .assert()
            .code(1);
        refused.stdout(contains(named).and(contains(path.to_string_lossy().into_owned())));
    }
}

#[test]
fn a_fault_is_listed_told_and_shown() {
    let lab = |arguments: &[&str]| lab(workspace::root()).args(arguments).assert();
    let list = lab(&["fault"]).success();
    list.stdout(contains("climbs").and(contains("Stage 4")));
    let told = lab(&["fault", "climbs"]).success();
    told.stdout(contains("no-climbing").and(contains("cargo lab fault climbs --serve")));
    // Red is what is wanted here; a green check would be a defect of the suite.
    let shown = lab(&["fault", "climbs", "no-climbing"]).success();
    shown.stdout(contains("✗ no-climbing").and(contains("from outside the document root")));
    let unknown = lab(&["fault", "climbs", "no-such-check"]).code(3);
    unknown.stderr(contains("`no-such-check`").and(contains("cargo lab fault climbs")));
    let unknown = lab(&["fault", "no-such-fault"]).code(2);
    unknown.stderr(contains("no-such-fault").and(contains("All faults: cargo lab fault")));
}
