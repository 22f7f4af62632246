//! Files: from a request path to an open file below the document root, or the reason why not.
//!
//! A path comes from a stranger. Look at how it is checked twice: no segment may be `..`, and where a
//! link really leads must be below the root. Each name is opened in the open folder before it, since a
//! link may appear after that check. Then a third check follows: whether the file is meant for others
//! at all.

use crate::permission;
use crate::response::Status;
use anyhow::{Context, ensure};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of a file is held in memory at a time, in bytes. Most files fit, and are sent in one
/// write together with their head.
const CHUNK_SIZE: u64 = 64 * 1024;

/// How a file is opened. Opening a FIFO would wait for its writer, so this doesn't block.
const FILE: OFlags = OFlags::NONBLOCK;

/// How a folder is opened: on Linux only to find names in it, which needs no permission to list them.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::PATH);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::DIRECTORY;

/// What a path can lead to.
pub enum Found {
    /// A file that everybody may read, and the name by which it was asked for.
    File { file: OpenFile, name: PathBuf },
    /// A folder whose slash is missing.
    Folder,
}

/// An open file. Some files can be opened but not read, so its first chunk has been read already.
pub struct OpenFile {
    pub first_chunk: Vec<u8>,
    pub rest: File,
    /// Its length in bytes, with the first chunk; `None` if that is unknown.
    pub length: Option<u64>,
}

/// The document root. Once it is open, its path has no symbolic links, so that other paths can be
/// compared with it, and its descriptor leads to the same folder even after somebody renames that.
#[derive(Clone)]
pub struct Root {
    pub path: PathBuf,
    folder: Option<Arc<OwnedFd>>,
}

impl From<OsString> for Root {
    fn from(path: OsString) -> Self {
        let path = path.into();
        Root { path, folder: None }
    }
}

/// Opens the document root.
pub fn open_root(root: &Path) -> anyhow::Result<Root> {
    let shown = format!(
        "the root `{}`. Choose a folder with `--root`",
        root.display()
    );
    let path = fs::canonicalize(root).with_context(|| format!("Cannot open {shown}"))?;
    ensure!(path.is_dir(), "Cannot serve {shown}: It is not a folder");
    let folder = rustix::fs::open(&path, FOLDER | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("Cannot open {shown}"))?;
    let folder = Some(Arc::new(folder));
    Ok(Root { path, folder })
}

/// Opens the file that a request path names.
pub fn open(root: &Root, path: &str) -> Result<Found, Status> {
    let name = resolve(path).ok_or(Status::NOT_FOUND)?;
    let file = match walk(root, &name) {
        // There may be a link on the way.
        Err(Errno::LOOP | Errno::NOTDIR) => walk(root, &follow(root, &name)?),
        opened => opened,
    };
    let file = file.map_err(status_for)?;
    let stat = fstat(&file).map_err(status_for)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if !path.ends_with('/') => Ok(Found::Folder),
        FileType::RegularFile if !permission::others_may_read(&stat) => Err(Status::FORBIDDEN),
        FileType::RegularFile => {
            let file = begin(file.into(), stat.st_size as u64);
            let file = file.map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
            Ok(Found::File { file, name })
        }
        _ => Err(Status::NOT_FOUND),
    }
}

