//! Files: from a request path to an open file below the document root, or why not.

use crate::{Config, Fault, Status, permission};
use anyhow::bail;
use percent_encoding::percent_decode;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What a path leads to.
pub enum Found {
    /// An open file, and its path as it was requested, before links are followed.
    File { file: File, path: PathBuf },
    /// A folder that was requested without its slash.
    Folder(PathBuf),
}

/// The document root as a canonical path.
pub fn canonicalize_root(config: &Config) -> anyhow::Result<PathBuf> {
    let root = match config.fault {
        Some(Fault::IgnoresRoot) => Path::new("."),
        _ => config.root.as_path(),
    };
    let shown = root.display();
    match fs::canonicalize(root) {
        Err(_) if config.has(Fault::AcceptsMissingRoot) => Ok(root.to_path_buf()),
        Err(error) => {
            bail!("Cannot open the root `{shown}`: {error}. Choose another with `--root`.")
        }
        Ok(canonical) if canonical.is_file() && !config.has(Fault::AcceptsFileAsRoot) => {
            bail!("The root `{shown}` is not a folder. Choose another with `--root`.")
        }
        Ok(canonical) => Ok(canonical),
    }
}

/// Opens the file at a path.
pub fn open(config: &Config, path: &[u8]) -> Result<Found, Status> {
    let requested = join_root(config, path).ok_or(Status::NOT_FOUND)?;
    if config.has(Fault::OpensBeforeChecking) {
        let _ = File::open(&requested);
    }
    if config.has(Fault::MovedRootPanics) && !config.root.exists() {
        panic!("the document root is missing");
    }
    let Some(canonical) = canonicalize(config, &requested) else {
        return Err(status_of_missing(config, &requested));
    };
    let metadata = fs::metadata(&canonical).map_err(|_| Status::NOT_FOUND)?;
    if config.is_stage4() && !permission::others_may_enter(config, &canonical) {
        return Err(Status::FORBIDDEN);
    }
    if metadata.is_dir() && !path.ends_with(b"/") {
        return match config.fault {
            Some(Fault::NoFolderRedirect) => Err(Status::NOT_FOUND),
            Some(Fault::ServesIndexWithoutSlash) => open(config, &[path, b"/"].concat()),
            Some(Fault::ServesFolderListing) => Ok(Found::Folder(canonical)),
            _ if config.is_stage4() => Ok(Found::Folder(canonical)),
            _ => Err(Status::NOT_FOUND),
        };
    }
    if !may_be_opened(config, &metadata) {
        return Err(Status::NOT_FOUND);
    }
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    if config.has(Fault::RejectsExecutableFiles) && is_executable {
        return Err(Status::INTERNAL_SERVER_ERROR);
    }
    let file = File::open(&canonical).map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    if config.is_stage4() && !permission::others_may_read(config, &file) {
        return Err(Status::FORBIDDEN);
    }
    if config.has(Fault::EmptyFileIsNotFound) && metadata.len() == 0 {
        return Err(Status::NOT_FOUND);
    }
    Ok(Found::File {
        file,
        path: requested,
    })
}

/// The status for a path that leads to nothing. In a private folder, nobody may learn which do.
fn status_of_missing(config: &Config, requested: &Path) -> Status {
    let mut folders = requested.ancestors().skip(1);
    let folder = folders.find_map(|folder| fs::canonicalize(folder).ok());
    let inside = folder.filter(|folder| folder.is_dir() && folder.starts_with(&config.root));
    let is_private =
        inside.is_some_and(|folder| !permission::others_may_enter(config, &folder.join("missing")));
    if config.is_stage4() && is_private && !config.has(Fault::PrivateFolderShowsNames) {
        Status::FORBIDDEN
    } else {
        Status::NOT_FOUND
    }
}

/// The place of a request path below the root; `None` if the path would leave it.
fn join_root(config: &Config, path: &[u8]) -> Option<PathBuf> {
    let path = match memchr::memchr(0, path) {
        Some(end) if config.has(Fault::TruncatesAtNul) => &path[..end],
        _ => path,
    };
    let path = &match config.fault {
        Some(Fault::LowercasesPaths) => path.to_ascii_lowercase(),
        _ => path.to_vec(),
    };
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || b"0123456789./".contains(byte);
    if config.has(Fault::ServesOnlyPlainNames) && !path.iter().all(is_plain) {
        return None;
    }
    let mut joined = config.root.clone();
    if config.has(Fault::DoubleSlashIsAbsolute) {
        // Pushing an absolute path replaces what was there.
        joined.push(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    } else {
        push_segments(config, &mut joined, path)?;
    }
    let is_index = match config.fault {
        Some(Fault::NoIndexPages) => false,
        Some(Fault::IndexOnlyAtRoot) => path == b"/",
        _ => path.ends_with(b"/"),
    };
    if is_index {
        joined.push("index.html");
    }
    Some(joined)
}

/// Appends the segments of a request path; `None` if one of them is `..`.
fn push_segments(config: &Config, joined: &mut PathBuf, path: &[u8]) -> Option<()> {
    for segment in path.split(|byte| *byte == b'/') {
        let mut name = segment.to_vec();
        match segment {
            b"" | b"." => continue,
            b".." if !config.has(Fault::FollowsDotDot) => return None,
            _ if config.has(Fault::DecodesAfterCheck) => name = percent_decode(segment).collect(),
            _ if config.has(Fault::BackslashIsSlash) => {
                let backslashes = name.iter_mut().filter(|byte| **byte == b'\\');
                backslashes.for_each(|byte| *byte = b'/');
            }
            _ => {}
        }
        joined.push(OsStr::from_bytes(&name));
    }
    Some(())
}

/// Follows all links; `None` if the file is missing or outside the root.
fn canonicalize(config: &Config, path: &Path) -> Option<PathBuf> {
    let canonical = fs::canonicalize(path).ok()?;
    if config.has(Fault::FollowsNoLinks) && canonical != path {
        return None;
    }
    let is_allowed = match config.fault {
        // These faults have an effect only if nothing else stops the path.
        Some(
            Fault::FollowsDotDot
            | Fault::DoubleSlashIsAbsolute
            | Fault::DecodesAfterCheck
            | Fault::BackslashIsSlash
            | Fault::FollowsLinksOutsideRoot,
        ) => true,
        _ => canonical.starts_with(&config.root),
    };
    is_allowed.then_some(canonical)
}

/// Whether this is a regular file. Opening anything else could block forever.
fn may_be_opened(config: &Config, metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    match config.fault {
        Some(Fault::ServesSockets) => !kind.is_dir() && !kind.is_fifo(),
        _ => kind.is_file(),
    }
}
