//! The oral examination: its questions and answers are true.

use crate::lab;
use assert_cmd::assert::OutputAssertExt;
use harness::workspace;
use predicates::str::contains;
use std::fs;
use walkdir::WalkDir;

/// What is between the first two of these texts.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a program many times: LAB_CI=1 runs it")]
fn examination_asks_about_the_program_and_breaks_it() {
    let folder = tempfile::tempdir().unwrap();
    let (student, output) = (folder.path().join("my_stage3"), folder.path().join("viva"));
    fs::create_dir_all(student.join("src")).unwrap();
    let stage = workspace::folder(workspace::stage(3), false);
    for entry in WalkDir::new(stage.join("src")).min_depth(1) {
        let entry = entry.unwrap();
        fs::copy(entry.path(), student.join("src").join(entry.file_name())).unwrap();
    }
    fs::copy(stage.join("Cargo.toml"), student.join("Cargo.toml")).unwrap();
    let viva = |seed: &str| {
        let mut command = lab();
        command.args(["viva", "--questions", "1", "--seed", seed]);
        command.arg(&student).arg("--output").arg(&output);
        command.assert()
    };
    viva("7").success().stdout(contains("questions.md"));
    let read = |name: &str| fs::read_to_string(output.join(name)).unwrap();
    let (questions, answers) = (read("questions.md"), read("answers.md"));
    assert!(questions.contains("from line 47 on") && questions.contains("thread.spawn(move || {"));
    assert!(answers.contains("100 of 100 points"), "{answers}");

    // The line that was changed is one of the student's, and the questions don't give it away.
    let fault = answers.split_once("## The fault").unwrap().1;
    let file = between(fault, "In `", "`");
    let line = between(fault, "```rust\n", "\n```");
    let source = fs::read_to_string(student.join(file)).unwrap();
    assert!(source.lines().any(|other| other.trim() == line), "{fault}");
    let id = between(fault, "--only ", "`");
    assert!(!questions.contains(id), "{questions}");
    let mut grade = lab();
    grade.args(["grade", "3", "--only", id, "--server"]);
    let grade = grade.arg(output.join("server")).assert().failure();
    grade.stdout(contains(format!("✗ {id}")));
}

#[test]
fn examination_needs_sources_and_a_stage() {
    let folder = tempfile::tempdir().unwrap();
    let viva = || {
        let mut command = lab();
        command.arg("viva").arg(folder.path());
        command.assert().code(3)
    };
    viva().stderr(contains("Give the folder with `src/` in it."));
    fs::create_dir(folder.path().join("src")).unwrap();
    viva().stderr(contains("Say it with `--stage`."));
}
