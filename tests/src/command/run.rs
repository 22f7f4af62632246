//! `cargo lab run N`.

use crate::paint::{DIM, paint};
use crate::workspace::{self, stage};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Builds a stage and becomes its server: Ctrl-C and all else is the server's then.
pub fn run(number: u8, original: bool, options: &[OsString]) -> Result<ExitCode, String> {
    let stage = stage(number);
    let (package, _) = workspace::chosen(stage, original);
    anstream::eprintln!("{}", paint(DIM, format!("building {package} ...")));
    let binary = workspace::build_package(&package, false)?;
    // The document root `html` lies beside the stages.
    env::set_current_dir(workspace::root())
        .map_err(|error| format!("Cannot go to {}: {error}", workspace::root().display()))?;
    let error = Command::new(&binary).args(options).exec();
    Err(format!("Cannot start {}: {error}", binary.display()))
}
