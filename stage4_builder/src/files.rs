//! Files: from a request path to an open file below the document root, or the reason why not.
//!
//! A path comes from a stranger. Look at how it is checked twice: no segment may be `..`, and where a
//! link really leads must be below the root. Each name is opened in the open folder before it, since a
//! link may appear after that check. Then a third check follows: whether the file is meant for others
//! at all.

use crate::permission;
use crate::response::Status;
use anyhow::{Context, ensure};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of a file is held in memory at a time, in bytes. Most files fit, and are sent in one
/// write together with their head.
const CHUNK_SIZE: u64 = 64 * 1024;

/// How many links one path may have.
const MAX_LINKS: usize = 40;

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

/// An open file. Some files can be opened but not read: so its first chunk has been read already.
pub struct OpenFile {
    pub first_chunk: Vec<u8>,
    pub rest: File,
    /// Its length in bytes, with the first chunk; `None` if that is unknown.
    pub length: Option<u64>,
}

/// The document root. Its descriptor leads to the same folder even after somebody renames that.
#[derive(Clone)]
pub struct Root {
    /// Once it is open, without symbolic links, so that other paths can be compared with it.
    pub path: PathBuf,
    folder: Option<Arc<OwnedFd>>,
}

impl From<OsString> for Root {
    /// A root that isn't open yet.
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
    let folder = rustix::fs::open(&path, FOLDER | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.with_context(|| format!("Cannot open {shown}"))?;
    Ok(Root {
        path,
        folder: Some(Arc::new(folder)),
    })
}

/// Opens the file that a request path names.
pub fn open(root: &Root, path: &str) -> Result<Found, Status> {
    let name = resolve(path).ok_or(Status::NOT_FOUND)?;
    let Some(file) = walk(root, &name)? else {
        return Ok(Found::Folder);
    };
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

/// The place below the root that a path names, with links not yet followed; `None` if it leaves the
/// root.
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

/// Opens a place below the root; `None` is the root itself. Others must not learn which names exist in
/// a folder that they may not pass, so each folder is checked before the next name is looked up.
fn walk(root: &Root, place: &Path) -> Result<Option<OwnedFd>, Status> {
    let mut opened: Option<OwnedFd> = None;
    let mut passed = PathBuf::new();
    let mut names: Vec<OsString> = place.iter().rev().map(OsString::from).collect();
    let mut links = 0;
    while let Some(name) = names.pop() {
        let folder = opened.as_ref().or(root.folder.as_deref());
        let folder = folder.ok_or(Status::INTERNAL_SERVER_ERROR)?;
        if !permission::others_may_pass(&fstat(folder).map_err(status_for)?) {
            return Err(Status::FORBIDDEN);
        }
        passed.push(&name);
        opened = open_at(folder, &name, if names.is_empty() { FILE } else { FOLDER })?;
        if opened.is_none() {
            // A link: this starts again from the root, with the place to which it leads.
            links += 1;
            if links > MAX_LINKS {
                return Err(Status::NOT_FOUND);
            }
            let target = follow(root, &passed)?;
            names.extend(target.iter().rev().map(OsString::from));
            passed.clear();
        }
    }
    Ok(opened)
}

/// The place below the root to which a link leads.
fn follow(root: &Root, link: &Path) -> Result<PathBuf, Status> {
    let real = fs::canonicalize(root.path.join(link))
        .map_err(|error| Errno::from_io_error(&error).map_or(Status::NOT_FOUND, status_for))?;
    let below = real.strip_prefix(&root.path);
    below.map(Path::to_path_buf).map_err(|_| Status::NOT_FOUND)
}

/// Opens a name in a folder; `None` if it is a link.
fn open_at(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<Option<OwnedFd>, Status> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty());
    opened.map(Some).or_else(|error| {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Symlink) => Ok(None),
            // A socket can't be opened at all.
            Ok(kind) if !kind.is_file() && !kind.is_dir() => Err(Status::NOT_FOUND),
            _ => Err(status_for(error)),
        }
    })
}

