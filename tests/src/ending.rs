//! The end of all things: what the harness has started or made is ended and removed,
//! however the run ends.
//!
//! Ordinary ends are looked after by the owners' `Drop`, a failed check and a panic among
//! them. Ctrl-C and SIGTERM drop nothing: for them everything alive is listed here.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, Ctrl-C, SIGTERM and SIGHUP end what is listed before they end us.
pub fn watch_for_signals() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // The locks are kept, so that nothing new can start.
        let groups = locked(&GROUPS);
        let folders = locked(&FOLDERS);
        groups.iter().for_each(|group| kill_group(*group));
        folders.iter().for_each(|folder| remove_folder(folder));
        std::process::exit(130);
    })
}

/// A process group that ends with this value.
#[derive(Debug)]
pub struct Group(i32);

impl Group {
    /// Runs `start`, which starts a process in a group of its own and returns its id, and
    /// lists that group.
    pub fn start<T>(
        start: impl FnOnce() -> std::io::Result<(T, u32)>,
    ) -> std::io::Result<(T, Group)> {
        let mut groups = locked(&GROUPS);
        let (value, pid) = start()?;
        let group = pid as i32;
        groups.insert(group);
        Ok((value, Group(group)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(self.0);
        locked(&GROUPS).remove(&self.0);
    }
}

fn kill_group(group: i32) {
    // It may have ended by itself.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// A temporary folder that vanishes with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a new folder below the system's place for temporary files.
    pub fn new() -> std::io::Result<Folder> {
        let mut folders = locked(&FOLDERS);
        let path = tempfile::Builder::new()
            .prefix("http-lab-")
            .tempdir()?
            .keep();
        // macOS names it by a link; servers may print either.
        let path = path.canonicalize()?;
        folders.insert(path.clone());
        Ok(Folder(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove_folder(&self.0);
        locked(&FOLDERS).remove(&self.0);
    }
}

fn remove_folder(folder: &Path) {
    // What cannot be removed is left to the system, which sweeps its temporary files.
    let _ = std::fs::remove_dir_all(folder);
}
