//! Permissions: whether others may read a file.

use crate::{Config, Fault};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bits of a mode (chmod(1)).
const GROUP_READ: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;
const OTHERS_SEARCH: u32 = 0o001;

/// Whether others may read the open file.
pub fn others_may_read(config: &Config, file: &File) -> bool {
    match config.fault {
        Some(Fault::ServesPrivateFiles) => true,
        Some(Fault::ChecksGroupPermission) => has_any(file.metadata(), GROUP_READ | OTHERS_READ),
        _ => has_any(file.metadata(), OTHERS_READ),
    }
}

/// Whether others may search each folder from the root to a path.
pub fn others_may_enter(config: &Config, path: &Path) -> bool {
    let folders = path.ancestors().skip(1);
    let mut folders = folders.take_while(|folder| folder.starts_with(&config.root));
    folders.all(|folder| match config.fault {
        Some(Fault::IgnoresFolderPermissions) => true,
        Some(Fault::ChecksFolderReadPermission) => has_any(fs::metadata(folder), OTHERS_READ),
        _ => has_any(fs::metadata(folder), OTHERS_SEARCH),
    })
}

/// Whether at least one of these bits is set.
fn has_any(metadata: io::Result<Metadata>, bits: u32) -> bool {
    metadata.is_ok_and(|metadata| metadata.mode() & bits != 0)
}
