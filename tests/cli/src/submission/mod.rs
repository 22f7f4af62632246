//! What a student handed in: unpacked, found and built.
//!
//! Of sources in Rust only `src/` is used. The manifest, the dependencies and the suite are the
//! instructor's. Everything else in such a submission, such as `build.rs` or tests, is ignored.

mod archive;
mod build;
mod isolation;

pub use archive::{NAME_ENDINGS, name_without_ending};
pub use build::Builder;

use crate::program::{self, Problem};
use harness::account::Account;
use harness::cleanup::ScratchDir;
use harness::program::Program;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// How deep in a submission its sources may be.
const MAX_DEPTH: usize = 8;

/// How many files and folders are looked at.
const MAX_ENTRIES: usize = 20_000;

/// Folders in which no sources are looked for.
const OTHER_FOLDERS: [&str; 5] = ["target", "tests", ".git", "node_modules", "__MACOSX"];

/// The program of a submission: the executable `server` in its folder, after its `build` if there is one,
/// or its Rust sources, built. The submission is a folder or an archive, or a folder with an archive in it.
pub fn program(builder: &Builder, path: &Path, user: Option<Account>) -> Result<Program, Problem> {
    if path.is_dir() {
        let archive = if find_server(path).is_none() && main_files(path).0.is_empty() {
            only_archive(path)
        } else {
            None
        };
        return match archive {
            Some(archive) => program_of_archive(builder, &archive, user),
            None => program_of_folder(builder, path, user),
        };
    }
    program_of_archive(builder, path, user)
}

fn program_of_archive(
    builder: &Builder,
    path: &Path,
    user: Option<Account>,
) -> Result<Program, Problem> {
    let io_error = |error| Problem::Lab(format!("Cannot unpack the submission: {error}"));
    let scratch = ScratchDir::new().map_err(io_error)?;
    share(scratch.path(), user).map_err(io_error)?;
    archive::unpack(path, scratch.path()).map_err(Problem::Submission)?;
    let program = program_of_folder(builder, sole_folder(scratch.path()).as_path(), user)?;
    // A server may need the files next to it.
    let is_inside = program.path.starts_with(scratch.path());
    Ok(if is_inside {
        program.keeping(scratch)
    } else {
        program
    })
}

fn program_of_folder(
    builder: &Builder,
    folder: &Path,
    user: Option<Account>,
) -> Result<Program, Problem> {
    if let Some(server) = find_server(folder) {
        if !is_inside(&server, folder) {
            let error = "The `server` is a link to a file outside of the submission.";
            return Err(Problem::Submission(error.to_string()));
        }
        if folder.join("build").is_file() {
            return builder.build_folder(folder, user);
        }
        return program::named(&server, &[]).map_err(Problem::Submission);
    }
    let sources = find_sources(folder).map_err(Problem::Submission)?;
    builder.build(&sources, user)
}

/// Lets a user read a temporary folder, but no other user of a grading. Without one, everybody may.
fn share(folder: &Path, user: Option<Account>) -> io::Result<()> {
    match user {
        Some(user) => user.share(folder),
        None => fs::set_permissions(folder, Permissions::from_mode(0o755)),
    }
}

/// The folder that an archive consists of, if it is one.
fn sole_folder(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    let is_other = |entry: &fs::DirEntry| entry.file_name() == "__MACOSX";
    let mut entries = entries.unwrap_or_default();
    entries.retain(|entry| !is_other(entry));
    match entries.as_slice() {
        [only] if only.path().is_dir() => only.path(),
        _ => folder.to_path_buf(),
    }
}

fn find_server(folder: &Path) -> Option<PathBuf> {
    let server = folder.join("server");
    server.is_file().then_some(server)
}

/// The archive directly in a folder, if there is one.
fn only_archive(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut archives = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| name_without_ending(&entry.file_name().to_string_lossy()).is_some());
    let first = archives.next()?;
    archives.next().is_none().then(|| first.path())
}

/// Whether a path leads to something in a folder, through whatever links.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.canonicalize(), folder.canonicalize());
    matches!((path, folder), (Ok(path), Ok(folder)) if path.starts_with(&folder))
}

/// Sources that were found in a submission.
#[derive(Debug)]
pub struct Sources {
    /// The folder with `main.rs`.
    folder: PathBuf,
    submission: PathBuf,
}

impl Sources {
    /// Whether a file or folder is one of the submission.
    fn contains(&self, path: &Path) -> bool {
        is_inside(path, &self.submission)
    }
}

/// The files called `main.rs` in a submission, and the links out of it, which are not followed.
fn main_files(submission: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut outside = Vec::new();
    let mut enter = |entry: &DirEntry| {
        let is_other = OTHER_FOLDERS.iter().any(|name| entry.file_name() == *name);
        if entry.depth() > 0 && is_other {
            return false;
        }
        let leads_out = entry.path_is_symlink() && !is_inside(entry.path(), submission);
        if leads_out {
            outside.push(entry.path().to_path_buf());
        }
        !leads_out
    };
    let entries = WalkDir::new(submission)
        .follow_links(true)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(&mut enter)
        .take(MAX_ENTRIES)
        .filter_map(Result::ok);
    let mains = entries
        .filter(|entry| entry.file_type().is_file() && entry.file_name() == "main.rs")
        .map(DirEntry::into_path)
        .collect();
    (mains, outside)
}

/// Looks for `src/main.rs`, in the folder of a submission or further down; then for a `main.rs`
/// outside of a `src`.
fn find_sources(submission: &Path) -> Result<Sources, String> {
    let (mains, outside) = main_files(submission);
    let mut folders: Vec<PathBuf> = mains.iter().map(|main| main.with_file_name("")).collect();
    if folders.iter().any(|folder| folder.ends_with("src")) {
        folders.retain(|folder| folder.ends_with("src"));
    }
    // Of links to the same folder, one counts.
    let mut seen = Vec::new();
    folders.retain(|folder| {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let is_new = !seen.contains(&place);
        seen.push(place);
        is_new
    });
    let name = |path: &PathBuf| {
        let name = path.strip_prefix(submission).unwrap_or(path);
        format!("`{}`", name.display())
    };
    let names = |paths: &[PathBuf]| paths.iter().map(name).collect::<Vec<_>>().join(", ");
    match folders.as_slice() {
        [] => {
            let mut error = format!(
                "There is neither an executable `server` nor a `src/main.rs`. It was looked for in \
                 all folders down to {MAX_DEPTH} levels, except {}.",
                OTHER_FOLDERS.join(", ")
            );
            if !outside.is_empty() {
                error += &format!(" Links out of the submission: {}.", names(&outside));
            }
            Err(error)
        }
        [folder] => Ok(Sources {
            folder: folder.clone(),
            submission: submission.to_path_buf(),
        }),
        several => Err(format!(
            "There are {} folders with a main.rs: {}. Hand in only one.",
            several.len(),
            names(several)
        )),
    }
}
