//! Files that other programs read, written as a whole or not at all, and copies of folders.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use walkdir::{DirEntry, WalkDir};

/// Writes a file atomically: nobody ever reads half of it.
pub fn write_atomically(path: &Path, content: impl AsRef<[u8]>) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".lab-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder(path))?;
        file.write_all(content.as_ref())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| format!("Cannot write {}: {error}", path.display()))
}

/// Fails if no file can be written to that path. It is for work that takes long, whose result
/// must not be lost at the end.
pub fn ensure_writable(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        let shown = path.display();
        return Err(format!("`--output {shown}` is a folder. Name a file."));
    }
    let folder = folder(path);
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|error| format!("Cannot write to {}: {error}", folder.display()))
}

/// Copies a folder with everything in it, except hidden files.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let entries = WalkDir::new(from).into_iter();
    for entry in entries.filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry?;
        let copy = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(copy)?;
        } else {
            fs::copy(entry.path(), copy)?;
        }
    }
    Ok(())
}

/// Whether an entry of a folder is hidden. The folder itself isn't.
pub fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
