//! `cargo lab steps`: refreshes the patches of the steps to stage 4 after a change of stage 3 or 4.

use crate::file;
use crate::step_merge::{Change, carry_over, conflicts};
use harness::style::{BOLD, CYAN, paint};
use harness::workspace::{self, stage};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use suite::patch::{self, Sources};
use suite::steps::{self, STEPS, Step};
use tempfile::TempDir;

#[derive(clap::Args)]
pub struct Options {
    /// Write the steps as folders first, to change them by hand.
    #[arg(long, conflicts_with = "continue")]
    edit: bool,

    /// Make the patches from these folders.
    #[arg(long)]
    r#continue: bool,
}

/// Makes the patches again. If a person is needed, it names the places.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let steps = if options.r#continue {
        read_folders()?
    } else {
        refreshed()?
    };
    let places = conflict_list(&steps);
    if !options.edit && places.is_empty() {
        write_patches(&steps)?;
        let _ = fs::remove_dir_all(edit_folder());
        return Ok(ExitCode::SUCCESS);
    }
    if !options.r#continue {
        write_folders(&steps)?;
    }
    for place in &places {
        anstream::println!("A person is needed: {}", paint(BOLD, place));
    }
    anstream::println!(
        "Edit the steps in target/edit-steps/, then run: {}",
        paint(CYAN, "cargo lab steps --continue")
    );
    let is_done = places.is_empty();
    Ok(if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The folder in which a person changes the steps.
fn edit_folder() -> PathBuf {
    workspace::root().join("target/edit-steps")
}

/// The steps that have a patch, with what has changed in the stages since the last commit of the
/// patches.
fn refreshed() -> Result<Vec<Sources>, String> {
    let commit = checkout_last()?;
    let old = |number: u8| patch::read(&commit.path().join(stage(number).name));
    let new = |number: u8| patch::read(&workspace::folder(stage(number), false));
    let (old3, new3, old4, new4) = (old(3)?, new(3)?, old(4)?, new(4)?);
    let stage3 = Change {
        old: &old3,
        new: &new3,
    };
    let stage4 = Change {
        old: &old4,
        new: &new4,
    };
    let mut before = old3.clone();
    let mut refreshed = Vec::new();
    for step in steps::patched() {
        let path = commit
            .path()
            .join("tests/suite/steps")
            .join(format!("{}.diff", step.id));
        let patch = fs::read_to_string(&path).map_err(|error| file_error(&path, error))?;
        before = patch::apply(before, &patch)
            .map_err(|error| format!("In the last commit of {}.diff, {error}", step.id))?;
        refreshed.push(carry_over(&before, &stage3, &stage4));
    }
    Ok(refreshed)
}

/// The stages and the patches as of the last commit that changed a patch: then they fit.
fn checkout_last() -> Result<TempDir, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("Cannot create a folder: {error}"))?;
    let commit = output(
        "git",
        &["log", "-1", "--format=%H", "--", "tests/suite/steps"],
    )?;
    let commit = String::from_utf8_lossy(&commit);
    if commit.trim().is_empty() {
        return Err("The patches were never committed, so nothing says what has changed.".into());
    }
    let archive = folder.path().join("stages.tar");
    let [archive_path, path] = [&archive, folder.path()].map(|path| path.to_string_lossy());
    let (three, four) = (stage(3).name, stage(4).name);
    let mut arguments = vec!["archive", "--output", &archive_path, commit.trim()];
    arguments.extend([three, four, "tests/suite/steps"]);
    output("git", &arguments)?;
    output("tar", &["-xf", &archive_path, "-C", &path])?;
    Ok(folder)
}

/// What a program prints that runs in the workspace.
fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("Cannot start {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {}` failed.", arguments.join(" ")));
    }
    Ok(output.stdout)
}

fn conflict_list(steps: &[Sources]) -> Vec<String> {
    let of_step = |(step, sources): (&Step, &Sources)| {
        let places = conflicts(sources).into_iter();
        let places = places.map(|place| format!("{}/{place}", step.id));
        places.collect::<Vec<String>>()
    };
    STEPS.iter().zip(steps).flat_map(of_step).collect()
}

fn file_error(path: &Path, error: io::Error) -> String {
    format!("Cannot use {}: {error}", path.display())
}

fn write_patches(refreshed: &[Sources]) -> Result<(), String> {
    let mut before = patch::read(&workspace::folder(stage(3), false))?;
    for (step, after) in STEPS.iter().zip(refreshed) {
        let (path, patch) = (step.patch(), patch::make(&before, after));
        let is_same = fs::read_to_string(&path).is_ok_and(|old| old == patch);
        if !is_same {
            file::write_atomically(&path, patch)?;
        }
        let result = if is_same { "unchanged" } else { "refreshed" };
        anstream::println!("{}.diff: {result}", step.id);
        before = after.clone();
    }
    let test = "LAB_CI=1 cargo test -p suite --test integration steps";
    anstream::println!("Then build and check them: {}", paint(CYAN, test));
    Ok(())
}

fn write_folders(refreshed: &[Sources]) -> Result<(), String> {
    let _ = fs::remove_dir_all(edit_folder());
    for (step, sources) in STEPS.iter().zip(refreshed) {
        for (name, text) in sources {
            let path = edit_folder().join(step.id).join(name);
            let folder = path.parent().unwrap_or(&path);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| file_error(&path, error))?;
        }
    }
    Ok(())
}

fn read_folders() -> Result<Vec<Sources>, String> {
    let read = |step: &Step| patch::read(&edit_folder().join(step.id));
    steps::patched().iter().map(read).collect()
}
