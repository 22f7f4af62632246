//! The formats: whatever happens to a grading, each file that it writes is read without fault
//! by readers that are not ours, and says the same score.
//!
//! The readers are installed by `tests/readers/install`. Without them these tests are ignored;
//! with `LAB_READERS=required` in the environment that is a failure.

use lab::format::{Format, write};
use lab::report::{Report, Status};
use lab::workspace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

/// Grades something, into a report.
type Make = fn() -> Result<Report, Failed>;

/// The formats for programs, and the schema of each that has one.
const FORMATS: [(&str, Format, Option<&str>); 5] = [
    ("json", Format::Json, Some("tests/schema/grade-v1.json")),
    (
        "gradescope",
        Format::Gradescope,
        Some("tests/schema/gradescope-results.json"),
    ),
    (
        "classroom50",
        Format::Classroom50,
        Some("tests/schema/classroom50-result-v1.json"),
    ),
    ("junit", Format::Junit, None),
    (
        "ctrf",
        Format::Ctrf,
        Some("target/readers/node_modules/ctrf/dist/ctrf-schema-0.0.json"),
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let readers = workspace::root().join("target/readers");
    let there =
        readers.join("venv/bin/python").exists() && readers.join("node_modules/ctrf").exists();
    if !there && env::var("LAB_READERS").is_ok_and(|value| value == "required") {
        eprintln!("The readers are missing. Install them: tests/readers/install");
        return ExitCode::FAILURE;
    }
    let cases: [(&str, Make); 7] = [
        ("a-right-server", a_right_server),
        ("a-server-that-never-starts", a_server_that_never_starts),
        ("a-program-that-is-not-there", a_program_that_is_not_there),
        (
            "a-program-that-does-not-build",
            a_program_that_does_not_build,
        ),
        ("a-server-of-odd-words", a_server_of_odd_words),
        ("a-harness-that-breaks", a_harness_that_breaks),
        ("a-run-that-is-ended", a_run_that_is_ended),
    ];
    let trials = cases.into_iter().map(|(name, make)| {
        Trial::test(name, move || must_be_read_by_all(name, &make()?)).with_ignored_flag(!there)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Has the report read in all formats.
fn must_be_read_by_all(name: &str, report: &Report) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    for (format_name, format, schema) in FORMATS {
        let path = folder.path().join(format!("{name}.{format_name}"));
        fs::write(&path, write(report, format))?;
        let readers = workspace::root().join("target/readers");
        let mut python = Command::new(readers.join("venv/bin/python"));
        python
            .arg("tests/readers/read.py")
            .arg(format_name)
            .arg(&path)
            .args([report.score, report.max_score].map(|points| points.to_string()))
            .arg(report.checks.len().to_string())
            .args(schema);
        must_succeed(python)?;
        if format == Format::Ctrf {
            // It finds its packages beside itself only.
            let script = readers.join("read.mjs");
            fs::copy(workspace::root().join("tests/readers/read.mjs"), &script)?;
            let mut node = Command::new("node");
            node.arg(script).arg(&path);
            must_succeed(node)?;
        }
    }
    Ok(())
}

fn must_succeed(mut command: Command) -> Result<(), Failed> {
    let output = command.current_dir(workspace::root()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}\n{words}", output.status).into())
        }
    }
}

fn lab() -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    lab
}

