//! `cargo lab diff N M`: what changes from one stage to another, room by room.

use super::diff_page::{self, Place};
use crate::paint::{BOLD, CYAN, DIM, GREEN, RED, paint};
use crate::report::write_whole;
use crate::workspace::{self, Stage, stage};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// So many lines stand around a change.
pub const CONTEXT: usize = 3;

/// The rooms, in the order in which to read them; others follow.
const ROOMS: [&str; 6] = [
    "Cargo.toml",
    "src/main.rs",
    "src/serve.rs",
    "src/client.rs",
    "src/request.rs",
    "src/files.rs",
];

#[derive(Args)]
pub struct Options {
    /// The stage to begin with: 1 to 4.
    #[arg(value_parser = super::stage_number(), required_unless_present = "html")]
    from: Option<u8>,

    /// The stage that it becomes; with `--mine`, the same if not given.
    #[arg(value_parser = super::stage_number(), required_unless_present_any = ["html", "mine"])]
    to: Option<u8>,

    /// Compare with your my_stageN in place of the second.
    #[arg(long)]
    mine: bool,

    /// Make a web page of it; without stages, the site's page of all neighbouring stages.
    #[arg(long)]
    html: bool,

    /// Write the page into this file.
    #[arg(long, value_name = "FILE", requires = "html")]
    output: Option<PathBuf>,
}

/// Two stages, and what is in each of their rooms.
pub struct Pair {
    pub from: &'static Stage,
    pub to: &'static Stage,
    /// What their folders are called: the second may be a student's.
    pub left: String,
    pub right: String,
    pub rooms: Vec<Room>,
}

/// A file of two stages; where a stage has none, its text is empty.
pub struct Room {
    /// Its name below the folder of its stage.
    pub name: String,
    pub old: String,
    pub new: String,
}

impl Room {
    pub fn is_the_same(&self) -> bool {
        self.old == self.new
    }

    /// How many lines are added, and how many removed.
    pub fn counts(&self) -> (usize, usize) {
        let diff = TextDiff::from_lines(&self.old, &self.new);
        let count = |tag| {
            { diff.iter_all_changes() }
                .filter(|line| line.tag() == tag)
                .count()
        };
        (count(ChangeTag::Insert), count(ChangeTag::Delete))
    }
}

impl Pair {
    /// Reads two stages; with `mine`, the student's own as the second.
    fn read(from: u8, to: u8, mine: bool) -> Result<Pair, String> {
        let (from, to) = (stage(from), stage(to));
        let left = workspace::folder(from, false);
        let right = workspace::folder(to, mine);
        if !right.is_dir() {
            let name = workspace::own_name(to.number);
            return Err(format!(
                "There is no {name}/ yet. Make it with `cargo lab start {}`.",
                to.number
            ));
        }
        let mut names = files(&left)?;
        names.extend(files(&right)?);
        let room = |name: String| Room {
            old: text(&left.join(&name)),
            new: text(&right.join(&name)),
            name,
        };
        let mut rooms: Vec<Room> = names.into_iter().map(room).collect();
        rooms.sort_by_key(|room| {
            ROOMS
                .iter()
                .position(|name| *name == room.name)
                .unwrap_or(ROOMS.len())
        });
        let name = |folder: &Path| {
            let name = folder.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        Ok(Pair {
            from,
            to,
            left: name(&left),
            right: name(&right),
            rooms,
        })
    }

    /// How many lines are added, and how many removed.
    pub fn counts(&self) -> (usize, usize) {
        let sum = |(added, removed), (more, less)| (added + more, removed + less);
        self.rooms.iter().map(Room::counts).fold((0, 0), sum)
    }
}

/// Shows the difference, or makes a page of it.
pub fn diff(options: &Options) -> Result<ExitCode, String> {
    let to = match options.mine {
        true => options.to.or(options.from),
        false => options.to,
    };
    if options.from.is_some() && to.is_none() {
        let missing = "the second stage is missing: <TO>, or --mine";
        let kind = ErrorKind::MissingRequiredArgument;
        super::Options::command().error(kind, missing).exit();
    }
    let (pairs, place) = match (options.from, to) {
        (Some(from), Some(to)) => (vec![Pair::read(from, to, options.mine)?], Place::Alone),
        _ => (neighbours(options.mine)?, Place::Site),
    };
    if options.html {
        let page = diff_page::page(&pairs, place);
        return write(&page, options.output.as_deref());
    }
    pairs.iter().for_each(show);
    Ok(ExitCode::SUCCESS)
}

/// Each stage and the next; with `mine`, those that the student has begun.
fn neighbours(mine: bool) -> Result<Vec<Pair>, String> {
    let begun = |to: &u8| !mine || workspace::folder(stage(*to), true).is_dir();
    let numbers: Vec<u8> = (2..=4).filter(begun).collect();
    if numbers.is_empty() {
        return Err("There is no stage of yours yet. Make one with `cargo lab start 2`.".into());
    }
    let read = |to: u8| Pair::read(to - 1, to, mine);
    numbers.into_iter().map(read).collect()
}

fn write(page: &str, output: Option<&Path>) -> Result<ExitCode, String> {
    match output {
        Some(path) => write_whole(path, page.as_bytes())
            .map_err(|error| format!("Cannot write {}: {error}", path.display()))?,
        None => io::stdout()
            .write_all(page.as_bytes())
            .map_err(|error| format!("Cannot write the page: {error}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(pair: &Pair) {
    for room in &pair.rooms {
        let name = &room.name;
        if room.is_the_same() {
            anstream::println!("{}", paint(DIM, format!("= {name}: the same")));
            continue;
        }
        let (more, less) = room.counts();
        let heading = format!("── {name}  +{more} -{less}");
        anstream::println!("\n{}", paint(BOLD, heading));
        let diff = TextDiff::from_lines(&room.old, &room.new);
        for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
            anstream::println!("{}", paint(CYAN, hunk.header()));
            for line in hunk.iter_changes() {
                anstream::println!("{}", shown(line.tag(), line.value()));
            }
        }
    }
    let (added, removed) = pair.counts();
    anstream::println!("\n{added} lines added, {removed} removed.");
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
