//! What all processes of a grading may use together. A limit of the system binds one process or one
//! file (see [`process::limit`]); a program with many of them needs a bound on their sum.
//!
//! /proc is read four times a second, so a program can exceed a limit for a moment, but not for long.
//! Then it is killed and never started again. Linux only.

use crate::error::{CheckError, CheckResult, FailureKind};
use crate::process::{self, Signal};
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::Duration;

/// The memory of all processes, for each processor: the more there are, the more servers run at once.
const MEMORY_PER_PROCESSOR: u64 = 2 * 1024 * MIB;

/// What all processes together write to disk, whether or not it is removed again.
const WRITTEN_LIMIT: u64 = 2 * 1024 * MIB;

/// How many processes there may be.
const PROCESS_LIMIT: usize = 5000;

const MIB: u64 = 1024 * 1024;

/// How often to look.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// Which limit was exceeded.
static EXCEEDED: OnceLock<String> = OnceLock::new();

/// From now on, the descendants of this process are watched. It is for a process that grades one
/// program.
pub fn watch() {
    static WATCH: Once = Once::new();
    if cfg!(target_os = "linux") {
        WATCH.call_once(|| {
            // What was written before, such as a build, doesn't count.
            let before = process::written(own_pid()).unwrap_or(0);
            thread::spawn(move || look_regularly(before));
        });
    }
}

/// What the programs did, if they have used more than they may.
pub fn exceeded() -> Option<&'static str> {
    EXCEEDED.get().map(String::as_str)
}

/// Fails if a limit was exceeded: nothing is started anymore.
pub fn ensure_not_exceeded() -> CheckResult {
    let Some(reason) = exceeded() else {
        return Ok(());
    };
    let (kind, expected) = (FailureKind::NotStarted, "a server within the limits");
    Err(CheckError::of_kind(kind, b"", expected, reason))
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn look_regularly(written_before: u64) -> ! {
    loop {
        if let Some(reason) = find_excess(written_before) {
            let _ = EXCEEDED.set(reason);
        }
        if exceeded().is_some() {
            kill_all();
        }
        thread::sleep(INTERVAL);
    }
}

/// What our descendants did, if they exceed a limit.
fn find_excess(written_before: u64) -> Option<String> {
    let pids: Vec<i32> = process::descendants().iter().map(|(pid, _)| *pid).collect();
    // A process of another user can be closed to us. What it has written is then counted when its
    // parent has waited for it; we wait for all servers.
    let written = written(&pids) + written(&[own_pid()]);
    excess(&pids, written.saturating_sub(written_before))
}

/// What a child of ours and its descendants did, if they exceed a limit.
pub fn excess_of(child: i32) -> Option<String> {
    let all = process::descendants().into_iter();
    let own = all.filter(|(_, ancestor)| *ancestor == child);
    let pids: Vec<i32> = own.map(|(pid, _)| pid).collect();
    excess(&pids, written(&pids))
}

/// How many bytes processes have written to disk.
fn written(pids: &[i32]) -> u64 {
    pids.iter()
        .map(|pid| process::written(*pid).unwrap_or(0))
        .sum()
}

fn excess(pids: &[i32], written: u64) -> Option<String> {
    if pids.len() > PROCESS_LIMIT {
        return Some(format!("it had more than {PROCESS_LIMIT} processes"));
    }
    if written > WRITTEN_LIMIT {
        let limit = WRITTEN_LIMIT / MIB;
        return Some(format!("it wrote more than {limit} MiB to disk in all"));
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let memory_limit = MEMORY_PER_PROCESSOR * processors.max(2) as u64;
    let private = |pid: &i32| process::private_memory(*pid).unwrap_or(0);
    // Pages that a fork shares are private to each process. Counting them once takes longer.
    if pids.iter().map(private).sum::<u64>() < memory_limit {
        return None;
    }
    let shared = |pid: &i32| process::proportional_memory(*pid).unwrap_or_else(|_| private(pid));
    let exceeds = pids.iter().map(shared).sum::<u64>() > memory_limit;
    let limit = memory_limit / MIB;
    exceeds.then(|| format!("it used more than {limit} MiB of memory in all"))
}

/// Kills all descendants, again and again: some may be starting others.
fn kill_all() {
    for _ in 0..100 {
        let descendants = process::descendants();
        for (pid, _) in &descendants {
            process::kill(*pid, Signal::KILL);
        }
        if descendants.is_empty() {
            return;
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
    fn what_exceeds_a_limit_is_named() {
        let own = own_pid();
        assert_eq!(excess(&[own], 0), None);
        for (pids, written, expected) in [
            (vec![own], WRITTEN_LIMIT + 1, "it wrote more than 2048 MiB"),
            (
                vec![own; PROCESS_LIMIT + 1],
                0,
                "it had more than 5000 processes",
            ),
        ] {
            let excess = excess(&pids, written).unwrap();
            assert!(excess.starts_with(expected), "{excess}");
        }
    }
}
