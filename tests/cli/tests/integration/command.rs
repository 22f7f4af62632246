//! The commands as people use them, in a copy of the workspace.

use crate::{lab, lab_in, packages_target, run, workspace_copy, write_script};
use assert_cmd::assert::{Assert, OutputAssertExt};
use harness::cleanup::ProcessGroup;
use harness::process::{self, Signal};
use harness::workspace::{self, STAGES};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};
use regex::Regex;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use suite::exercises;
use suite::steps::STEPS;

fn in_copy(root: &Path, arguments: &[&str]) -> Assert {
    lab_in(root).args(arguments).assert()
}

fn here(arguments: &[&str]) -> Assert {
    lab().args(arguments).assert()
}

#[test]
fn overview_shows_the_stages_and_the_next_step() {
    let copy = workspace_copy();
    let root = copy.path();
    let mut overview = in_copy(root, &[]).success();
    for stage in &STAGES {
        overview = overview.stdout(contains(stage.name).and(contains(stage.idea)));
    }
    overview.stdout(contains("Next: read lessons 0 and 1").and(contains("cargo lab run 1")));
    in_copy(root, &["start", "2"]).success();
    in_copy(root, &[]).stdout(contains("my_stage2").and(contains("cargo lab watch 2")));
}

#[test]
fn output_to_a_pipe_has_no_color() {
    here(&[]).stdout(contains("\x1b").not());
}

#[test]
fn start_never_overwrites() {
    let copy = workspace_copy();
    let root = copy.path();
    for (name, package) in [("2", "my_stage2"), ("keep-alive", "my_stage4_keep_alive")] {
        in_copy(root, &["start", name]).success();
        let main = root.join(package).join("src/main.rs");
        fs::write(&main, "// mine").unwrap();
        let again = in_copy(root, &["start", name]).failure();
        let error = format!("{package}/ already exists");
        again.stderr(contains(error).and(contains(format!("mv {package}"))));
        assert_eq!(fs::read_to_string(&main).unwrap(), "// mine");
    }
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a package: LAB_CI=1 runs it")]
fn student_grades_compares_and_watches() {
    let copy = workspace_copy();
    let root = copy.path();
    in_copy(root, &["start", "2"]).stdout(contains("cargo lab watch 2"));
    let main = root.join("my_stage2/src/main.rs");
    fs::write(&main, "fn main() { oops }").unwrap();
    let grade = in_copy(root, &["grade", "2"]).code(1);
    grade
        .stdout(starts_with("my_stage2 is on its way to stage 2").and(contains("0 of 100 points")));

    fs::copy(root.join("stage1_single/src/main.rs"), &main).unwrap();
    let grade = in_copy(root, &["grade", "2"]).code(1);
    grade.stdout(
        starts_with("my_stage2 is on its way to stage 2")
            .and(contains("silent-clients-do-not-block"))
            .and(contains("not reached")),
    );
    let diff = in_copy(root, &["diff", "1", "2", "--mine"]).success();
    diff.stdout(contains("= src/serve.rs: unchanged"));
    ensure_watch_grades_after_changes(root, &main);
}

/// `cargo lab watch` while it runs. It ends with this value.
pub struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    pub fn start(root: &Path, target: &str) -> Watch {
        let mut watch = lab_in(root);
        let watch = watch.args(["watch", target]).stdout(Stdio::piped());
        let mut child = watch.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = lines.map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        let lines = receiver;
        Watch { child, lines }
    }

    /// Reads up to the line with that text, and returns everything before it.
    pub fn wait_for(&self, text: &str) -> String {
        let mut before = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120));
            let line = line.unwrap_or_else(|error| panic!("no `{text}`: {error}\n{before}"));
            if line.contains(text) {
                return before;
            }
            before += &format!("{line}\n");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        process::kill(self.child.id().cast_signed(), Signal::INT);
        self.child.wait().unwrap();
    }
}

