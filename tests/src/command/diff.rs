//! `cargo lab diff N M`: what changes from one stage to another, room by room.

use crate::paint::{BOLD, CYAN, DIM, GREEN, RED, paint};
use crate::workspace::{self, stage};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// So many lines stand around a change.
const CONTEXT: usize = 3;

/// The rooms, in the order in which to read them; others follow.
const ROOMS: [&str; 6] = [
    "Cargo.toml",
    "src/main.rs",
    "src/serve.rs",
    "src/client.rs",
    "src/request.rs",
    "src/files.rs",
];

/// Shows the difference; with `mine`, to the student's own stage.
pub fn show(from: u8, to: u8, mine: bool) -> Result<ExitCode, String> {
    let left = workspace::folder(stage(from), false);
    let right = workspace::folder(stage(to), mine);
    if !right.is_dir() {
        let name = workspace::own_name(to);
        return Err(format!(
            "There is no {name}/ yet. Make it with `cargo lab start {to}`."
        ));
    }
    let mut names = files(&left)?;
    names.extend(files(&right)?);
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| {
        ROOMS
            .iter()
            .position(|room| room == name)
            .unwrap_or(ROOMS.len())
    });
    let (mut added, mut removed) = (0, 0);
    for name in &names {
        let (one, other) = (text(&left.join(name)), text(&right.join(name)));
        if one == other {
            anstream::println!("{}", paint(DIM, format!("= {name}: the same")));
            continue;
        }
        let diff = TextDiff::from_lines(&one, &other);
        let count = |tag| {
            { diff.iter_all_changes() }
                .filter(|line| line.tag() == tag)
                .count()
        };
        let (more, less) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        added += more;
        removed += less;
        let heading = format!("── {name}  +{more} -{less}");
        anstream::println!("\n{}", paint(BOLD, heading));
        for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
            anstream::println!("{}", paint(CYAN, hunk.header()));
            for line in hunk.iter_changes() {
                anstream::println!("{}", shown(line.tag(), line.value()));
            }
        }
    }
    anstream::println!("\n{added} lines added, {removed} removed.");
    Ok(ExitCode::SUCCESS)
}

fn shown(tag: ChangeTag, line: &str) -> String {
    let line = line.trim_end_matches('\n');
    match tag {
        ChangeTag::Insert => paint(GREEN, format!("+{line}")),
        ChangeTag::Delete => paint(RED, format!("-{line}")),
        ChangeTag::Equal => format!(" {line}"),
    }
}

/// The files of a stage, by their names below its folder.
fn files(folder: &Path) -> Result<BTreeSet<String>, String> {
    let unreadable = |error| format!("Cannot read {}: {error}", folder.display());
    let mut names = BTreeSet::from(["Cargo.toml".to_string()]);
    for entry in fs::read_dir(folder.join("src")).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        names.insert(format!("src/{}", name.to_string_lossy()));
    }
    Ok(names)
}

/// A file that is not there differs in all its lines.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