/// Grades into a file; it must be there afterwards, whatever happened, and end like that.
fn graded(mut command: Command, code: i32) -> Result<Report, Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("report.json");
    command.args(["--format", "json", "--output"]).arg(&path);
    let status = command.status()?;
    if status.code() != Some(code) {
        return Err(format!("the grading should exit with {code}: {status}").into());
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn must_be(condition: bool, what: &str, report: &Report) -> Result<(), Failed> {
    match condition {
        true => Ok(()),
        false => Err(format!("{what}, and not {report:?}").into()),
    }
}

fn right_server() -> Result<PathBuf, Failed> {
    Ok(workspace::build_stages()?.swap_remove(0))
}

fn script(folder: &Path, text: &str) -> Result<PathBuf, Failed> {
    let path = folder.join("server");
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn a_right_server() -> Result<Report, Failed> {
    let mut command = lab();
    command
        .args(["grade", "1", "--server"])
        .arg(right_server()?);
    let report = graded(command, if cfg!(target_os = "linux") { 0 } else { 1 })?;
    let whole = report.count(Status::Failed) == 0 && report.count(Status::Broken) == 0;
    must_be(whole, "nothing failed", &report)?;
    Ok(report)
}

fn a_server_that_never_starts() -> Result<Report, Failed> {
    let mut command = lab();
    command.args(["grade", "2", "--server", "false"]);
    let report = graded(command, 1)?;
    let reached = report.count(Status::NotReached) > report.count(Status::Failed);
    must_be(
        report.score == 0 && reached,
        "0 points, most checks not reached",
        &report,
    )?;
    Ok(report)
}

fn a_program_that_is_not_there() -> Result<Report, Failed> {
    let mut command = lab();
    command.args(["grade", "3", "--server", "/nowhere/server"]);
    let report = graded(command, 1)?;
    let named = report.message.contains("/nowhere/server");
    must_be(
        report.score == 0 && named,
        "0 points, and the path named",
        &report,
    )?;
    Ok(report)
}

fn a_program_that_does_not_build() -> Result<Report, Failed> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/main.rs"), "fn main() { oops }")?;
    let mut command = lab();
    command
        .args(["grade", "1", "--submission"])
        .arg(folder.path());
    let report = graded(command, 1)?;
    let named = report.message.contains("oops");
    must_be(
        report.score == 0 && named,
        "0 points, and the compiler's words",
        &report,
    )?;
    Ok(report)
}

/// What a server writes may hold anything; it must break no format.
fn a_server_of_odd_words() -> Result<Report, Failed> {
    let folder = tempfile::tempdir()?;
    let text = "#!/bin/sh\nprintf 'a\\000\\001\\033[31m\\377\\376 ]]> </system-out> & \"\\\\\\n\\r\\342\\200\\250'\n\
                printf '<\\013\\377>' >&2\nexit 7\n";
    let mut command = lab();
    command
        .args(["grade", "4", "--server"])
        .arg(script(folder.path(), text)?);
    let report = graded(command, 1)?;
    must_be(report.score == 0, "0 points", &report)?;
    Ok(report)
}

fn a_harness_that_breaks() -> Result<Report, Failed> {
    let mut command = lab();
    command.env("TMPDIR", "/nowhere");
    command.args(["grade", "1", "--server", "false"]);
    let report = graded(command, 3)?;
    must_be(
        report.status == Status::Broken,
        "a grade that does not count",
        &report,
    )?;
    Ok(report)
}

/// Told to end in the middle, it writes what it knows, and keeps the points for it.
fn a_run_that_is_ended() -> Result<Report, Failed> {
    let folder = tempfile::tempdir()?;
    let (path, starts) = (
        folder.path().join("report.json"),
        folder.path().join("starts"),
    );
    let text = format!(
        "#!/bin/sh\necho >>{}\nexec {} \"$@\"\n",
        starts.display(),
        right_server()?.display()
    );
    let mut command = lab();
    command
        .args(["grade", "1", "--format", "json", "--output"])
        .arg(&path);
    command.arg("--server").arg(script(folder.path(), &text)?);
    let temporary = tempfile::tempdir()?;
    let mut child = command.env("TMPDIR", temporary.path()).spawn()?;
    // By then some checks are through, but not those that wait for a timeout.
    while fs::read(&starts).map_or(0, |starts| starts.len()) < STARTS {
        thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    child.wait()?;
    let report: Report = serde_json::from_slice(&fs::read(path)?)?;
    must_be(
        report.count(Status::NotRun) > 0,
        "some checks not run",
        &report,
    )?;
    must_be(report.count(Status::Failed) == 0, "nothing failed", &report)?;
    must_be(report.score > 0, "points for what was through", &report)?;
    let left = fs::read_dir(temporary.path())?.count();
    must_be(left == 0, "no folder left behind", &report)?;
    Ok(report)
}

/// So many servers have been started when that run is ended: more than run at once.
const STARTS: usize = 40;
