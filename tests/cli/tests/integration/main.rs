//! The tests of `cargo lab`, with the command itself. With `LAB_CI=1` those run too that build
//! packages or need other programs.

mod book;
mod browser;
mod class;
mod command;
mod diff_page;
mod documents;
mod hostile_servers;
mod measure;
mod packages;
mod references;
mod report_formats;
mod steps;
mod translation;
mod uploads;
mod viva;

use harness::cleanup;
use harness::workspace::{self, STAGES};
use lab::report::Report;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// The `lab` command, in this workspace and in English.
fn lab() -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.stdin(Stdio::null()).env("LAB_LANG", "en");
    lab
}

/// Held by a test that runs the stages for minutes, and by one that looks for them by name.
static STAGES_BY_NAME: Mutex<()> = Mutex::new(());

fn stages_by_name() -> MutexGuard<'static, ()> {
    STAGES_BY_NAME
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// The `lab` command, in another workspace.
fn lab_in(root: &Path) -> Command {
    let mut lab = lab();
    lab.env("CARGO_MANIFEST_DIR", root.join("tests/cli"))
        .env("CARGO_TARGET_DIR", packages_target());
    lab
}

/// The target folder for what the tests build, apart from the programs under test.
fn packages_target() -> PathBuf {
    workspace::root().join("target/packages")
}

/// A copy of the workspace, in which a student can start.
fn workspace_copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["Cargo.toml", "Cargo.lock", ".cargo", "tests"];
    let stages = STAGES.iter().map(|stage| stage.name);
    for part in parts.into_iter().chain(stages) {
        copy(&workspace::root().join(part), &folder.path().join(part));
    }
    folder
}

/// Copies a file, or a folder with everything in it, to a path that doesn't exist yet.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    run(Command::new("cp").arg("-R").arg(from).arg(to));
}

/// Writes files below a folder, by name.
fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A folder that other users can enter.
fn public_folder() -> TempDir {
    let mut folder = tempfile::Builder::new();
    let permissions = Permissions::from_mode(0o755);
    folder.permissions(permissions).tempdir().unwrap()
}

/// Runs a command, which must succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let (status, text) = (output.status, String::from_utf8_lossy(&text));
    assert!(status.success(), "{command:?}: {status}\n{text}");
    output
}

/// Writes an executable file.
fn write_script(path: &Path, text: &str) {
    // Nobody could execute it while it is open for writing.
    cleanup::without_starting_processes(|| fs::write(path, text)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Writes a script `server` that runs these lines and then becomes a correct server for stage 1.
/// The faulty server is one, as long as it is given no fault.
fn script(folder: &Path, lines: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let (path, lab) = (folder.join("server"), env!("CARGO_BIN_EXE_lab"));
    let server = format!("exec {lab} faulty-server --stage 1 \"$@\"");
    write_script(&path, &format!("#!/bin/sh\n{lines}\n{server}\n"));
    path
}

fn read_report(path: &Path) -> Report {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
