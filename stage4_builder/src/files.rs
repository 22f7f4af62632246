//! Files: from a request path to an open file under the document root, or why not.
//!
//! A path comes from a stranger. Look at how the door is guarded twice: no part of the
//! path may climb, and where the path really leads, links followed, must be inside.
//! And now a third guard asks whether the file is meant for others at all.

use crate::permission;
use anyhow::bail;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What a path can lead to.
pub enum Found {
    /// A file that everybody may read, and the name it was asked for by.
    File(File, PathBuf),
    /// A folder whose slash was forgotten.
    Folder,
}

/// Finds the document root itself, with all links followed.
pub fn open_root(root: &Path) -> anyhow::Result<PathBuf> {
    let shown = root.display();
    match fs::canonicalize(root) {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => bail!("The root `{shown}` is not a folder. Give one with `--root`."),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("The root folder `{shown}` does not exist. Give one with `--root`.")
        }
        Err(error) => {
            bail!("Cannot open the root folder `{shown}`: {error}. Give one with `--root`.")
        }
    }
}

/// Opens the file that a request path names. `root` must come from [`open_root`].
/// The error is the status code to answer with.
pub fn open(root: &Path, path: &str) -> Result<Found, u16> {
    let wanted = locate(root, path).ok_or(404_u16)?;
    let real = fs::canonicalize(&wanted).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => 403,
        _ => 404_u16,
    })?;
    if !real.starts_with(root) {
        return Err(404);
    }
    // Only what is a file now is opened: to open a FIFO would wait for its writer.
    let metadata = fs::metadata(&real).map_err(status_for)?;
    if metadata.is_dir() && !path.ends_with('/') {
        return Ok(Found::Folder);
    }
    if !metadata.is_file() {
        return Err(404);
    }
    let file = File::open(&real).map_err(status_for)?;
    if permission::others_may_read(root, &real, &file).map_err(status_for)? {
        Ok(Found::File(file, wanted))
    } else {
        Err(403)
    }
}

/// The place that a path names, links not yet followed. `None`: it climbs.
fn locate(root: &Path, path: &str) -> Option<PathBuf> {
    let mut wanted = root.to_path_buf();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            name => wanted.push(name),
        }
    }
    if path.ends_with('/') {
        wanted.push("index.html");
    }
    Some(wanted)
}

/// The status code for a file that cannot be opened.
fn status_for(error: io::Error) -> u16 {
    match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::PermissionDenied => 403,
        // The fault is ours; perhaps we are out of descriptors.
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_cannot_be_is_told_with_the_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, reason) in [
            ("no-such-folder", "does not exist"),
            ("Cargo.toml", "is not a folder"),
            ("Cargo.toml/src", "Cannot open the root folder"),
        ] {
            let root = folder.join(name);
            let error = open_root(&root).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains(&root.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_path_stays_below_the_root() {
        let root = Path::new("/site");
        for (path, place) in [
            ("/", "/site/index.html"),
            ("/a/b.txt", "/site/a/b.txt"),
            ("//etc//passwd", "/site/etc/passwd"),
            ("/./a/", "/site/a/index.html"),
            ("/a/...", "/site/a/..."),
            ("/..\\a", "/site/..\\a"),
        ] {
            assert_eq!(
                locate(root, path).as_deref(),
                Some(Path::new(place)),
                "{path}"
            );
        }
        for path in ["/..", "/../", "/a/../../b", "/a/.."] {
            assert_eq!(locate(root, path), None, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_opened_has_its_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::PermissionDenied, 403),
            (ErrorKind::OutOfMemory, 500),
        ] {
            assert_eq!(status_for(kind.into()), status, "{kind}");
        }
    }
}
