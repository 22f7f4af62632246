//! Hostile programs can't raise their own score, outlive their grading, or harm other grades.
//!
//! They are shell scripts that do something and then become a correct server. What they leave
//! behind is looked for in /proc.

use crate::{lab, read_report, script};
use lab::report::{Report, Status};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Grades a program with these environment variables.
fn grade(server: &Path, variables: &[(&str, &str)]) -> (Report, Output) {
    let path = server.with_file_name("report.json");
    let mut lab = lab();
    lab.args(["grade", "1", "--format", "json"])
        .args(["--server".as_ref(), server.as_os_str()])
        .args(["--output".as_ref(), path.as_os_str()])
        .envs(variables.iter().copied());
    let output = lab.output().unwrap();
    (read_report(&path), output)
}

/// Whether a process has this text in its command line.
fn is_running(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}

/// A number of seconds to sleep, by which a process can be found.
fn token() -> String {
    format!("77{:08}", fastrand::u32(..100_000_000))
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn no_process_outlives_its_grading() {
    let folder = tempfile::tempdir().unwrap();
    let token = token();
    // It leaves its process group, its session and its parent, and starts others from there.
    let lines = format!(
        "(setsid sh -c 'for i in 1 2 3; do setsid sleep {token} & done; sleep {token}' >/dev/null 2>&1 &)"
    );
    let (report, _) = grade(&script(folder.path(), &lines), &[]);
    let lost = report.checks.iter().find(|check| check.score == 0);
    assert_eq!(report.score, 100, "{lost:?}");
    assert!(!is_running(&token), "still running");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn report_written_by_a_server_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let shown = path.display();
    let lines = format!(
        "(setsid sh -c 'for i in $(seq 3000); do echo \"{{\\\"score\\\": 1000}}\" >{shown}; sleep 0.01; done' >/dev/null 2>&1 &)\nexit 1"
    );
    let (report, _) = grade(&script(folder.path(), &lines), &[]);
    assert_eq!(report.score, 0);
    // Nobody is left to write it again.
    assert!(!is_running(&shown.to_string()));
}

#[test]
fn server_does_not_see_secrets_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let server = script(folder.path(), &format!("env >>{}", seen.display()));
    let secrets = [("LAB_SEED", "271828"), ("COURSE_TOKEN", "hush")];
    let (report, _) = grade(&server, &secrets);
    assert_eq!(report.seed, 271_828);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH="), "it was not started: {seen}");
    for secret in ["hush", "COURSE_TOKEN", "LAB_SEED", "271828"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

#[test]
fn endless_output_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "(yes 'endless output' >&2 &)";
    let (report, output) = grade(&script(folder.path(), lines), &[]);
    assert_ne!(report.status, Status::Broken);
    // Its log is useless, so the checks that read it fail. All others pass.
    let passed = report.count(Status::Passed);
    assert!(passed > 40, "{passed}");
    let report = fs::metadata(folder.path().join("report.json")).unwrap();
    assert!(report.len() < 1_000_000, "{} bytes of report", report.len());
    assert!(output.stdout.len() + output.stderr.len() < 100_000);
}

#[test]
fn server_that_never_responds_is_graded_soon() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let (report, _) = grade(&script(folder.path(), "sleep 300"), &[]);
    assert_eq!(report.score, 0);
    assert!(report.count(Status::NotReached) > 40);
    let duration = started.elapsed();
    // What fails while the machine is busy runs again, alone, and waits up to 15 s again.
    let repeated = report.checks.iter().filter(|it| it.first_attempt.is_some());
    let limit = Duration::from_secs(30 + 15 * repeated.count() as u64);
    assert!(duration < limit, "{duration:?}");
}

/// A folder of submissions, and what grading them has written.
struct Class(TempDir);

impl Class {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds a submission: a script that runs these lines and then becomes a correct server.
    fn add(&self, name: &str, lines: &str) {
        script(&self.path("class").join(name), lines);
    }

    /// Grades all submissions. Returns the exit code.
    fn grade(&self) -> Option<i32> {
        let mut lab = lab();
        lab.env("TMPDIR", self.path("tmp"))
            .current_dir(self.0.path())
            .args(["grade", "1", "--jobs", "2", "--submissions", "class"])
            .args(["--output", "output"]);
        lab.output().unwrap().status.code()
    }

