//! What the system knows of processes, their threads and their descriptors: Linux only, by
//! way of proc(5). Checks that ask here are marked `linux_only`.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;

/// What is known of a process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    /// Whether it has ended, and nobody has asked how.
    pub zombie: bool,
    pub threads: usize,
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Process;
    use crate::check::Trouble;
    use crate::program::Account;
    use procfs::process::{self, FDTarget, LimitValue, Limits};
    use procfs::{ProcError, ProcResult};
    use rustix::process::{Pid, Resource, Rlimit};
    use std::collections::{BTreeMap, BTreeSet};
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn broken(error: ProcError) -> Trouble {
        Trouble::Broken(format!("cannot read /proc: {error}"))
    }

    /// A process that ends while it is looked at is as good as one that ended before.
    fn if_there<T>(result: ProcResult<T>) -> Result<Option<T>, Trouble> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ProcError::NotFound(_)) => Ok(None),
            // A process that has just ended: its number is no longer in use (ESRCH).
            Err(ProcError::Io(error, _)) if error.raw_os_error() == Some(3) => Ok(None),
            Err(error) => Err(broken(error)),
        }
    }

    /// A process; `None` if there is none of that id.
    pub fn process(pid: i32) -> Result<Option<Process>, Trouble> {
        let stat = if_there(process::Process::new(pid).and_then(|process| process.stat()))?;
        Ok(stat.map(|stat| Process {
            pid,
            zombie: stat.state == 'Z',
            threads: stat.num_threads as usize,
        }))
    }

    /// The processes of a process group, but for the one that leads it.
    pub fn children(group: i32) -> Result<Vec<Process>, Trouble> {
        let us = std::process::id() as i32;
        let mut children = Vec::new();
        for entry in process::all_processes().map_err(broken)? {
            let stat = if_there(entry.and_then(|process| process.stat()))?;
            // An orphan that has ended is a child of ours by adoption: nobody but us is to ask.
            let ours = |stat: &process::Stat| stat.state == 'Z' && stat.ppid == us;
            let in_group = |stat: &process::Stat| stat.pgrp == group && stat.pid != group;
            if let Some(stat) = stat.filter(|stat| in_group(stat) && !ours(stat)) {
                children.push(Process {
                    pid: stat.pid,
                    zombie: stat.state == 'Z',
                    threads: stat.num_threads as usize,
                });
            }
        }
        Ok(children)
    }

    /// How many descriptors a process has open. They are listed: the size that stat(2) tells
    /// for the folder counts the number as well that a waiting accept(2) has laid claim to.
    pub fn descriptors(pid: i32) -> Result<usize, Trouble> {
        let descriptors = if_there(process::Process::new(pid).and_then(|process| process.fd()))?;
        Ok(descriptors.map_or(0, Iterator::count))
    }

    /// Sets the soft limit on the descriptors of a process, which runs as that user if not as
    /// us; returns what it was before.
    pub fn limit_descriptors(pid: i32, limit: u64, user: Option<Account>) -> Result<u64, Trouble> {
        let Some(Limits { max_open_files, .. }) =
            if_there(process::Process::new(pid).and_then(|process| process.limits()))?
        else {
            return Err(Trouble::Broken("the server has ended".to_string()));
        };
        let known = |value| match value {
            LimitValue::Value(value) => Some(value),
            LimitValue::Unlimited => None,
        };
        let bound = Rlimit {
            current: Some(limit),
            maximum: known(max_open_files.hard_limit),
        };
        set_limit(pid, Resource::Nofile, bound, user)
            .map_err(|error| Trouble::Broken(format!("cannot limit descriptors: {error}")))?;
        Ok(known(max_open_files.soft_limit).unwrap_or(u64::MAX))
    }

    /// Sets a limit of a process (prlimit(2)). Even root may be refused for another's process,
    /// in a container: then prlimit(1) does it, as the user whose process it is.
    fn set_limit(
        pid: i32,
        resource: Resource,
        bound: Rlimit,
        user: Option<Account>,
    ) -> io::Result<()> {
        let set = rustix::process::prlimit(Pid::from_raw(pid), resource, bound);
        let (Err(_), Some(user)) = (&set, user) else {
            return Ok(set.map(|_| ())?);
        };
        let name = match resource {
            Resource::Nofile => "nofile",
            Resource::Fsize => "fsize",
            Resource::Core => "core",
            Resource::Nproc => "nproc",
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let shown =
            |value: Option<u64>| value.map_or("unlimited".to_string(), |value| value.to_string());
        let (soft, hard) = (shown(bound.current), shown(bound.maximum));
        let status = Command::new("prlimit")
            .uid(user.uid)
            .gid(user.gid)
            .args([
                "--pid",
                &pid.to_string(),
                &format!("--{name}={soft}:{hard}"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("prlimit(1): {status}"))),
        }
    }

    /// Bounds what a program under test may use of the system: no file of its own grows beyond
    /// 1 GiB, it dumps no core, and a user of its own has at most 4096 processes and threads.
    pub fn limit(pid: i32, user: Option<Account>) {
        let bounds = [
            (Resource::Fsize, 1024 * 1024 * 1024),
            (Resource::Core, 0),
            (Resource::Nproc, 4096),
        ];
        for (resource, most) in bounds {
            let bound = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            // The processes of a user are counted all together, ours too.
            if user.is_some() || resource != Resource::Nproc {
                // It may have ended by itself.
                let _ = set_limit(pid, resource, bound, user);
            }
        }
    }

    /// From now on, processes whose parents have ended become our children, wherever they
    /// have moved to (prctl(2), PR_SET_CHILD_SUBREAPER), so that [`descendants`] knows them.
    pub fn adopt_orphans() {
        // An old kernel cannot: then what leaves its group is not found, and no more.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    /// All processes that descend from this one, each with the child of ours that it
    /// descends from.
    pub fn descendants() -> Vec<(i32, i32)> {
        let mut parents = BTreeMap::new();
        for process in process::all_processes().into_iter().flatten().flatten() {
            if let Ok(stat) = process.stat() {
                parents.insert(stat.pid, stat.ppid);
            }
        }
        let us = std::process::id() as i32;
        let child_of_ours = |pid: i32| {
            let mut child = pid;
            while let Some(parent) = parents.get(&child) {
                if *parent == us {
                    return Some(child);
                }
                child = *parent;
            }
            None
        };
        parents
            .keys()
            .filter_map(|pid| Some((*pid, child_of_ours(*pid)?)))
            .collect()
    }

    /// How long a process has been at work so far, for itself and in the system.
    pub fn processor_time(pid: i32) -> Result<Duration, Trouble> {
        let stat = if_there(process::Process::new(pid).and_then(|process| process.stat()))?;
        let ticks = stat.map_or(0, |stat| stat.utime + stat.stime);
        Ok(Duration::from_millis(
            ticks * 1000 / procfs::ticks_per_second(),
        ))
    }

    /// Whether a thread of a process runs or would like to, as one that spins always does.
    pub fn wants_to_run(pid: i32) -> Result<bool, Trouble> {
        let Some(tasks) = if_there(process::Process::new(pid).and_then(|p| p.tasks()))? else {
            return Ok(false);
        };
        for task in tasks {
            let stat = if_there(task.and_then(|task| task.stat()))?;
            if stat.is_some_and(|stat| stat.state == 'R') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The inodes of the sockets that a process has open, each once.
    pub fn sockets(pid: i32) -> Result<BTreeSet<u64>, Trouble> {
        let mut inodes = BTreeSet::new();
        let Some(descriptors) = if_there(process::Process::new(pid).and_then(|p| p.fd()))? else {
            return Ok(inodes);
        };
        for descriptor in descriptors {
            if let Some(FDTarget::Socket(inode)) = if_there(descriptor)?.map(|fd| fd.target) {
                inodes.insert(inode);
            }
        }
        Ok(inodes)
    }

    /// The most memory that a process has ever had resident, in bytes.
    pub fn peak_memory(pid: i32) -> Result<u64, Trouble> {
        let status = if_there(process::Process::new(pid).and_then(|process| process.status()))?;
        Ok(status.and_then(|status| status.vmhwm).unwrap_or(0) * 1024)
    }

    /// A TCP socket as a line of /proc/net/tcp tells of it (proc_net(5)).
    struct TcpSocket {
        state: u8,
        inode: u64,
        /// What waits to be read; where it listens, how many connections to be accepted.
        waiting: usize,
    }

    /// The state of a socket that listens.
    const LISTEN: u8 = 0x0A;

    /// The socket with these local and remote ports. Many thousand connections fade on a
    /// machine that runs suites: only the line that is wanted is taken apart.
    fn socket(local: u16, remote: u16) -> Result<Option<TcpSocket>, Trouble> {
        let text = std::fs::read_to_string("/proc/net/tcp")?;
        let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
        let line = text.lines().find(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let mut next_ends_in =
                |port: &str| words.next().is_some_and(|word| word.ends_with(port));
            next_ends_in(&local) && next_ends_in(&remote)
        });
        let Some(line) = line else {
            return Ok(None);
        };
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let state = words
            .get(3)
            .and_then(|word| u8::from_str_radix(word, 16).ok());
        let queues = words.get(4).and_then(|word| word.split_once(':'));
        let waiting = queues.and_then(|(_, word)| usize::from_str_radix(word, 16).ok());
        let inode = words.get(9).and_then(|word| word.parse().ok());
        match (state, inode, waiting) {
            (Some(state), Some(inode), Some(waiting)) => Ok(Some(TcpSocket {
                state,
                inode,
                waiting,
            })),
            _ => Err(Trouble::Broken(format!(
                "/proc/net/tcp has the line {line}"
            ))),
        }
    }

    /// The inode of the server's socket for the connection between these ports.
    pub fn socket_of(server: u16, client: u16) -> Result<Option<u64>, Trouble> {
        Ok(socket(server, client)?.map(|socket| socket.inode))
    }

    /// The inode of the socket that listens on that port.
    pub fn listener(port: u16) -> Result<Option<u64>, Trouble> {
        let listening = socket(port, 0)?.filter(|socket| socket.state == LISTEN);
        Ok(listening.map(|socket| socket.inode))
    }

    /// How many connections wait in the backlog of the socket that listens on that port.
    pub fn backlog(port: u16) -> Result<usize, Trouble> {
        let listening = socket(port, 0)?.filter(|socket| socket.state == LISTEN);
        Ok(listening.map_or(0, |socket| socket.waiting))
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::Process;
    use crate::check::Trouble;
    use crate::program::Account;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn unknown<T>() -> Result<T, Trouble> {
        Err(Trouble::Broken(
            "this check needs /proc, and must be marked `linux_only`".to_string(),
        ))
    }

    pub fn process(_pid: i32) -> Result<Option<Process>, Trouble> {
        unknown()
    }

    pub fn children(_group: i32) -> Result<Vec<Process>, Trouble> {
        unknown()
    }

    pub fn descriptors(_pid: i32) -> Result<usize, Trouble> {
        unknown()
    }

    pub fn limit_descriptors(
        _pid: i32,
        _limit: u64,
        _user: Option<Account>,
    ) -> Result<u64, Trouble> {
        unknown()
    }

    pub fn limit(_pid: i32, _user: Option<Account>) {}

    pub fn adopt_orphans() {}

    pub fn descendants() -> Vec<(i32, i32)> {
        Vec::new()
    }

    pub fn processor_time(_pid: i32) -> Result<Duration, Trouble> {
        unknown()
    }

    pub fn wants_to_run(_pid: i32) -> Result<bool, Trouble> {
        unknown()
    }

    pub fn sockets(_pid: i32) -> Result<BTreeSet<u64>, Trouble> {
        unknown()
    }

    pub fn peak_memory(_pid: i32) -> Result<u64, Trouble> {
        unknown()
    }

    pub fn socket_of(_server: u16, _client: u16) -> Result<Option<u64>, Trouble> {
        unknown()
    }

    pub fn backlog(_port: u16) -> Result<usize, Trouble> {
        unknown()
    }

    pub fn listener(_port: u16) -> Result<Option<u64>, Trouble> {
        unknown()
    }
}
