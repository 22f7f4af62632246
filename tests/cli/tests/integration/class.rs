//! A class: submissions of every kind, interrupted and in shards.

use crate::{copy, lab, public_folder, read_report, run, write_files, write_script};
use harness::process::{self, Signal};
use harness::workspace::{self, stage};
use lab::report::{Report, Status};
use std::env;
use std::fs::{self, Permissions};
use std::ops::RangeInclusive;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

/// A folder with submissions in `class`, and what grading them has written.
struct Class(TempDir);

impl Class {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A submission that consists of these files.
    fn add(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.path("class").join(name);
        fs::create_dir_all(&folder).unwrap();
        write_files(&folder, files);
        folder
    }

    /// A submission that is a script.
    fn add_script(&self, name: &str, lines: &str) {
        let path = self.add(name, &[]).join("server");
        write_script(&path, &format!("#!/bin/sh\n{lines}\n"));
    }

    /// The command that grades all submissions.
    fn command(&self, output: &str) -> Command {
        let mut lab = lab();
        lab.current_dir(self.0.path())
            .args(["grade", "1", "--seed", "7", "--submissions", "class"])
            .args(["--output", output]);
        lab
    }

    fn result(&self, output: &str, name: &str) -> Report {
        read_report(&self.path(output).join(format!("results/{name}.json")))
    }
}

/// What a submission of some kind must get.
struct Kind {
    name: &'static str,
    score: RangeInclusive<u32>,
    /// The first line of the reason starts with this.
    reason: &'static str,
}

const PANIC: &str = "fn main() { panic!() }";
const DOESNT_START: &str = "The server doesn't start: it exited: exit status: 101.";
const NOT_FOUND: &str = "There is neither an executable `server` nor a `src/main.rs`.";

const KINDS: &[Kind] = &[
    kind("good source", 100..=100, ""),
    kind("does not compile", 0..=0, "It doesn't build."),
    kind("endless build", 0..=0, "It doesn't build within 40 s."),
    kind("panics", 0..=0, DOESNT_START),
    kind(
        "wrong port",
        1..=15,
        "The server doesn't announce its address: the line `Serving",
    ),
    kind(
        "prints nothing",
        0..=0,
        "The server doesn't announce its address: nothing within 15s.",
    ),
    kind(
        "prints early",
        0..=15,
        "The server doesn't accept connections: ",
    ),
    kind("single read", 80..=99, ""),
    kind("never closes", 70..=99, ""),
    kind("starts late", 100..=100, ""),
    kind("forks", 100..=100, ""),
    kind("floods the log", 50..=99, ""),
    kind("leaves a daemon", 100..=100, ""),
    kind(
        "fills the disk",
        0..=99,
        "The server was stopped for good: it wrote more than 2048 MiB",
    ),
    kind(
        "fills the memory",
        0..=99,
        "The server was stopped for good: it used more than ",
    ),
    kind("compiles a secret", 0..=0, "It doesn't build."),
    kind("reads a secret", 100..=100, ""),
    kind("reads the environment", 0..=0, DOESNT_START),
    kind("名前 学生", 0..=0, NOT_FOUND),
    kind("=1+1", 0..=0, NOT_FOUND),
    kind("+1", 0..=0, NOT_FOUND),
    kind("-1", 0..=0, NOT_FOUND),
    kind("@A1", 0..=0, NOT_FOUND),
    kind("<b>&\"'", 0..=0, NOT_FOUND),
    kind("no source", 0..=0, NOT_FOUND),
    kind("deep source", 0..=0, DOESNT_START),
    kind("link inside", 0..=0, DOESNT_START),
    kind("link outside", 0..=0, NOT_FOUND),
    kind("zipped", 0..=0, DOESNT_START),
    kind("tarred", 100..=100, ""),
    kind("zip in a folder", 0..=0, DOESNT_START),
    kind(
        "two programs",
        0..=0,
        "There are 2 folders with a main.rs: `a/src`, `b/src`.",
    ),
    kind("not executable", 0..=0, "`"),
    kind("in C", 100..=100, ""),
    kind("build fails", 0..=0, "It doesn't build."),
    kind("build reads a secret", 0..=0, "It doesn't build."),
    kind("build leaves a daemon", 0..=0, "It doesn't build."),
    kind(
        "build fills the disk",
        0..=0,
        "It doesn't build: it wrote more than 2048 MiB",
    ),
    kind(
        "build with a link outside",
        0..=0,
        "`copy` in the sources is a link to a file outside of the submission.",
    ),
];

