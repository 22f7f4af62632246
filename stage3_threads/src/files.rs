//! Files: from a request path to an open file under the document root, or why not.
//!
//! A path comes from a stranger. Look at how the door is guarded twice: no part of the
//! path may climb, and where the path really leads, links followed, must be inside.

use anyhow::bail;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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
pub fn open(root: &Path, path: &[u8]) -> Result<File, u16> {
    let file = locate(root, path).ok_or(404_u16)?;
    File::open(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => 404,
        // The fault is ours; perhaps we are out of descriptors.
        _ => 500,
    })
}

/// Finds the real path of the file, with all links followed. `None`: there is no file for
/// the public. Only what is a file now is opened: to open a FIFO would wait for its writer.
fn locate(root: &Path, path: &[u8]) -> Option<PathBuf> {
    let mut wanted = root.to_path_buf();
    for part in path.split(|byte| *byte == b'/') {
        match part {
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
}
