//! The rooms: what a lesson does not touch is the same from stage to stage, byte for byte,
//! and what it does touch is small enough to be read as one lesson.

use lab::workspace::{self, STAGES};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that stages 1, 2 and 3 share.
const SHARED: [&str; 4] = ["client.rs", "files.rs", "request.rs", "response.rs"];

/// The most lines that may be added and removed from one stage to the next.
const DIFF_LIMIT: usize = 60;

/// The most lines of code that a stage may have.
const CODE_LIMITS: [usize; 4] = [400, 400, 400, 900];

/// The most lines that a function may have: one screen.
const FUNCTION_LIMIT: usize = 50;

fn folder(number: u8) -> PathBuf {
    workspace::root().join(workspace::stage(number).name)
}

fn room(number: u8, name: &str) -> String {
    read(&folder(number).join("src").join(name))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with the first line in which two rooms differ.
fn must_be_the_same(one: u8, other: u8, name: &str) {
    let (left, right) = (room(one, name), room(other, name));
    let pairs = left.lines().zip(right.lines()).enumerate();
    if let Some((number, (left, right))) = { pairs }.find(|(_, (left, right))| left != right) {
        let line = number + 1;
        panic!("{name}:{line} drifted:\n  stage {one}: {left}\n  stage {other}: {right}");
    }
    assert!(
        left == right,
        "{name} has lines in one of stages {one} and {other} only"
    );
}

#[test]
fn stages_1_to_3_share_their_rooms() {
    for name in SHARED {
        must_be_the_same(1, 2, name);
        must_be_the_same(1, 3, name);
    }
}

#[test]
fn stage_4_shares_out_connections_as_stage_3_does() {
    must_be_the_same(3, 4, "serve.rs");
}

/// The files of a stage, by their names below its folder.
fn files(number: u8) -> BTreeSet<String> {
    let mut files = BTreeSet::from(["Cargo.toml".to_string()]);
    for entry in fs::read_dir(folder(number).join("src")).unwrap() {
        files.insert(format!(
            "src/{}",
            entry.unwrap().file_name().to_string_lossy()
        ));
    }
    files
}

#[test]
fn a_stage_has_nothing_but_its_rooms() {
    for stage in &STAGES {
        let mut names: Vec<String> = fs::read_dir(folder(stage.number))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["Cargo.toml", "src"], "{}", stage.name);
    }
    assert_eq!(files(1), files(2));
    assert_eq!(files(1), files(3));
    assert!(files(1).is_subset(&files(4)));
}

#[test]
fn a_diff_is_a_lesson() {
    for (one, other) in [(1, 2), (2, 3)] {
        let mut changed = 0;
        for name in files(one) {
            let (left, right) = (
                read(&folder(one).join(&name)),
                read(&folder(other).join(&name)),
            );
            let diff = TextDiff::from_lines(&left, &right);
            let lines = diff
                .iter_all_changes()
                .filter(|line| line.tag() != ChangeTag::Equal);
            let lines = lines.count();
            let may_change = ["Cargo.toml", "src/main.rs", "src/serve.rs"].contains(&name.as_str());
            assert!(
                may_change || lines == 0,
                "stages {one} and {other} differ in {name}"
            );
            changed += lines;
        }
        assert!(
            changed <= DIFF_LIMIT,
            "{changed} lines change from stage {one} to {other}; {DIFF_LIMIT} may"
        );
    }
}

/// The lines of code of a room: without its tests, comments and empty lines.
fn code(text: &str) -> Vec<&str> {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect()
}

#[test]
fn a_stage_is_small_and_no_function_is_longer_than_a_screen() {
    for (stage, limit) in STAGES.iter().zip(CODE_LIMITS) {
        let mut total = 0;
        for name in files(stage.number)
            .iter()
            .filter(|name| name.ends_with(".rs"))
        {
            let text = read(&folder(stage.number).join(name));
            let lines = code(&text);
            total += lines.len();
            for (start, end) in functions(&lines) {
                let length = end - start + 1;
                let head = lines[start].trim();
                let place = format!("{}/{name}: `{head}` has {length} lines", stage.name);
                assert!(length <= FUNCTION_LIMIT, "{place}; {FUNCTION_LIMIT} may be");
            }
        }
        assert!(
            total < limit,
            "{} has {total} lines of code; {limit} are too many",
            stage.name
        );
    }
}

/// Where functions begin and end: rustfmt closes each with a brace under its first letter.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        if text.starts_with("fn ") || text.starts_with("pub fn ") {
            let closing = format!("{}}}", " ".repeat(line.len() - text.len()));
            let end = lines[start..].iter().position(|line| **line == closing);
            functions.push((start, start + end.unwrap_or(0)));
        }
    }
    functions
}

#[test]
fn a_stage_depends_on_what_it_may_and_on_no_other_stage() {
    let common = ["anyhow", "clap", "regex"];
    let besides = [
        "form_urlencoded",
        "html-escape",
        "httpdate",
        "percent-encoding",
    ];
    for stage in &STAGES {
        let text = read(&folder(stage.number).join("Cargo.toml"));
        let (_, rest) = text.split_once("[dependencies]\n").unwrap();
        let (dependencies, _) = rest.split_once("\n[").unwrap();
        for line in dependencies.lines().filter(|line| !line.is_empty()) {
            let name = line.split(['.', ' ']).next().unwrap_or("");
            let allowed = common.contains(&name) || stage.number == 4 && besides.contains(&name);
            assert!(allowed, "{} must not depend on {name}", stage.name);
        }
    }
}
