//! What the system knows about processes, from proc(5). Checks that ask here are `linux_only`;
//! on other systems every question fails.

use crate::account::Account;
use crate::cleanup;
use crate::error::{CheckError, CheckResult};
use rustix::io::Errno;
pub use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit, kill_process, kill_process_group, test_kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::iter;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

/// The part of /proc/PID/stat that is used here.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    group: i32,
    state: char,
    /// Time in user and kernel mode, in clock ticks.
    ticks: u64,
    /// The same for its children that have exited and been waited for.
    child_ticks: u64,
    pub threads: usize,
}

impl Process {
    /// Parses a line of /proc/PID/stat. The name of the program, in parentheses, may hold
    /// anything, parentheses and spaces too.
    fn parse(stat: &str) -> Option<Process> {
        let (start, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3 of proc_pid_stat(5) is the first after the name.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |index: usize| field(index)?.parse::<u64>().ok();
        Some(Process {
            pid: start.split(' ').next()?.parse().ok()?,
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            ticks: number(14)? + number(15)?,
            child_ticks: number(16)? + number(17)?,
            threads: usize::from_str(field(20)?).ok()?,
        })
    }

    /// Whether it has exited but its parent hasn't asked for its status yet.
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }
}

/// Sends a signal to a process. It may have exited already.
pub fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether there is a process with that id, perhaps a zombie. It works on every system.
pub fn exists(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Sends a signal to a process group. Its processes may have exited already.
pub fn kill_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, signal);
    }
}

/// A process that exits while it is being looked at counts as gone.
fn if_running<T>(result: io::Result<T>) -> CheckResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

fn broken(error: io::Error) -> CheckError {
    CheckError::Broken(format!("cannot read /proc: {error}"))
}

/// Fails on systems without proc(5).
fn require_proc() -> CheckResult {
    if cfg!(target_os = "linux") {
        return Ok(());
    }
    let reason = "this check needs /proc and must be marked `linux_only`";
    Err(CheckError::Broken(reason.to_string()))
}

/// The content of a file in /proc; `None` if the process is gone.
fn read(path: &str) -> CheckResult<Option<String>> {
    require_proc()?;
    if_running(fs::read_to_string(path))
}

/// The entries of a folder in /proc; none if the process is gone.
fn entries(path: &str) -> CheckResult<Vec<DirEntry>> {
    require_proc()?;
    let entries = fs::read_dir(path).and_then(Iterator::collect);
    Ok(if_running(entries)?.unwrap_or_default())
}

/// A process; `None` if there is none with that id.
pub fn process(pid: i32) -> CheckResult<Option<Process>> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    Ok(stat.as_deref().and_then(Process::parse))
}

/// Every process of the system.
pub fn all() -> CheckResult<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in entries("/proc")? {
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            processes.extend(process(pid)?);
        }
    }
    Ok(processes)
}

/// The processes of a process group, and descendants of its leader that have left it (setsid(2)).
pub fn group(group: i32) -> CheckResult<Vec<Process>> {
    let own_pid = std::process::id().cast_signed();
    let mut members = all()?;
    let parents = parents(&members);
    members.retain(|process| {
        // An orphan that has exited is ours to reap, not the server's.
        let adopted = process.is_zombie() && process.parent == own_pid && process.pid != group;
        let is_member =
            process.group == group || ancestors(&parents, process.pid).any(|pid| pid == group);
        is_member && !adopted
    });
    Ok(members)
}

/// The parent of each process.
fn parents(processes: &[Process]) -> BTreeMap<i32, i32> {
    let parents = processes.iter();
    parents
        .map(|process| (process.pid, process.parent))
        .collect()
}

/// The parent of a process, its parent, and so on.
fn ancestors(parents: &BTreeMap<i32, i32>, pid: i32) -> impl Iterator<Item = i32> {
    let parent = |pid: &i32| parents.get(pid).copied();
    iter::successors(parent(&pid), parent)
}

/// All descendants of this process, each with the child of ours that it descends from.
pub fn descendants() -> Vec<(i32, i32)> {
    let own_pid = std::process::id().cast_signed();
    let parents = parents(&all().unwrap_or_default());
    let own_child = |pid: i32| {
        let mut line = iter::once(pid).chain(ancestors(&parents, pid));
        line.find(|pid| parents.get(pid) == Some(&own_pid))
    };
    let pids = parents.keys();
    pids.filter_map(|pid| Some((*pid, own_child(*pid)?)))
        .collect()
}

