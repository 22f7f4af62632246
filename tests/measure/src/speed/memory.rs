//! The memory of a server when it is idle, and how much each silent connection adds.
//!
//! It is the memory of all its processes. The kernel's own memory isn't included: sockets and
//! their buffers, page tables, the kernel stacks of threads. Linux only.

use crate::speed::server::RunningServer;
use crate::speed::usage;
use harness::context::wait_until;
use serde::{Deserialize, Serialize};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// So many connections are opened to every server. Beyond, only a server that holds them all gets
/// more, and none with that many processes and threads: with one for each connection, it would take
/// the system's last.
const MANY: usize = 100;
const MANY_TASKS: usize = 500;

/// How long connecting may take. If the backlog is full, the system tries again after one and
/// after three seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The pause between two of the first thousand connections, for servers with a short backlog.
const CONNECT_PAUSE: Duration = Duration::from_millis(3);

/// How long the server may take to accept a hundred connections, and then to settle.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(1);
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// The memory of a server with an increasing number of silent connections, from none on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Memory {
    pub idle: Vec<Sample>,
}

/// The memory of a server with silent connections.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sample {
    /// How many connections were opened.
    pub connections: usize,
    /// How many of these the server holds. It has closed the others, or not accepted them.
    pub held: usize,
    pub bytes: u64,
}

impl Memory {
    /// Without any connection, in bytes.
    pub fn at_rest(&self) -> u64 {
        self.idle.first().map_or(0, |sample| sample.bytes)
    }

    /// What a silent connection adds on average, in bytes, as far as the server holds all.
    pub fn per_connection(&self) -> Option<f64> {
        let opened = || self.idle.iter().filter(|it| it.connections > 0);
        let held = opened().rfind(|it| it.held >= it.connections);
        let last = held.or(opened().next_back())?;
        let added = last.bytes as f64 - self.at_rest() as f64;
        // The share of a page changes with what else is running.
        Some((added / last.connections as f64).max(0.0))
    }

    /// How many connections were opened at last, and how many of these the server holds, if it
    /// doesn't hold all.
    pub fn not_held(&self) -> Option<(usize, usize)> {
        let last = self.idle.last()?;
        (last.held < last.connections).then_some((last.connections, last.held))
    }
}

/// Opens silent connections to a server, in steps up to each of these numbers, and measures its
/// memory meanwhile; `None` if there is no step, or if the system doesn't report it.
pub fn measure(server: &RunningServer, steps: &[usize]) -> Option<Memory> {
    steps.first()?;
    let pid = server.pid();
    thread::sleep(SETTLE_TIME);
    // Sockets that aren't connections, such as the listener.
    let own_sockets = usage::sockets(pid)?;
    let held = || usage::sockets(pid).unwrap_or(0).saturating_sub(own_sockets);
    let holds = |wanted| wait_until(ACCEPT_TIMEOUT, || Ok(held() >= wanted)).unwrap_or(false);
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut idle = Vec::new();
    for wanted in steps.iter().copied() {
        while clients.len() < wanted
            && let Ok(client) = TcpStream::connect_timeout(&server.address, CONNECT_TIMEOUT)
        {
            clients.push(client);
            if clients.len() < 1000 {
                thread::sleep(CONNECT_PAUSE);
            }
            if clients.len().is_multiple_of(MANY) && !holds(clients.len()) {
                break;
            }
        }
        let is_full = !holds(clients.len());
        thread::sleep(SETTLE_TIME);
        idle.push(Sample {
            connections: clients.len(),
            held: held(),
            bytes: usage::memory(pid)?,
        });
        let enough = wanted >= MANY && (is_full || usage::tasks(pid)? > MANY_TASKS);
        if clients.len() < wanted || enough {
            break;
        }
    }
    Some(Memory { idle })
}