const fn kind(name: &'static str, score: RangeInclusive<u32>, reason: &'static str) -> Kind {
    Kind {
        name,
        score,
        reason,
    }
}

/// Adds the submissions that are built.
fn add_sources(class: &Class) {
    let secret = class.path("secret");
    fs::write(&secret, "\"only for root\"").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let source = class.add("good source", &[]).join("src");
    copy(&workspace::folder(stage(1), false).join("src"), &source);
    let main = |name: &str, text: &str| drop(class.add(name, &[("src/main.rs", text)]));
    main("does not compile", "fn main() { oops }");
    let endless = "#![allow(long_running_const_eval)]\nconst X: () = loop {};\nfn main() { X }";
    main("endless build", endless);
    main("panics", PANIC);
    let shown = secret.display();
    main(
        "compiles a secret",
        &format!("fn main() {{ panic!(\"{{}}\", include!(\"{shown}\")) }}"),
    );
    let environment = "fn main() { panic!(\"{:?}\", option_env!(\"COURSE_TOKEN\")) }";
    main("reads the environment", environment);
    class.add("deep source", &[("1/2/3/4/5/src/main.rs", PANIC)]);
    let linked = class.add("link inside", &[("code/main.rs", PANIC)]);
    symlink("code", linked.join("src")).unwrap();
    let linked = class.add("link outside", &[]);
    symlink(
        workspace::folder(stage(1), false).join("src"),
        linked.join("src"),
    )
    .unwrap();
    class.add(
        "two programs",
        &[("a/src/main.rs", PANIC), ("b/src/main.rs", PANIC)],
    );
}

/// Adds the submissions that are scripts.
fn add_scripts(class: &Class) {
    let lab = class.path("lab");
    fs::copy(env!("CARGO_BIN_EXE_lab"), &lab).unwrap();
    let run = format!("exec {} faulty-server --stage 1", lab.display());
    let secret = class.path("secret");
    let read = format!("cat {} 2>/dev/null && exit 1", secret.display());
    for (name, before, fault) in [
        ("wrong port", "", "--fault announces-port-zero"),
        ("single read", "", "--fault reads-once"),
        ("never closes", "", "--fault never-closes"),
        ("prints nothing", "exec sleep 300", ""),
        (
            "prints early",
            "echo 'Serving . at http://127.0.0.1:9/'; exec sleep 300",
            "",
        ),
        ("starts late", "sleep 1", ""),
        (
            "forks",
            "for i in 1 2 3 4 5; do sleep 300 >&- 2>&- & done",
            "",
        ),
        ("floods the log", "(yes flood >&2 &)", ""),
        ("leaves a daemon", "(setsid sleep 300 >&- 2>&- &)", ""),
        (
            "fills the disk",
            "dd if=/dev/zero of=$TMPDIR/zeros bs=1M count=900 2>/dev/null",
            "",
        ),
        (
            "fills the memory",
            "for i in 1 2 3; do dd if=/dev/zero of=/dev/null bs=2G count=99 & done; wait; exit 1",
            "",
        ),
        ("reads a secret", read.as_str(), ""),
    ] {
        class.add_script(name, &format!("{before}\n{run} {fault} \"$@\""));
    }
    class.add_script("packed", &format!("{run} \"$@\""));
}