/// It grades when it starts and after a save. A build, which reads files, is not a change.
fn ensure_watch_grades_after_changes(root: &Path, main: &Path) {
    let watch = Watch::start(root, "2");
    watch.wait_for(" of 100 points");
    watch.wait_for("Waiting");
    let silence = watch.lines.recv_timeout(Duration::from_secs(1));
    fs::write(main, "fn main() { oops }").unwrap();
    watch.wait_for("the build failed");
    watch.wait_for("Waiting");
    let expected = Err(RecvTimeoutError::Timeout);
    assert_eq!(silence, expected, "it graded without a change");
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a package: LAB_CI=1 runs it")]
fn watch_knows_steps() {
    let copy = workspace_copy();
    let root = copy.path();
    in_copy(root, &["start", "4"]).success();
    let watch = Watch::start(root, "4a");
    watch.wait_for("Step 4a (the builder");
    // What later steps add isn't asked for.
    let failures = watch.wait_for("checks up to step 4a pass.");
    assert!(failures.contains("✗ content-types"), "{failures}");
    assert!(!failures.contains("percent-encoding"), "{failures}");
    watch.wait_for("Waiting");
    for (name, text) in STEPS[0].sources().unwrap() {
        // The manifest has the name of the package.
        if let Some(name) = name.strip_prefix("src/") {
            fs::write(root.join("my_stage4/src").join(name), text).unwrap();
        }
    }
    watch.wait_for("Next: cargo lab watch 4b");
    // A step isn't a stage: the score of the stage is another.
    let overview = in_copy(root, &[]).success();
    overview.stdout(contains("yours, to become stage 4").and(contains("of 100").not()));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "runs suites: LAB_CI=1 runs it")]
fn soak_resumes_after_an_interrupt() {
    let copy = workspace_copy();
    let soak = |options: &[&str]| {
        let mut soak = lab_in(copy.path());
        soak.args(["soak", "1", "--runs", "1", "--busy", "1"])
            .args(options);
        soak
    };
    let path = copy.path().join("target/soak.jsonl");
    let finished = || fs::read_to_string(&path).unwrap_or_default();
    // Interrupts it when that many tasks are recorded as finished.
    let interrupt_at = |mut soak: Command, count: usize| {
        let mut soak = soak.stdout(Stdio::null()).spawn().unwrap();
        while finished().lines().count() != count {
            let ended = soak.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}");
            thread::sleep(Duration::from_millis(5));
        }
        process::kill(soak.id().cast_signed(), Signal::INT);
        soak.wait().unwrap();
    };
    interrupt_at(soak(&[]), 1);
    let first = finished();
    let resumed = soak(&[]).assert().success();
    resumed.stdout(
        contains("Resuming after 1 finished tasks.")
            .and(contains("Finished 2 tasks next to 1 busy threads"))
            .and(contains("Every verdict was right every time.")),
    );
    assert!(!path.exists(), "kept after the end");
    fs::write(&path, first).unwrap();
    interrupt_at(soak(&["--restart"]), 0);
}

#[test]
fn diff_goes_from_file_to_file() {
    let diff = here(&["diff", "1", "2"]).success();
    diff.stdout(
        contains("src/serve.rs  +")
            .and(contains("+fn start_child("))
            .and(contains("= src/connection.rs: unchanged")),
    );
    let copy = workspace_copy();
    let missing = in_copy(copy.path(), &["diff", "1", "4", "--mine"]).failure();
    missing.stderr(contains("cargo lab start 4"));
}

#[test]
fn diff_shows_each_step_to_stage_4() {
    for (from, to, added) in [
        ("3", "4a", "+pub struct ResponseBuilder {"),
        ("4a", "4b", "+pub fn others_may_read("),
        ("4b", "4c", "+fn check_host("),
        ("4c", "4", "+pub fn echo("),
        ("4c", "4d", "+pub fn echo("),
    ] {
        let diff = here(&["diff", from, to]).success();
        diff.stdout(contains(added).and(contains("= src/serve.rs: unchanged")));
    }
    let diff = here(&["diff", "4d", "4"]).success();
    diff.stdout(contains("\n0 lines added, 0 removed."));
    let page = here(&["diff", "3", "4a", "--html"]).success();
    page.stdout(contains("From stage3_threads to step 4a").and(contains("id=\"3-4a\"")));
    let copy = workspace_copy();
    let root = copy.path();
    in_copy(root, &["start", "4"]).success();
    // It is still stage 3, so what step 4a adds is missing, but for the table of media types.
    let diff = in_copy(root, &["diff", "4a", "--mine"]).success();
    diff.stdout(
        contains("-pub struct ResponseBuilder {").and(contains("= src/mime.rs: unchanged")),
    );
}

