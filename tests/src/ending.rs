//! The end of all things: what the harness has started or made is ended and removed,
//! however the run ends.
//!
//! Ordinary ends are looked after by the owners' `Drop`, a failed check and a panic among
//! them. Ctrl-C and SIGTERM drop nothing: for them everything alive is listed here.

use crate::system;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often we look for what is still there before we give it up.
const SWEEPS: usize = 400;

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// Those among the groups that are led by a harness like us.
static GRADERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be done besides when a signal ends us: to write down what is known so far.
type LastWill = Box<dyn FnOnce() + Send>;
static LAST_WILL: Mutex<Option<LastWill>> = Mutex::new(None);

/// From now on, Ctrl-C, SIGTERM and SIGHUP end what is listed before they end us.
pub fn watch_for_signals() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // The locks are kept, so that nothing new can start.
        let groups = locked(&GROUPS);
        let folders = locked(&FOLDERS);
        // Other harnesses that we have started end theirs themselves, if we let them.
        for grader in locked(&GRADERS).iter() {
            let _ = kill(Pid::from_raw(*grader), Signal::SIGTERM);
        }
        if !locked(&GRADERS).is_empty() {
            thread::sleep(Duration::from_millis(500));
        }
        groups.iter().for_each(|group| kill_group(*group));
        kill_descendants(&BTreeSet::new());
        if let Some(last_will) = locked(&LAST_WILL).take() {
            last_will();
        }
        folders.iter().for_each(|folder| remove_folder(folder));
        std::process::exit(130);
    })
}

/// Sets what is to be done when a signal ends us, in place of what was set before.
pub fn set_last_will(last_will: Option<LastWill>) {
    *locked(&LAST_WILL) = last_will;
}

/// Ends all that programs under test have left behind, wherever it has moved to: whatever
/// descends from us and from no group that is listed. Linux only.
pub fn sweep() {
    let groups = locked(&GROUPS);
    kill_descendants(&groups);
}

/// Kills all our descendants but those of these children, until none is left: while they are
/// killed they may still start others.
fn kill_descendants(spared: &BTreeSet<i32>) {
    for _ in 0..SWEEPS {
        let mut found = false;
        for (pid, child) in system::descendants() {
            if !spared.contains(&child) {
                found = true;
                let pid = Pid::from_raw(pid);
                let _ = kill(pid, Signal::SIGKILL);
                // It is our child, or will be when its parent has ended: then we are asked.
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
        if !found {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process group that ends with this value.
#[derive(Debug)]
pub struct Group(i32);

impl Group {
    /// Starts a command that leads a process group of its own, and lists that group.
    pub fn start(command: &mut Command) -> std::io::Result<(Child, Group)> {
        let mut groups = locked(&GROUPS);
        let child = command.process_group(0).spawn()?;
        let group = child.id().cast_signed();
        groups.insert(group);
        Ok((child, Group(group)))
    }
}

impl Group {
    /// Notes that this group is led by a harness like us, which ends by itself what it has started.
    pub fn mark_as_grader(&self) {
        locked(&GRADERS).insert(self.0);
    }

    /// Asks the leader of this group to end.
    pub fn ask_to_end(&self) {
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            let _ = kill(Pid::from_raw(self.0), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(self.0);
        locked(&GROUPS).remove(&self.0);
        locked(&GRADERS).remove(&self.0);
    }
}

fn kill_group(group: i32) {
    // It may have ended by itself.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// Whether a child has ended. Nobody has asked how, and so its id belongs to nobody else yet.
pub fn has_ended(child: &Child) -> bool {
    !matches!(end_of(child, WaitIdOptions::NOHANG), Ok(None))
}

/// Waits for the end of a child, and does not ask how it ended.
pub fn wait_for_end(child: &Child) {
    while end_of(child, WaitIdOptions::empty()) == Err(Errno::INTR) {}
}

/// waitid(2), which leaves what it tells to be asked for again.
fn end_of(child: &Child, more: WaitIdOptions) -> Result<Option<()>, Errno> {
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).ok_or(Errno::CHILD)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | more;
    waitid(WaitId::Pid(pid), options).map(|status| status.map(drop))
}

/// Does something while no process is started: a program that is being written could not be
/// started if another process, just begun, still held it open for a moment (execve(2), ETXTBSY).
pub fn while_nothing_starts<T>(work: impl FnOnce() -> T) -> T {
    let _groups = locked(&GROUPS);
    work()
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
    // Somebody may still be writing into it when a signal ends us. What cannot be removed is
    // left to the system, which sweeps its temporary files.
    for _ in 0..20 {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}