/// Adds the submissions that have a `build`.
fn add_builds(class: &Class) {
    let reference = workspace::root().join("tests/references/c/stage1");
    copy(&reference, &class.path("class").join("in C"));
    let secret = class.path("secret");
    for (name, build) in [
        ("build fails", "exit 1".to_string()),
        (
            "build reads a secret",
            format!("printenv COURSE_TOKEN; cat {}", secret.display()),
        ),
        (
            "build leaves a daemon",
            "(setsid sleep 301 >&- 2>&- &); exit 1".to_string(),
        ),
        (
            "build fills the disk",
            "for i in 1 2 3; do dd if=/dev/zero of=$i bs=1M count=900; done; sleep 300".to_string(),
        ),
        ("build with a link outside", "exit 0".to_string()),
    ] {
        class.add_script(name, "exit 1");
        let folder = class.path("class").join(name);
        write_script(
            &folder.join("build"),
            &format!("#!/bin/sh\ncd ${{0%/*}} && {build}\n"),
        );
    }
    let linked = class.path("class").join("build with a link outside");
    symlink(&secret, linked.join("copy")).unwrap();
}

/// Adds the archives, and what holds no program.
fn add_others(class: &Class) {
    for name in ["名前 学生", "=1+1", "+1", "-1", "@A1", "<b>&\"'"] {
        class.add(name, &[]);
    }
    class.add("no source", &[("README.md", "It is done.")]);
    class.add("not executable", &[("server", "#!/bin/sh\n")]);
    let folder = class.path("class");
    let packed = |program: &str, arguments: &[&str]| {
        run(Command::new(program).args(arguments).current_dir(&folder));
    };
    packed("tar", &["czf", "tarred.tar.gz", "packed"]);
    fs::remove_dir_all(folder.join("packed")).unwrap();
    let script = "import zipfile; f = zipfile.ZipFile('zipped.zip', 'w'); \
                  f.writestr('mine/src/main.rs', 'fn main() { panic!() }')";
    packed("python3", &["-c", script]);
    class.add("zip in a folder", &[]);
    fs::copy(
        folder.join("zipped.zip"),
        folder.join("zip in a folder/x.zip"),
    )
    .unwrap();
    fs::write(folder.join("late.rar"), "").unwrap();
}

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "builds packages, as root on Linux: LAB_CI=1 runs it"
)]
fn every_kind_of_submission_gets_its_score_and_a_reason() {
    let class = Class(public_folder());
    add_sources(&class);
    add_scripts(&class);
    add_builds(&class);
    add_others(&class);
    let grade = || {
        let mut command = class.command("output");
        command.args(["--user", "nobody", "--user", "daemon"]);
        command.args(["--build-limit", "40"]);
        command.env("COURSE_TOKEN", "hush").output().unwrap()
    };
    let output = grade();
    ensure_results(&class);
    let mut find = Command::new("pgrep");
    let left = find.args(["-f", "^sleep 301$"]).output().unwrap().stdout;
    assert!(left.is_empty(), "a daemon is left");
    let text = String::from_utf8_lossy(&output.stdout);
    let skipped = "late.rar: it is neither a folder nor .zip";
    assert!(text.contains(skipped), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    ensure_summaries(&class);

    // The build that took too long is tried again; everything else is kept.
    let started = || {
        let names = KINDS.iter().map(|kind| kind.name);
        let reports = names.map(|name| (name, class.result("output", name).started));
        reports.collect::<Vec<_>>()
    };
    let before = started();
    assert_eq!(grade().status.code(), Some(0));
    let mut changed = started();
    changed.retain(|result| !before.contains(result));
    let names: Vec<&str> = changed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["endless build"]);
}

