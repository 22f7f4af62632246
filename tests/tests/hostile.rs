//! Hostile programs: none raises its own score, outlives its grading, or harms another's.
//!
//! They are small scripts before a stage of the lab. What they leave behind is looked for in
//! /proc, so these tests are for Linux.
#![cfg(target_os = "linux")]

use lab::report::{Report, Status};
use lab::workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The lab's own first stage.
fn stage() -> &'static Path {
    static STAGE: OnceLock<PathBuf> = OnceLock::new();
    STAGE.get_or_init(|| workspace::build_stages().unwrap().swap_remove(0))
}

/// Writes a script that does something, and then is the server.
fn script(folder: &Path, first: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("server");
    let text = format!("#!/bin/sh\n{first}\nexec {} \"$@\"\n", stage().display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn lab() -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.stdin(Stdio::null());
    lab
}

/// Grades a program, with these variables set, and reads the report.
fn grade(server: &Path, variables: &[(&str, &str)]) -> (Report, Output) {
    let output = server.with_file_name("report.json");
    let mut lab = lab();
    lab.args(["grade", "1", "--format", "json", "--server"])
        .arg(server);
    lab.arg("--output")
        .arg(&output)
        .envs(variables.iter().copied());
    let ended = lab.output().unwrap();
    let report = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    (report, ended)
}

/// The processes that have this text among their arguments.
fn running(text: &str) -> Vec<i32> {
    let processes = procfs::process::all_processes().unwrap().flatten();
    let told = |process: &procfs::process::Process| {
        let arguments = process.cmdline().unwrap_or_default();
        arguments.iter().any(|argument| argument.contains(text))
    };
    processes.filter(told).map(|process| process.pid).collect()
}

/// A number of seconds to sleep by which a process is told from all others.
fn token() -> String {
    format!("77{:08}", fastrand::u32(..100_000_000))
}

#[test]
fn nothing_outlives_its_grading() {
    let folder = tempfile::tempdir().unwrap();
    let token = token();
    // It leaves its process group, its session and its parent, and starts others from there.
    let first = format!(
        "(setsid sh -c 'for i in 1 2 3; do setsid sleep {token} & done; sleep {token}' >/dev/null 2>&1 &)"
    );
    let (report, _) = grade(&script(folder.path(), &first), &[]);
    assert_eq!(
        report.score,
        100,
        "{:?}",
        report.checks.iter().find(|line| line.score == 0)
    );
    assert!(running(&token).is_empty(), "still running");
}

#[test]
fn a_result_that_a_server_writes_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("report.json");
    let first = format!(
        "(setsid sh -c 'for i in $(seq 3000); do echo \"{{\\\"score\\\": 1000}}\" >{0}; sleep 0.01; done' >/dev/null 2>&1 &)\nexit 1",
        output.display()
    );
    let (report, _) = grade(&script(folder.path(), &first), &[]);
    assert_eq!(report.score, 0);
    // Nobody is left to write it again.
    assert!(running(&output.display().to_string()).is_empty());
}

#[test]
fn a_server_does_not_learn_what_is_not_its_business() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let server = script(folder.path(), &format!("env >>{}", seen.display()));
    let (report, _) = grade(&server, &[("LAB_SEED", "271828"), ("COURSE_TOKEN", "hush")]);
    assert_eq!(report.seed, 271_828);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH="), "it was not even started: {seen}");
    for word in ["hush", "COURSE_TOKEN", "LAB_SEED", "271828"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
}

#[test]
fn a_flood_of_words_costs_nobody_anything() {
    let folder = tempfile::tempdir().unwrap();
    let first = "(yes 'words without end' >&2 &)";
    let (report, ended) = grade(&script(folder.path(), first), &[]);
    assert_ne!(report.status, Status::Broken);
    // Its log is of no use, so checks that read it fail; all others hold.
    assert!(
        report.count(Status::Passed) > 40,
        "{}",
        report.count(Status::Passed)
    );
    let size = fs::metadata(folder.path().join("report.json"))
        .unwrap()
        .len();
    assert!(size < 1_000_000, "{size} bytes of report");
    assert!(ended.stdout.len() + ended.stderr.len() < 100_000);
}

