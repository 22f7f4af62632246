//! Files: from a request path to an open file below the document root, or the reason why not.
//!
//! A path comes from a stranger. Look at how it is checked twice: no segment may be `..`, and where
//! the path really leads, with links followed, must be below the root.

use crate::response::Status;
use anyhow::{Context, ensure};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How much of a file is held in memory at a time, in bytes. Most files fit, and are sent in one
/// write together with their head.
const CHUNK_SIZE: u64 = 64 * 1024;

/// The document root without symbolic links, so that other paths can be compared with it.
pub fn canonicalize_root(root: &Path) -> anyhow::Result<PathBuf> {
    let shown = format!(
        "the root `{}`. Choose a folder with `--root`",
        root.display()
    );
    let root = fs::canonicalize(root).with_context(|| format!("Cannot open {shown}"))?;
    ensure!(root.is_dir(), "Cannot serve {shown}: It is not a folder");
    Ok(root)
}

/// Opens the file that a request path names. `root` comes from [`canonicalize_root`].
pub fn open(root: &Path, path: &[u8]) -> Result<File, Status> {
    let path = resolve(root, path).ok_or(Status::NOT_FOUND)?;
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Status::NOT_FOUND,
        // The fault is ours: we may be out of descriptors.
        _ => Status::INTERNAL_SERVER_ERROR,
    })
}

/// Where a request path really leads, with links followed; `None` if there is no file for the
/// public. Only regular files are opened: opening a FIFO would wait for its writer.
fn resolve(root: &Path, path: &[u8]) -> Option<PathBuf> {
    let mut wanted = root.to_path_buf();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => return None,
            name => wanted.push(OsStr::from_bytes(name)),
        }
    }
    if path.ends_with(b"/") {
        wanted.push("index.html");
    }
    let real = fs::canonicalize(wanted).ok()?;
    (real.starts_with(root) && real.is_file()).then_some(real)
}

/// Reads the next chunk of a file. It is empty at the end of the file.
pub fn read_chunk(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_SIZE as usize);
    file.take(CHUNK_SIZE).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_root_error_names_the_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, reason) in [
            ("no-such-folder", "No such file or directory"),
            ("Cargo.toml", "It is not a folder"),
            ("Cargo.toml/src", "Not a directory"),
        ] {
            let root = folder.join(name);
            let error = format!("{:#}", canonicalize_root(&root).unwrap_err());
            let root = format!(
                "the root `{}`. Choose a folder with `--root`: {reason}",
                root.display()
            );
            assert!(error.contains(&root), "{error}");
        }
    }

    #[test]
    fn failed_read_is_an_error() {
        // A folder can be opened, but not read like a file.
        let mut folder = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert!(read_chunk(&mut folder).is_err());
    }
}
