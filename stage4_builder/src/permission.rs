//! Permissions: may everybody read this file?
//!
//! The server may read more than its clients should see: it asks what the owner of a file
//! allows to *others*. Look at what is asked: the file that is open, not its name, since a
//! name can lead to another file a moment later.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `o+r` and `o+x` in the mode of a file (chmod(1)).
const OTHERS_READ: u32 = 0o004;
const OTHERS_SEARCH: u32 = 0o001;

/// Whether others may read the open file and pass every folder from the root to it.
/// `path` is where it was opened, below `root`, without links.
pub fn others_may_read(root: &Path, path: &Path, file: &File) -> io::Result<bool> {
    let opened = file.metadata()?;
    let mut open_to_all = opened.mode() & OTHERS_READ != 0;
    for folder in path
        .ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
    {
        open_to_all &= fs::metadata(folder)?.mode() & OTHERS_SEARCH != 0;
    }
    // The folders were asked by name: that counts only if the name still leads to our file.
    Ok(open_to_all && same_file(&opened, &fs::symlink_metadata(path)?))
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// Makes `folder/file.txt` with these modes and asks for it.
    fn allowed(folder_mode: u32, file_mode: u32) -> bool {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = root.path().join("folder");
        let path = folder.join("file.txt");
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(folder_mode)).unwrap();
        let answer = others_may_read(root.path(), &path, &file).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        answer
    }

    #[test]
    fn others_need_to_read_the_file_and_to_pass_its_folder() {
        assert!(allowed(0o755, 0o644));
        assert!(allowed(0o711, 0o604));
        assert!(!allowed(0o755, 0o640));
        assert!(!allowed(0o755, 0o660));
        assert!(!allowed(0o754, 0o644));
        assert!(!allowed(0o750, 0o644));
    }

    #[test]
    fn the_root_counts_as_a_folder_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file.txt");
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o750)).unwrap();
        let file = File::open(&path).unwrap();
        assert!(!others_may_read(root.path(), &path, &file).unwrap());
    }

    #[test]
    fn a_name_that_leads_elsewhere_by_now_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let path = root.path().join("file.txt");
        fs::write(&path, "private").unwrap();
        let file = File::open(&path).unwrap();
        fs::rename(&path, root.path().join("other.txt")).unwrap();
        fs::write(&path, "public").unwrap();
        for name in [&path, &root.path().join("other.txt")] {
            fs::set_permissions(name, Permissions::from_mode(0o644)).unwrap();
        }
        assert!(!others_may_read(root.path(), &path, &file).unwrap());
    }
}
