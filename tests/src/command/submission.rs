//! What a student handed in: found, and built away from everything that could bend the grade.
//!
//! Only `src/` is taken. The manifest, the dependencies and the suite are the instructor's:
//! nothing else that a submission brings along, a build script or tests, plays a part.

use crate::ending::{Folder, Group};
use crate::program::{Kept, Program, collect, settled};
use crate::workspace::{self, stage};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use toml::Table;
use walkdir::WalkDir;

/// The most that the sources of a submission may weigh, in bytes.
const SOURCES_LIMIT: u64 = 16 * 1024 * 1024;

/// The most of what the compiler says that is told, in characters.
const WORDS_LIMIT: usize = 4000;

/// How deep in a submission its sources may lie.
const DEPTH: usize = 3;

/// What is in a submission.
pub enum Submission {
    /// An executable that keeps the contract.
    Server(PathBuf),
    /// A folder with a `main.rs`.
    Sources(PathBuf),
}

impl Submission {
    /// Looks into the folder of a submission: for `server`, else for `src/main.rs`, in the
    /// folder itself or in one below it, else for a `main.rs` that lies there bare.
    pub fn find(folder: &Path) -> Result<Submission, String> {
        let shown = folder.display();
        if !folder.is_dir() {
            return Err(format!("The submission `{shown}` is no folder."));
        }
        let server = folder.join("server");
        if server.is_file() {
            return Ok(Submission::Server(server));
        }
        let mut found: Vec<PathBuf> = WalkDir::new(folder)
            .max_depth(DEPTH)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| {
                !["target", "tests"]
                    .iter()
                    .any(|name| entry.file_name() == *name)
            })
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file() && entry.file_name() == "main.rs")
            .map(|entry| entry.path().with_file_name(""))
            .collect();
        let in_src: Vec<PathBuf> = { found.iter() }
            .filter(|folder| folder.ends_with("src"))
            .cloned()
            .collect();
        if !in_src.is_empty() {
            found = in_src;
        }
        match found.as_slice() {
            [] => Err(format!(
                "The submission `{shown}` has neither an executable `server` nor a `src/main.rs`."
            )),
            [sources] => Ok(Submission::Sources(sources.clone())),
            several => Err(format!(
                "The submission `{shown}` has {} folders with a main.rs; one is to be handed in.",
                several.len()
            )),
        }
    }
}

/// Builds the sources as stage N, offline, within a time limit; returns the program. The error
/// is what the compiler, or we, had to say.
pub fn build(number: u8, sources: &Path, limit: Duration) -> Result<Program, String> {
    // All submissions share what they depend on; and so one builds after the other.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let name = stage(number).name;
    let unmade = |error: io::Error| format!("Cannot set up a build: {error}");
    let house = Folder::new().map_err(unmade)?;
    let package = house.path().join("submission");
    copy_sources(sources, &package.join("src"))?;
    write_manifests(number, house.path(), &package)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(house.path())
        .args([
            "build",
            "--quiet",
            "--offline",
            "--message-format=json-render-diagnostics",
        ])
        .env(
            "CARGO_TARGET_DIR",
            workspace::root().join("target/submissions"),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = Group::start(&mut cargo);
    let (mut cargo, group) = started.map_err(|error| format!("Cannot start cargo: {error}"))?;
    let (messages, words) = (Kept::default(), Kept::default());
    collect(cargo.stdout.take(), &messages);
    collect(cargo.stderr.take(), &words);
    let status = wait(&mut cargo, group, limit).map_err(unmade)?;
    let words = settled(&words);
    let words = String::from_utf8_lossy(&words);
    let words: String = words.chars().take(WORDS_LIMIT).collect();
    match status {
        None => Err(format!("It does not build within {} s.", limit.as_secs())),
        Some(false) => Err(format!("It does not build.\n{words}")),
        Some(true) => {
            let binary = workspace::binaries(settled(&messages).as_slice()).remove(name);
            let binary = binary.ok_or("It does not build: Cargo made no binary.")?;
            // The next submission is built to the same place.
            Program::copy_of(&binary).map_err(unmade)
        }
    }
}

/// Waits for a build; `None` if it took too long and was ended.
fn wait(cargo: &mut Child, group: Group, limit: Duration) -> io::Result<Option<bool>> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = cargo.try_wait()? {
            return Ok(Some(status.success()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(group);
    cargo.wait()?;
    Ok(None)
}

/// Copies the sources, but no links: they could lead to what is not the student's.
fn copy_sources(from: &Path, to: &Path) -> Result<(), String> {
    let mut weight = 0;
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|error| format!("Cannot read the sources: {error}"))?;
        let name = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let place = to.join(name);
        let copied = if entry.file_type().is_dir() {
            fs::create_dir_all(&place)
        } else if entry.file_type().is_file() {
            weight += entry.metadata().map_or(0, |metadata| metadata.len());
            if weight > SOURCES_LIMIT {
                return Err(format!(
                    "The sources weigh more than {SOURCES_LIMIT} bytes."
                ));
            }
            fs::copy(entry.path(), &place).map(|_| ())
        } else {
            return Err(format!(
                "`{}` in the sources is neither a file nor a folder, and is not taken.",
                name.display()
            ));
        };
        copied.map_err(|error| format!("Cannot copy {}: {error}", name.display()))?;
    }
    Ok(())
}

/// Writes the instructor's manifests: the workspace with one member, and the stage's own
/// without its tests.
fn write_manifests(number: u8, house: &Path, package: &Path) -> Result<(), String> {
    let root = workspace::root();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| format!("Cannot read {}: {error}", path.display()))?;
        let table = text.parse::<Table>();
        table.map_err(|error| format!("Cannot understand {}: {error}", path.display()))
    };
    let mut outer = read(root.join("Cargo.toml"))?;
    if let Some(workspace) = outer.get_mut("workspace").and_then(|it| it.as_table_mut()) {
        workspace.insert("members".into(), vec!["submission"].into());
        // The path of the suite means nothing there.
        if let Some(versions) = workspace.get_mut("dependencies") {
            versions
                .as_table_mut()
                .map(|versions| versions.remove("lab"));
        }
    }
    if let Some(profiles) = outer.get_mut("profile").and_then(|it| it.as_table_mut()) {
        profiles.remove("dev");
    }
    let mut inner = read(workspace::folder(stage(number), false).join("Cargo.toml"))?;
    inner.remove("dev-dependencies");
    inner.remove("test");
    let written = fs::write(house.join("Cargo.toml"), outer.to_string())
        .and_then(|()| fs::write(package.join("Cargo.toml"), inner.to_string()))
        .and_then(|()| fs::copy(root.join("Cargo.lock"), house.join("Cargo.lock")).map(|_| ()));
    written.map_err(|error| format!("Cannot write the manifests: {error}"))
}
