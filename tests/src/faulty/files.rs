//! Files: from a path to an open file below the document root, or why not.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use percent_encoding::percent_decode;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a path leads to.
pub enum Found {
    /// A file, and the name that it was asked for by.
    File(File, PathBuf),
    /// A folder without the slash behind it.
    Folder,
}

/// The document root with all links followed. The error is a line for a person.
pub fn open_root(root: &Path, fault: Option<Fault>) -> Result<PathBuf, String> {
    let shown = root.display();
    if fault == Some(Fault::IgnoresRoot) {
        return fs::canonicalize(".").map_err(|error| error.to_string());
    }
    let real = match fs::canonicalize(root) {
        Err(_) if fault == Some(Fault::MissingRootIsServed) => root.to_path_buf(),
        Err(error) => return Err(format!("No root at `{shown}`: {error}. See `--root`.")),
        Ok(real) => real,
    };
    if real.is_file() && fault != Some(Fault::FileAsRootIsServed) {
        return Err(format!("The root `{shown}` is no folder. See `--root`."));
    }
    Ok(real)
}

/// Finds the file that a path names. The error is the status code to answer with.
pub fn find(settings: &Settings, path: &[u8]) -> Result<Found, u16> {
    let wanted = place(settings, path).ok_or(404_u16)?;
    if settings.has(Fault::OpensBeforeItLooks) {
        let _ = File::open(&wanted);
    }
    let real = resolve(settings, &wanted)?;
    let kind = fs::metadata(&real).map_err(|_| 404_u16)?;
    let with_slash = path.ends_with(b"/");
    if kind.is_dir() && !with_slash && settings.understands_fields() {
        return match settings.fault {
            Some(Fault::NoRedirect) => Err(404),
            Some(Fault::FolderServedWithoutSlash) => find(settings, &[path, b"/"].concat()),
            _ => Ok(Found::Folder),
        };
    }
    if kind.is_dir() && settings.has(Fault::FolderIsServed) {
        return Ok(Found::File(listing(&real).map_err(|_| 404_u16)?, wanted));
    }
    if !may_be_opened(settings, &kind) {
        return Err(404);
    }
    let file = File::open(&real).map_err(|_| 500_u16)?;
    if settings.understands_fields() && !is_public(settings, &real, &file) {
        return Err(403);
    }
    if settings.has(Fault::EmptyFileIsMissing) && kind.len() == 0 {
        return Err(404);
    }
    Ok(Found::File(file, wanted))
}

/// The place that a path names below the root. `None`: it would climb.
fn place(settings: &Settings, path: &[u8]) -> Option<PathBuf> {
    let path = match settings.has(Fault::CutsAtNul) {
        true => path.split(|byte| *byte == 0).next().unwrap_or(path),
        false => path,
    };
    let mut place = settings.root.clone();
    match settings.has(Fault::DoubleSlashIsAbsolute) {
        // To push an absolute path is to take it as it is.
        true => place.push(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path))),
        false => push_parts(settings, &mut place, path)?,
    }
    let index = match settings.fault {
        Some(Fault::SlashIsNoPage) => false,
        Some(Fault::IndexAtTheTopOnly) => path == b"/",
        _ => path.ends_with(b"/"),
    };
    if index {
        place.push("index.html");
    }
    Some(place)
}

/// Adds the parts of a path to a place. `None`: one of them climbs.
fn push_parts(settings: &Settings, place: &mut PathBuf, path: &[u8]) -> Option<()> {
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if settings.has(Fault::Climbs) => place.push(".."),
            b".." => return None,
            name if settings.has(Fault::DecodesBehindTheGuard) => {
                let name: Vec<u8> = percent_decode(name).collect();
                place.push(OsStr::from_bytes(&name));
            }
            name if settings.has(Fault::BackslashIsASlash) => {
                let name: Vec<u8> = name
                    .iter()
                    .map(|b| if *b == b'\\' { b'/' } else { *b })
                    .collect();
                place.push(OsStr::from_bytes(&name));
            }
            name => place.push(OsStr::from_bytes(name)),
        }
    }
    Some(())
}

/// Where a place really is, all links followed, if that is below the root.
fn resolve(settings: &Settings, place: &Path) -> Result<PathBuf, u16> {
    let real = fs::canonicalize(place).map_err(|_| 404_u16)?;
    let trusting = [
        Fault::Climbs,
        Fault::DoubleSlashIsAbsolute,
        Fault::DecodesBehindTheGuard,
        Fault::BackslashIsASlash,
        Fault::FollowsLinksOut,
    ];
    if settings.has(Fault::FollowsNoLink) && real != place {
        return Err(404);
    }
    if settings
        .fault
        .is_some_and(|fault| trusting.contains(&fault))
    {
        return Ok(real);
    }
    match real.starts_with(&settings.root) {
        true => Ok(real),
        false => Err(404),
    }
}

/// Whether it is a file. To open anything else can take for ever.
fn may_be_opened(settings: &Settings, kind: &Metadata) -> bool {
    let kind = kind.file_type();
    match settings.fault {
        Some(Fault::SocketIsAFile) => !kind.is_dir() && !kind.is_fifo(),
        _ => kind.is_file(),
    }
}

/// A listing of a folder, as a file.
fn listing(folder: &Path) -> std::io::Result<File> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend_from_slice(entry?.file_name().as_bytes());
        names.push(b'\n');
    }
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, &names)?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// Whether others may read the file that is open, and pass each folder on the way to it.
fn is_public(settings: &Settings, place: &Path, file: &File) -> bool {
    let mode = |metadata: std::io::Result<Metadata>| metadata.map_or(0, |found| found.mode());
    let readable = match settings.fault {
        Some(Fault::PrivateFileIsServed) => true,
        Some(Fault::AsksTheGroup) => mode(file.metadata()) & 0o044 != 0,
        _ => mode(file.metadata()) & 0o004 != 0,
    };
    let folders = place.ancestors().skip(1);
    let mut below = folders.take_while(|folder| folder.starts_with(&settings.root));
    let passable = below.all(|folder| match settings.fault {
        Some(Fault::PrivateFolderIsServed) => true,
        Some(Fault::AsksFoldersForReading) => mode(fs::metadata(folder)) & 0o004 != 0,
        _ => mode(fs::metadata(folder)) & 0o001 != 0,
    });
    readable && passable
}