    fn result_path(&self, name: &str) -> PathBuf {
        self.path(&format!("output/results/{name}.json"))
    }

    fn result(&self, name: &str) -> Report {
        read_report(&self.result_path(name))
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn submission_harms_only_its_own_grade() {
    let class = Class(tempfile::tempdir().unwrap());
    let token = token();
    fs::create_dir(class.path("tmp")).unwrap();
    class.add("good", "");
    class.add("hangs", "sleep 300");
    class.add("crashes", "kill -SEGV $$");
    let lines = format!("(setsid sleep {token} >/dev/null 2>&1 &)");
    class.add("leaves", &lines);
    // It kills the grading process, but only once: then its parent is the process that grades the
    // class, which it could kill too. Only `--user` protects that one.
    let killed = class.path("killed");
    let lines = format!("mkdir {} 2>/dev/null && kill -KILL $PPID", killed.display());
    class.add("kills", &lines);
    fs::create_dir(class.path("class/empty")).unwrap();
    fs::create_dir(class.path("class/=1+1")).unwrap();

    assert_eq!(class.grade(), Some(3), "one grade doesn't count");
    assert_eq!(class.result("good").score, 100);
    assert_eq!(class.result("leaves").score, 100);
    assert_eq!(class.result("kills").status, Status::Broken);
    for name in ["hangs", "crashes", "empty", "=1+1"] {
        let report = class.result(name);
        assert_eq!((report.score, report.status), (0, Status::Failed), "{name}");
    }
    assert!(!is_running(&token), "still running");
    let left = fs::read_dir(class.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "left in the temporary folder");
    let csv = fs::read_to_string(class.path("output/summary.csv")).unwrap();
    assert!(csv.contains("\ngood,passed,100,100,"), "{csv}");
    assert!(csv.contains("\n'=1+1,failed,0,100,"), "{csv}");
    let html = fs::read_to_string(class.path("output/summary.html")).unwrap();
    assert!(html.contains(">good</a></th><td class=\"score\">100</td>"));
    second_run_grades_only_what_is_needed(&class);
}

/// It grades what has changed, what didn't count, and what an older version of the lab graded.
fn second_run_grades_only_what_is_needed(class: &Class) {
    let started = || ["good", "hangs", "crashes"].map(|name| class.result(name).started);
    let before = started();
    class.add("hangs", "exit 1");
    fs::remove_dir_all(class.path("class/kills")).unwrap();
    fs::remove_file(class.result_path("kills")).unwrap();
    let path = class.result_path("crashes");
    let current = fs::read_to_string(&path).unwrap();
    let older = current.replace("http-lab/grade/v2", "http-lab/grade/v1");
    fs::write(path, older).unwrap();
    assert_eq!(class.grade(), Some(0));
    let after = started();
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    assert_ne!(after[2], before[2]);
}

/// The few points are for the command line, which these servers get right.
#[test]
fn canned_responses_earn_few_points() {
    let folder = tempfile::tempdir().unwrap();
    for (stage, most) in [("1", 15), ("4", 10)] {
        for fault in [
            "always-hello",
            "always-canned-page",
            "always-index",
            "content-from-name",
            "always-not-found",
            "always-bad-request",
            "responds-before-reading",
        ] {
            let path = folder.path().join(format!("{stage}-{fault}.json"));
            let mut lab = lab();
            lab.args(["grade", stage, "--format", "json", "--output"])
                .arg(&path)
                .args(["--server", env!("CARGO_BIN_EXE_lab"), "--"])
                .args(["faulty-server", "--stage", stage, "--fault", fault]);
            assert_eq!(lab.output().unwrap().status.code(), Some(1));
            let report = read_report(&path);
            let mut checks = report.checks.iter();
            let check = checks.find(|check| check.id == "named-file").unwrap();
            assert_eq!(check.status, Status::Failed, "stage {stage}, {fault}");
            let score = report.score;
            assert!(score <= most, "stage {stage}, {fault}: {score} points");
        }
    }
}
