//! `cargo lab run N`, and of an exercise's name.

use super::Chosen;
use crate::paint::{DIM, paint};
use crate::workspace::{self, stage};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Builds a stage and becomes its server: Ctrl-C and all else is the server's then.
pub fn run(chosen: Chosen, original: bool, options: &[OsString]) -> Result<ExitCode, String> {
    let package = match chosen {
        Chosen::Stage(number) => workspace::chosen(stage(number), original).0,
        Chosen::Exercise(exercise) => super::exercise::own_package(exercise)?,
    };
    anstream::eprintln!("{}", paint(DIM, format!("building {package} ...")));
    let binary = workspace::build_package(&package, false)?;
    // The document root `html` lies beside the stages.
    env::set_current_dir(workspace::root())
        .map_err(|error| format!("Cannot go to {}: {error}", workspace::root().display()))?;
    let error = Command::new(&binary).args(options).exec();
    Err(format!("Cannot start {}: {error}", binary.display()))
}
