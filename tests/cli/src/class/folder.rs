//! The submissions in a folder.

use crate::submission::{NAME_ENDINGS, name_without_ending};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A submission, by the name that it has in the results.
#[derive(Debug)]
pub struct Submission {
    pub name: String,
    /// A folder or an archive.
    pub path: PathBuf,
}

/// What is in a folder of submissions.
#[derive(Debug, Default)]
pub struct Folder {
    /// By name.
    pub submissions: Vec<Submission>,
    /// What is no submission, and why.
    pub skipped: Vec<(String, String)>,
}

/// One of several parts of a class, each graded by a machine of its own: `3/8` is every eighth
/// submission, from the third on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shard {
    number: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/');
        let numbers =
            numbers.and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((number, count)) if 0 < number && number <= count => Ok(Shard { number, count }),
            _ => Err("give it as 1/8, 2/8, … 8/8".to_string()),
        }
    }
}

impl Folder {
    /// Reads a folder. The output may be in it.
    pub fn read(folder: &Path, output: &Path) -> io::Result<Folder> {
        let output = output.canonicalize()?;
        let mut found = Folder::default();
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<DirEntry>>>()?;
        // A folder comes before an archive with the same name.
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if entry.path().canonicalize().is_ok_and(|path| path == output) {
                continue;
            }
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let name = found.name(&entry, &file_name)?;
            match name {
                Ok(name) => found.submissions.push(Submission {
                    name,
                    path: entry.path(),
                }),
                Err(reason) => found.skipped.push((file_name, reason)),
            }
        }
        found.submissions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The name of an entry as a submission, or why it isn't one.
    fn name(&self, entry: &DirEntry, file_name: &str) -> io::Result<Result<String, String>> {
        let kind = entry.file_type()?;
        let name = if kind.is_dir() {
            Some(file_name)
        } else {
            name_without_ending(file_name)
        };
        let reason = if entry.file_name().to_str().is_none() {
            "its name is not UTF-8".to_string()
        } else if file_name.starts_with('.') {
            "it is hidden".to_string()
        } else if kind.is_symlink() {
            "it is a link".to_string()
        } else if !kind.is_dir() && !kind.is_file() {
            "it is neither a file nor a folder".to_string()
        } else {
            match name {
                Some(name) if self.submissions.iter().any(|other| other.name == name) => {
                    format!("there is another submission named {name}")
                }
                Some(name) => return Ok(Ok(name.to_string())),
                None => format!("it is neither a folder nor {}", NAME_ENDINGS.join(", ")),
            }
        };
        Ok(Err(reason))
    }

    /// Keeps only the submissions of a part of the class.
    pub fn keep(&mut self, shard: Shard) {
        let mut index = 0;
        self.submissions.retain(|_| {
            index += 1;
            index % shard.count == shard.number % shard.count
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_and_archives_are_submissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["学生", "alice", ".git", "output"] {
            fs::create_dir(path(name)).unwrap();
        }
        for name in [
            "bob.zip",
            "carol.tar.gz",
            "alice.zip",
            "dave.rar",
            "notes.txt",
        ] {
            fs::write(path(name), "").unwrap();
        }
        symlink(path("alice"), path("erin")).unwrap();
        let found = Folder::read(folder.path(), &path("output")).unwrap();
        let names: Vec<&str> = found
            .submissions
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, ["alice", "bob", "carol", "学生"]);
        let skipped: Vec<String> = found
            .skipped
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        assert_eq!(
            skipped,
            [
                ".git: it is hidden",
                "alice.zip: there is another submission named alice",
                "dave.rar: it is neither a folder nor .zip, .tar.gz, .tgz",
                "erin: it is a link",
                "notes.txt: it is neither a folder nor .zip, .tar.gz, .tgz",
            ]
        );
    }

    #[test]
    fn shards_are_disjoint_and_complete() {
        let names = |shard: &str| {
            let submission = |number: u8| Submission {
                name: number.to_string(),
                path: PathBuf::new(),
            };
            let mut folder = Folder {
                submissions: (0..10).map(submission).collect(),
                skipped: Vec::new(),
            };
            folder.keep(shard.parse().unwrap());
            let names = folder.submissions.into_iter().map(|it| it.name);
            names.collect::<String>()
        };
        assert_eq!(
            [names("1/3"), names("2/3"), names("3/3")],
            ["0369", "147", "258"]
        );
        assert_eq!(names("1/1"), "0123456789");
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
