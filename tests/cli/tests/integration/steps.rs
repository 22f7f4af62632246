//! `cargo lab steps`, in a copy of the workspace with a Git repository of its own.

use crate::{lab_in, run, workspace_copy};
use assert_cmd::assert::{Assert, OutputAssertExt};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A copy of the workspace in which the stages and the steps are committed.
fn repository() -> TempDir {
    let copy = workspace_copy();
    for arguments in [
        "init --quiet",
        "add stage3_threads stage4_builder tests/suite/steps",
        "-c user.name=lab -c user.email=lab@localhost commit --quiet --message steps",
    ] {
        let mut git = Command::new("git");
        git.args(arguments.split(' ')).current_dir(copy.path());
        run(&mut git);
    }
    copy
}

fn steps(root: &Path, option: Option<&str>) -> Assert {
    lab_in(root).arg("steps").args(option).assert()
}

fn diff(root: &Path, from: &str, to: &str) -> Assert {
    lab_in(root).args(["diff", from, to]).assert().success()
}

/// Changes a text in a file that contains it once.
fn replace(root: &Path, file: &str, from: &str, to: &str) {
    let path = root.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{file}: {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn refreshed_steps_follow_the_stages() {
    let copy = repository();
    let root = copy.path();
    let unchanged = steps(root, None).success();
    unchanged.stdout(contains("diff: unchanged").count(3));
    // In all stages, in a file that no later step changes, and in one that all of them change.
    for stage in ["stage3_threads", "stage4_builder"] {
        let file = format!("{stage}/src/connection.rs");
        replace(root, &file, "/// How reading a head ended.", "/// The end.");
    }
    let stage4 = |file: &str, from, to| replace(root, &format!("stage4_builder/{file}"), from, to);
    stage4("src/mime.rs", "audio/aac", "audio/x-aac");
    stage4(
        "src/response.rs",
        "/// The parts of a response.",
        "/// Parts.",
    );
    steps(root, None)
        .success()
        .stdout(contains("4a.diff: refreshed"));
    diff(root, "3", "4a").stdout(
        contains("audio/x-aac")
            .and(contains("+/// Parts."))
            .and(contains("/// How reading").not()),
    );
    diff(root, "4c", "4").stdout(contains("= src/mime.rs").and(contains("/// Parts.").not()));
}

#[test]
fn conflict_is_resolved_by_a_person() {
    let copy = repository();
    let root = copy.path();
    let handler = "stage3_threads/src/handler.rs";
    // The steps have other words for it.
    replace(root, handler, "there is one method", "there is only GET");
    let named = || contains("4a/src/handler.rs:3").and(contains("4c/src/handler.rs:3"));
    steps(root, None).code(1).stdout(named());
    steps(root, Some("--continue")).code(1).stdout(named());
    for id in ["4a", "4b", "4c"] {
        let path = root.join(format!("target/edit-steps/{id}/src/handler.rs"));
        let text = fs::read_to_string(&path).unwrap();
        let (before, conflict) = text.split_once("<<<<<<< ours\n").unwrap();
        let (ours, rest) = conflict.split_once("||||||| original\n").unwrap();
        let (_, after) = rest.split_once(">>>>>>> theirs\n").unwrap();
        fs::write(&path, [before, ours, after].concat()).unwrap();
    }
    steps(root, Some("--continue")).success();
    diff(root, "3", "4a").stdout(contains("there is only GET"));
}

#[test]
fn steps_can_be_changed_by_hand() {
    let copy = repository();
    let root = copy.path();
    steps(root, Some("--edit")).success();
    let file = "target/edit-steps/4b/src/permission.rs";
    replace(root, file, "//! Permissions:", "//! Access:");
    let refreshed = steps(root, Some("--continue")).success();
    refreshed.stdout(contains("4a.diff: unchanged").and(contains("4b.diff: refreshed")));
    diff(root, "4a", "4b").stdout(contains("+//! Access:"));
}
