//! The difference between two stages, or steps between them, file by file.

use crate::language;
use harness::workspace::{self, STAGES, Stage, stage};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use suite::patch::{self, Sources};
use suite::steps::{STEPS, Step};

/// How many unchanged lines are shown around a change.
pub const CONTEXT: usize = 3;

/// The files, in the order in which to read them. Others follow.
const READING_ORDER: [&str; 10] = [
    "Cargo.toml",
    "src/main.rs",
    "src/options.rs",
    "src/serve.rs",
    "src/connection.rs",
    "src/request.rs",
    "src/handler.rs",
    "src/files.rs",
    "src/response.rs",
    "src/log.rs",
];

/// A stage, or a step on the way to stage 4.
#[derive(Clone, Copy)]
pub enum Version {
    Stage(&'static Stage),
    Step(&'static Step),
}

impl Version {
    /// Finds a stage by its number, or a step by its id. The last step is stage 4.
    pub fn parse(text: &str) -> Result<Version, String> {
        let [steps @ .., last] = const { &STEPS };
        if let Some(step) = steps.iter().find(|step| step.id == text) {
            return Ok(Version::Step(step));
        }
        let number = if text == last.id { "4" } else { text };
        let mut stages = STAGES.iter();
        let stage = stages.find(|stage| stage.number.to_string() == number);
        stage.map(Version::Stage).ok_or_else(|| {
            let ids = STEPS.map(|step| step.id).join(", ");
            format!(
                "it must be a stage, 1 to {}, or a step: {ids}",
                STAGES.len()
            )
        })
    }

    /// As it is named on the command line.
    pub fn id(self) -> String {
        match self {
            Version::Stage(stage) => stage.number.to_string(),
            Version::Step(step) => step.id.to_string(),
        }
    }

    pub fn name(self) -> String {
        match self {
            Version::Stage(stage) => stage.name.to_string(),
            Version::Step(step) => format!("step {}", step.id),
        }
    }

    /// Its one new idea, in a line.
    pub fn idea(self) -> &'static str {
        match self {
            Version::Stage(stage) => stage.idea,
            Version::Step(step) => step.title,
        }
    }

    /// The stage that it is, or becomes.
    fn stage(self) -> &'static Stage {
        match self {
            Version::Stage(stage) => stage,
            Version::Step(_) => stage(4),
        }
    }

    fn sources(self) -> Result<Sources, String> {
        match self {
            Version::Stage(stage) => patch::read(&workspace::folder(stage, false)),
            Version::Step(step) => step.sources(),
        }
    }
}

impl From<u8> for Version {
    fn from(number: u8) -> Version {
        Version::Stage(stage(number))
    }
}

/// Two stages or steps, and their files.
pub struct StageDiff {
    pub from: Version,
    pub to: Version,
    /// The name of the second one, which may be the student's.
    pub new_name: String,
    pub files: Vec<FileDiff>,
}

/// A file in both. Where it doesn't exist, its text is empty.
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
    /// Reads two stages or steps. With `mine`, the second is the student's.
    pub fn read(
        from: impl Into<Version>,
        to: impl Into<Version>,
        mine: bool,
    ) -> Result<StageDiff, String> {
        let (from, to) = (from.into(), to.into());
        let old = from.sources()?;
        let (new_name, new) = if mine {
            read_own(to.stage())?
        } else {
            (to.name(), to.sources()?)
        };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let text = |sources: &Sources, name| sources.get(name).cloned().unwrap_or_default();
        let files = names.into_iter().map(|name| FileDiff {
            name: name.clone(),
            old: text(&old, name),
            new: text(&new, name),
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

    /// Reads each stage and the one that it builds on. With `mine`, only those that the student started.
    pub fn read_neighbors(mine: bool) -> Result<Vec<StageDiff>, String> {
        let exists = |new: &Stage| !mine || workspace::folder(new, true).is_dir();
        let pairs: Vec<_> = workspace::pairs().filter(|(_, new)| exists(new)).collect();
        if pairs.is_empty() {
            return Err("You have no stage of your own yet. Create one: cargo lab start 2".into());
        }
        let read = |(base, new): (&Stage, &Stage)| StageDiff::read(base.number, new.number, mine);
        pairs.into_iter().map(read).collect()
    }

    pub fn line_counts(&self) -> LineCounts {
        let counts: Vec<LineCounts> = self.files.iter().map(FileDiff::line_counts).collect();
        LineCounts {
            added: counts.iter().map(|counts| counts.added).sum(),
            removed: counts.iter().map(|counts| counts.removed).sum(),
        }
    }
}

/// The name and the files of the student's package for a stage.
fn read_own(stage: &Stage) -> Result<(String, Sources), String> {
    let name = workspace::own_name(stage.number);
    let folder = workspace::folder(stage, true);
    if !folder.is_dir() {
        let number = stage.number;
        return Err(format!(
            "There is no {name}/ yet. Create it: cargo lab start {number}"
        ));
    }
    if language::is_used_in(&folder) {
        return Err(format!(
            "{name}/ isn't in Rust. Compare it with a reference: diff -r {name} \
             tests/references/LANGUAGE/stage{}",
            stage.number
        ));
    }
    Ok((name, patch::read(&folder)?))
}
