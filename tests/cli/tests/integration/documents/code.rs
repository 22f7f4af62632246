//! Code in a document: excerpts, diffs between stages, and edits that the reader makes.

use harness::workspace;
use lab::book::document::{Block, Document};
use lab::stage_diff::StageDiff;
use similar::TextDiff;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A line that stands for lines that are left out of an excerpt.
const OMITTED: &str = "// …";

/// Excerpts and diffs that differ from the code.
pub fn wrong_excerpts(document: &Document) -> Vec<String> {
    let problem = |block| {
        let (line, problem) = check(block).err()?;
        Some(document.at(line, problem))
    };
    document.blocks.iter().filter_map(problem).collect()
}

/// What is wrong, and in which line.
type Problem = (usize, String);

fn check(block: &Block) -> Result<(), Problem> {
    match block.language.as_str() {
        "rust" => check_excerpt(block),
        "diff" if !is_edit(block) => check_diff(block),
        _ => Ok(()),
    }
}

/// An excerpt: its first line names the file, as in `// stage1_single/src/serve.rs`.
fn check_excerpt(block: &Block) -> Result<(), Problem> {
    let mut lines = block.lines();
    let (line, first) = lines.next().unwrap_or((block.line, ""));
    let name = first.strip_prefix("// ").unwrap_or_default();
    let expected = "the first line of an excerpt names its file: // stage1_single/src/serve.rs";
    let code = read(name).map_err(|_| (line, expected.to_string()))?;
    let code: Vec<&str> = code.lines().collect();
    let shown: Vec<(usize, &str)> = lines.collect();
    let parts = shown.split(|(_, text)| text.trim_start() == OMITTED);
    find_parts(parts, &code, starts_with_indented)
        .map_err(|line| (line, format!("this is not in {name}")))
}

/// Looks for parts of a block in the code, one after the other. The error is the first line of a
/// part that isn't there.
fn find_parts<'a>(
    parts: impl Iterator<Item = &'a [(usize, &'a str)]>,
    code: &[&str],
    starts_with: fn(&[&str], &[&str]) -> bool,
) -> Result<(), usize> {
    let mut rest = code;
    for part in parts {
        let lines: Vec<&str> = part.iter().map(|(_, text)| *text).collect();
        let Some((line, _)) = part.first() else {
            continue;
        };
        let place = (0..rest.len()).find(|place| starts_with(&rest[*place..], &lines));
        rest = &rest[place.ok_or(*line)? + lines.len()..];
    }
    Ok(())
}

/// Whether the code begins with these lines, all of them indented by the same additional amount.
fn starts_with_indented(code: &[&str], lines: &[&str]) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let Some(more) = depth(code[0]).checked_sub(depth(lines[0])) else {
        return false;
    };
    let indent = " ".repeat(more);
    let is_indented = |(code, line): (&&str, &&str)| {
        code.is_empty() && line.is_empty() || code.strip_prefix(&indent) == Some(line)
    };
    lines.len() <= code.len() && code.iter().zip(lines).all(is_indented)
}

/// The two files that a diff names.
fn files(block: &Block) -> Option<(&str, &str)> {
    let mut lines = block.text.lines();
    let old = lines.next()?.strip_prefix("--- ")?;
    let new = lines.next()?.strip_prefix("+++ ")?;
    Some((old, new))
}

/// Whether a diff is an edit for the reader to make: it names the same file twice.
pub fn is_edit(block: &Block) -> bool {
    files(block).is_some_and(|(old, new)| old == new)
}

/// A diff of two files: each of its hunks must be in the real one.
fn check_diff(block: &Block) -> Result<(), Problem> {
    let expected = "a diff begins with `--- FILE` and `+++ FILE`";
    let (old, new) = files(block).ok_or((block.line, expected.to_string()))?;
    let diff = read(old).and_then(|old| Ok(diff(&old, &read(new)?)));
    let diff = diff.map_err(|error| (block.line, error))?;
    let diff: Vec<&str> = diff.iter().map(String::as_str).collect();
    let shown: Vec<(usize, &str)> = block.lines().skip(2).collect();
    let hunks = shown.split(|(_, text)| text.starts_with("@@"));
    let starts_with = |diff: &[&str], lines: &[&str]| {
        let diff = diff.iter().take(lines.len()).copied();
        diff.eq(lines.iter().map(|line| line.trim_end()))
    };
    find_parts(hunks, &diff, starts_with)
        .map_err(|line| (line, format!("this is not in the diff of {old} and {new}")))
}

/// A file of this workspace, or `/dev/null`.
fn read(name: &str) -> Result<String, String> {
    let text = fs::read_to_string(workspace::root().join(name));
    text.map_err(|error| format!("{name}: {error}"))
}

/// All lines of two texts, each with its sign, without whitespace at the end.
fn diff(old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let lines = diff.iter_all_changes();
    let lines = lines.map(|line| format!("{}{}", line.tag(), line.value().trim_end()));
    lines.collect()
}

/// Changes from stage 1 to 2 and from 2 to 3 that the lessons don't show.
pub fn missing_changes(document: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    if document.name != "LESSONS.md" {
        return problems;
    }
    let mut shown = BTreeSet::new();
    for block in &document.blocks {
        if let Some((_, file)) = files(block) {
            shown.extend(block.text.lines().map(|line| (file, line.trim_end())));
        }
    }
    for stages in [(1, 2), (2, 3)] {
        let stages = StageDiff::read(stages.0, stages.1, false).unwrap();
        for file in &stages.files {
            let name = format!("{}/{}", stages.new_name, file.name);
            for line in diff(&file.old, &file.new) {
                let is_change = line.starts_with(['+', '-']) && line.len() > 1;
                if is_change && !shown.contains(&(name.as_str(), line.as_str())) {
                    problems.push(format!("LESSONS.md lacks this change of {name}: {line}"));
                }
            }
        }
    }
    problems
}

/// Makes an edit in that folder. Each text that it replaces must be in the file exactly once.
pub fn make_edit(document: &Document, block: &Block, folder: &Path) -> Result<(), String> {
    let at = |problem: String| document.at(block.line, problem);
    let (name, _) = files(block).ok_or_else(|| at("a diff names its file".to_string()))?;
    let path = folder.join(name);
    let text = fs::read_to_string(&path);
    let mut text = text.map_err(|error| at(format!("{name}: {error}")))?;
    let lines: Vec<&str> = block.text.lines().skip(2).collect();
    for hunk in lines.split(|line| line.starts_with("@@")) {
        let without = |sign: char| -> String {
            let lines = hunk.iter().filter(|line| !line.starts_with(sign));
            let lines = lines.map(|line| line.get(1..).unwrap_or_default());
            lines.flat_map(|line| [line, "\n"]).collect()
        };
        let old = without('+');
        let count = text.matches(&old).count();
        if count != 1 {
            return Err(at(format!("this is in {name} {count} times, not once")));
        }
        text = text.replace(&old, &without('-'));
    }
    fs::write(&path, text).map_err(|error| at(format!("{name}: {error}")))
}
