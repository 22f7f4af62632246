//! Permissions: may everybody read this file?
//!
//! The server may read more than its clients should see. So it looks at what the owner of a file
//! allows to *others*. Look at what is asked: an open folder and an open file, not their names, since
//! a name may lead to something else a moment later.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt};
use std::io;
use std::path::Path;

/// `o+r` and `o+x` in the mode of a file (chmod(1)).
const OTHERS_READ: u32 = 0o004;
const OTHERS_SEARCH: u32 = 0o001;

/// Opens a folder below the root; `None` if others may not pass it or a folder on the way.
pub fn enter(root: &Path, folder: &Path) -> io::Result<Option<Dir>> {
    let mut dir = Dir::open_ambient_dir(root, ambient_authority())?;
    for name in folder {
        if !others_may_pass(&dir)? {
            return Ok(None);
        }
        dir = dir.open_dir(name)?;
    }
    Ok(others_may_pass(&dir)?.then_some(dir))
}

fn others_may_pass(dir: &Dir) -> io::Result<bool> {
    Ok(dir.dir_metadata()?.mode() & OTHERS_SEARCH != 0)
}

/// Whether others may read the file.
pub fn others_may_read(file: &Metadata) -> bool {
    file.mode() & OTHERS_READ != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// Whether others may pass `outer/inner`, with these modes of the root and the two folders.
    fn may_pass(modes: [u32; 3]) -> bool {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let folders = [root.path(), &root.path().join("outer"), &inner];
        for (folder, mode) in folders.iter().zip(modes).rev() {
            fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        }
        let dir = enter(root.path(), Path::new("outer/inner")).unwrap();
        dir.is_some()
    }

    #[test]
    fn others_must_be_able_to_pass_every_folder() {
        assert!(may_pass([0o755, 0o755, 0o755]));
        assert!(may_pass([0o711, 0o701, 0o711]));
        assert!(!may_pass([0o750, 0o755, 0o755]));
        assert!(!may_pass([0o755, 0o754, 0o755]));
        assert!(!may_pass([0o755, 0o755, 0o750]));
    }

    #[test]
    fn others_must_be_able_to_read_the_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        let path = root.path().join("file");
        fs::write(&path, "text").unwrap();
        for (mode, expected) in [(0o644, true), (0o604, true), (0o640, false), (0o660, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let file = dir.metadata("file").unwrap();
            assert_eq!(others_may_read(&file), expected, "{mode:o}");
        }
    }

    #[test]
    fn link_out_of_the_root_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
        assert!(enter(root.path(), Path::new("link")).is_err());
    }
}
