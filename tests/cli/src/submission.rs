//! What a student handed in: found, and built without anything that could influence the grade.
//!
//! Only `src/` is used. The manifest, the dependencies and the suite are the instructor's.
//! Everything else in a submission, such as a build script or tests, is ignored.

use crate::program;
use harness::cleanup::ScratchDir;
use harness::program::Program;
use harness::text::truncate;
use harness::workspace::{self, stage};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use toml::{Table, Value};
use walkdir::WalkDir;

/// How many bytes the sources of a submission may have.
const SOURCES_LIMIT: u64 = 16 * 1024 * 1024;

/// How many characters of the compiler's messages are shown.
const MESSAGES_LIMIT: usize = 4000;

/// How deep in a submission its sources may be.
const MAX_DEPTH: usize = 3;

/// The program of a submission for stage `number`: an executable `server` in its folder, or its
/// sources, built within a time limit.
pub fn program(number: u8, folder: &Path, build_limit: Duration) -> Result<Program, String> {
    let server = folder.join("server");
    if server.is_file() {
        return program::named(&server, &[]);
    }
    build(number, &find_sources(folder)?, build_limit)
}

/// Looks for `src/main.rs`, in the folder of a submission or further down; then for a `main.rs`
/// outside of a `src`.
fn find_sources(folder: &Path) -> Result<PathBuf, String> {
    let entries = WalkDir::new(folder)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "target" && entry.file_name() != "tests")
        .filter_map(Result::ok);
    let mut sources: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_file() && entry.file_name() == "main.rs")
        .map(|entry| entry.path().with_file_name(""))
        .collect();
    if sources.iter().any(|folder| folder.ends_with("src")) {
        sources.retain(|folder| folder.ends_with("src"));
    }
    let shown = folder.display();
    match sources.len() {
        0 => Err(format!(
            "The submission `{shown}` has neither an executable `server` nor a `src/main.rs`."
        )),
        1 => Ok(sources.remove(0)),
        count => Err(format!(
            "The submission `{shown}` has {count} folders with a main.rs. Hand in only one."
        )),
    }
}

/// Builds the sources as a stage, offline. The error includes the compiler's messages.
fn build(number: u8, sources: &Path, limit: Duration) -> Result<Program, String> {
    // All submissions share the target folder, so they are built one after the other.
    static TARGET: Mutex<()> = Mutex::new(());
    let _target = TARGET.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = ScratchDir::new().map_err(|error| format!("Cannot create a folder: {error}"))?;
    let package = scratch.path().join("submission");
    copy_sources(sources, &package.join("src"))?;
    write_manifests(number, scratch.path(), &package)?;
    let target = workspace::root().join("target/submissions");
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(scratch.path())
        .args(["build", "--quiet", "--offline"])
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_TARGET_DIR", target);
    let (output, in_time) = program::run_within(&mut cargo, limit)
        .map_err(|error| format!("Cannot run cargo: {error}"))?;
    if !in_time {
        return Err(format!("It doesn't build within {} s.", limit.as_secs()));
    }
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let messages = truncate(&messages, MESSAGES_LIMIT);
        return Err(format!("It doesn't build.\n{messages}"));
    }
    let mut binaries = workspace::binaries(output.stdout.as_slice()).into_iter();
    let binary = binaries.find(|binary| binary.name == stage(number).name);
    let binary = binary.ok_or("It doesn't build: Cargo made no program.")?;
    // The next build replaces the binary.
    Program::copy_of(&binary.path).map_err(|error| format!("Cannot copy the program: {error}"))
}

/// Copies the sources. Links are refused: they could lead to files that aren't the student's.
fn copy_sources(from: &Path, to: &Path) -> Result<(), String> {
    let mut size = 0;
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|error| format!("Cannot read the sources: {error}"))?;
        let name = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let copied = if entry.file_type().is_dir() {
            fs::create_dir_all(to.join(name))
        } else if entry.file_type().is_file() {
            size += entry.metadata().map_or(0, |metadata| metadata.len());
            if size > SOURCES_LIMIT {
                let limit = SOURCES_LIMIT / (1024 * 1024);
                return Err(format!("The sources are larger than {limit} MiB."));
            }
            fs::copy(entry.path(), to.join(name)).map(drop)
        } else {
            return Err(format!(
                "`{}` in the sources is neither a file nor a folder. Remove it.",
                name.display()
            ));
        };
        copied.map_err(|error| format!("Cannot copy {}: {error}", name.display()))?;
    }
    Ok(())
}

/// Writes the instructor's manifests: the workspace with one member, and the stage without its
/// tests.
fn write_manifests(number: u8, workspace_folder: &Path, package: &Path) -> Result<(), String> {
    let root = workspace::root();
    let mut outer = read_manifest(&root.join("Cargo.toml"))?;
    if let Some(Value::Table(workspace)) = outer.get_mut("workspace") {
        workspace.insert("members".into(), vec!["submission"].into());
        workspace.remove("default-members");
        // The crates of the suite don't exist there.
        if let Some(Value::Table(dependencies)) = workspace.get_mut("dependencies") {
            dependencies.retain(|_, dependency| dependency.get("path").is_none());
        }
    }
    if let Some(Value::Table(profiles)) = outer.get_mut("profile") {
        profiles.remove("dev");
    }
    let stage_folder = workspace::folder(stage(number), false);
    let mut inner = read_manifest(&stage_folder.join("Cargo.toml"))?;
    inner.remove("dev-dependencies");
    inner.remove("test");
    let written = fs::write(workspace_folder.join("Cargo.toml"), outer.to_string())
        .and_then(|()| fs::write(package.join("Cargo.toml"), inner.to_string()))
        .and_then(|()| fs::copy(root.join("Cargo.lock"), workspace_folder.join("Cargo.lock")));
    written.map_err(|error| format!("Cannot write the manifests: {error}"))?;
    Ok(())
}

fn read_manifest(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("Cannot read {}: {error}", path.display()))?;
    let table = text.parse();
    table.map_err(|error| format!("Cannot parse {}: {error}", path.display()))
}
