//! Code that a document quotes: excerpts, diffs between stages, and edits for the reader to make.

use crate::document::{Block, Document};
use lab::workspace::{self, STAGES};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is left out of an excerpt.
const LEFT_OUT: &str = "// …";

/// Excerpts and diffs must be the real code.
pub fn code(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    for block in &document.blocks {
        let outcome = match block.language() {
            "rust" => excerpt(block),
            "diff" if is_edit(block) => Ok(()),
            "diff" => diff(block),
            _ => Ok(()),
        };
        if let Err((line, what)) = outcome {
            faults.push(document.at(line, what));
        }
    }
    faults
}

/// What is wrong, and in which line.
type Fault = (usize, String);

/// An excerpt: its first line names the file, as `// stage1_single/src/serve.rs`.
fn excerpt(block: &Block) -> Result<(), Fault> {
    let mut lines = block.lines();
    let (line, first) = lines.next().unwrap_or((block.line, ""));
    let name = first.strip_prefix("// ").unwrap_or("");
    let path = workspace::root().join(name);
    let text = fs::read_to_string(&path).map_err(|_| {
        let what =
            "the first line of an excerpt names its file, as in `// stage1_single/src/serve.rs`";
        (line, what.to_string())
    })?;
    // An excerpt begins at the left, wherever its code stands.
    let code: Vec<&str> = text.lines().collect();
    let mut from = 0;
    let parts: Vec<(usize, &str)> = lines.collect();
    for part in parts.split(|(_, text)| text.trim_start() == LEFT_OUT) {
        let Some((line, _)) = part.first() else {
            continue;
        };
        let wanted: Vec<&str> = part.iter().map(|(_, text)| *text).collect();
        let stands = |place: &usize| same_but_indented(&wanted, &code[*place..]);
        match (from..code.len()).find(stands) {
            Some(place) => from = place + wanted.len(),
            None => return Err((*line, format!("this does not stand so in {name}"))),
        }
    }
    Ok(())
}

/// Whether the code begins with these lines, all of them indented further by as much.
fn same_but_indented(wanted: &[&str], code: &[&str]) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let Some(more) = depth(code[0]).checked_sub(depth(wanted[0])) else {
        return false;
    };
    wanted.len() <= code.len()
        && wanted
            .iter()
            .zip(code)
            .all(|(wanted, code)| match wanted.is_empty() {
                true => code.is_empty(),
                false => {
                    code.len() >= more && code.is_char_boundary(more) && code[more..] == **wanted
                }
            })
}

/// The two files that a diff names.
fn files(block: &Block) -> Option<(&str, &str)> {
    let mut lines = block.text.lines();
    let old = lines.next()?.strip_prefix("--- ")?;
    let new = lines.next()?.strip_prefix("+++ ")?;
    Some((old, new))
}

/// A diff of a file to itself is one that the reader makes.
pub fn is_edit(block: &Block) -> bool {
    files(block).is_some_and(|(old, new)| old == new)
}

/// A diff of two files: its lines must stand in the real one, hunk by hunk.
fn diff(block: &Block) -> Result<(), Fault> {
    let names = "a diff begins with `--- FILE` and `+++ FILE`";
    let (old, new) = files(block).ok_or((block.line, names.to_string()))?;
    let real = real_diff(old, new).map_err(|error| (block.line, error))?;
    let shown: Vec<(usize, &str)> = block.lines().skip(2).collect();
    let mut from = 0;
    for hunk in shown.split(|(_, text)| text.starts_with("@@")) {
        let Some((line, _)) = hunk.first() else {
            continue;
        };
        let wanted = hunk.iter().map(|(_, text)| text.trim_end());
        let stands = |place: &usize| {
            let there = real[*place..].iter().map(|text| text.trim_end());
            there.take(hunk.len()).eq(wanted.clone())
        };
        match (from..real.len()).find(stands) {
            Some(place) => from = place + hunk.len(),
            None => {
                let what = format!("these lines are not in the diff of {old} and {new}");
                return Err((*line, what));
            }
        }
    }
    Ok(())
}

/// All lines of two files, each with its sign.
fn real_diff(old: &str, new: &str) -> Result<Vec<String>, String> {
    let text = |name: &str| match name {
        "/dev/null" => Ok(String::new()),
        name => fs::read_to_string(workspace::root().join(name))
            .map_err(|error| format!("{name}: {error}")),
    };
    let (old, new) = (text(old)?, text(new)?);
    let changes = TextDiff::from_lines(&old, &new);
    let changes = changes.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        format!("{sign}{}", change.value().trim_end_matches('\n'))
    });
    Ok(changes.collect())
}

/// From stage 1 to 2 and from 2 to 3 every changed line is shown.
pub fn whole_diffs(document: &Document) -> Vec<String> {
    let shown: BTreeSet<(String, String)> = { document.blocks.iter() }
        .filter(|block| block.language() == "diff" && !is_edit(block))
        .filter_map(|block| Some((files(block)?.1.to_string(), block)))
        .flat_map(|(file, block)| {
            let lines = block.text.lines().skip(2);
            lines.map(move |line| (file.clone(), line.trim_end().to_string()))
        })
        .collect();
    let mut faults = Vec::new();
    for (old, new) in [(&STAGES[0], &STAGES[1]), (&STAGES[1], &STAGES[2])] {
        for room in ["Cargo.toml", "src/main.rs", "src/serve.rs"] {
            let (old, new) = (
                format!("{}/{room}", old.name),
                format!("{}/{room}", new.name),
            );
            let changed = match real_diff(&old, &new) {
                Ok(lines) => lines,
                Err(error) => return vec![error],
            };
            for line in changed.iter().map(|line| line.trim_end()) {
                let is_shown = || shown.contains(&(new.clone(), line.to_string()));
                if line.starts_with(['+', '-']) && line.len() > 1 && !is_shown() {
                    faults.push(format!(
                        "{}: this change of {new} is not shown: {line}",
                        document.name
                    ));
                }
            }
        }
    }
    faults
}

/// Makes the edit of a block below that folder: what it takes away must stand there once.
pub fn make_edit(document: &Document, block: &Block, home: &Path) -> Result<(), String> {
    let at = |what: String| document.at(block.line, what);
    let (name, _) = files(block).ok_or_else(|| at("a diff names its file".to_string()))?;
    let path = home.join(name);
    let mut text = fs::read_to_string(&path).map_err(|error| at(format!("{name}: {error}")))?;
    let lines: Vec<&str> = block.text.lines().skip(2).collect();
    for hunk in lines.split(|line| line.starts_with("@@")) {
        let side = |sign: char| -> String {
            let of_side = |line: &&&str| !line.starts_with(sign);
            let lines = hunk.iter().filter(of_side);
            lines
                .map(|line| format!("{}\n", line.get(1..).unwrap_or("")))
                .collect()
        };
        let (old, new) = (side('+'), side('-'));
        match text.matches(&old).count() {
            1 => text = text.replace(&old, &new),
            count => {
                return Err(at(format!(
                    "what is to be changed stands {count} times in {name}"
                )));
            }
        }
    }
    fs::write(&path, text).map_err(|error| at(format!("{name}: {error}")))
}
