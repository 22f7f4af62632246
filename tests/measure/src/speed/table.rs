//! The figures as tables for a terminal, at most 100 columns wide.

use crate::speed::memory::Memory;
use crate::speed::results::{Level, Run, ServerResult, clients_text};
use crate::speed::server::Origin;
use crate::speed::{KEPT_MAIN_LEVEL, MAIN_LEVEL, remarks};
use crate::thousands;
use harness::style::{BOLD, DIM, RED, paint};

/// The width of the column of names: that of an exercise's package.
const NAME: usize = 24;

const MIB: f64 = 1024.0 * 1024.0;

/// All tables, and what to know about their figures.
pub fn all(run: &Run) -> String {
    let levels = run.clients();
    let main = if run.keep_alive {
        KEPT_MAIN_LEVEL
    } else {
        MAIN_LEVEL
    };
    let main = levels.iter().find(|clients| **clients == main);
    let mut text = String::new();
    if let Some(clients) = main.or(levels.first()) {
        text += &one_level(run, *clients);
    }
    if levels.len() > 1 {
        text += &all_levels(run, "requests/s", |it| thousands(it.rate()));
        text += &all_levels(run, "p99, ms", |it| {
            milliseconds(it.median(|round| round.load.p99))
        });
        text += &all_levels(run, "processor time, µs/request", processor_time);
    }
    text + &remarks::all(run)
}

/// Every figure of one concurrency level.
fn one_level(run: &Run, clients: u32) -> String {
    let mode = if run.keep_alive {
        "connections are kept open"
    } else {
        "a new connection for each request"
    };
    let (size, generator) = (run.page / 1024, run.generator);
    let (name, protocol) = (generator.name(), generator.protocol());
    let mut details = format!("   {size} KiB, {mode}, {protocol} by {name}");
    details += if run.tuning.no_log { ", no log" } else { "" };
    if let Some(loops) = run.tuning.loops {
        details += &format!(", loops: {loops}");
    }
    let mut text = heading(&clients_text(clients), &details);
    for head in [
        "requests      p50      p99          processor  memory    KiB per relative",
        "      /s       ms       ms  errors µs/request     MiB idle conn. to first",
    ] {
        text += &format!("{}\n", paint(DIM, format!("{:NAME$} {head}", "")));
    }
    let mut first = None;
    for server in &run.servers {
        let name = &server.name;
        let memory = server.memory.as_ref();
        let at_rest = memory.map(|it| format!("{:.1}", it.at_rest() as f64 / MIB));
        let per_connection = memory.map(per_connection);
        let memory = format!("{:>7} {:>10}", figure(at_rest), figure(per_connection));
        let Some(level) = server.level(clients) else {
            let reason = reason(server, clients);
            text += &highlight(server, format!("{name:NAME$} {reason:<45} {memory}"), true);
            continue;
        };
        let rate = thousands(level.rate());
        let p50 = milliseconds(level.median(|round| round.load.p50));
        let p99 = milliseconds(level.median(|round| round.load.p99));
        let time = processor_time(level);
        let relative = level.rate() / *first.get_or_insert(level.rate());
        let errors = level.errors();
        let line = format!(
            "{name:NAME$} {rate:>8} {p50:>8} {p99:>8} {errors:>7} {time:>10} {memory} {relative:>8.2}"
        );
        text += &highlight(server, line, errors > 0);
    }
    text
}

/// One figure at all concurrency levels.
fn all_levels(run: &Run, name: &str, figure: impl Fn(&Level) -> String) -> String {
    let mut head = " ".repeat(NAME);
    for clients in run.clients() {
        head += &format!(" {:>14}", clients_text(clients));
    }
    let mut text = format!("{}{}\n", heading(name, ""), paint(DIM, head));
    for server in &run.servers {
        let mut line = format!("{:NAME$}", server.name);
        let mut failed = false;
        for clients in run.clients() {
            let level = server.level(clients);
            failed |= level.is_none();
            let cell = level.map_or(reason(server, clients).to_string(), &figure);
            line += &format!(" {cell:>14}");
        }
        text += &highlight(server, line, failed);
    }
    text
}

/// Why there is no figure.
fn reason(server: &ServerResult, clients: u32) -> &'static str {
    let failure = server.failure(clients);
    failure.map_or("not measured", |failure| failure.kind.name())
}

/// A line: of a failure, or of a stage or a student's server among the other servers.
fn highlight(server: &ServerResult, line: String, failed: bool) -> String {
    let line = match server.origin {
        _ if failed => paint(RED, line),
        Origin::Peer => line,
        Origin::Stage(_) | Origin::Own => paint(BOLD, line),
    };
    format!("{line}\n")
}

fn heading(name: &str, details: &str) -> String {
    format!("\n{}{}\n", paint(BOLD, name), paint(DIM, details))
}

/// A figure that may be unknown.
fn figure(text: Option<String>) -> String {
    text.unwrap_or("-".to_string())
}

/// The server's processor time per response, in microseconds.
fn processor_time(level: &Level) -> String {
    let time = level.median(|round| round.processor_time);
    figure(time.map(|time| format!("{time:.0}")))
}

/// The memory of an idle connection, with a star if the server doesn't hold all connections.
fn per_connection(memory: &Memory) -> String {
    let bytes = memory.per_connection();
    let text = figure(bytes.map(|bytes| format!("{:.1}", bytes / 1024.0)));
    let star = memory.not_held().map_or("", |_| "* ");
    format!("{star}{text}")
}

/// A time in milliseconds with about three digits.
fn milliseconds(time: Option<f64>) -> String {
    match time.unwrap_or_default() {
        time @ ..10.0 => format!("{time:.2}"),
        time @ ..100.0 => format!("{time:.1}"),
        time => thousands(time),
    }
}
