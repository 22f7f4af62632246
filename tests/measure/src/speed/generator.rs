//! Load generators: programs that request the same page again and again, as many clients at
//! once, and report how long that took.
//!
//! `ab` is the first choice. It is written in C and takes the least processor time from the
//! server; it accepts content that ends with the connection; and its times include connecting.
//! But it uses one core only, and speaks HTTP/1.0, in which some servers don't keep a connection
//! open: for these there is `hey`, which takes more than twice the processor time. `wrk` takes as
//! much as `ab`, and it reports content that ends with the connection as an error.

use crate::speed::server::{RunningServer, last_lines};
use crate::speed::{PAGE, Plan, SECONDS};
use clap::ValueEnum;
use harness::cleanup::{self, ProcessGroup};
use harness::context::wait_until;
use harness::process;
use harness::program::{Program, on_path};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const INSTALL: &str = "Install ab: apt-get install apache2-utils (Debian), apk add apache2-utils \
     (Alpine); macOS has it. Or hey: apt-get install hey, brew install hey.";

/// How long a load generator may run.
const TIMEOUT: Duration = Duration::from_secs(SECONDS as u64 + 10);

/// More requests than `ab` can send in a round.
const UNLIMITED: u32 = 100_000 * SECONDS;

/// Into which files `ab` writes percentiles, and any generator its output.
const PERCENTILES: &str = "percentiles";
const OUTPUT: &str = "output";

/// A kind of load generator.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Ab,
    Hey,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ab => "ab",
            Kind::Hey => "hey",
        }
    }

    /// The version of HTTP that it speaks.
    pub fn protocol(self) -> &'static str {
        match self {
            Kind::Ab => "HTTP/1.0",
            Kind::Hey => "HTTP/1.1",
        }
    }
}

/// A load generator that is installed.
#[derive(Clone, Debug)]
pub struct Generator {
    pub kind: Kind,
    pub path: PathBuf,
}

/// What a load generator reports.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct LoadReport {
    /// Requests with a correct response, and all others.
    pub responses: u64,
    pub errors: u64,
    pub seconds: f64,
    /// How long a request took, in milliseconds: the mean and two percentiles.
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
}

impl LoadReport {
    /// Correct responses per second.
    pub fn rate(&self) -> f64 {
        self.responses as f64 / self.seconds
    }
}

/// Finds the load generator that is wanted, or the best that is installed.
pub fn find(wanted: Option<Kind>) -> Result<Generator, String> {
    let candidates = wanted.map_or(vec![Kind::Ab, Kind::Hey], |kind| vec![kind]);
    for kind in &candidates {
        if let Some(path) = on_path(kind.name()) {
            return Ok(Generator { kind: *kind, path });
        }
    }
    let names: Vec<&str> = candidates.iter().map(|kind| kind.name()).collect();
    Err(format!(
        "{} is not installed. {INSTALL}",
        names.join(" or ")
    ))
}

impl Generator {
    /// Sends requests to a server from that many clients. Also returns the share of one processor
    /// that the generator used, if it is known.
    pub fn run(
        &self,
        plan: &Plan,
        server: &RunningServer,
        target: &str,
        clients: u32,
    ) -> Result<(LoadReport, Option<f64>), String> {
        let (name, keep_alive) = (self.kind.name(), plan.keep_alive);
        let options = match self.kind {
            // With `-r` it counts errors and goes on. `-t` also sets a number of requests, so
            // `-n` must come after it.
            Kind::Ab => format!(
                "-q -S -d -r {} -t {SECONDS} -n {UNLIMITED} -c {clients} -e {PERCENTILES}",
                if keep_alive { "-k" } else { "" }
            ),
            // Otherwise, the content could be compressed.
            Kind::Hey => format!(
                "-disable-compression {} -z {SECONDS}s -c {clients}",
                if keep_alive { "" } else { "-disable-keepalive" }
            ),
        };
        let url = format!("http://{}{target}", server.address);
        let options = options.split_whitespace().chain([url.as_str()]);
        let load = self.run_program(options, server.folder.path());
        let load = load.map_err(|error| format!("{name}: {error}"))?;
        let read = |file| fs::read_to_string(server.folder.path().join(file)).unwrap_or_default();
        let output = read(OUTPUT);
        let report = match self.kind {
            Kind::Ab => parse_ab(&output, &read(PERCENTILES), PAGE),
            Kind::Hey => parse_hey(&output, PAGE),
        };
        let failed = || format!("{name} reports:\n{}", last_lines(&output));
        Ok((report.ok_or_else(failed)?, load))
    }

