//! The layout of the stages: what a lesson doesn't touch is identical, byte for byte, and what it
//! touches is small enough for one lesson.
//!
//! Clippy checks that each function fits on one screen: see `clippy.toml`.

use harness::workspace::{self, STAGES, stage};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Table;

/// The files that may differ between stages 1, 2 and 3.
const LESSON: [&str; 4] = [
    "Cargo.toml",
    "src/main.rs",
    "src/options.rs",
    "src/serve.rs",
];

/// The most lines that may be added and removed from one of these stages to the next.
const DIFF_LIMIT: usize = 60;

/// The files of stage 4 that may differ in stage 5. Its other lessons are files of their own.
const GATEWAY_LESSON: [&str; 8] = [
    "Cargo.toml",
    "src/connection.rs",
    "src/files.rs",
    "src/handler.rs",
    "src/main.rs",
    "src/options.rs",
    "src/request.rs",
    "src/response.rs",
];

/// The most lines that may be added to and removed from them.
const GATEWAY_DIFF_LIMIT: usize = 240;

/// The files of stage 4 that may differ in stage 6.
const EVENTS_LESSON: [&str; 6] = [
    "Cargo.toml",
    "src/log.rs",
    "src/main.rs",
    "src/options.rs",
    "src/request.rs",
    "src/response.rs",
];

/// The most lines that may be added to and removed from them.
const EVENTS_DIFF_LIMIT: usize = 100;

/// The files that stage 6 replaces.
const EVENTS_NEW: [&str; 2] = ["src/connection.rs", "src/serve.rs"];

/// Each stage must have fewer lines of code than this.
const CODE_LIMITS: [usize; 6] = [400, 400, 400, 900, 2600, 1500];

/// The crates that every stage may depend on.
const CRATES: [&str; 4] = ["anyhow", "clap", "regex", "socket2"];

/// The crates that stages from 4 on may depend on.
const STAGE_4_CRATES: [&str; 5] = [
    "form_urlencoded",
    "html-escape",
    "httpdate",
    "percent-encoding",
    "rustix",
];

/// The crates that only stage 5 may depend on: inherited descriptors, and temporary files.
const STAGE_5_CRATES: [&str; 2] = ["close_fds", "tempfile"];

/// The crates that only stage 6 may depend on: which sockets are ready, and signals.
const STAGE_6_CRATES: [&str; 3] = ["mio", "signal-hook", "signal-hook-mio"];

fn folder(number: u8) -> PathBuf {
    workspace::folder(stage(number), false)
}

/// The content of a file of a stage.
fn read(number: u8, name: &str) -> String {
    let path = folder(number).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.unwrap())).collect()
}

/// The files of a stage, relative to its folder.
fn files(number: u8) -> BTreeSet<String> {
    let sources = names(&folder(number).join("src"));
    let sources = sources.iter().map(|name| format!("src/{name}"));
    sources.chain(["Cargo.toml".to_string()]).collect()
}

/// The lines of a file that differ between two stages.
fn changes(old: u8, new: u8, name: &str) -> Vec<String> {
    let (old, new) = (read(old, name), read(new, name));
    let diff = TextDiff::from_lines(&old, &new);
    let changes = diff.iter_all_changes();
    let changes = changes.filter(|line| line.tag() != ChangeTag::Equal);
    changes
        .map(|line| format!("{}{line}", line.tag()))
        .collect()
}

#[test]
fn stages_have_the_same_files() {
    for stage in &STAGES {
        let mut expected = BTreeSet::from(["Cargo.toml", "src"].map(String::from));
        if stage.number == 5 {
            expected.insert("apps".to_string());
        }
        assert_eq!(names(&folder(stage.number)), expected);
    }
    assert_eq!(files(1), files(2));
    assert_eq!(files(1), files(3));
    assert!(files(1).is_subset(&files(4)));
    assert!(files(4).is_subset(&files(5)));
    let mut with_queue = files(4);
    with_queue.insert("src/log_queue.rs".to_string());
    assert_eq!(with_queue, files(6));
}

#[test]
fn stages_1_to_3_differ_only_in_their_lesson() {
    for (old, new) in [(1, 2), (2, 3)] {
        let mut total = 0;
        for name in files(old) {
            let changes = changes(old, new, &name);
            let may_change = LESSON.contains(&name.as_str());
            let problem = format!("{name} differs in stages {old} and {new}");
            assert!(may_change || changes.is_empty(), "{problem}: {changes:#?}");
            total += changes.len();
        }
        assert!(
            total <= DIFF_LIMIT,
            "{total} lines change from stage {old} to {new}; the limit is {DIFF_LIMIT}"
        );
    }
}

#[test]
fn stages_3_and_4_share_serve_and_log() {
    for name in ["src/serve.rs", "src/log.rs"] {
        assert_eq!(changes(3, 4, name), [""; 0], "{name}");
    }
}

/// Fails unless stage 4 and one that builds on it differ only in the files of a lesson, and by at most
/// that many lines.
fn ensure_shared(stage: u8, names: BTreeSet<String>, lesson: &[&str], limit: usize) {
    let mut total = 0;
    for name in names {
        let changes = changes(4, stage, &name);
        let may_change = lesson.contains(&name.as_str());
        assert!(
            may_change || changes.is_empty(),
            "{name} differs in stages 4 and {stage}: {changes:#?}"
        );
        total += changes.len();
    }
    assert!(
        total <= limit,
        "{total} lines change from stage 4 to {stage}; the limit is {limit}"
    );
}

#[test]
fn stages_4_and_5_differ_only_in_the_lesson() {
    ensure_shared(5, files(4), &GATEWAY_LESSON, GATEWAY_DIFF_LIMIT);
}

#[test]
fn stages_4_and_6_differ_only_in_the_lesson() {
    let mut names = files(4);
    names.retain(|name| !EVENTS_NEW.contains(&name.as_str()));
    ensure_shared(6, names, &EVENTS_LESSON, EVENTS_DIFF_LIMIT);
}

/// The number of lines of code in a file, without its tests, comments and empty lines.
fn code_lines(text: &str) -> usize {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).count()
}

#[test]
fn stages_are_small() {
    for (stage, limit) in STAGES.iter().zip(CODE_LIMITS) {
        let files = files(stage.number);
        let sources = files.iter().filter(|name| name.ends_with(".rs"));
        let total: usize = sources
            .map(|name| code_lines(&read(stage.number, name)))
            .sum();
        assert!(
            total < limit,
            "{} has {total} lines of code; it must have fewer than {limit}",
            stage.name
        );
    }
}

#[test]
fn stages_depend_on_allowed_crates_only() {
    for stage in &STAGES {
        let manifest: Table = read(stage.number, "Cargo.toml").parse().unwrap();
        for name in manifest["dependencies"].as_table().unwrap().keys() {
            let name = name.as_str();
            let is_allowed = CRATES.contains(&name)
                || stage.number >= 4 && STAGE_4_CRATES.contains(&name)
                || stage.number == 5 && STAGE_5_CRATES.contains(&name)
                || stage.number == 6 && STAGE_6_CRATES.contains(&name);
            assert!(is_allowed, "{} must not depend on {name}", stage.name);
        }
    }
}