#[test]
fn a_server_that_answers_nothing_is_graded_soon() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let (report, _) = grade(&script(folder.path(), "sleep 300"), &[]);
    assert_eq!(report.score, 0);
    assert!(report.count(Status::NotReached) > 40);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn in_a_class_each_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("class");
    let output = folder.path().join("output");
    let token = token();
    script(&class.join("good"), "");
    script(&class.join("hangs"), "sleep 300");
    script(&class.join("crashes"), "kill -SEGV $$");
    script(
        &class.join("leaves"),
        &format!("(setsid sleep {token} >/dev/null 2>&1 &)"),
    );
    // It kills the harness that grades it. Once: the orphans of that are children of the one
    // that looks after the class, which only another user (`--user`) could not kill.
    let killed = folder.path().join("killed");
    let first = format!("mkdir {} 2>/dev/null && kill -KILL $PPID", killed.display());
    script(&class.join("kills"), &first);
    fs::create_dir(class.join("empty")).unwrap();
    fs::create_dir(class.join("=1+1")).unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let grade = || {
        let mut lab = lab();
        lab.env("TMPDIR", &temporary);
        lab.args(["grade", "1", "--jobs", "2", "--submissions"])
            .arg(&class);
        lab.arg("--output").arg(&output);
        lab.output().unwrap()
    };
    let read = |name: &str| {
        let text = fs::read(output.join(format!("results/{name}.json"))).unwrap();
        serde_json::from_slice::<Report>(&text).unwrap()
    };
    let ended = grade();
    // One grading broke: that is said, and the exit code tells.
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(read("good").score, 100);
    assert_eq!(read("leaves").score, 100);
    assert_eq!(read("kills").status, Status::Broken);
    for name in ["hangs", "crashes", "empty", "=1+1"] {
        assert_eq!(read(name).score, 0, "{name}");
        assert_eq!(read(name).status, Status::Failed, "{name}");
    }
    assert!(running(&token).is_empty(), "still running");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "left behind");
    let csv = fs::read_to_string(output.join("summary.csv")).unwrap();
    assert!(csv.contains("\ngood,passed,100,100,"), "{csv}");
    assert!(csv.contains("\n'=1+1,failed,0,100,"), "{csv}");
    let html = fs::read_to_string(output.join("summary.html")).unwrap();
    assert!(html.contains(">good</th><td class=\"score\">100</td>"));

    // Run again, it grades only what has changed, or did not count.
    let before = ["good", "hangs"].map(|name| read(name).started);
    script(&class.join("hangs"), "exit 1");
    fs::remove_dir_all(class.join("kills")).unwrap();
    fs::remove_file(output.join("results/kills.json")).unwrap();
    let ended = grade();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(read("good").started, before[0]);
    assert_ne!(read("hangs").started, before[1]);
}

/// A server that is right by chance only: its points are for its command line, which is right.
#[test]
fn a_cheat_gets_no_points_for_what_it_pretends() {
    let folder = tempfile::tempdir().unwrap();
    for (stage, most) in [("1", 15), ("4", 10)] {
        for fault in [
            "hello-to-all",
            "canned-page",
            "index-for-all",
            "content-by-name",
            "not-found-for-all",
            "bad-request-for-all",
            "answers-unread",
        ] {
            let output = folder.path().join(format!("{stage}-{fault}.json"));
            let mut lab = lab();
            lab.args(["grade", stage, "--format", "json", "--output"]);
            lab.arg(&output)
                .args(["--server", env!("CARGO_BIN_EXE_faulty"), "--"]);
            lab.args(["--stage", stage, "--fault", fault]);
            assert_eq!(lab.output().unwrap().status.code(), Some(1));
            let report: Report = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
            let named = { report.checks.iter() }.find(|line| line.id == "named-file");
            assert_eq!(
                named.unwrap().status,
                Status::Failed,
                "stage {stage}, {fault}"
            );
            assert!(
                report.score <= most,
                "stage {stage}, {fault}: {} points",
                report.score
            );
        }
    }
}
