//! The references in other languages, and how a student begins with one of them.

use crate::command::Watch;
use crate::{copy, lab_in, workspace_copy};
use assert_cmd::assert::{Assert, OutputAssertExt};
use harness::workspace;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use walkdir::WalkDir;

/// What the references must not use: they are written by hand, like the stages.
const HTTP_LIBRARIES: [&str; 5] = [
    "http.server",
    "net/http",
    "node:http",
    "com.sun.net.httpserver",
    "java.net.http",
];

fn in_copy(root: &Path, arguments: &[&str]) -> Assert {
    lab_in(root).args(arguments).assert()
}

/// The folder of each reference, and the number of its stage.
fn references() -> Vec<(PathBuf, String)> {
    let folders = WalkDir::new(workspace::root().join("tests/references"))
        .min_depth(2)
        .max_depth(2)
        .sort_by_file_name();
    let folders = folders.into_iter().map(|entry| entry.unwrap().into_path());
    let stage = |folder: PathBuf| {
        let name = folder.file_name()?.to_str()?.to_string();
        Some((folder, name.strip_prefix("stage")?.to_string()))
    };
    let references: Vec<_> = folders.filter_map(stage).collect();
    assert!(!references.is_empty());
    references
}

#[test]
fn references_use_no_http_library() {
    for (folder, _) in references() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // A program that was built here isn't text.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            for library in HTTP_LIBRARIES {
                assert!(!text.contains(library), "{}: {library}", path.display());
            }
        }
    }
}

#[test]
fn document_lists_every_reference() {
    let document = fs::read_to_string(workspace::root().join("docs/languages.md")).unwrap();
    for (folder, number) in references() {
        let language = folder.parent().unwrap().file_name().unwrap().display();
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `{language}` |")))
            .unwrap_or_else(|| panic!("{language} is missing"));
        let stages = row.split('|').nth(2).unwrap();
        assert!(
            stages.contains(&number),
            "{language}, stage {number}: {row}"
        );
    }
}

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "needs compilers and interpreters: LAB_CI=1 runs it on Linux"
)]
fn every_reference_gets_all_points() {
    let workspace = workspace_copy();
    for (folder, number) in references() {
        let own = workspace.path().join(format!("my_stage{number}"));
        copy(&folder, &own);
        let grade = in_copy(workspace.path(), &["grade", &number]);
        let name = folder.display().to_string();
        let grade = grade.append_context("reference", name).success();
        grade.stdout(contains("100 of 100 points"));
        fs::remove_dir_all(own).unwrap();
    }
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a package: LAB_CI=1 runs it")]
fn student_starts_in_another_language() {
    let workspace = workspace_copy();
    let root = workspace.path();
    let missing = in_copy(root, &["start", "2", "--language", "cobol"]).code(3);
    missing.stderr(contains("no stage 1 in `cobol`. There is one in: c, "));
    let start = in_copy(root, &["start", "2", "--language", "c"]).success();
    let solution = "diff -r my_stage2 tests/references/c/stage2";
    start.stdout(
        starts_with("my_stage2/ is a copy of tests/references/c/stage1.").and(contains(solution)),
    );
    let own = root.join("my_stage2");
    let source = fs::read_to_string(own.join("server.c")).unwrap();
    assert!(source.contains("127.0.0.1:8888") && !source.contains("7788"));

    // It is a package like any other, and its program becomes the server.
    fs::write(own.join("server"), "#!/bin/sh\necho \"this is $*\"\n").unwrap();
    let mut program = Command::new(env!("CARGO"));
    program
        .args(["run", "--quiet", "--offline", "--package", "my_stage2"])
        .args(["--", "--verbose"])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .current_dir(root);
    program.assert().success().stdout("this is --verbose\n");
    let launcher = root.join("tests/references/c/stage1/server");
    fs::copy(launcher, own.join("server")).unwrap();

    let watch = Watch::start(root, "2");
    let failures = watch.wait_for("80 of 100 points");
    assert!(
        failures.contains("✗ silent-clients-do-not-block"),
        "{failures}"
    );
    watch.wait_for("Waiting");
    fs::write(own.join("server.c"), "oops").unwrap();
    watch.wait_for("It doesn't build.");
    watch.wait_for("Waiting");
    drop(watch);
    let diff = in_copy(root, &["diff", "2", "--mine"]).code(3);
    diff.stderr(contains("isn't in Rust"));
    // What was built is elsewhere.
    assert!(!own.join("program").exists());
}
