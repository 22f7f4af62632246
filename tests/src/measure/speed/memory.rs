//! Memory: what a server takes at rest, and for each connection that says nothing.
//!
//! It is the memory of all its processes, each page that several share counted in parts (Pss).
//! What the kernel keeps for them does not count: sockets and their buffers, the stacks that
//! threads have within the kernel, page tables. Linux only.

use crate::measure::speed::kernel::{self, Size};
use crate::measure::speed::server::{Contender, Running};
use crate::site::Site;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// In so many steps are silent connections opened.
const STEPS: usize = 4;

/// How long a connection may take to open: beyond, the server has no room for more. Where its
/// backlog is full for a moment, the system tries again after a second, and after three.
const OPENING: Duration = Duration::from_secs(4);

/// They are opened so slowly, for servers of a short backlog.
const APART: Duration = Duration::from_millis(3);

/// When so many looks, so far apart, show the same, a server has settled.
const LOOKS: usize = 4;
const PAUSE: Duration = Duration::from_millis(30);
const SETTLING: Duration = Duration::from_secs(3);

/// The content that a large file is held against, in bytes.
const SMALL: u64 = 1024;

/// What a server takes while nobody asks for anything.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Memory {
    /// With ever more silent connections, from none on.
    pub idle: Vec<Idle>,
}

/// A server with silent connections.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Idle {
    /// So many were opened.
    pub connections: usize,
    /// So many of these the server had not closed by then.
    pub open: usize,
    /// So many the server had taken on; the others waited in its backlog.
    pub accepted: usize,
    pub processes: usize,
    pub threads: usize,
    /// In all, in bytes.
    pub bytes: u64,
}

impl Memory {
    /// With no connection, in bytes.
    pub fn at_rest(&self) -> u64 {
        self.idle.first().map_or(0, |idle| idle.bytes)
    }

    /// What a silent connection adds, in bytes: the mean of all. `None` where the server has
    /// closed some.
    pub fn per_connection(&self) -> Option<f64> {
        let last = self.idle.last().filter(|last| last.connections > 0)?;
        if self.closed() > 0 {
            return None;
        }
        let more = last.bytes as f64 - self.at_rest() as f64;
        Some(more / last.connections as f64)
    }

    /// How many silent connections the server has closed.
    pub fn closed(&self) -> usize {
        let last = self.idle.last();
        last.map_or(0, |last| last.connections.saturating_sub(last.open))
    }

    /// How many silent connections were opened in all, and how many of them it took on.
    pub fn taken_on(&self) -> (usize, usize) {
        let last = self.idle.last();
        last.map_or((0, 0), |last| (last.connections, last.accepted))
    }
}

/// Opens that many silent connections to a server, and measures its memory on the way. `None`
/// where that is not known.
pub fn measure(running: &Running, connections: usize) -> Option<Memory> {
    let leader = running.leader();
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut idle = Vec::new();
    let size = settled(leader)?;
    // Those that are not connections: to listen, to wait, to log.
    let own = kernel::sockets(leader)?;
    let mut look = |clients: &[TcpStream], size: Size| {
        idle.push(Idle {
            connections: clients.len(),
            open: clients.iter().filter(|client| is_open(client)).count(),
            accepted: kernel::sockets(leader).unwrap_or(own).saturating_sub(own),
            processes: size.processes,
            threads: size.threads,
            bytes: size.bytes,
        });
    };
    look(&clients, size);
    for step in 1..=STEPS {
        while clients.len() < connections * step / STEPS {
            match TcpStream::connect_timeout(&running.address, OPENING) {
                Ok(client) => {
                    clients.push(client);
                    thread::sleep(APART);
                }
                Err(_) => break,
            }
        }
        look(&clients, settled(leader)?);
        if clients.len() < connections * step / STEPS {
            break;
        }
    }
    Some(Memory { idle })
}

/// Looks until nothing changes any more, or long enough.
fn settled(leader: i32) -> Option<Size> {
    let since = Instant::now();
    let mut last = kernel::size(leader)?;
    let mut same = 0;
    while same < LOOKS && since.elapsed() < SETTLING {
        thread::sleep(PAUSE);
        let now = kernel::size(leader)?;
        same = if alike(now, last) { same + 1 } else { 0 };
        last = now;
    }
    Some(last)
}

/// The parts of shared pages always change a little, with what else runs on the machine.
fn alike(one: Size, other: Size) -> bool {
    let parts = |size: Size| (size.processes, size.threads);
    parts(one) == parts(other) && one.bytes.abs_diff(other.bytes) <= other.bytes / 100
}

/// Whether the server has not closed it.
fn is_open(client: &TcpStream) -> bool {
    let nothing_yet = client
        .set_nonblocking(true)
        .and_then(|()| client.peek(&mut [0]));
    matches!(nothing_yet, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// The most memory of the process that serves, in bytes, with a small file and with a large one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Large {
    pub small_file: u64,
    pub small_peak: u64,
    pub large_file: u64,
    pub large_peak: u64,
}

impl Large {
    /// Has the server send a file of zeros of that size. `None` where memory is not known, or
    /// the file did not come whole.
    pub fn measure(contender: &Contender, site: &Site, size: u64) -> Option<Large> {
        Some(Large {
            small_file: SMALL,
            small_peak: peak(contender, site, SMALL)?,
            large_file: size,
            large_peak: peak(contender, site, size)?,
        })
    }
}

/// The peak while a client takes a file of that size, from a server that has done nothing else.
fn peak(contender: &Contender, site: &Site, size: u64) -> Option<u64> {
    let running = contender.start(site).ok()?;
    let leader = running.leader();
    kernel::peak(leader)?;
    let name = format!("{}.bin", site.name());
    site.add_large(&name, size).ok()?;
    let over = AtomicBool::new(false);
    let (came, most) = thread::scope(|scope| {
        // A child ends with its client: it is looked at meanwhile.
        let watch = scope.spawn(|| {
            let mut most = None;
            while !over.load(Ordering::Relaxed) {
                most = most.max(kernel::peak(leader));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let came = take(&running, &name);
        over.store(true, Ordering::Relaxed);
        (came, watch.join().ok().flatten())
    });
    let _ = std::fs::remove_file(site.path(&name));
    (came.ok()? == size).then_some(most?)
}

/// Reads all of a file and throws it away; how long its content was. It sends its request in two
/// parts, so that whoever serves it can be seen before it ends.
fn take(running: &Running, name: &str) -> io::Result<u64> {
    let mut stream = running.connect()?;
    let request = format!("GET /{name} HTTP/1.1\r\nHost: {}\r\n", running.address);
    stream.write_all(request.as_bytes())?;
    thread::sleep(Duration::from_millis(50));
    stream.write_all(b"Connection: close\r\n\r\n")?;
    let mut answer = BufReader::with_capacity(64 * 1024, stream);
    let mut line = Vec::new();
    while !matches!(line.as_slice(), b"\r\n" | b"\n") {
        line.clear();
        if answer.read_until(b'\n', &mut line)? == 0 {
            return Ok(0);
        }
    }
    io::copy(&mut answer, &mut io::sink())
}