fn ensure_results(class: &Class) {
    let mut wrong = String::new();
    for kind in KINDS {
        let (name, report) = (kind.name, class.result("output", kind.name));
        let first = report.message.lines().next().unwrap_or_default();
        let has_reason =
            first.starts_with(kind.reason) && first.is_empty() == kind.reason.is_empty();
        if !kind.score.contains(&report.score) || !has_reason {
            wrong += &format!("{name}: {} points, {first:?}\n", report.score);
        }
        for check in &report.checks {
            if check.status == Status::Broken {
                wrong += &format!("{name}, {}: {}", check.id, check.output);
            }
        }
        let json = serde_json::to_string(&report).unwrap();
        for secret in ["only for root", "hush"] {
            assert!(!json.contains(secret), "{name}: {json}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let flooded = serde_json::to_string(&class.result("output", "floods the log")).unwrap();
    assert!(flooded.contains("the log is cut here"), "{flooded}");
}

fn ensure_summaries(class: &Class) {
    let read = |name: &str| fs::read_to_string(class.path("output").join(name)).unwrap();
    let csv = read("summary.csv");
    assert!(csv.starts_with("\u{feff}submission,"), "no byte order mark");
    for expected in [
        "\n名前 学生,failed,0",
        "\n'=1+1,",
        "\n'+1,",
        "\n'-1,",
        "\n'@A1,",
    ] {
        assert!(csv.contains(expected), "{expected} in {csv}");
    }
    let gradebook = read("gradebook.csv");
    assert!(gradebook.starts_with("\u{feff}name,points\n"));
    for expected in ["\n名前 学生,0\n", "\n'=1+1,0\n", "\ngood source,100\n"] {
        assert!(gradebook.contains(expected), "{expected} in {gradebook}");
    }
    let html = read("summary.html");
    let not_found = format!(">{NOT_FOUND}");
    let never_starts =
        "<small>The server doesn't announce its address: nothing within 15s.</small>";
    let doesnt_build = ">It doesn't build.</td>";
    for expected in [
        doesnt_build,
        &not_found,
        "late.rar",
        "&lt;b&gt;&amp;",
        never_starts,
    ] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    assert!(!html.contains("<b>&"), "a name is markup");
    for page in ["results/good source.html", "results/<b>&\"'.html"] {
        let text = read(page);
        assert!(
            text.contains("of 100 points") && !text.contains("<script"),
            "{text}"
        );
    }
    assert!(html.contains("href=\"results/good%20source.html#announces-when-ready\""));
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn interrupted_class_has_a_summary_and_resumes() {
    let class = Class(tempfile::tempdir().unwrap());
    class.add("a", &[]);
    class.add_script("b", "exec sleep 300");
    let mut command = class.command("output");
    let command = command.args(["--jobs", "1"]).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let first = class.path("output/results/a.json");
    let start = Instant::now();
    while !first.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no result");
        thread::sleep(Duration::from_millis(10));
    }
    process::kill(child.id().cast_signed(), Signal::INT);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(130), "{errors}");
    assert!(errors.contains("1 of 2 submissions are graded"), "{errors}");
    assert!(errors.contains("run the same command again"), "{errors}");
    let html = fs::read_to_string(class.path("output/summary.html")).unwrap();
    assert!(html.contains("without a grade yet: 1."), "{html}");
    let csv = fs::read_to_string(class.path("output/summary.csv")).unwrap();
    assert_eq!(csv.lines().count(), 2, "{csv}");

    let before = class.result("output", "a").started;
    class.add_script("b", "exit 1");
    let resumed = class.command("output").output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    assert_eq!(class.result("output", "a").started, before);
    assert_eq!(class.result("output", "b").status, Status::Failed);
}

#[test]
fn shards_and_one_run_have_equal_results() {
    let class = Class(tempfile::tempdir().unwrap());
    for name in ["a", "b", "c", "d", "e"] {
        class.add(name, &[]);
    }
    class.add_script("f", "exit 1");
    let grade = |output: &str, options: &[&str]| {
        let output = class.command(output).args(options).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(grade("all", &[]).0, Some(0));
    for number in ["1", "2"] {
        let shard = format!("{number}/3");
        assert_eq!(grade(number, &["--shard", &shard]).0, Some(0));
    }
    let merge = ["--merge", "1", "--merge", "2", "--merge", "3"];
    let (code, errors) = grade("merged", &merge);
    assert_eq!(code, Some(3));
    assert!(errors.contains("no current result: c, f."), "{errors}");
    assert_eq!(grade("3", &["--shard", "3/3"]).0, Some(0));
    assert_eq!(grade("merged", &merge).0, Some(0));
    let csv = |output: &str| fs::read_to_string(class.path(output).join("summary.csv")).unwrap();
    assert_eq!(csv("merged"), csv("all"));
    assert_eq!(csv("all").lines().count(), 7);
}

/// The examples of docs/class/, with `cargo` replaced and as the current user.
struct Example {
    class: Class,
    text: String,
}

impl Example {
    fn new(name: &str) -> Example {
        let class = Class(tempfile::tempdir().unwrap());
        for name in ["a", "b", "c", "d", "e"] {
            fs::create_dir_all(class.path("submissions").join(name)).unwrap();
        }
        let bin = class.path("bin");
        fs::create_dir(&bin).unwrap();
        let lab = env!("CARGO_BIN_EXE_lab");
        let cargo = format!("#!/bin/sh\n[ \"$1\" != lab ] && exit 0\nshift\nexec {lab} \"$@\"\n");
        write_script(&bin.join("cargo"), &cargo);
        let sudo = "#!/bin/sh\n[ \"$1\" = --preserve-env ] && shift\nexec \"$@\"\n";
        write_script(&bin.join("sudo"), sudo);
        write_script(&bin.join("useradd"), "#!/bin/sh\n");
        let path = workspace::root().join("docs/class").join(name);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("--submissions submissions"), "{text}");
        let text = text.replace("--user student1 --user student2 ", "");
        Example { class, text }
    }

    /// Runs commands as a runner with these variables.
    fn run(&self, commands: &str, variables: &[(&str, &str)]) {
        let path = format!(
            "{}:{}",
            self.class.path("bin").display(),
            env::var("PATH").unwrap()
        );
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", commands])
            .current_dir(self.class.0.path())
            .env("PATH", path)
            .envs(variables.iter().copied());
        run(&mut bash);
    }

    fn yaml(&self) -> Yaml {
        YamlLoader::load_from_str(&self.text).unwrap().remove(0)
    }

    /// Everybody is graded, each in one part.
    fn ensure_joined(&self) {
        let csv = fs::read_to_string(self.class.path("results/summary.csv")).unwrap();
        assert_eq!(csv.lines().count(), 6, "{csv}");
    }
}

#[test]
fn github_example_grades_in_parts() {
    let example = Example::new("github.yml");
    let yaml = example.yaml();
    let commands = |job: &str, name: &str| {
        let steps = yaml["jobs"][job]["steps"].as_vec().unwrap().iter();
        let mut steps = steps.filter(|step| step["name"].as_str() == Some(name));
        steps.next().unwrap()["run"].as_str().unwrap().to_string()
    };
    let shards = &yaml["jobs"]["grade"]["strategy"]["matrix"]["shard"];
    for shard in shards.as_vec().unwrap() {
        let shard = shard.as_i64().unwrap().to_string();
        example.run(&commands("grade", "Grade"), &[("SHARD", &shard)]);
    }
    example.run(&commands("join", "Join the results"), &[]);
    example.ensure_joined();
}

#[test]
fn gitlab_example_grades_in_parts() {
    let example = Example::new("gitlab.yml");
    let yaml = example.yaml();
    let commands = |job: &str| {
        let lines = yaml[job]["script"].as_vec().unwrap().iter();
        let lines = lines.map(|line| line.as_str().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    let total = yaml["grade"]["parallel"].as_i64().unwrap();
    for index in 1..=total {
        let (index, total) = (index.to_string(), total.to_string());
        let variables = [("CI_NODE_INDEX", &*index), ("CI_NODE_TOTAL", &*total)];
        example.run(&commands("grade"), &variables);
    }
    example.run(&commands("join"), &[]);
    example.ensure_joined();
}

#[test]
fn slurm_example_grades_in_parts() {
    let example = Example::new("slurm.sh");
    assert!(example.text.contains("#SBATCH --array=1-8\n"));
    for index in 1..=8 {
        let index = index.to_string();
        let variables = [
            ("SLURM_ARRAY_TASK_ID", &*index),
            ("SLURM_ARRAY_TASK_COUNT", "8"),
        ];
        example.run(&example.text, &variables);
    }
    example.run(&format!("set -- join\n{}", example.text), &[]);
    example.ensure_joined();
}
