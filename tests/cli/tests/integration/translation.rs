//! Each language has a translation of every text that is shown, and no other. docs/translating.md
//! describes how to fill a gap that these tests find.

use crate::{lab, run, write_script};
use assert_cmd::assert::OutputAssertExt;
use faulty::faults::TABLE;
use harness::workspace::{self, STAGES};
use lab::command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use suite::check::Check;
use suite::steps::STEPS;
use suite::translation::{self, LANGUAGES};
use suite::{checks, exercises};
use walkdir::WalkDir;

/// The functions that get a text in the sources: those of [`translation`], and another name that
/// one of them has.
const FUNCTIONS: [&str; 4] = ["text(", "translated(", "fill(", "translatable("];

#[test]
fn every_shown_text_is_translated() {
    let shown = shown();
    for language in &LANGUAGES {
        let problems = problems(&shown, language.texts());
        let (count, code) = (problems.len(), language.code);
        assert!(
            problems.is_empty(),
            "{code}: {count}\n{}",
            problems.join("\n")
        );
    }
}

#[test]
fn gaps_are_found() {
    let shown = ["one", "`two`", "{three}"].map(String::from).into();
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, text)| (key.to_string(), text.to_string()))
            .collect()
    };
    let complete = [("one", "1"), ("`two`", "`two` 2"), ("{three}", "3 {three}")];
    assert!(problems(&shown, &texts(&complete)).is_empty());
    let [missing] = &*problems(&shown, &texts(&complete[..2])) else {
        panic!("the gap isn't found");
    };
    assert_eq!(missing, "no translation: {three}");
    let others = [
        ("one", "1"),
        ("`two`", "two"),
        ("{three}", "{3}"),
        ("four", "4"),
    ];
    let found = problems(&shown, &texts(&others));
    let expected = [
        "not the same code and placeholders: `two`",
        "nothing shows this: four",
        "not the same code and placeholders: {three}",
    ];
    assert_eq!(found, expected);
}

/// Texts without a translation, translations that nothing shows, and those that don't match.
fn problems(shown: &BTreeSet<String>, texts: &BTreeMap<String, String>) -> Vec<String> {
    let missing = shown.iter().filter(|text| !texts.contains_key(*text));
    let missing = missing.map(|text| format!("no translation: {text}"));
    let others = texts.iter().filter_map(|(english, translation)| {
        if !shown.contains(english) {
            Some(format!("nothing shows this: {english}"))
        } else if marked(english) != marked(translation) {
            Some(format!("not the same code and placeholders: {english}"))
        } else {
            None
        }
    });
    missing.chain(others).collect()
}

/// The `code` and the `{placeholders}` in a text.
fn marked(text: &str) -> BTreeSet<&str> {
    let code = text.split('`').skip(1).step_by(2);
    let placeholders = text
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    code.chain(placeholders).collect()
}

/// All texts that are shown.
fn shown() -> BTreeSet<String> {
    let mut texts: BTreeSet<String> = command::help_texts().into_iter().collect();
    texts.extend(literals().into_iter().map(|literal| literal.text));
    let of_check = |check: &Check| [check.must, check.why, check.hint].map(String::from);
    texts.extend(checks::all().flat_map(of_check));
    for exercise in exercises::all() {
        texts.extend(exercise.checks.iter().flat_map(of_check));
        texts.extend(translation::paragraph_keys(exercise.task));
        texts.extend(exercise.references.iter().copied().map(String::from));
        texts.insert(exercise.title.to_string());
    }
    texts.insert(workspace::BUILD_FAILED.to_string());
    let ideas = STAGES.iter().map(|stage| stage.idea);
    let titles = STEPS.iter().map(|step| step.title);
    let faults = TABLE.iter().map(|row| row.description);
    texts.extend(ideas.chain(titles).chain(faults).map(String::from));
    texts
}

/// A text that the sources give to one of the functions.
struct Literal {
    text: String,
    file: PathBuf,
    function: &'static str,
    /// What follows it.
    rest: String,
}

fn literals() -> Vec<Literal> {
    let folders = ["tests/suite/src", "tests/cli/src"].map(|folder| workspace::root().join(folder));
    let entries = folders.iter().flat_map(WalkDir::new).map(Result::unwrap);
    let mut literals = Vec::new();
    for file in entries.map(walkdir::DirEntry::into_path) {
        // The module itself shows nothing.
        let is_source = file.extension().is_some_and(|extension| extension == "rs");
        if !is_source || file.ends_with("translation.rs") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for function in FUNCTIONS {
            for (start, _) in source.match_indices(function) {
                let is_name = |before: char| before.is_alphanumeric() || "_.".contains(before);
                let rest = source[start + function.len()..].trim_start();
                if !source[..start].ends_with(is_name)
                    && let Some((text, rest)) = rest.strip_prefix('"').map(parse)
                {
                    literals.push(Literal {
                        text,
                        file: file.clone(),
                        function,
                        rest: rest.to_string(),
                    });
                }
            }
        }
    }
    literals
}

