//! What a document refers to must exist: the targets of links, checks, exercises, faults.

use clap::ValueEnum;
use faulty::faults::Fault;
use harness::workspace;
use lab::book::document::Document;
use regex::Regex;
use std::path::Path;
use suite::{checks, exercises};

/// Links that lead nowhere. A link leads to a file of this workspace, a heading of a document, a
/// stage, or an https address.
pub fn broken_links(document: &Document) -> Vec<String> {
    let problem = |(line, target): &(usize, String)| {
        let problem = check_link(document, target).err()?;
        Some(document.at(*line, format!("{target}: {problem}")))
    };
    document.links.iter().filter_map(problem).collect()
}

fn check_link(document: &Document, target: &str) -> Result<(), String> {
    if target.starts_with("https://") || target.starts_with("http://127.0.0.1:") {
        return Ok(());
    }
    if target.contains("://") {
        return Err("a link to another site begins with https://".to_string());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&document.name).parent().unwrap_or(Path::new(""));
    let path = match file {
        "" => Path::new(&document.name).to_path_buf(),
        _ => folder.join(file),
    };
    if !workspace::root().join(&path).exists() {
        return Err(format!("there is no {}", path.display()));
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let other = Document::open(&path.display().to_string());
    if !other.is_ok_and(|other| other.anchors().iter().any(|known| known == anchor)) {
        return Err(format!("{} has no such heading", path.display()));
    }
    Ok(())
}

/// Code spans in kebab-case must be checks, exercises or faults.
pub fn unknown_names(document: &Document) -> Vec<String> {
    let kebab_case = Regex::new("^[a-z0-9]+(-[a-z0-9]+)+$").unwrap();
    let is_known = |name: &str| {
        checks::all().any(|check| check.id == name)
            || exercises::named(name).is_ok()
            || Fault::from_str(name, false).is_ok()
    };
    let problem = |(line, name): &(usize, String)| {
        let problem = format!("there is no check, exercise or fault `{name}`");
        (kebab_case.is_match(name) && !is_known(name)).then(|| document.at(*line, problem))
    };
    document.code_spans.iter().filter_map(problem).collect()
}