    /// Runs the generator in that folder until it exits.
    fn run_program<'a>(
        &self,
        options: impl Iterator<Item = &'a str>,
        folder: &Path,
    ) -> io::Result<Option<f64>> {
        let output = File::create(folder.join(OUTPUT))?;
        let mut command = Program::new(&self.path).command();
        command.current_dir(folder).args(options);
        command.stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let (mut child, group) = ProcessGroup::start(&mut command)?;
        let exited = wait_until(TIMEOUT, || Ok(cleanup::has_exited(&child)));
        let time = started.elapsed().as_secs_f64();
        // The system knows this until the child is reaped.
        let used = process::processor_time(child.id().cast_signed());
        drop(group);
        child.wait()?;
        if !exited.unwrap_or(false) {
            let message = format!("it did not exit within {TIMEOUT:?}");
            return Err(io::Error::other(message));
        }
        Ok(used.ok().map(|used| used.as_secs_f64() / time))
    }
}

/// Reads what `ab` has written: its output, and a CSV file with a time for each percentile.
/// `None` if a figure is missing.
pub fn parse_ab(output: &str, percentiles: &str, length: usize) -> Option<LoadReport> {
    let complete = number(output, "Complete requests:")?;
    let mut errors = number(output, "Failed requests:")?;
    errors += number(output, "Non-2xx responses:").unwrap_or(0.0);
    errors += number(output, "Write errors:").unwrap_or(0.0);
    // It compares every response with the first, so the first one must be correct.
    if number(output, "Document Length:")? != length as f64 {
        errors = complete;
    }
    let rows = percentiles.lines().filter_map(|row| row.split_once(','));
    let times: Vec<f64> = rows.filter_map(|(_, time)| time.parse().ok()).collect();
    Some(LoadReport {
        // It counts some errors twice; the rest is certainly correct.
        responses: (complete - errors).max(0.0) as u64,
        errors: errors as u64,
        seconds: number(output, "Time taken for tests:")?,
        mean: times.iter().sum::<f64>() / times.len() as f64,
        p50: *times.get(50)?,
        p99: *times.get(99)?,
    })
}

/// Reads what `hey` has written; `None` if a figure is missing.
pub fn parse_hey(output: &str, length: usize) -> Option<LoadReport> {
    let (mut responses, mut errors) = (0, 0);
    // A status code and its count, or the count of an error and its message.
    for line in output.lines() {
        let line = line.trim().strip_prefix('[');
        let Some((number, rest)) = line.and_then(|line| line.split_once(']')) else {
            continue;
        };
        let number: u64 = number.parse().ok()?;
        match rest.trim().strip_suffix(" responses") {
            Some(count) if number == 200 => responses += count.parse::<u64>().ok()?,
            Some(count) => errors += count.parse::<u64>().ok()?,
            None => errors += number,
        }
    }
    // The mean of the lengths that the server declared, if it declares any.
    if number(output, "Size/request:").is_some_and(|mean| mean != length as f64) {
        errors += responses;
        responses = 0;
    }
    let milliseconds = |label| number(output, label).map(|seconds| seconds * 1000.0);
    Some(LoadReport {
        responses,
        errors,
        seconds: number(output, "Total:")?,
        mean: milliseconds("Average:")?,
        p50: milliseconds("50% in")?,
        p99: milliseconds("99% in")?,
    })
}

/// The number after a label at the start of a line.
fn number(text: &str, label: &str) -> Option<f64> {
    let mut lines = text.lines().map(str::trim_start);
    let rest = lines.find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}