#[test]
fn diff_reads_files_in_the_order_of_the_lessons() {
    let diff = run(lab().args(["diff", "3", "4"]));
    let text = String::from_utf8(diff.stdout).unwrap();
    let names = text.lines().filter_map(|line| {
        let line = line.strip_prefix("── ").or(line.strip_prefix("= "))?;
        line.split([' ', ':']).next()
    });
    let expected = "Cargo.toml main options serve connection request handler files response log \
                    form mime permission";
    let names: Vec<&str> = names
        .map(|name| name.trim_start_matches("src/").trim_end_matches(".rs"))
        .collect();
    assert_eq!(names.join(" "), expected);
}

#[test]
fn stage_4_is_climbed_in_steps() {
    let copy = workspace_copy();
    let root = copy.path();
    let start = in_copy(root, &["start", "4"]).success();
    let text = String::from_utf8_lossy(&start.get_output().stdout).into_owned();
    let places = STEPS.map(|step| text.find(step.title).unwrap());
    assert!(places.is_sorted(), "{text}");
    start.stdout(contains("cargo lab diff 3 4a"));
    let options = fs::read_to_string(root.join("my_stage4/src/options.rs")).unwrap();
    assert!(options.contains(":9001\""), "{options}");
    let start = in_copy(root, &["start", "3"]).success();
    start.stdout(contains("4a").not());
    assert!(!root.join("my_stage3/src/mime.rs").exists());
}

