//! What a document names must exist: links, checks, exercises, faults.

use crate::document::Document;
use clap::ValueEnum;
use lab::checks;
use lab::exercises;
use lab::faulty::faults::Fault;
use lab::workspace;
use regex::Regex;
use std::collections::BTreeMap;

/// Links: a file of this workspace, a heading of a document, a stage's own address, or https.
pub fn links(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, target) in &document.links {
        if let Err(what) = leads_somewhere(document, target) {
            faults.push(document.at(*line, what));
        }
    }
    faults
}

fn leads_somewhere(document: &Document, target: &str) -> Result<(), String> {
    let elsewhere = ["https://", "http://127.0.0.1:"];
    if elsewhere.iter().any(|start| target.starts_with(start)) {
        return Ok(());
    }
    if target.contains("://") {
        return Err(format!("{target}: a link elsewhere begins with https://"));
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { document.name } else { file };
    if !workspace::root().join(file).exists() {
        return Err(format!("{target}: there is no {file}"));
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let name = ["README.md", "LESSONS.md", "CONTRIBUTING.md"];
    let name = name.into_iter().find(|name| *name == file);
    let name = name.ok_or_else(|| format!("{target}: {file} is no document"))?;
    let other = Document::open(workspace::root(), name)?;
    match anchors(&other).contains(&anchor.to_string()) {
        true => Ok(()),
        false => Err(format!("{target}: {file} has no such heading")),
    }
}

/// The anchors of a document's headings, as the usual places that show Markdown make them.
fn anchors(document: &Document) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let anchor = |text: &str| -> String {
        let kept = |char: &char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_');
        let text: String = text.to_lowercase().chars().filter(kept).collect();
        text.replace(' ', "-")
    };
    let headings = document
        .headings
        .iter()
        .map(|heading| anchor(&heading.text));
    let mut numbered = |anchor: String| {
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        match *count {
            1 => anchor,
            count => format!("{anchor}-{}", count - 1),
        }
    };
    headings.map(&mut numbered).collect()
}

/// Words of code in kebab-case are the names of checks, exercises and faults.
pub fn names(document: &Document) -> Vec<String> {
    let kebab = Regex::new("^[a-z0-9]+(-[a-z0-9]+)+$").expect("the pattern is well-formed");
    let is_known = |word: &str| {
        checks::all().any(|check| check.id == word)
            || exercises::named(word).is_ok()
            || Fault::from_str(word, false).is_ok()
    };
    let words = document
        .words
        .iter()
        .filter(|(_, word)| kebab.is_match(word));
    words
        .filter(|(_, word)| !is_known(word))
        .map(|(line, word)| {
            document.at(
                *line,
                format!("there is no check, exercise or fault `{word}`"),
            )
        })
        .collect()
}