/// Parses a string literal after its first quotation mark. Also returns what follows it.
fn parse(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('\n') => characters = characters.as_str().trim_start().chars(),
                other => text.extend(other),
            },
            other => text.push(other),
        }
    }
    (text, characters.as_str())
}

#[test]
fn placeholders_have_values() {
    let literals = literals();
    let filled = literals.iter().filter(|it| it.function == "fill(");
    for Literal {
        text, file, rest, ..
    } in filled
    {
        let values = arguments(rest);
        let names = text.split('{').skip(1).map(|rest| rest.split('}').next());
        for name in names.map(Option::unwrap) {
            let has_value = values.contains(&format!("\"{name}\","));
            assert!(has_value, "{}: {text}: {name}", file.display());
        }
    }
}

/// The arguments of a call that are in front of its parenthesis.
fn arguments(source: &str) -> &str {
    let mut depth = 1;
    let end = source.find(|character| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &source[..end.unwrap()]
}

/// A server that ends at once, in its folder.
fn broken_server() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    write_script(&program, "#!/bin/sh\nexit 1\n");
    let path = program.to_str().unwrap().to_string();
    (folder, path)
}

fn lab_in_chinese(arguments: &[&str]) -> Command {
    let mut lab = lab();
    lab.env("LAB_LANG", "zh").args(arguments);
    lab
}

#[test]
fn people_read_chinese() {
    let overview = lab_in_chinese(&[]).assert().success();
    overview.stdout(contains("一次服务一个客户端").and(contains("下一步：")));
    let (_folder, server) = broken_server();
    let only = [
        "grade",
        "1",
        "--server",
        &server,
        "--only",
        "announces-when-ready",
    ];
    let failure = lab_in_chinese(&only).assert().code(1);
    failure.stdout(
        contains("✗ announces-when-ready\n  必须：")
            .and(contains("  预期："))
            .and(contains("  原因："))
            .and(contains("  提示："))
            .and(contains("LESSONS.zh.md 第 1 课"))
            .and(contains("must").not()),
    );
    let report = lab_in_chinese(&["grade", "1", "--server", &server]).assert();
    report
        .code(1)
        .stdout(contains("0/100 分  8 个失败，").and(contains("下一步：让 ")));
    let task = lab_in_chinese(&["exercise", "ranges"]).assert();
    task.stdout(contains("客户端已有其余部分").and(contains("Range: bytes=2-5    字节")));
    let help = lab_in_chinese(&["help", "grade"]).assert().success();
    help.stdout(
        contains("用法：")
            .and(contains("选项:"))
            .and(contains("报告的格式")),
    );
    let locale = lab()
        .env_remove("LAB_LANG")
        .env("LC_ALL", "zh_CN.UTF-8")
        .assert();
    locale.stdout(starts_with("HTTP Lab：一个 Web 服务器"));
}

#[test]
fn programs_read_english() {
    let (_folder, server) = broken_server();
    let report = |language: &str, format: &str| {
        let arguments = [
            "grade", "1", "--server", &server, "--seed", "1", "--format", format,
        ];
        let mut lab = lab();
        let output = lab
            .env("LAB_LANG", language)
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // Apart from this, runs with the same seed are equal. A check that fails on a busy machine runs again.
    let folder = regex::escape(&env::temp_dir().to_string_lossy());
    let varies = format!(
        r#"[ \n]*"(started|seconds|first_attempt)": .*|{folder}/[A-Za-z0-9.-]*|127\.0\.0\.1:[0-9]*"#
    );
    let varies = Regex::new(&varies).unwrap();
    let [english, chinese] = ["en", "zh"].map(|language| report(language, "json"));
    let english = varies.replace_all(&english, "");
    assert!(english.contains("LESSONS.md, lesson 1"), "{english}");
    assert_eq!(english, varies.replace_all(&chinese, ""));
    for format in ["junit", "ctrf", "gradescope", "classroom50"] {
        assert!(report("zh", format).is_ascii(), "{format}");
    }
}

#[test]
fn unknown_language_is_refused() {
    let lab = lab().env("LAB_LANG", "xx").assert().code(3);
    lab.stderr(contains("LAB_LANG must be one of en, zh, not `xx`."));
}

#[test]
fn help_of_every_command_is_translated() {
    for command in [
        "run", "grade", "diff", "start", "exercise", "watch", "fault", "soak", "viva",
    ] {
        let help = run(&mut lab_in_chinese(&["help", command]));
        let help = String::from_utf8(help.stdout).unwrap();
        // Words of English are names: of options, files and programs.
        assert!(!help.contains(" the "), "{help}");
        assert!(help.contains("用法："), "{help}");
    }
}
