//! What all processes of a server use together; Linux only. A server's processes are those of
//! its process group, and all descendants of the process that was started.

use harness::process::{self, Process};
use std::collections::BTreeSet;
use std::time::Duration;

/// `None` if the server has exited.
fn processes(server: i32) -> Option<Vec<Process>> {
    let mut pids: BTreeSet<i32> = BTreeSet::from([server]);
    let descendants = process::descendants().into_iter();
    pids.extend(descendants.filter_map(|(pid, child)| (child == server).then_some(pid)));
    pids.extend(process::group(server).ok()?.iter().map(|it| it.pid));
    let processes = pids.into_iter().flat_map(process::process).flatten();
    let running: Vec<Process> = processes.filter(|it| !it.is_zombie()).collect();
    (!running.is_empty()).then_some(running)
}

/// How long a server has used a processor, in all its processes so far. `None` if it doesn't
/// wait for its children, whose times are lost then.
pub fn processor_time(server: i32) -> Option<Duration> {
    let processes = processes(server)?.into_iter();
    let times = processes.map(|it| process::processor_time_with_children(it.pid).ok()?);
    times.sum()
}

/// The memory of a server in bytes; `None` if it is unknown. A page that several processes share
/// counts in proportion.
pub fn memory(server: i32) -> Option<u64> {
    let processes = processes(server)?.into_iter();
    let memory = processes.map(|it| process::proportional_memory(it.pid).ok());
    memory.sum()
}

/// How many processes and threads a server has.
pub fn tasks(server: i32) -> Option<usize> {
    Some(processes(server)?.iter().map(|it| it.threads).sum())
}

/// How many sockets a server has open. Those that its processes share count once.
pub fn sockets(server: i32) -> Option<usize> {
    let mut inodes = BTreeSet::new();
    for process in processes(server)? {
        inodes.extend(process::sockets(process.pid).ok()?);
    }
    Some(inodes.len())
}
