mod gateway;
mod generator;
mod pictures;
mod process;
mod speed;
mod svg;
mod waterfall;

use harness::cleanup::without_starting_processes;
use harness::program::Program;
use harness::workspace;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes a shell script into a folder.
fn script(folder: &Path, lines: &str) -> PathBuf {
    let path = folder.join("script");
    without_starting_processes(|| fs::write(&path, format!("#!/bin/sh\n{lines}"))).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// A server with a fault.
fn faulty(fault: &str) -> Program {
    let mut program = Program::new(workspace::build_package("faulty", false).unwrap());
    program.arguments = ["--fault", fault].map(Into::into).to_vec();
    program
}
