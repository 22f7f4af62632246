//! Servers in other languages than Rust. Each is a folder with an executable `server`, and with an
//! executable `build` if its language has to be compiled. `tests/references/` has complete ones.

use crate::file;
use crate::program::{self, Problem};
use harness::cleanup::{self, ScratchDir};
use harness::program::Program;
use harness::workspace::{self, Stage};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use suite::translation::text;

/// How long a build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(120);

/// Whether the server in that folder is written in another language.
pub fn is_used_in(folder: &Path) -> bool {
    folder.join("server").is_file()
}

/// The folder of a reference, in the workspace. The error says which ones exist.
pub fn reference(language: &str, stage: &Stage) -> Result<String, String> {
    let name = |language: &str| format!("tests/references/{language}/stage{}", stage.number);
    let exists = |language: &str| is_used_in(&workspace::root().join(name(language)));
    if !language.contains('/') && exists(language) {
        return Ok(name(language));
    }
    let folders = fs::read_dir(workspace::root().join("tests/references"));
    let entries = folders.into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| exists(name)).collect();
    names.sort();
    Err(format!(
        "There is no stage {} in `{language}`. There is one in: {}. docs/languages.md shows how to begin \
         in another language.",
        stage.number,
        names.join(", ")
    ))
}

/// The server in that folder. It is graded in a copy, where it is built too, so no change disturbs
/// the grading, and nothing is left in the folder.
pub fn program(folder: &Path) -> Result<Program, String> {
    let scratch = ScratchDir::new().map_err(|error| format!("Cannot create a folder: {error}"))?;
    // Some checks run the program as another user.
    let opened = fs::set_permissions(scratch.path(), Permissions::from_mode(0o755));
    opened.map_err(|error| format!("Cannot share a folder: {error}"))?;
    let server = build_copy(folder, &scratch.path().join("copy"))?;
    let program = program::named(&server, &[])?;
    Ok(program.keeping(scratch))
}

/// Copies the folder of a server, and builds the copy. Returns the path of the new `server`.
pub fn build_copy(folder: &Path, to: &Path) -> Result<PathBuf, String> {
    // Nobody could execute a program that is open for writing.
    cleanup::without_starting_processes(|| file::copy_folder(folder, to))
        .map_err(|error| format!("Cannot copy {}: {error}", folder.display()))?;
    let build = to.join("build");
    if build.is_file() {
        let output = program::run_build(&mut Command::new(&build), BUILD_LIMIT);
        ensure_built(&output.map_err(Problem::into_text)?)?;
    }
    Ok(to.join("server"))
}

/// Fails with the messages of a `build` that has failed.
pub fn ensure_built(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let messages = [output.stdout.as_slice(), &output.stderr].concat();
    let messages = program::cut_messages(&String::from_utf8_lossy(&messages));
    Err(format!("{}\n{messages}", text("It doesn't build.")))
}
