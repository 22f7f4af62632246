//! Files: from a request path to an open file below the document root, or the reason why not.
//!
//! A path comes from a stranger. Look at how it is checked twice: no segment may be `..`, and where
//! the path really leads, with links followed, must be below the root. It is opened below the root's
//! descriptor, since a link may appear after that check. Then a third check follows: whether the file
//! is meant for others at all.

use crate::permission;
use crate::response::Status;
use anyhow::{Context, ensure};
use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::fs::{Dir, OpenOptions};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// How much of a file is held in memory at a time, in bytes. Most files fit, and are sent in one
/// write together with their head.
const CHUNK_SIZE: u64 = 64 * 1024;

/// What a path can lead to.
pub enum Found {
    /// A file that everybody may read, and the name by which it was asked for.
    File { file: OpenFile, name: PathBuf },
    /// A folder whose slash is missing.
    Folder,
}

/// An open file. Some files can be opened but not read: so its first chunk has been read already.
pub struct OpenFile {
    pub first_chunk: Vec<u8>,
    pub rest: File,
    /// Its length in bytes, with the first chunk; `None` if that is unknown.
    pub length: Option<u64>,
}

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
pub fn open(root: &Path, path: &str) -> Result<Found, Status> {
    let name = resolve(root, path).ok_or(Status::NOT_FOUND)?;
    let real = fs::canonicalize(&name).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Status::FORBIDDEN,
        _ => status_of_missing(root, &name),
    })?;
    let below = real.strip_prefix(root).map_err(|_| Status::NOT_FOUND)?;
    let (Some(folder), Some(last)) = (below.parent(), below.file_name()) else {
        return Ok(Found::Folder);
    };
    let folder = permission::enter(root, folder).map_err(status_for)?;
    let folder = folder.ok_or(Status::FORBIDDEN)?;
    let file = open_at(&folder, last)?;
    let metadata = file.metadata().map_err(status_for)?;
    if metadata.is_dir() && !path.ends_with('/') {
        return Ok(Found::Folder);
    }
    if !metadata.is_file() {
        return Err(Status::NOT_FOUND);
    }
    if !permission::others_may_read(&metadata) {
        return Err(Status::FORBIDDEN);
    }
    let file = begin(file.into_std(), metadata.len()).map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    Ok(Found::File { file, name })
}

/// The place that a path names, with links not yet followed; `None` if it leaves the root.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let mut wanted = root.to_path_buf();
    for segment in path.split('/') {
        match segment {
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

/// The status for a name that doesn't exist. In a folder that others may not pass, they must not
/// learn which names exist.
fn status_of_missing(root: &Path, name: &Path) -> Status {
    let mut folders = name.ancestors().skip(1);
    let folder = folders.find_map(|folder| fs::canonicalize(folder).ok());
    let below = folder
        .as_deref()
        .and_then(|folder| folder.strip_prefix(root).ok());
    match below.map(|folder| permission::enter(root, folder)) {
        Some(Ok(None)) => Status::FORBIDDEN,
        _ => Status::NOT_FOUND,
    }
}

/// Opens a name in a folder. Opening a FIFO would wait for its writer, so this doesn't block.
fn open_at(folder: &Dir, name: &OsStr) -> Result<cap_std::fs::File, Status> {
    let mut options = OpenOptions::new();
    folder
        .open_with(name, options.read(true).nonblock(true))
        .map_err(|error| {
            // A socket can't be opened at all.
            match folder.metadata(name) {
                Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Status::NOT_FOUND,
                _ => status_for(error),
            }
        })
}

/// The status for a file that can't be opened.
fn status_for(error: io::Error) -> Status {
    match error.kind() {
        ErrorKind::NotFound => Status::NOT_FOUND,
        ErrorKind::PermissionDenied => Status::FORBIDDEN,
        // The fault is ours: we may be out of descriptors.
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

/// Reads the first chunk of a file that claims to have this size. Some, as in /proc, are longer.
fn begin(mut rest: File, size: u64) -> io::Result<OpenFile> {
    let first_chunk = read_chunk(&mut rest)?;
    let length = match first_chunk.len() as u64 {
        // That was all of it.
        read if read < CHUNK_SIZE => Some(read),
        read if read <= size => Some(size),
        _ => None,
    };
    Ok(OpenFile {
        first_chunk,
        rest,
        length,
    })
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
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

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

    #[test]
    fn path_stays_below_the_root() {
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
                resolve(root, path).as_deref(),
                Some(Path::new(place)),
                "{path}"
            );
        }
        for path in ["/..", "/../", "/a/../../b", "/a/.."] {
            assert_eq!(resolve(root, path), None, "{path}");
        }
    }

    #[test]
    fn failed_open_has_its_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, Status::NOT_FOUND),
            (ErrorKind::PermissionDenied, Status::FORBIDDEN),
            (ErrorKind::OutOfMemory, Status::INTERNAL_SERVER_ERROR),
        ] {
            assert_eq!(status_for(kind.into()), status, "{kind}");
        }
    }

    #[test]
    fn length_is_known_unless_the_file_is_longer_than_it_says() {
        let length = |content: usize, size: usize| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&vec![b'a'; content]).unwrap();
            begin(file.reopen().unwrap(), size as u64).unwrap().length
        };
        let chunk = CHUNK_SIZE as usize;
        assert_eq!(length(5, 5), Some(5));
        assert_eq!(length(5, 0), Some(5));
        assert_eq!(length(5, 4096), Some(5));
        assert_eq!(length(chunk, chunk), Some(CHUNK_SIZE));
        assert_eq!(length(chunk + 1, chunk + 1), Some(CHUNK_SIZE + 1));
        assert_eq!(length(chunk + 1, 0), None);
        assert_eq!(length(chunk + 1, 4096), None);
    }

    #[test]
    fn opening_never_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Nobody writes to the FIFO, and nobody may open a socket.
        let status = Command::new("mkfifo").arg(path("fifo")).status();
        assert!(status.unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let folder = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let open = |name: &str| open_at(&folder, OsStr::new(name));
        assert!(!open("fifo").unwrap().metadata().unwrap().is_file());
        assert_eq!(open("socket").err(), Some(Status::NOT_FOUND));
        assert_eq!(open("missing").err(), Some(Status::NOT_FOUND));
    }
}