/// The place that a path names, with links not yet followed; `None` if it leaves the root.
fn resolve(path: &str) -> Option<PathBuf> {
    let mut wanted = PathBuf::new();
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

/// Opens a place below the root, unless there is a link on the way.
fn walk(root: &Root, place: &Path) -> Result<OwnedFd, Errno> {
    let mut folder = root.folder.clone().ok_or(Errno::IO)?;
    for name in place.parent().into_iter().flatten() {
        folder = Arc::new(open_at(&folder, name, FOLDER)?);
    }
    let name = place.file_name().unwrap_or(OsStr::new("."));
    open_at(&folder, name, FILE)
}

/// Opens a name in a folder, unless it is a link. In a folder that others may not pass, they must not
/// learn which names exist.
fn open_at(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    if !permission::others_may_pass(&fstat(folder)?) {
        return Err(Errno::ACCESS);
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// The same place without links, as far as it exists.
fn follow(root: &Root, place: &Path) -> Result<PathBuf, Status> {
    let place = root.path.join(place);
    let mut starts = place.ancestors();
    let real = starts.find_map(|start| match fs::canonicalize(start) {
        Ok(real) => Some(Ok(real.join(place.strip_prefix(start).ok()?))),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(Err(Status::FORBIDDEN)),
        Err(_) => None,
    });
    let real = real.ok_or(Status::NOT_FOUND)??;
    let below = real.strip_prefix(&root.path);
    below.map(Path::to_path_buf).map_err(|_| Status::NOT_FOUND)
}

/// The status for a file that can't be opened.
fn status_for(error: Errno) -> Status {
    match error {
        Errno::ACCESS | Errno::PERM => Status::FORBIDDEN,
        // The fault is ours: we may be out of descriptors.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO => Status::INTERNAL_SERVER_ERROR,
        // It is missing, or something else, such as a socket.
        _ => Status::NOT_FOUND,
    }
}

/// Reads the first chunk of a file that claims to have this size. Some, as in /proc, are longer.
fn begin(mut rest: File, size: u64) -> io::Result<OpenFile> {
    // In most cases, one read gets everything, since the size is right and less than this.
    let most = size.saturating_add(1).clamp(4096, CHUNK_SIZE);
    let mut first_chunk = vec![0; most as usize];
    let read = rest.read(&mut first_chunk)?;
    first_chunk.truncate(read);
    if read as u64 != size {
        let mut more = rest.by_ref().take(CHUNK_SIZE - read as u64);
        more.read_to_end(&mut first_chunk)?;
    }
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
    use rustix::fs::chmod;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use tempfile::TempDir;

    #[test]
    fn invalid_root_error_names_the_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, reason) in [
            ("no-such-folder", "No such file or directory"),
            ("Cargo.toml", "It is not a folder"),
            ("Cargo.toml/src", "Not a directory"),
        ] {
            let root = folder.join(name);
            let error = format!("{:#}", open_root(&root).err().unwrap());
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
        for (path, place) in [
            ("/", "index.html"),
            ("/a/b.txt", "a/b.txt"),
            ("//etc//passwd", "etc/passwd"),
            ("/./a/", "a/index.html"),
            ("/a/...", "a/..."),
            ("/..\\a", "..\\a"),
        ] {
            assert_eq!(resolve(path).as_deref(), Some(Path::new(place)), "{path}");
        }
        for path in ["/..", "/../", "/a/../../b", "/a/.."] {
            assert_eq!(resolve(path), None, "{path}");
        }
    }

    #[test]
    fn failed_open_has_its_status() {
        for (error, status) in [
            (Errno::NOENT, Status::NOT_FOUND),
            (Errno::LOOP, Status::NOT_FOUND),
            (Errno::ACCESS, Status::FORBIDDEN),
            (Errno::MFILE, Status::INTERNAL_SERVER_ERROR),
        ] {
            assert_eq!(status_for(error), status, "{error}");
        }
    }

    #[test]
    fn length_is_known_unless_the_file_is_longer_than_it_says() {
        let length = |content: usize, size: usize| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&vec![b'a'; content]).unwrap();
            let file = begin(file.reopen().unwrap(), size as u64).unwrap();
            assert!(file.first_chunk.len() as u64 <= CHUNK_SIZE);
            file.length
        };
        let chunk = CHUNK_SIZE as usize;
        assert_eq!(length(5, 5), Some(5));
        assert_eq!(length(5, 0), Some(5));
        assert_eq!(length(5, 4096), Some(5));
        assert_eq!(length(5_000, 5), Some(5_000));
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
        let made = Command::new("mkfifo").arg(path("fifo")).status();
        assert!(made.unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let root = open_root(folder.path()).unwrap();
        chmod(folder.path(), Mode::from_raw_mode(0o755)).unwrap();
        for name in ["fifo", "socket", "missing"] {
            assert_eq!(status(&root, name), 404, "{name}");
        }
    }

    /// The status for a path: 200 for a file, and 301 for a folder.
    fn status(root: &Root, path: &str) -> u16 {
        match open(root, path) {
            Ok(Found::File { .. }) => 200,
            Ok(Found::Folder) => 301,
            Err(status) => status.code,
        }
    }

    /// A root with the page `outer/inner/page`, and these modes of the root and the two folders.
    fn site(modes: [u32; 3]) -> (TempDir, Root) {
        let site = tempfile::tempdir().unwrap();
        let folders = ["", "outer", "outer/inner"].map(|name| site.path().join(name));
        let page = folders[2].join("page");
        fs::create_dir_all(&folders[2]).unwrap();
        fs::write(&page, "text").unwrap();
        chmod(&page, Mode::from_raw_mode(0o644)).unwrap();
        for (folder, mode) in folders.iter().zip(modes).rev() {
            chmod(folder, Mode::from_raw_mode(mode)).unwrap();
        }
        let root = open_root(site.path()).unwrap();
        (site, root)
    }

    #[test]
    fn others_must_be_able_to_pass_every_folder() {
        for (modes, page, missing) in [
            ([0o755, 0o755, 0o755], 200, 404),
            ([0o711, 0o701, 0o711], 200, 404),
            ([0o750, 0o755, 0o755], 403, 403),
            ([0o755, 0o754, 0o755], 403, 403),
            ([0o755, 0o755, 0o750], 403, 403),
            // The server itself may not pass this one, unless it is root.
            ([0o755, 0o755, 0o600], 403, 403),
        ] {
            let (_site, root) = site(modes);
            symlink("outer/inner/page", root.path.join("link")).unwrap();
            assert_eq!(status(&root, "/link"), page, "{modes:?}");
            assert_eq!(status(&root, "/outer/inner/page"), page, "{modes:?}");
            assert_eq!(status(&root, "/outer/inner/none"), missing, "{modes:?}");
            chmod(root.path.join("outer/inner"), Mode::RWXU).unwrap();
        }
    }

    #[test]
    fn links_are_followed_below_the_root() {
        let (_site, root) = site([0o755; 3]);
        for (name, target, expected) in [
            ("page", "outer/inner/page", 200),
            ("outer/up", "../page", 200),
            (
                "absolute",
                root.path.join("outer/up").to_str().unwrap(),
                200,
            ),
            ("folder", "outer/inner", 301),
            ("folder/next", "../../folder/page", 200),
            ("self", ".", 301),
            ("dangling", "missing", 404),
            ("loop", "loop", 404),
            ("outside", "/", 404),
        ] {
            symlink(target, root.path.join(name)).unwrap();
            assert_eq!(status(&root, name), expected, "{name}");
        }
        assert_eq!(status(&root, "/outside/etc/passwd"), 404);
    }

    #[test]
    fn renamed_root_is_still_the_root() {
        let (site, _) = site([0o755; 3]);
        let root = open_root(&site.path().join("outer")).unwrap();
        fs::rename(&root.path, site.path().join("elsewhere")).unwrap();
        assert_eq!(status(&root, "/inner/page"), 200);
    }
}
