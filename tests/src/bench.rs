//! The bench: what a check has at hand, and how long it waits.

use crate::check::Trouble;
use crate::program::{Kept, Program};
use crate::server::{Server, Start};
use crate::site::Site;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long to wait for what a right server does at once, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a program may take to start. Some languages need their time, and on a busy
/// machine many start at once.
pub const STARTING: Duration = Duration::from_secs(15);

/// How long one server may take in all, once it serves: one that is slow at every turn must
/// not hold up the suite.
pub const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// The setting of one check: the program under test and a site of its own.
pub struct Bench {
    pub program: Program,
    pub site: Site,
    /// What its servers write to standard error.
    logs: Mutex<Vec<Kept>>,
}

impl Bench {
    /// A setting in which everything random follows from the seed and the check's name.
    pub fn new(program: &Program, seed: u64, id: &str) -> io::Result<Bench> {
        // FNV-1a: a plain mix that stays the same from release to release.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let seed = id.bytes().fold(seed, mix);
        let site = Site::new(fastrand::Rng::with_seed(seed), program.user)?;
        Ok(Bench {
            program: program.clone(),
            site,
            logs: Mutex::new(Vec::new()),
        })
    }

    /// Starts the program on the site, patient with its clients.
    pub fn start(&self) -> Result<Server, Trouble> {
        self.start_with(Start::default())
    }

    /// Starts the program on the site in a certain way.
    pub fn start_with(&self, start: Start) -> Result<Server, Trouble> {
        let log = Kept::default();
        self.logs.lock().unwrap().push(log.clone());
        Server::start(&self.program, &self.site, start, log)
    }

    /// The last lines of what the last server wrote to standard error.
    pub fn last_words(&self) -> Vec<u8> {
        let logs = self.logs.lock().unwrap();
        let log = logs
            .last()
            .map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let log = log.unwrap_or_default();
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        lines[lines.len().saturating_sub(3)..].concat()
    }
}

/// Looks again and again until something is there, at most for `limit`. For what no event
/// tells: the state of another process. The pauses grow with the time that has passed; the
/// last look begins when that time is up, however long a look takes on a busy machine.
pub fn wait_for<T>(
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Trouble>,
) -> Result<Option<T>, Trouble> {
    let since = Instant::now();
    loop {
        let passed = since.elapsed();
        let found = look()?;
        if found.is_some() || passed >= limit {
            return Ok(found);
        }
        let pause = (passed / 10).clamp(Duration::from_millis(2), Duration::from_millis(100));
        std::thread::sleep(pause.min(limit - passed));
    }
}

/// The same, for a condition: whether it came to hold.
pub fn wait_until(
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool, Trouble>,
) -> Result<bool, Trouble> {
    Ok(wait_for(limit, || Ok(condition()?.then_some(())))?.is_some())
}