/// How many descriptors a process has open.
pub fn descriptors(pid: i32) -> CheckResult<usize> {
    // They are counted one by one: the size of the folder includes the descriptor that a
    // blocked accept(2) has reserved.
    Ok(entries(&format!("/proc/{pid}/fd"))?.len())
}

/// The inodes of the sockets that a process has open.
pub fn sockets(pid: i32) -> CheckResult<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for entry in entries(&format!("/proc/{pid}/fd"))? {
        let Some(target) = if_running(fs::read_link(entry.path()))? else {
            continue;
        };
        let inode = target
            .to_str()
            .and_then(|target| target.strip_prefix("socket:["));
        inodes.extend(inode.and_then(|inode| inode.trim_end_matches(']').parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// The processor time of a process, its threads included.
pub fn processor_time(pid: i32) -> CheckResult<Duration> {
    Ok(from_ticks(process(pid)?.map_or(0, |process| process.ticks)))
}

/// The processor time of a process and of its children that have exited; `None` if it ignores
/// SIGCHLD, since the times of its children are lost then (wait(2)).
pub fn processor_time_with_children(pid: i32) -> CheckResult<Option<Duration>> {
    let status = read(&format!("/proc/{pid}/status"))?.unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .and_then(|mask| u64::from_str_radix(mask, 16).ok());
    if mask.is_some_and(|mask| mask & 1 << (Signal::CHILD.as_raw() - 1) != 0) {
        return Ok(None);
    }
    let ticks = process(pid)?.map_or(0, |process| process.ticks + process.child_ticks);
    Ok(Some(from_ticks(ticks)))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// Whether any thread of a process is running or ready to run.
pub fn is_runnable(pid: i32) -> CheckResult<bool> {
    for task in entries(&format!("/proc/{pid}/task"))? {
        let stat = read(&task.path().join("stat").to_string_lossy())?;
        let thread = stat.as_deref().and_then(Process::parse);
        if thread.is_some_and(|thread| thread.state == 'R') {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The most memory that a process has had resident, in bytes.
pub fn peak_memory(pid: i32) -> CheckResult<u64> {
    memory(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The memory of a process in bytes, in which each page counts in proportion to how many
/// processes share it (Pss in proc_pid_smaps(5)).
pub fn proportional_memory(pid: i32) -> CheckResult<u64> {
    memory(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The memory of a process in bytes, without what is mapped from files (Anonymous in
/// proc_pid_smaps(5)). It doesn't change when another process of the same program ends.
pub fn anonymous_memory(pid: i32) -> CheckResult<u64> {
    memory(&format!("/proc/{pid}/smaps_rollup"), "Anonymous:")
}

/// About the same, also where processes of other users are closed to us.
pub fn private_memory(pid: i32) -> CheckResult<u64> {
    memory(&format!("/proc/{pid}/status"), "RssAnon:")
}

/// How many bytes a process, and those of its children that it has waited for, have written to disk
/// (proc_pid_io(5)).
pub fn written(pid: i32) -> CheckResult<u64> {
    let io = read(&format!("/proc/{pid}/io"))?.unwrap_or_default();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.and_then(|line| line.trim().parse().ok()).unwrap_or(0))
}

/// The value of a line such as `VmHWM:  1624 kB`, in bytes; 0 if the process is gone.
fn memory(path: &str, label: &str) -> CheckResult<u64> {
    let text = read(path)?.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    Ok(kibibytes.unwrap_or(0_u64) * 1024)
}

/// Sets the soft limit on the descriptors of a process that runs as `user`. Returns the old one.
pub fn limit_descriptors(pid: i32, limit: u64, user: Option<Account>) -> CheckResult<u64> {
    set_soft_limit(pid, Resource::Nofile, "Max open files", limit, user)
}

/// Sets the soft limit on the processes and threads of the user that a process runs as. It binds that
/// process only, and not if it is root's. Returns the old one.
pub fn limit_processes(pid: i32, limit: u64, user: Option<Account>) -> CheckResult<u64> {
    set_soft_limit(pid, Resource::Nproc, "Max processes", limit, user)
}

/// Sets a soft limit, which /proc calls `name`. Returns the old one.
fn set_soft_limit(
    pid: i32,
    resource: Resource,
    name: &str,
    limit: u64,
    user: Option<Account>,
) -> CheckResult<u64> {
    let limits = read(&format!("/proc/{pid}/limits"))?;
    let limits = limits.ok_or(CheckError::Broken("the server has exited".to_string()))?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let mut values = line.unwrap_or_default().split_ascii_whitespace();
    // A limit that isn't a number is `unlimited`.
    let mut next = || values.next().and_then(|value| value.parse().ok());
    let (soft, hard) = (next(), next());
    let rlimit = Rlimit {
        current: Some(limit),
        maximum: hard,
    };
    set_limit(pid, resource, rlimit, user)
        .map_err(|error| CheckError::Broken(format!("cannot set {name}: {error}")))?;
    Ok(soft.unwrap_or(u64::MAX))
}

/// The most memory that one process may allocate. Address space that is only reserved doesn't count
/// (RLIMIT_DATA in getrlimit(2)): Go, Java and Node reserve a lot of it.
pub const MEMORY_LIMIT: u64 = 4 * GIB;

/// The largest file that a process may write.
pub const FILE_LIMIT: u64 = GIB;

/// How many processes and threads a user of its own may have.
pub const PROCESS_LIMIT: u64 = 4096;

const GIB: u64 = 1024 * 1024 * 1024;

/// Limits what a program under test may use: the memory of each process, the size of each file that
/// it writes, no core dump, and, if it runs as a user of its own, the number of processes and
/// threads. Linux only.
pub fn limit(pid: i32, user: Option<Account>) {
    let limits = [
        (Resource::Data, MEMORY_LIMIT),
        (Resource::Fsize, FILE_LIMIT),
        (Resource::Core, 0),
        (Resource::Nproc, PROCESS_LIMIT),
    ];
    for (resource, limit) in limits {
        let rlimit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        // All processes of a user are counted together, our own too.
        if user.is_some() || resource != Resource::Nproc {
            // It may have exited already.
            let _ = set_limit(pid, resource, rlimit, user);
        }
    }
}

/// Sets a limit of another process (prlimit(2)). In a container even root may be refused for a
/// process of another user: then prlimit(1) does it as that user.
fn set_limit(
    pid: i32,
    resource: Resource,
    rlimit: Rlimit,
    user: Option<Account>,
) -> io::Result<()> {
    let result = prlimit(pid, resource, rlimit);
    let (Err(_), Some(user)) = (&result, user) else {
        return result;
    };
    let name = match resource {
        Resource::Nofile => "nofile",
        Resource::Fsize => "fsize",
        Resource::Core => "core",
        Resource::Data => "data",
        Resource::Nproc => "nproc",
        _ => return Err(ErrorKind::Unsupported.into()),
    };
    let value = |value: Option<u64>| value.map_or("unlimited".to_string(), |it| it.to_string());
    let (soft, hard) = (value(rlimit.current), value(rlimit.maximum));
    let mut command = Command::new("prlimit");
    command.uid(user.uid).gid(user.gid).args([
        "--pid",
        &pid.to_string(),
        &format!("--{name}={soft}:{hard}"),
    ]);
    let status = cleanup::run(&mut command)?.status;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("prlimit(1): {status}")))
}

#[cfg(target_os = "linux")]
fn prlimit(pid: i32, resource: Resource, rlimit: Rlimit) -> io::Result<()> {
    rustix::process::prlimit(Pid::from_raw(pid), resource, rlimit)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn prlimit(_: i32, _: Resource, _: Rlimit) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// From now on, processes whose parents have exited become children of this one, so that
/// [`descendants`] finds them (PR_SET_CHILD_SUBREAPER(2const)). Linux only.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    // Where the kernel refuses, a process that leaves its group is not found.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_name_may_contain_anything() {
        let stat = "42 (a) (b) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1 1 1";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.group), (42, 7, 42));
        assert_eq!(
            (process.state, process.ticks, process.threads),
            ('S', 200, 3)
        );
        assert!(Process::parse("42 (a").is_none());
    }
}
