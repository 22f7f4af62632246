//! Permissions: may everybody read this file?
//!
//! The server may read more than its clients should see. So it looks at what the owner of a file
//! allows to *others*. Look at what is asked: an open folder and an open file, not their names, since
//! a name may lead to something else a moment later.

use rustix::fs::{Mode, Stat};

/// Whether others may pass the folder to what is in it: `o+x` in its mode (chmod(1)).
pub fn others_may_pass(folder: &Stat) -> bool {
    Mode::from_raw_mode(folder.st_mode).contains(Mode::XOTH)
}

/// Whether others may read the file: `o+r`.
pub fn others_may_read(file: &Stat) -> bool {
    Mode::from_raw_mode(file.st_mode).contains(Mode::ROTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{chmod, stat};

    #[test]
    fn only_others_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, may_read, may_pass) in [
            (0o644, true, false),
            (0o711, false, true),
            (0o705, true, true),
            (0o770, false, false),
        ] {
            chmod(file.path(), Mode::from_raw_mode(mode)).unwrap();
            let stat = stat(file.path()).unwrap();
            assert_eq!(others_may_read(&stat), may_read, "{mode:o}");
            assert_eq!(others_may_pass(&stat), may_pass, "{mode:o}");
        }
    }
}