/// The status for a file that can't be opened.
fn status_for(error: Errno) -> Status {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => Status::NOT_FOUND,
        Errno::ACCESS | Errno::PERM => Status::FORBIDDEN,
        // The fault is ours: we may be out of descriptors.
        _ => Status::INTERNAL_SERVER_ERROR,
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
        let left = CHUNK_SIZE - read as u64;
        rest.by_ref().take(left).read_to_end(&mut first_chunk)?;
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
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
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
            begin(file.reopen().unwrap(), size as u64).unwrap().length
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
        let status = Command::new("mkfifo").arg(path("fifo")).status();
        assert!(status.unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let folder = File::open(folder.path()).unwrap().into();
        let open = |name: &str| open_at(&folder, OsStr::new(name), FILE);
        let fifo = File::from(open("fifo").unwrap().unwrap());
        assert!(!fifo.metadata().unwrap().is_file());
        assert_eq!(open("socket").err(), Some(Status::NOT_FOUND));
        assert_eq!(open("missing").err(), Some(Status::NOT_FOUND));
    }

    /// The status for a path: 200 for a file, and 301 for a folder.
    fn status(root: &Root, path: &str) -> u16 {
        match open(root, path) {
            Ok(Found::File { .. }) => 200,
            Ok(Found::Folder) => 301,
            Err(status) => status.code,
        }
    }

    /// A root with the file `outer/inner/page`. Its permissions don't depend on the umask.
    fn site() -> TempDir {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir_all(site.path().join("outer/inner")).unwrap();
        fs::write(site.path().join("outer/inner/page"), "text").unwrap();
        for (name, mode) in [
            ("outer/inner/page", 0o644),
            ("outer/inner", 0o755),
            ("outer", 0o755),
            ("", 0o755),
        ] {
            set_mode(&site, name, mode);
        }
        site
    }

    fn set_mode(site: &TempDir, name: &str, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(site.path().join(name), permissions).unwrap();
    }

    #[test]
    fn others_must_be_able_to_pass_every_folder() {
        for (folder, mode, expected) in [
            ("", 0o711, [200, 404]),
            ("outer", 0o701, [200, 404]),
            ("outer/inner", 0o711, [200, 404]),
            ("", 0o750, [403, 403]),
            ("outer", 0o754, [403, 403]),
            ("outer/inner", 0o750, [403, 403]),
        ] {
            let site = site();
            let root = open_root(site.path()).unwrap();
            set_mode(&site, folder, mode);
            let seen =
                ["page", "missing"].map(|name| status(&root, &format!("/outer/inner/{name}")));
            assert_eq!(seen, expected, "{folder} {mode:o}");
        }
    }

    #[test]
    fn links_are_followed_below_the_root() {
        let site = site();
        let path = site.path().canonicalize().unwrap();
        let root = open_root(&path).unwrap();
        for (name, target, expected) in [
            ("file", "outer/inner/page", 200),
            ("outer/up", "../file", 200),
            ("absolute", path.join("outer/up").to_str().unwrap(), 200),
            ("folder", "outer/inner", 301),
            ("folder/next", "../../folder/page", 200),
            ("self", ".", 301),
            ("dangling", "missing", 404),
            ("loop", "loop", 404),
            ("outside", "/", 404),
            ("parent", "..", 404),
        ] {
            symlink(target, path.join(name)).unwrap();
            assert_eq!(status(&root, &format!("/{name}")), expected, "{name}");
        }
        assert_eq!(status(&root, "/folder/page"), 200);
        assert_eq!(status(&root, "/outside/etc/passwd"), 404);
        let through = |links| {
            status(
                &root,
                &format!("/{}outer/inner/page", "self/".repeat(links)),
            )
        };
        assert_eq!(through(MAX_LINKS), 200);
        assert_eq!(through(MAX_LINKS + 1), 404);
    }

    #[test]
    fn file_is_no_folder() {
        let site = site();
        let root = open_root(site.path()).unwrap();
        assert_eq!(status(&root, "/outer/inner"), 301);
        assert_eq!(status(&root, "/outer/inner/page/"), 404);
        assert_eq!(status(&root, &format!("/{}", "a".repeat(1_000))), 404);
    }

    #[test]
    fn renamed_root_is_still_the_root() {
        let site = site();
        let root = open_root(&site.path().join("outer")).unwrap();
        fs::rename(site.path().join("outer"), site.path().join("elsewhere")).unwrap();
        assert_eq!(status(&root, "/inner/page"), 200);
    }
}
