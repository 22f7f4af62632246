//! `cargo lab run`: builds a stage, or an exercise, and runs it.

use super::Selection;
use harness::style::{DIM, paint};
use harness::workspace::{self, stage};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Builds the server and becomes it, so that Ctrl-C goes to the server.
pub fn run(selection: Selection, original: bool, options: &[OsString]) -> Result<ExitCode, String> {
    let package = match selection {
        Selection::Stage(number) => workspace::select_package(stage(number), original).0,
        Selection::Exercise(exercise) => super::exercise::own_package(exercise)?,
    };
    anstream::eprintln!("{}", paint(DIM, format!("building {package} ...")));
    let binary = workspace::build_package(&package, false)?;
    // The default document root, `html`, is in the root folder of the workspace.
    let root = workspace::root();
    env::set_current_dir(root)
        .map_err(|error| format!("Cannot change to {}: {error}", root.display()))?;
    let error = Command::new(&binary).args(options).exec();
    Err(format!("Cannot start {}: {error}", binary.display()))
}
