//! What the system knows of the servers that are measured, and of the ports between: Linux
//! only, by way of proc(5). Elsewhere it is not known, and nothing is made up.
//!
//! A server is all its processes: those of the process group that it leads, and whatever else
//! descends from it.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;

/// What a server consists of, at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    pub processes: usize,
    pub threads: usize,
    /// Memory in bytes, each page shared with others in fair parts (Pss of proc(5),
    /// smaps_rollup).
    pub bytes: u64,
}

/// How many ports the system has for connections that go out, where it does not tell.
const PORTS: u64 = 16_384;

#[cfg(target_os = "linux")]
mod linux {
    use super::{PORTS, Size};
    use procfs::process::{self, Process, Stat};
    use procfs::{CurrentSI, KernelStats};
    use std::collections::BTreeSet;
    use std::fs;
    use std::thread;
    use std::time::Duration;

    /// The state of a closed connection whose ports are not free yet, in /proc/net/tcp.
    const TIME_WAIT: &str = "06";

    /// The bit of SIGCHLD in a mask of signals.
    const SIGCHLD: u64 = 1 << 16;

    /// The processes of the server that this one leads.
    fn family(leader: i32) -> Vec<(Process, Stat)> {
        let of_us: BTreeSet<i32> = crate::system::descendants()
            .into_iter()
            .filter_map(|(pid, child)| (child == leader).then_some(pid))
            .collect();
        let all = process::all_processes().into_iter().flatten().flatten();
        all.filter_map(|process| {
            let stat = process.stat().ok()?;
            let belongs = stat.pgrp == leader || of_us.contains(&stat.pid);
            belongs.then_some((process, stat))
        })
        .collect()
    }

    /// How long all processes of a server have been at work so far, in user and in system
    /// mode, with the children that have ended and were waited for. `None` if it waits for
    /// none (it ignores SIGCHLD), as nobody keeps their times.
    pub fn processor_time(leader: i32) -> Option<Duration> {
        let mut ticks = 0;
        for (process, stat) in family(leader) {
            if stat.state != 'Z' && process.status().is_ok_and(|of| of.sigign & SIGCHLD != 0) {
                return None;
            }
            let children = stat.cutime.max(0) + stat.cstime.max(0);
            ticks += stat.utime + stat.stime + children.cast_unsigned();
        }
        Some(in_time(ticks))
    }

    /// How long a process of ours has been at work; it may have ended, if nobody has waited for
    /// it yet.
    pub fn own_processor_time(pid: i32) -> Option<Duration> {
        let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
        Some(in_time(stat.utime + stat.stime))
    }

    fn in_time(ticks: u64) -> Duration {
        Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
    }

    /// How big a server is. `None` if its memory may not be looked at, or it has ended.
    pub fn size(leader: i32) -> Option<Size> {
        let mut size = Size {
            processes: 0,
            threads: 0,
            bytes: 0,
        };
        for (process, stat) in family(leader) {
            // What ends while it is looked at has no memory any more.
            if stat.state == 'Z' {
                continue;
            }
            let Ok(rollup) = process.smaps_rollup() else {
                if process.is_alive() {
                    return None;
                }
                continue;
            };
            let maps = &rollup.memory_map_rollup;
            let parts = maps.iter().filter_map(|map| map.extension.map.get("Pss"));
            size.bytes += parts.sum::<u64>();
            size.processes += 1;
            size.threads += stat.num_threads as usize;
        }
        (size.processes > 0).then_some(size)
    }

    /// How many sockets a server's processes have open, each counted once.
    pub fn sockets(leader: i32) -> Option<usize> {
        let mut inodes = BTreeSet::new();
        for (process, _) in family(leader) {
            inodes.extend(crate::system::sockets(process.pid()).ok()?);
        }
        Some(inodes.len())
    }

    /// The most memory that a process of the server which serves has ever had resident, in
    /// bytes, as of now: of its children if it has any, else of itself.
    pub fn peak(leader: i32) -> Option<u64> {
        let (mut own, mut children) = (None, None);
        for (process, stat) in family(leader) {
            let Some(pages) = process.status().ok().and_then(|status| status.vmhwm) else {
                continue;
            };
            match stat.pid == leader {
                true => own = Some(pages * 1024),
                false => children = children.max(Some(pages * 1024)),
            }
        }
        children.or(own)
    }

    /// The share of time, 0 to 1, in which the processors were at work during this moment.
    pub fn busy(moment: Duration) -> Option<f64> {
        let times = || {
            let total = KernelStats::current().ok()?.total;
            let idle = total.idle + total.iowait.unwrap_or(0);
            let busy = total.user + total.nice + total.system;
            let more = total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
            let stolen = total.steal.unwrap_or(0);
            Some((idle, idle + busy + more + stolen))
        };
        let (idle, all) = times()?;
        thread::sleep(moment);
        let (idle_then, all_then) = times()?;
        let all = all_then.checked_sub(all).filter(|all| *all > 0)? as f64;
        Some(1.0 - idle_then.saturating_sub(idle) as f64 / all)
    }

    /// How many ports there are for connections that go out.
    pub fn ports() -> u64 {
        let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let text = text.unwrap_or_default();
        let mut ends = text.split_whitespace().map(str::parse::<u64>);
        match (ends.next(), ends.next()) {
            (Some(Ok(first)), Some(Ok(last))) if first <= last => last - first + 1,
            _ => PORTS,
        }
    }

    /// How many ports closed connections still occupy (TIME-WAIT). A server that closes first
    /// keeps all of its own on its one port, where they are in nobody's way.
    pub fn fading_ports() -> Option<usize> {
        let table = fs::read_to_string("/proc/net/tcp").ok()?;
        let ports: BTreeSet<&str> = fading(&table).map(|(local, _)| local).collect();
        Some(ports.len())
    }

    /// How many of them are those of clients of the server at that port.
    pub fn fading_clients(server: u16) -> Option<usize> {
        let table = fs::read_to_string("/proc/net/tcp").ok()?;
        let server = format!("{server:04X}");
        Some(
            fading(&table)
                .filter(|(_, remote)| *remote == server)
                .count(),
        )
    }

    /// The ports of closed connections, this side's and the other's, as they stand in the table.
    fn fading(table: &str) -> impl Iterator<Item = (&str, &str)> {
        table.lines().skip(1).filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (_, local) = words.next()?.rsplit_once(':')?;
            let (_, remote) = words.next()?.rsplit_once(':')?;
            (words.next()? == TIME_WAIT).then_some((local, remote))
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{PORTS, Size};
    use std::time::Duration;

    pub fn processor_time(_leader: i32) -> Option<Duration> {
        None
    }

    pub fn own_processor_time(_pid: i32) -> Option<Duration> {
        None
    }

    pub fn size(_leader: i32) -> Option<Size> {
        None
    }

    pub fn sockets(_leader: i32) -> Option<usize> {
        None
    }

    pub fn peak(_leader: i32) -> Option<u64> {
        None
    }

    pub fn busy(_moment: Duration) -> Option<f64> {
        None
    }

    pub fn ports() -> u64 {
        PORTS
    }

    pub fn fading_ports() -> Option<usize> {
        None
    }

    pub fn fading_clients(_server: u16) -> Option<usize> {
        None
    }
}
