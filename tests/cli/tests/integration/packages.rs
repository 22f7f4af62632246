//! The packages for services that grade automatically, tested without the services: the packages'
//! own scripts run in the folders that the services would create.
//!
//! Servers run as another user, which only root can start.

use crate::{
    copy, lab, packages_target, public_folder, read_report, run, write_files, write_script,
};
use harness::workspace::{self, stage};
use serde_json::Value;
use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use yaml_rust2::{Yaml, YamlLoader};
use zip::ZipArchive;

/// The folder that Gradescope's scripts run in.
struct Autograder(PathBuf);

impl Autograder {
    fn create(path: PathBuf) -> Autograder {
        for name in ["source", "submission", "results"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        let zip = path.join("autograder.zip");
        let mut package = lab();
        package.args(["package", "gradescope", "1", "--output"]);
        run(package.arg(&zip));
        let mut archive = ZipArchive::new(File::open(zip).unwrap()).unwrap();
        archive.extract(path.join("source")).unwrap();
        let script = path.join("run_autograder");
        fs::copy(path.join("source/run_autograder"), script).unwrap();
        let autograder = Autograder(path);
        autograder.run("source/setup.sh");
        autograder
    }

    fn run(&self, script: &str) {
        let mut command = Command::new(self.0.join(script));
        command.env("AUTOGRADER", &self.0).current_dir(&self.0);
        run(as_on_the_service(&mut command));
    }

    /// Grades the submission that `write` puts into an empty folder.
    fn grade(&self, write: impl FnOnce(&Path)) -> Value {
        let submission = self.0.join("submission");
        fs::remove_dir_all(&submission).unwrap();
        fs::create_dir(&submission).unwrap();
        write(&submission);
        self.run("run_autograder");
        let results = fs::read(self.0.join("results/results.json")).unwrap();
        serde_json::from_slice(&results).unwrap()
    }
}

/// A command as the service would run it: not as part of a test that Cargo has started.
fn as_on_the_service(command: &mut Command) -> &mut Command {
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "LAB_SEED"] {
        command.env_remove(name);
    }
    command
        .env("CARGO_TARGET_DIR", packages_target())
        .env("GRADE_USER", "nobody")
}

/// Copies the sources of stage 1.
fn copy_stage_1(to: &Path) {
    copy(&workspace::folder(stage(1), false).join("src"), to);
}

/// Both are tested with the same copy of the lab, so that it is built once.
#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "builds the suite, as root on Linux: LAB_CI=1 runs it"
)]
fn gradescope_and_actions_packages_grade() {
    let folder = public_folder();
    let autograder = Autograder::create(folder.path().join("autograder"));
    let results = autograder.grade(|submission| copy_stage_1(&submission.join("src")));
    assert_eq!(results["score"], 100, "{results}");

    // Everything but the sources is ignored.
    let results = autograder.grade(|submission| {
        copy_stage_1(&submission.join("my_stage1/src"));
        let options = submission.join("my_stage1/src/options.rs");
        let text = fs::read_to_string(&options).unwrap();
        let option = "#[arg(long)]\n    pub verbose";
        assert!(text.contains(option));
        let text = text.replace(option, "#[arg(long, hide = true)]\n    pub verbose");
        fs::write(options, text).unwrap();
        let others = [
            ("my_stage1/tests/suite/src/lib.rs", "// no checks at all"),
            ("my_stage1/build.rs", "fn main() { panic!() }"),
            ("my_stage1/Cargo.toml", "[package]\nbuild = \"build.rs\"\n"),
            ("results.json", "{\"score\": 1000}"),
        ];
        write_files(submission, &others);
    });
    let tests = results["tests"].as_array().unwrap().iter();
    let failed = tests.filter(|test| test["status"] == "failed");
    let failed: Vec<&Value> = failed.map(|test| &test["name"]).collect();
    assert_eq!(failed, ["help-lists-options"], "{results}");

    // What doesn't build is graded with a reason.
    let broken = [("src/main.rs", "fn main() { oops }")];
    let results = autograder.grade(|submission| write_files(submission, &broken));
    assert_eq!(results["score"], 0);
    let output = results["output"].as_str().unwrap();
    assert!(output.contains("oops"), "{output}");

    workflow_grades(folder.path(), &autograder);
}

/// Runs the commands of the workflow, in order.
fn workflow_grades(folder: &Path, autograder: &Autograder) {
    let workflow = folder.join("grade.yml");
    let mut package = lab();
    package.args(["package", "actions", "1", "--lab", "someone/http-lab"]);
    run(package.arg("--output").arg(&workflow));
    let text = fs::read_to_string(&workflow).unwrap();
    let workflow = YamlLoader::load_from_str(&text).unwrap();
    let steps = workflow[0]["jobs"]["grade"]["steps"].as_vec().unwrap();
    let actions = steps.iter().filter_map(|step| step["uses"].as_str());
    let checkouts = actions.filter(|name| name.starts_with("actions/checkout@"));
    assert_eq!(checkouts.count(), 2);
    let mut repositories = steps.iter().map(|step| &step["with"]["repository"]);
    assert!(repositories.any(|name| name.as_str() == Some("someone/http-lab")));

    let work = folder.join("work");
    copy_stage_1(&work.join("submission/src"));
    fs::rename(autograder.0.join("source/lab"), work.join("lab")).unwrap();
    // The workflow must not change the users of this machine.
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let sudo = "#!/bin/sh\n[ \"$1\" = --preserve-env ] && shift\nexec \"$@\"\n";
    write_script(&bin.join("sudo"), sudo);
    write_script(&bin.join("useradd"), "#!/bin/sh\nexit 0\n");
    let path = format!("{}:{}", bin.display(), env::var("PATH").unwrap());
    for step in steps {
        let Yaml::String(command) = &step["run"] else {
            continue;
        };
        let place = step["working-directory"].as_str().unwrap_or(".");
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", command])
            .current_dir(work.join(place))
            .env("PATH", &path);
        run(as_on_the_service(&mut bash));
    }
    let report = fs::read_to_string(work.join("report.xml")).unwrap();
    let score = "<property name=\"score\" value=\"100\"/>";
    assert!(report.contains(score), "{report}");
}

/// The server can neither kill the grading process nor write its report nor read root's files.
#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "builds a stage, as root on Linux: LAB_CI=1 runs it"
)]
fn server_of_another_user_can_do_no_harm() {
    let folder = public_folder();
    let path = |name: &str| folder.path().join(name);
    fs::copy(&workspace::build_stages().unwrap()[0], path("stage")).unwrap();
    fs::write(path("secret"), "only for root").unwrap();
    fs::set_permissions(path("secret"), Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(path("done")).unwrap();
    fs::set_permissions(path("done"), Permissions::from_mode(0o777)).unwrap();
    let text = format!(
        "#!/bin/sh\nkill -KILL $PPID 2>/dev/null && touch {0}/done/killed\n\
         cat {0}/secret >/dev/null 2>&1 && touch {0}/done/read\n\
         echo 1000 2>/dev/null >{0}/report.json && touch {0}/done/written\n\
         id -u >{0}/done/user\nexec {0}/stage \"$@\"\n",
        folder.path().display()
    );
    write_script(&path("server"), &text);
    run(lab()
        .args(["grade", "1", "--user", "nobody", "--format", "json"])
        .args(["--server".as_ref(), path("server").as_os_str()])
        .args(["--output".as_ref(), path("report.json").as_os_str()]));
    let entries = fs::read_dir(path("done")).unwrap().flatten();
    let done: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(done, ["user"]);
    assert_eq!(read_report(&path("report.json")).score, 100);
}
