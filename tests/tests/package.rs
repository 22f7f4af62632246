//! The packages for a course's automation, tried as far as that goes without the services:
//! their own scripts are run, in the folders that the services would make.
//!
//! They start servers as another user, which only root can, and only Linux is what the services
//! run: elsewhere these tests are ignored.

use lab::workspace;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use yaml_rust2::{Yaml, YamlLoader};
use zip::ZipArchive;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let left_out = !cfg!(target_os = "linux") || !nix::unistd::Uid::effective().is_root();
    let trials = [
        Trial::test("gradescope-and-actions", gradescope_and_actions),
        Trial::test("another-user-touches-nothing", another_user_touches_nothing),
    ];
    let trials = trials.map(|trial| trial.with_ignored_flag(left_out));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// A server that runs as another user can neither end the harness, nor write its report, nor
/// read what is root's: and so it is graded as what it is besides.
fn another_user_touches_nothing() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let path = |name: &str| folder.path().join(name);
    let stage = path("stage");
    fs::copy(workspace::build_stages()?.swap_remove(0), &stage)?;
    fs::write(path("secret"), "for root alone")?;
    fs::set_permissions(path("secret"), fs::Permissions::from_mode(0o600))?;
    fs::create_dir(path("seen"))?;
    fs::set_permissions(path("seen"), fs::Permissions::from_mode(0o777))?;
    let text = format!(
        "#!/bin/sh\nkill -KILL $PPID 2>/dev/null && touch {0}/killed\n\
         cat {1} >/dev/null 2>&1 && touch {0}/read\n\
         echo 1000 2>/dev/null >{2} && touch {0}/written\n\
         id -u >{0}/user\nexec {3} \"$@\"\n",
        path("seen").display(),
        path("secret").display(),
        path("report.json").display(),
        stage.display()
    );
    let server = path("server");
    fs::write(&server, text)?;
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755))?;
    let mut grade = lab();
    grade.args([
        "grade", "1", "--user", "nobody", "--format", "json", "--server",
    ]);
    grade.arg(&server).arg("--output").arg(path("report.json"));
    must_succeed(&mut grade)?;
    let seen = fs::read_dir(path("seen"))?.count();
    same(
        &Value::from(seen),
        &Value::from(1),
        "what it could do besides saying who it is",
    )?;
    let report: Value = serde_json::from_slice(&fs::read(path("report.json"))?)?;
    same(&report["score"], &Value::from(100), "the score")
}

/// The folders that Gradescope makes; the workflow is tried with the same copy of the lab, so
/// that it is built once.
fn gradescope_and_actions() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let autograder = folder.path().join("autograder");
    for name in ["source", "submission", "results"] {
        fs::create_dir_all(autograder.join(name))?;
    }
    // As on the services, nobody but root looks into root's folders on the way.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let zip = folder.path().join("autograder.zip");
    must_succeed(
        lab()
            .args(["package", "gradescope", "1", "--output"])
            .arg(&zip),
    )?;
    unpack(&zip, &autograder.join("source"))?;
    must_succeed(outside(&mut script(&autograder, "source/setup.sh")))?;
    fs::copy(
        autograder.join("source/run_autograder"),
        autograder.join("run_autograder"),
    )?;

    let results = grade(&autograder, |submission| {
        copy_stage(1, &submission.join("src"))
    })?;
    same(
        &results["score"],
        &Value::from(100),
        "the score of the lab's own stage",
    )?;

    // Of what else is handed in, nothing plays a part.
    let results = grade(&autograder, |submission| {
        copy_stage(1, &submission.join("my_stage1/src"))?;
        let main = submission.join("my_stage1/src/main.rs");
        let text = fs::read_to_string(&main)?.replace(
            "#[arg(long)]\n    verbose",
            "#[arg(long, hide = true)]\n    verbose",
        );
        fs::write(main, text)?;
        fs::create_dir_all(submission.join("my_stage1/tests/src"))?;
        fs::write(
            submission.join("my_stage1/tests/src/lib.rs"),
            "// no checks at all",
        )?;
        fs::write(
            submission.join("my_stage1/build.rs"),
            "fn main() { panic!() }",
        )?;
        fs::write(
            submission.join("my_stage1/Cargo.toml"),
            "[package]\nbuild = \"build.rs\"\n",
        )?;
        fs::write(submission.join("results.json"), "{\"score\": 1000}")?;
        Ok(())
    })?;
    let tests = results["tests"].as_array().ok_or("no tests")?;
    let red: Vec<&Value> = tests
        .iter()
        .filter(|test| test["status"] == "failed")
        .collect();
    same(
        &Value::from(red.len()),
        &Value::from(1),
        "the number of red checks",
    )?;
    same(
        &red[0]["name"],
        &Value::from("help-names-every-option"),
        "the red check",
    )?;

    // What does not build gets a grade and a reason.
    let results = grade(&autograder, |submission| {
        fs::create_dir(submission.join("src"))?;
        fs::write(submission.join("src/main.rs"), "fn main() { oops }")
    })?;
    same(
        &results["score"],
        &Value::from(0),
        "the score of what does not build",
    )?;
    let told = results["output"]
        .as_str()
        .is_some_and(|output| output.contains("oops"));
    same(
        &Value::from(told),
        &Value::from(true),
        "that the compiler's words are told",
    )?;
    actions(folder.path(), &autograder)
}

