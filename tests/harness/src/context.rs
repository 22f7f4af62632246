//! What a check gets, and how long it waits.

use crate::error::{CheckError, CheckResult};
use crate::program::{CapturedOutput, OUTPUT_LIMIT_TEXT, Program};
use crate::server::{Server, Start};
use crate::site::Site;
use crate::text::SHOWN_BYTES;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what a correct server does at once, even on a busy machine.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a program may take to start. Some languages are slow to start, and on a busy
/// machine many programs start at the same time.
pub const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a check may talk to one server in all. A server that is slow every time must not
/// hold up the suite.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// How many lines of a server's log are shown: enough for the usage error of most programs.
const LOG_LINES: usize = 8;

/// The context of one check: the program under test, and a site that no other check uses.
pub struct TestContext {
    pub program: Program,
    pub site: Site,
    /// The standard error of each server that was started.
    logs: Mutex<Vec<CapturedOutput>>,
}

impl TestContext {
    /// Creates a context. Everything random in it follows from the seed and the check's id.
    pub fn new(program: &Program, seed: u64, id: &str) -> io::Result<TestContext> {
        // FNV-1a: simple, and the same in every release.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let seed = id.bytes().fold(seed, mix);
        let site = Site::new(fastrand::Rng::with_seed(seed), program.user)?;
        Ok(TestContext {
            program: program.clone(),
            site,
            logs: Mutex::new(Vec::new()),
        })
    }

    /// Starts the program on the site, with a timeout that no check reaches.
    pub fn start(&self) -> CheckResult<Server> {
        self.start_with(Start::default())
    }

    /// Starts the program on the site with these options.
    pub fn start_with(&self, start: Start) -> CheckResult<Server> {
        self.start_program(&self.program, start)
    }

    /// Starts it on the site as another program, such as a script that starts it with a limit.
    pub fn start_program(&self, program: &Program, start: Start) -> CheckResult<Server> {
        let log = CapturedOutput::default();
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.push(log.clone());
        drop(logs);
        Server::start(program, &self.site, start, log)
    }

    /// The last lines that the last server wrote to standard error. If more came than is kept, the
    /// last line says so.
    pub fn log_tail(&self) -> Vec<u8> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.last().map(tail).unwrap_or_default()
    }
}

fn tail(output: &CapturedOutput) -> Vec<u8> {
    let log = output.snapshot();
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let mut tail = lines[lines.len().saturating_sub(LOG_LINES)..].concat();
    let note = if output.is_cut() {
        format!("\n[the log is cut here: the server wrote more than {OUTPUT_LIMIT_TEXT}]\n")
    } else {
        String::new()
    };
    tail.drain(..tail.len().saturating_sub(SHOWN_BYTES - note.len()));
    tail.extend_from_slice(note.as_bytes());
    tail
}

/// Polls until `look` returns something, for at most `limit`. It is for what no event announces,
/// such as the state of another process. The pauses grow with the time that has passed; the
/// last look starts when the time is up, however long a look takes on a busy machine.
pub fn wait_for<T>(
    limit: Duration,
    mut look: impl FnMut() -> CheckResult<Option<T>>,
) -> CheckResult<Option<T>> {
    let start = Instant::now();
    loop {
        let passed = start.elapsed();
        let found = look()?;
        if found.is_some() || passed >= limit {
            return Ok(found);
        }
        let pause = (passed / 10).clamp(Duration::from_millis(2), Duration::from_millis(100));
        thread::sleep(pause.min(limit - passed));
    }
}

/// Polls until a condition holds, for at most `limit`. Returns whether it held.
pub fn wait_until(
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool, CheckError>,
) -> CheckResult<bool> {
    Ok(wait_for(limit, || Ok(condition()?.then_some(())))?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// What a server with an endless log has written.
    fn capture(bytes: u64) -> CapturedOutput {
        let output = CapturedOutput::default();
        output.capture(Some(io::repeat(b'x').take(bytes)));
        output.finish();
        output
    }

    #[test]
    fn log_that_was_cut_says_so() {
        let whole = tail(&capture(SHOWN_BYTES as u64));
        assert_eq!(whole, [b'x'; SHOWN_BYTES]);
        let cut = tail(&capture(5 * 1024 * 1024));
        assert!(cut.ends_with(b"more than 4 MiB]\n"), "{cut:?}");
        assert!(cut.len() <= SHOWN_BYTES, "{} bytes", cut.len());
    }
}
