//! `cargo lab start`: a copy of a stage, to be turned into the next one, or into what an
//! exercise asks for.

use super::Chosen;
use crate::exercises::Exercise;
use crate::paint::{BOLD, CYAN, GREEN, paint};
use crate::workspace::{self, Stage, stage};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Makes `my_stageN`, or the package of an exercise; what is there already is never touched.
pub fn start(chosen: Chosen) -> Result<ExitCode, String> {
    match chosen {
        Chosen::Stage(number) => start_stage(number)?,
        Chosen::Exercise(exercise) => start_exercise(exercise)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start_stage(number: u8) -> Result<(), String> {
    let (from, to) = (stage(number - 1), stage(number));
    let name = workspace::own_name(number);
    make(&name, from, to)?;
    set_port(&name, from.port, to.port).map_err(|error| format!("Cannot set the port: {error}"))?;
    anstream::println!(
        "{} is a copy of {}, for you to turn it into stage {number}: {}.\n\n\
         It listens on port {} already.\n\
         1. {} runs the checks: what is red is your list of what is left.\n\
            {} grades after each save.\n\
         2. Try it from the hints. Lesson {number} in LESSONS.md and {} have the answer.",
        paint(GREEN.bold(), format!("{name}/")),
        from.name,
        paint(BOLD, to.idea),
        to.port,
        paint(CYAN, format!("cargo lab grade {number}")),
        paint(CYAN, format!("cargo lab watch {number}")),
        paint(CYAN, format!("cargo lab diff {} {number}", number - 1)),
    );
    Ok(())
}

/// Two stages that run side by side need two ports.
fn set_port(name: &str, from: u16, to: u16) -> io::Result<()> {
    let main = workspace::root().join(name).join("src/main.rs");
    let text = fs::read_to_string(&main)?;
    fs::write(
        &main,
        text.replace(&format!(":{from}\""), &format!(":{to}\"")),
    )
}

fn start_exercise(exercise: &Exercise) -> Result<(), String> {
    let from = stage(exercise.stage);
    let package = exercise.package();
    make(&package, from, from)?;
    let command = |what: &str| paint(CYAN, format!("cargo lab {what} {}", exercise.name));
    anstream::println!(
        "{} is a copy of {}, for you to build on: {}.\n\n\
         1. {} says what is asked, and runs the checks.\n\
         2. {} runs your server.",
        paint(GREEN.bold(), format!("{package}/")),
        from.name,
        paint(BOLD, exercise.title),
        command("exercise"),
        command("run"),
    );
    Ok(())
}

/// Makes a package with the sources of the one stage and the manifest of the other.
fn make(name: &str, sources: &Stage, manifest: &Stage) -> Result<(), String> {
    let folder = workspace::root().join(name);
    if folder.exists() {
        return Err(format!(
            "{name}/ is there already, and nothing is overwritten. \
             Go on with it, or move it out of this workspace: mv {name} ../"
        ));
    }
    let sources = workspace::folder(sources, false).join("src");
    // First under another name: half a copy must not look like a whole one.
    let half = workspace::root().join(format!(".lab-start-{name}"));
    let _ = fs::remove_dir_all(&half);
    let copied = copy(&sources, &half.join("src")).and_then(|()| {
        let text = fs::read_to_string(workspace::folder(manifest, false).join("Cargo.toml"))?;
        let text = text.replacen(manifest.name, name, 1);
        fs::write(half.join("Cargo.toml"), text)?;
        fs::rename(&half, &folder)
    });
    copied.map_err(|error| format!("Cannot make {name}/: {error}"))
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
