//! The difference between two stages, file by file.

use harness::workspace::{self, Stage, stage};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How many unchanged lines are shown around a change.
pub const CONTEXT: usize = 3;

/// The files, in the order in which to read them. Others follow.
const READING_ORDER: [&str; 6] = [
    "Cargo.toml",
    "src/main.rs",
    "src/serve.rs",
    "src/client.rs",
    "src/request.rs",
    "src/files.rs",
];

/// Two stages and their files.
pub struct StageDiff {
    pub from: &'static Stage,
    pub to: &'static Stage,
    /// The name of the second folder, which may be the student's.
    pub new_name: String,
    pub files: Vec<FileDiff>,
}

/// A file in two stages. Where it doesn't exist, its text is empty.
pub struct FileDiff {
    /// Its name below the folder of the stage.
    pub name: String,
    pub old: String,
    pub new: String,
}

/// How many lines change.
pub struct LineCounts {
    pub added: usize,
    pub removed: usize,
}

impl FileDiff {
    pub fn is_unchanged(&self) -> bool {
        self.old == self.new
    }

    pub fn line_counts(&self) -> LineCounts {
        let diff = TextDiff::from_lines(&self.old, &self.new);
        let lines: Vec<ChangeTag> = diff.iter_all_changes().map(|line| line.tag()).collect();
        let count = |tag| lines.iter().filter(|line| **line == tag).count();
        LineCounts {
            added: count(ChangeTag::Insert),
            removed: count(ChangeTag::Delete),
        }
    }
}

impl StageDiff {
    /// Reads two stages. With `mine`, the second is the student's.
    pub fn read(from: u8, to: u8, mine: bool) -> Result<StageDiff, String> {
        let (from, to) = (stage(from), stage(to));
        let (old_folder, new_folder) =
            (workspace::folder(from, false), workspace::folder(to, mine));
        let new_name = new_folder.file_name().unwrap_or_default();
        let new_name = new_name.to_string_lossy().into_owned();
        if !new_folder.is_dir() {
            return Err(format!(
                "There is no {new_name}/ yet. Create it: cargo lab start {}",
                to.number
            ));
        }
        let mut names = file_names(&old_folder)?;
        names.extend(file_names(&new_folder)?);
        let files = names.into_iter().map(|name| FileDiff {
            old: fs::read_to_string(old_folder.join(&name)).unwrap_or_default(),
            new: fs::read_to_string(new_folder.join(&name)).unwrap_or_default(),
            name,
        });
        let mut files: Vec<FileDiff> = files.collect();
        let place = |file: &FileDiff| READING_ORDER.iter().position(|name| *name == file.name);
        files.sort_by_key(|file| place(file).unwrap_or(READING_ORDER.len()));
        Ok(StageDiff {
            from,
            to,
            new_name,
            files,
        })
    }

    /// Reads each pair of neighboring stages. With `mine`, only those that the student started.
    pub fn read_neighbors(mine: bool) -> Result<Vec<StageDiff>, String> {
        let exists = |to: &u8| !mine || workspace::folder(stage(*to), true).is_dir();
        let stages: Vec<u8> = (2..=4).filter(exists).collect();
        if stages.is_empty() {
            return Err("You have no stage of your own yet. Create one: cargo lab start 2".into());
        }
        let read = |to: &u8| StageDiff::read(to - 1, *to, mine);
        stages.iter().map(read).collect()
    }

    pub fn line_counts(&self) -> LineCounts {
        let counts: Vec<LineCounts> = self.files.iter().map(FileDiff::line_counts).collect();
        LineCounts {
            added: counts.iter().map(|counts| counts.added).sum(),
            removed: counts.iter().map(|counts| counts.removed).sum(),
        }
    }
}

/// The files of a stage, by their names below its folder.
fn file_names(folder: &Path) -> Result<BTreeSet<String>, String> {
    let read_error = |error| format!("Cannot read {}: {error}", folder.display());
    let mut names = BTreeSet::from(["Cargo.toml".to_string()]);
    for entry in fs::read_dir(folder.join("src")).map_err(read_error)? {
        let name = entry.map_err(read_error)?.file_name();
        names.insert(format!("src/{}", name.to_string_lossy()));
    }
    Ok(names)
}
