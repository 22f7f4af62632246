//! Whatever happens to a grading, it writes a report. With `LAB_CI=1` independent readers read the
//! report in each format and must find the same score; `tests/install` installs them.

use crate::{lab, read_report, run, script, write_files};
use assert_cmd::assert::OutputAssertExt;
use clap::ValueEnum;
use harness::process::{self, Signal};
use harness::workspace;
use lab::format::{Format, text};
use lab::report::{Report, Status};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How many servers have been started when a run is interrupted: more than run at the same time,
/// so some checks have ended, but not those that wait for a timeout.
const STARTS: usize = 40;

/// Reads the report of a grading, and has it read in all formats for programs.
fn read(path: &Path) -> Report {
    let report = read_report(path);
    if cfg!(lab_ci) {
        // As if the first check had run twice on a busy machine.
        let mut repeated = read_report(path);
        for check in repeated.checks.iter_mut().take(1) {
            check.first_attempt = Some("a \u{1b} first attempt".to_string());
        }
        let formats = Format::value_variants().iter();
        for format in formats.filter(|format| **format != Format::Human) {
            read_format(*format, path.parent().unwrap(), &repeated);
        }
    }
    report
}

/// The schema of a format, if it has one.
fn schema(format: Format) -> Option<&'static str> {
    match format {
        Format::Json => Some("tests/schema/grade-v2.json"),
        Format::Gradescope => Some("tests/schema/gradescope-results.json"),
        Format::Classroom50 => Some("tests/schema/classroom50-result-v1.json"),
        Format::Ctrf => Some("target/readers/node_modules/ctrf/dist/ctrf-schema-0.0.json"),
        Format::Junit | Format::Human => None,
    }
}

/// Has a report read in a format, by way of a file in this folder.
fn read_format(format: Format, folder: &Path, report: &Report) {
    let name = format.to_possible_value().unwrap();
    let path = folder.join(name.get_name());
    fs::write(&path, text(report, format)).unwrap();
    let root = workspace::root();
    let readers = root.join("target/readers");
    let expected = [report.score, report.max_score, report.checks.len() as u32];
    let mut python = Command::new(readers.join("venv/bin/python"));
    python
        .args(["tests/readers/read.py", name.get_name()])
        .arg(&path)
        .args(expected.map(|number| number.to_string()))
        .args(schema(format));
    run(python.current_dir(root));
    if format == Format::Ctrf {
        // Node.js looks for packages next to the script.
        let script = folder.join("read.mjs");
        fs::copy(root.join("tests/readers/read.mjs"), &script).unwrap();
        let packages = folder.join("node_modules");
        symlink(readers.join("node_modules"), packages).unwrap();
        run(Command::new("node").arg(script).arg(path));
    }
}

/// Runs a grading, which must exit with this code, and reads its report.
fn grade(command: &mut Command, code: i32) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    command.args(["--format", "json", "--output"]).arg(&path);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    read(&path)
}

#[test]
fn report_on_a_correct_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = script(folder.path(), "");
    // Where some checks can't run, there are no full points.
    let code = if cfg!(target_os = "linux") { 0 } else { 1 };
    let report = grade(lab().args(["grade", "1", "--server"]).arg(server), code);
    assert_eq!(report.count(Status::Failed), 0, "{report:?}");
    assert_eq!(report.count(Status::Broken), 0, "{report:?}");
}

#[test]
fn report_on_a_server_that_never_starts() {
    let report = grade(lab().args(["grade", "2", "--server", "false"]), 1);
    assert_eq!(report.score, 0);
    assert!(report.count(Status::NotReached) > report.count(Status::Failed));
}

#[test]
fn report_on_a_missing_program() {
    let report = grade(lab().args(["grade", "3", "--server", "/nowhere/server"]), 1);
    assert_eq!(report.score, 0);
    assert!(report.message.contains("/nowhere/server"), "{report:?}");
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a package: LAB_CI=1 runs it")]
fn report_on_a_submission_that_does_not_build() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &[("src/main.rs", "fn main() { oops }")]);
    let mut lab = lab();
    lab.args(["grade", "1", "--submission"]).arg(folder.path());
    // The dependencies may have to be built first.
    let report = grade(lab.args(["--build-limit", "600"]), 1);
    assert_eq!(report.score, 0);
    assert!(report.message.contains("oops"), "{report:?}");
}

/// The output of a server may contain any bytes. They must not break a format.
#[test]
fn report_on_a_server_with_unusual_output() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "printf 'a\\000\\001\\033[31m\\377\\376 ]]> </system-out> & \"\\\\\\n\\r\\342\\200\\250'\n\
                 printf '<\\013\\377>' >&2\nexit 7\n";
    let server = script(folder.path(), lines);
    let report = grade(lab().args(["grade", "6", "--server"]).arg(server), 1);
    assert_eq!(report.score, 0);
}

#[test]
fn report_on_a_broken_harness() {
    let mut lab = lab();
    lab.args(["grade", "1", "--server", "false"]);
    let report = grade(lab.env("TMPDIR", "/nowhere"), 3);
    assert_eq!(report.status, Status::Broken, "{report:?}");
}

#[test]
fn details_have_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("report.json");
    let grade = |format: &str| {
        let mut lab = lab();
        lab.args(["grade", "1", "--server", "false", "--details-budget", "1"]);
        lab.args(["--format", format, "--output"]).arg(&output);
        lab.assert()
    };
    let note = "This is grade 2 within an hour. After 1, there are hints only.";
    grade("json").code(1).stdout(contains(note).not());
    grade("json").code(1).stdout(contains(note));
    let error = "`--details-budget` needs `--format json`";
    grade("junit").code(3).stderr(contains(error));
}

/// It contains what is known by then.
#[test]
fn report_on_an_interrupted_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = script(
        folder.path(),
        &format!("echo >>{}", path("starts").display()),
    );
    fs::create_dir(path("tmp")).unwrap();
    let mut lab = lab();
    lab.args(["grade", "1", "--format", "json"])
        .args(["--output".as_ref(), path("report.json").as_os_str()])
        .args(["--server".as_ref(), server.as_os_str()])
        .env("TMPDIR", path("tmp"));
    let mut lab = lab.spawn().unwrap();
    while fs::read(path("starts")).map_or(0, |starts| starts.len()) < STARTS {
        thread::sleep(Duration::from_millis(5));
    }
    process::kill(lab.id().cast_signed(), Signal::TERM);
    lab.wait().unwrap();
    let report = read(&path("report.json"));
    assert!(report.count(Status::NotRun) > 0, "{report:?}");
    assert_eq!(report.count(Status::Failed), 0, "{report:?}");
    assert!(report.score > 0, "{report:?}");
    let left = fs::read_dir(path("tmp")).unwrap().count();
    assert_eq!(left, 0, "left in the temporary folder");
}
