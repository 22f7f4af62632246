//! Archives, unpacked within bounds. What they contain is a stranger's: a path may lead elsewhere, and
//! a few bytes may become gigabytes.

use flate2::read::GzDecoder;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use zip::ZipArchive;

/// The endings of the names of archives.
pub const NAME_ENDINGS: [&str; 3] = [".zip", ".tar.gz", ".tgz"];

/// How many bytes an archive may have, unpacked.
const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// How many files and folders it may have.
const MAX_ENTRIES: usize = 10_000;

/// The name of an archive without its ending; `None` if it isn't one by its name.
pub fn name_without_ending(name: &str) -> Option<&str> {
    let is_ending = |ending: &&str| {
        let start = name.len().checked_sub(ending.len());
        start
            .and_then(|start| name.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    let ending = NAME_ENDINGS.iter().find(|ending| is_ending(ending))?;
    Some(&name[..name.len() - ending.len()])
}

/// Unpacks the files of an archive to a folder, without its links. The error is for the student.
pub fn unpack(archive: &Path, to: &Path) -> Result<(), String> {
    let is_zip = archive
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    let mut target = Target {
        folder: to,
        bytes: SIZE_LIMIT,
        entries: MAX_ENTRIES,
    };
    let unpacked = File::open(archive).and_then(|file| {
        if is_zip {
            unpack_zip(file, &mut target)
        } else {
            unpack_tar(file, &mut target)
        }
    });
    unpacked.map_err(|error| format!("The archive can't be unpacked: {error}"))
}

fn unpack_zip(file: File, target: &mut Target) -> io::Result<()> {
    let mut archive = ZipArchive::new(file)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if entry.is_symlink() {
            continue;
        }
        // Some programs for Windows write backslashes.
        let (name, is_folder) = (entry.name()?.replace('\\', "/"), entry.is_dir());
        let mode = entry.unix_mode().unwrap_or(0o644);
        let content = (!is_folder).then_some(&mut entry as &mut dyn Read);
        target.write(Path::new(&name), mode, content)?;
    }
    Ok(())
}

fn unpack_tar(file: File, target: &mut Target) -> io::Result<()> {
    // What is skipped is unpacked, too.
    let limited = GzDecoder::new(file).take(2 * SIZE_LIMIT);
    let mut archive = tar::Archive::new(limited);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        let (name, mode) = (entry.path()?.into_owned(), entry.header().mode()?);
        let content = kind.is_file().then_some(&mut entry as &mut dyn Read);
        target.write(&name, mode, content)?;
    }
    Ok(())
}

/// Where an archive is unpacked, and how much it may still write.
struct Target<'a> {
    folder: &'a Path,
    bytes: u64,
    entries: usize,
}

impl Target<'_> {
    /// Writes a file, or creates a folder. Of the mode, only whether it is executable counts.
    fn write(&mut self, name: &Path, mode: u32, content: Option<&mut dyn Read>) -> io::Result<()> {
        let path = self.folder.join(relative(name)?);
        self.entries = self.entries.checked_sub(1).ok_or_else(|| {
            io::Error::other(format!("it has more than {MAX_ENTRIES} files and folders"))
        })?;
        let Some(content) = content else {
            return fs::create_dir_all(path);
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&path)?;
        let copied = io::copy(&mut content.take(self.bytes + 1), &mut file)?;
        self.bytes = self.bytes.checked_sub(copied).ok_or_else(|| {
            let limit = SIZE_LIMIT / (1024 * 1024);
            io::Error::other(format!("its files are larger than {limit} MiB"))
        })?;
        let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        file.set_permissions(Permissions::from_mode(mode))
    }
}

/// A name in an archive as a path below a folder.
fn relative(name: &Path) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => {
                let error = format!("`{}` in it is outside of it", name.display());
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use tar::{EntryType, Header};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn zip(path: &Path, files: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    /// An archive with one file, whose name is written as it is.
    fn tar(path: &Path, name: &str, kind: EntryType, content: &[u8]) {
        let gzip = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, content).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn archives_are_known_by_their_names() {
        assert_eq!(name_without_ending("alice.zip"), Some("alice"));
        assert_eq!(name_without_ending("学生.TAR.GZ"), Some("学生"));
        assert_eq!(name_without_ending("a.b.tgz"), Some("a.b"));
        assert_eq!(name_without_ending("alice.rar"), None);
        assert_eq!(name_without_ending("学"), None);
    }

    #[test]
    fn files_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.zip"), folder.path().join("b.tar.gz"));
        zip(&a, &[("x/src/main.rs", b"fn main() {}")]);
        tar(&b, "./server", EntryType::Regular, b"#!/bin/sh");
        unpack(&a, folder.path()).unwrap();
        unpack(&b, folder.path()).unwrap();
        let main = fs::read(folder.path().join("x/src/main.rs")).unwrap();
        assert_eq!(main, b"fn main() {}");
        let mode = fs::metadata(folder.path().join("server")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        for name in ["../out", "/tmp/out", "a/../../out"] {
            let (a, b) = (folder.path().join("a.zip"), folder.path().join("b.tgz"));
            zip(&a, &[(name, b"x")]);
            tar(&b, name, EntryType::Regular, b"x");
            for archive in [a, b] {
                let error = unpack(&archive, &target).unwrap_err();
                assert!(error.contains("outside"), "{name}: {error}");
            }
        }
        let link = folder.path().join("link.tgz");
        tar(&link, "server", EntryType::Symlink, b"");
        unpack(&link, &target).unwrap();
        let written = fs::read_dir(&target).unwrap().count();
        assert_eq!(written, 0, "files in the folder");
    }

    #[test]
    fn size_and_number_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.zip"), folder.path().join("b.tgz"));
        zip(&a, &[("x", &[0; 600]), ("y", &[0; 600])]);
        tar(&b, "zeros", EntryType::Regular, &[0; 1200]);
        let error = |archive: &Path, bytes, entries| {
            let (file, folder) = (File::open(archive).unwrap(), folder.path());
            let mut target = Target {
                folder,
                bytes,
                entries,
            };
            let unpacked = if archive == a {
                unpack_zip(file, &mut target)
            } else {
                unpack_tar(file, &mut target)
            };
            unpacked.err().map(|error| error.to_string())
        };
        for archive in [&a, &b] {
            assert_eq!(error(archive, 1200, 2), None);
            let too_large = error(archive, 1199, 2).unwrap();
            assert!(too_large.contains("larger than 64 MiB"), "{too_large}");
        }
        let too_many = error(&a, 1200, 1).unwrap();
        assert!(too_many.contains("more than 10000 files"), "{too_many}");
    }
}