/// Runs the workflow's own commands, one after the other.
fn actions(folder: &Path, autograder: &Path) -> Result<(), Failed> {
    let workflow = folder.join("grade.yml");
    must_succeed(
        lab()
            .args([
                "package",
                "actions",
                "1",
                "--lab",
                "someone/http-lab",
                "--output",
            ])
            .arg(&workflow),
    )?;
    let text = fs::read_to_string(&workflow)?;
    let documents = YamlLoader::load_from_str(&text)?;
    let steps = documents[0]["jobs"]["grade"]["steps"]
        .as_vec()
        .ok_or("no steps")?;
    let uses: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["uses"].as_str())
        .collect();
    let there = uses
        .iter()
        .filter(|name| name.starts_with("actions/checkout@"))
        .count();
    same(
        &Value::from(there),
        &Value::from(2),
        "the number of checkouts",
    )?;
    let repository = steps
        .iter()
        .find_map(|step| step["with"]["repository"].as_str());
    same(
        &Value::from(repository),
        &Value::from("someone/http-lab"),
        "the suite's repository",
    )?;

    let work = folder.join("work");
    copy_stage(1, &work.join("submission/src"))?;
    fs::rename(autograder.join("source/lab"), work.join("lab"))?;
    // The machine's own `sudo` and users are not touched.
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    for (name, text) in [
        (
            "sudo",
            "#!/bin/sh\n[ \"$1\" = --preserve-env ] && shift\nexec \"$@\"\n",
        ),
        ("useradd", "#!/bin/sh\nexit 0\n"),
    ] {
        fs::write(bin.join(name), text)?;
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?;
    }
    let path = std::env::var("PATH")?;
    for step in steps {
        let Yaml::String(command) = &step["run"] else {
            continue;
        };
        let place = step["working-directory"].as_str().unwrap_or(".");
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", command])
            .current_dir(work.join(place));
        bash.env("PATH", format!("{}:{path}", bin.display()));
        must_succeed(outside(&mut bash)).map_err(|error| {
            let report = fs::read_to_string(work.join("report.xml")).unwrap_or_default();
            format!("{}\n{report}", error.message().unwrap_or_default())
        })?;
    }
    let report = fs::read_to_string(work.join("report.xml"))?;
    let full = report.contains("<property name=\"score\" value=\"100\"/>");
    same(
        &Value::from(full),
        &Value::from(true),
        "that the report says 100 points",
    )
}

fn lab() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lab"))
}

fn script(autograder: &Path, name: &str) -> Command {
    let mut script = Command::new(autograder.join(name));
    script.env("AUTOGRADER", autograder).current_dir(autograder);
    script
}

/// A command as it would run outside of this test, which itself was started by Cargo.
fn outside(command: &mut Command) -> &mut Command {
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "LAB_SEED"] {
        command.env_remove(name);
    }
    // What is built there is kept apart from what is under test here.
    let target = workspace::root().join("target/packages");
    command
        .env("CARGO_TARGET_DIR", target)
        .env("GRADE_USER", "nobody")
}

fn must_succeed(command: &mut Command) -> Result<Output, Failed> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output),
        false => {
            let words = [output.stdout, output.stderr].concat();
            let words = String::from_utf8_lossy(&words).into_owned();
            Err(format!("{command:?}: {}\n{words}", output.status).into())
        }
    }
}

/// Hands something in, has it graded, and reads the result.
fn grade(
    autograder: &Path,
    hand_in: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Value, Failed> {
    let submission = autograder.join("submission");
    fs::remove_dir_all(&submission)?;
    fs::create_dir(&submission)?;
    hand_in(&submission)?;
    must_succeed(outside(&mut script(autograder, "run_autograder")))?;
    let results = fs::read(autograder.join("results/results.json"))?;
    Ok(serde_json::from_slice(&results)?)
}

fn same(found: &Value, expected: &Value, what: &str) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what} should be {expected}, and is {found}").into()),
    }
}

fn copy_stage(number: u8, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let folder = workspace::folder(workspace::stage(number), false).join("src");
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn unpack(zip: &PathBuf, to: &Path) -> Result<(), Failed> {
    Ok(ZipArchive::new(File::open(zip)?)?.extract(to)?)
}
