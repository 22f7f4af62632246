//! Cleanup of processes and temporary folders, however a run ends.
//!
//! Normally `Drop` does it, also after a failed check or a panic. Ctrl-C and SIGTERM drop
//! nothing, so everything that must be cleaned up is also listed here.

use crate::process;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often to look for surviving processes before giving up.
const KILL_ATTEMPTS: usize = 400;

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// Those of the groups that a grading process leads, which cleans up after itself.
static GRADERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// What else to do when a signal ends this process, such as writing a partial report.
type InterruptHook = Box<dyn FnOnce() + Send>;
static INTERRUPT_HOOK: Mutex<Option<InterruptHook>> = Mutex::new(None);

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, SIGINT, SIGTERM and SIGHUP clean up before they end this process.
pub fn handle_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            exit_after_signal();
        }
    });
    Ok(())
}

fn exit_after_signal() -> ! {
    // The locks are held until the exit, so that nothing new starts.
    let _groups = kill_groups();
    if let Some(hook) = lock(&INTERRUPT_HOOK).take() {
        hook();
    }
    let _folders = remove_folders();
    std::process::exit(130)
}

/// Kills everything that is still running and removes all temporary folders. It is for the end of
/// `main`: a check that never ended leaves its server behind, and no destructor runs for it.
pub fn clean_up() {
    drop(kill_groups());
    drop(remove_folders());
}

fn kill_groups() -> MutexGuard<'static, BTreeSet<i32>> {
    let groups = lock(&GROUPS);
    let graders = lock(&GRADERS);
    // Other graders end what they started themselves, if they get the time.
    for grader in graders.iter() {
        process::kill(*grader, Signal::TERM);
    }
    if !graders.is_empty() {
        thread::sleep(Duration::from_millis(500));
    }
    for group in groups.iter() {
        process::kill_group(*group, Signal::KILL);
    }
    kill_descendants(&BTreeSet::new());
    groups
}

fn remove_folders() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    let folders = lock(&FOLDERS);
    folders.iter().for_each(|folder| remove_folder(folder));
    folders
}

/// Sets or removes what to do when a signal ends this process.
pub fn on_interrupt(hook: Option<InterruptHook>) {
    *lock(&INTERRUPT_HOOK) = hook;
}

/// Kills every descendant of this process that belongs to no group that is still running: what
/// programs under test left behind, even in another session. Linux only.
pub fn kill_orphans() {
    let groups = lock(&GROUPS);
    kill_descendants(&groups);
}

/// Kills all descendants except those of the spared children. It repeats until none is left,
/// since a process may start others until it is killed.
fn kill_descendants(spared: &BTreeSet<i32>) {
    for _ in 0..KILL_ATTEMPTS {
        let mut found = false;
        for (pid, child) in process::descendants() {
            if !spared.contains(&child) {
                found = true;
                process::kill(pid, Signal::KILL);
                // It is our child, or becomes our child when its parent ends.
                let _ = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
            }
        }
        if !found {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process group that is killed when this value is dropped.
#[derive(Debug)]
pub struct ProcessGroup(i32);

impl ProcessGroup {
    /// Starts a command as the leader of a new process group.
    pub fn start(command: &mut Command) -> io::Result<(Child, ProcessGroup)> {
        let mut groups = lock(&GROUPS);
        let child = command.process_group(0).spawn()?;
        let group = child.id().cast_signed();
        groups.insert(group);
        Ok((child, ProcessGroup(group)))
    }

    /// Notes that the leader of this group is a grading process, which gets the time to clean up
    /// after itself.
    pub fn mark_as_grader(&self) {
        lock(&GRADERS).insert(self.0);
    }

    /// Asks the leader of this group to end, even if it is stopped.
    pub fn terminate(&self) {
        process::kill(self.0, Signal::TERM);
        process::kill(self.0, Signal::CONT);
    }

    /// Sends a signal to the whole group, as a terminal does for Ctrl-C.
    pub fn signal(&self, signal: Signal) {
        process::kill_group(self.0, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let descendants = process::descendants().into_iter();
        let leavers = descendants.filter(|(_, child)| *child == self.0);
        let leavers: Vec<i32> = leavers.map(|(pid, _)| pid).collect();
        process::kill_group(self.0, Signal::KILL);
        // They may have left the group (setsid(2)).
        for pid in leavers {
            process::kill(pid, Signal::KILL);
        }
        lock(&GROUPS).remove(&self.0);
        lock(&GRADERS).remove(&self.0);
    }
}

/// Whether a child has exited. It isn't reaped, so its id stays its own.
pub fn has_exited(child: &Child) -> bool {
    !matches!(wait_without_reaping(child, WaitIdOptions::NOHANG), Ok(None))
}

/// Waits until a child exits, without reaping it.
pub fn wait_for_exit(child: &Child) {
    while wait_without_reaping(child, WaitIdOptions::empty()) == Err(Errno::INTR) {}
}

fn wait_without_reaping(child: &Child, options: WaitIdOptions) -> Result<Option<()>, Errno> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::CHILD)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | options;
    waitid(WaitId::Pid(pid), options).map(|status| status.map(drop))
}

/// Does some work while no process is started. A program that is being written can't be executed
/// while a process that has just been forked holds it open (execve(2), ETXTBSY).
pub fn without_starting_processes<T>(work: impl FnOnce() -> T) -> T {
    let _groups = lock(&GROUPS);
    work()
}

/// Runs a command that is no program under test. It starts while no program is being written.
pub fn run(command: &mut Command) -> io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = without_starting_processes(|| command.spawn());
    started?.wait_with_output()
}

/// A temporary folder that is removed when this value is dropped.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Creates a folder in the system's temporary folder.
    pub fn new() -> io::Result<ScratchDir> {
        let mut folders = lock(&FOLDERS);
        let folder = tempfile::Builder::new().prefix("http-lab-").tempdir()?;
        // On macOS the path contains a link, which some servers resolve and some don't.
        let path = folder.keep().canonicalize()?;
        folders.insert(path.clone());
        Ok(ScratchDir(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        remove_folder(&self.0);
        lock(&FOLDERS).remove(&self.0);
    }
}

fn remove_folder(folder: &Path) {
    // A process that is being killed may still write into it. What can't be removed now is left
    // to the system, which empties its temporary folder.
    for _ in 0..20 {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}
