//! Fingerprints: whether files are still those that were graded.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use walkdir::WalkDir;

/// So much of each file counts, in bytes.
const CONTENT_LIMIT: u64 = 16 * 1024 * 1024;

/// A number that changes with the names and contents of all files in a folder (FNV-1a).
/// It finds changes; it does not keep out who wants to deceive.
pub fn of(folder: &Path) -> io::Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes.iter().chain(b"\0") {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        mix(name.as_os_str().as_encoded_bytes());
        if entry.file_type().is_file() {
            let mut content = Vec::new();
            let file = fs::File::open(entry.path())?;
            file.take(CONTENT_LIMIT).read_to_end(&mut content)?;
            mix(&content);
            mix(&entry.metadata()?.len().to_le_bytes());
        }
    }
    Ok(hash)
}