#[test]
fn start_5_names_the_files_to_write() {
    let copy = workspace_copy();
    let root = copy.path();
    let start = in_copy(root, &["start", "5"]).success();
    let mut start = start.stdout(starts_with("my_stage5/ is a copy of stage4_builder."));
    let sources = |package: &str| {
        let entries = fs::read_dir(root.join(package).join("src")).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let names = entries.map(|entry| name(entry.unwrap()));
        names.collect::<BTreeSet<String>>()
    };
    assert_eq!(sources("my_stage5"), sources("stage4_builder"));
    for new in sources("stage5_gateway").difference(&sources("stage4_builder")) {
        start = start.stdout(contains(new));
    }
    let options = fs::read_to_string(root.join("my_stage5/src/options.rs")).unwrap();
    assert!(options.contains(":8001\""), "{options}");
    let manifest = fs::read_to_string(root.join("my_stage5/Cargo.toml")).unwrap();
    let original = fs::read_to_string(root.join("stage5_gateway/Cargo.toml")).unwrap();
    assert_eq!(manifest, original.replace("stage5_gateway", "my_stage5"));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds packages: LAB_CI=1 runs it")]
fn started_stage_builds_without_warnings() {
    let copy = workspace_copy();
    let root = copy.path();
    for stage in &STAGES[1..] {
        let number = stage.number.to_string();
        in_copy(root, &["start", &number]).success();
        let mut cargo = workspace::cargo();
        cargo.args(["check", "--all-targets", "--package"]);
        let package = workspace::own_name(stage.number);
        cargo.arg(package).current_dir(root);
        cargo.env("CARGO_TARGET_DIR", packages_target());
        run(cargo.env("RUSTFLAGS", "-D warnings"));
    }
}

#[test]
fn grade_of_stage_4_shows_the_points_of_each_step() {
    let folder = tempfile::tempdir().unwrap();
    // It announces itself and then leaves, so nearly all checks fail at once.
    let program = folder.path().join("server");
    write_script(&program, "#!/bin/sh\nexit 1\n");
    let program = program.to_str().unwrap();
    for stage in ["3", "4", "5", "6"] {
        let grade = here(&["grade", stage, "--server", program]).code(1);
        let text = String::from_utf8_lossy(&grade.get_output().stdout);
        let steps = "By step: earlier stages 0 of [0-9]+, 4a 0 of [0-9]+, 4b 0 of [0-9]+, 4c";
        let has_steps = Regex::new(steps).unwrap().is_match(&text);
        assert_eq!(has_steps, stage == "4", "{text}");
    }
    let exercise = here(&["exercise", "ranges", "--server", program]).code(1);
    exercise.stdout(contains("By step").not());
}

#[test]
fn listed_points_sum_to_100() {
    for stage in &STAGES {
        let output = run(lab().args(["grade", &stage.number.to_string(), "--list"]));
        let text = String::from_utf8(output.stdout).unwrap();
        let (checks, total) = text.trim_end().rsplit_once('\n').unwrap();
        let points = checks
            .lines()
            .map(|line| line[..3].trim().parse::<u32>().unwrap());
        assert_eq!(points.sum::<u32>(), 100);
        assert!(total.starts_with("100  points in"), "{total}");
    }
}

#[test]
fn exercise_starts_as_a_copy_of_its_stage() {
    let copy = workspace_copy();
    let root = copy.path();
    let mut list = in_copy(root, &["exercise"]).success();
    for exercise in exercises::all() {
        list = list.stdout(contains(exercise.name).and(contains(exercise.title)));
    }
    let task = in_copy(root, &["exercise", "keep-alive"]).code(1);
    task.stdout(
        starts_with("keep-alive: ")
            .and(contains("RFC 9112, 9.3"))
            .and(contains("Next: cargo lab start keep-alive")),
    );
    let not_started = in_copy(root, &["run", "keep-alive"]).code(3);
    not_started.stderr(contains("cargo lab start keep-alive"));
    let not_started = in_copy(root, &["watch", "keep-alive"]).code(3);
    not_started.stderr(contains("cargo lab start keep-alive"));

    let start = in_copy(root, &["start", "keep-alive"]).success();
    start.stdout(contains("cargo lab exercise keep-alive"));
    let manifest = fs::read_to_string(root.join("my_stage4_keep_alive/Cargo.toml")).unwrap();
    let original = fs::read_to_string(root.join("stage4_builder/Cargo.toml")).unwrap();
    let renamed = original.replace("stage4_builder", "my_stage4_keep_alive");
    assert_eq!(manifest, renamed);
    let list = in_copy(root, &["exercise"]).success();
    list.stdout(contains("started in my_stage4_keep_alive/"));
    // An exercise isn't a stage, so the next step stays the same.
    let overview = in_copy(root, &[]).success();
    overview.stdout(contains("Next: read lessons 0 and 1"));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a package: LAB_CI=1 runs it")]
fn exercise_is_done_once_it_is_solved() {
    let copy = workspace_copy();
    let root = copy.path();
    in_copy(root, &["start", "query-parameters"]).success();
    let exercise = || in_copy(root, &["exercise", "query-parameters"]);
    let not_reached = "default-greeting, other-parameters-ignored, name-is-escaped";
    exercise().code(1).stdout(
        contains("✗ greets-by-name (failed")
            .and(contains("not reached").and(contains(not_reached)))
            .and(contains("is done").not()),
    );

    let package = root.join("my_stage1_query_parameters");
    let solution = workspace::root().join("tests/suite/exercises/query-parameters.diff");
    let mut apply = Command::new("git");
    run(apply.arg("apply").arg(solution).current_dir(&package));
    let done = exercise().success();
    done.stdout(contains("query-parameters is done."));
    let watch = Watch::start(root, "query-parameters");
    watch.wait_for("query-parameters is done.");
    watch.wait_for("Waiting");
    drop(watch);

    fs::write(package.join("src/main.rs"), "fn main() { oops }").unwrap();
    exercise().code(1).stdout(contains("the build failed"));
}

#[test]
fn error_names_what_is_wrong() {
    let exercises = "The exercises are: query-parameters,";
    let no_keepalive = format!("no exercise `keepalive`. {exercises}");
    for (code, arguments, expected) in [
        (2, "grade 7", "it must be a stage, 1 to 6"),
        (2, "grade my_stage2", "it must be a stage, 1 to 6"),
        (2, "grade 4a", "cargo lab watch 4a"),
        (2, "lesson x", "it must be a lesson, 0 to 6"),
        (2, "start 1", "it must be a stage, 2 to 6"),
        (2, "run stage1_single", "it must be a stage, 1 to 6"),
        (2, "watch 4e", "exercise `4e`"),
        (2, "fault --lesson 7", "1 to 6"),
        (2, "fault no-zombies", "There is no such fault"),
        (2, "start keepalive", &no_keepalive),
        (2, "exercise 1", exercises),
        (2, "exercise --list", "EXERCISE"),
        (2, "diff 1", "<TO>"),
        (2, "diff 4 7", "1 to 6"),
        (2, "grade 1 --format pdf", "junit"),
        (2, "grade 1 --submissions /nowhere", "--output"),
        (2, "grade 1 --server a --submission /", "be used with"),
        (3, "grade 1 --submissions / --output /proc/x", "/proc/x"),
        (3, "grade 1 --server true --output /no/x", "/no"),
        (3, "grade 1 --only no-check --server true", "--list"),
        (3, "grade 1 --server true --user nobody2", "nobody2"),
        (2, "grade 1 --submission /nowhere", "no such file or folder"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = lab().args(&arguments).output().unwrap();
        let text = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn program_that_cannot_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("text");
    fs::write(&text_file, "text").unwrap();
    for (path, expected) in [
        (folder.path().join("none"), "There is no program"),
        (folder.path().to_path_buf(), "is not a file"),
        (text_file, "chmod +x"),
    ] {
        let path = path.to_str().unwrap();
        let grade = here(&["grade", "1", "--server", path]).code(1);
        grade.stdout(contains(expected).and(contains(path)));
    }
}

#[test]
fn fault_is_listed_described_and_shown() {
    let list = here(&["fault"]).success();
    list.stdout(contains("follows-dot-dot").and(contains("Stage 4")));
    let description = here(&["fault", "follows-dot-dot"]).success();
    description.stdout(
        contains("no-path-traversal").and(contains("cargo lab fault follows-dot-dot --serve")),
    );
    // Success means that the check detects the fault.
    let shown = here(&["fault", "follows-dot-dot", "no-path-traversal"]).success();
    shown.stdout(contains("✗ no-path-traversal").and(contains("from outside the document root")));
    for (lesson, table) in [("5", "gateway/faults.toml"), ("6", "events/faults.toml")] {
        let lesson = here(&["fault", "--lesson", lesson]).success();
        lesson.stdout(contains(table));
    }
    let unknown = here(&["fault", "follows-dot-dot", "no-such-check"]).code(3);
    unknown.stderr(contains("`no-such-check`").and(contains("cargo lab fault follows-dot-dot")));
    let unknown = here(&["fault", "no-such-fault"]).code(2);
    unknown.stderr(contains("no-such-fault").and(contains("cargo lab fault")));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs Python: LAB_CI=1 runs it")]
fn run_5_mounts_the_sample_applications() {
    let mut command = lab();
    command.args(["run", "5", "--original", "--", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut server, _group) = ProcessGroup::start(&mut command).unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let (_, address) = line.trim_end().rsplit_once("http://").unwrap();
    let address = address.trim_end_matches('/');
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap() == "Applications:");
    let readme = fs::read_to_string(workspace::root().join("stage5_gateway/apps/README.md"));
    let samples = readme.unwrap().matches("\n| `/").count();
    assert!(samples > 0, "the README names no application");
    for line in lines.take(samples) {
        let line = line.unwrap();
        let path = line.trim().split(' ').next().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let limit = Some(Duration::from_secs(30));
        client.set_read_timeout(limit).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
        let mut status = String::new();
        BufReader::new(client).read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200 "), "{path}: {status}");
    }
}
