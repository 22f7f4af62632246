//! What was measured, in tables of at most 100 columns, and in sentences.

use crate::measure::speed::memory::Memory;
use crate::measure::speed::run::{Run, Server, Summary, What};
use crate::measure::speed::server::Origin;
use crate::measure::speed::{MAIN, notes, people};
use crate::paint::{BOLD, DIM, RED, paint};
use std::fmt::Write;

/// How wide a name may be: that of an exercise's package, and a little.
const NAME: usize = 24;

/// One mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// All tables and sentences.
pub fn all(run: &Run) -> String {
    let counts = run.counts();
    let main = counts.iter().find(|count| **count == MAIN);
    let mut text = String::new();
    if let Some(main) = main.or(counts.first()) {
        text += &everything(run, *main);
        if counts.len() > 1 {
            text += &across(run, "requests/s", |of| whole(of.rate));
            text += &across(run, "p99, ms", |of| milliseconds(of.p99));
        }
    }
    text += &large(run);
    text += &notes::sentences(run);
    text
}

/// The first table: all that is known, of one number of clients.
fn everything(run: &Run, clients: u32) -> String {
    let mut text = heading(&people(clients), &mode(run));
    let heads = [
        [
            "requests",
            "p50",
            "p99",
            "",
            "processor",
            "memory",
            "KiB per",
            "to the",
        ],
        [
            "/s",
            "ms",
            "ms",
            "errors",
            "µs/request",
            "MiB",
            "idle conn.",
            "first",
        ],
    ];
    for head in heads {
        let line = columns("", &head.map(str::to_string));
        let _ = writeln!(text, "{}", paint(DIM, line));
    }
    let mut first = None;
    for server in &run.servers {
        let memory = server.memory.as_ref();
        let rest = memory.map_or(none(), |of| format!("{:.1}", of.at_rest() as f64 / MIB));
        let each = memory.map_or(none(), |of| mark(of, per_connection(of)));
        let line = match found(run, server, clients) {
            Ok(of) => {
                let to = *first.get_or_insert(of.rate);
                let cells = [
                    whole(of.rate),
                    milliseconds(of.p50),
                    milliseconds(of.p99),
                    whole(of.errors as f64),
                    of.processor.map_or(none(), |time| format!("{time:.0}")),
                    rest,
                    each,
                    format!("{:.2}", of.rate / to),
                ];
                shown(server, columns(&server.name, &cells), of.errors > 0)
            }
            Err(words) => {
                // The words take the place of the figures.
                let line = format!("{:NAME$} {words:<45}{rest:>8} {each:>10}", server.name);
                shown(server, line, true)
            }
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn columns(name: &str, cells: &[String; 8]) -> String {
    let [rate, p50, p99, errors, processor, rest, each, to] = cells;
    format!(
        "{name:NAME$} {rate:>8} {p50:>8} {p99:>8} {errors:>7} {processor:>10} {rest:>7} {each:>10} {to:>7}"
    )
    .trim_end()
    .to_string()
}

/// A small table: one figure, of all numbers of clients.
fn across(run: &Run, name: &str, figure: impl Fn(&Summary) -> String) -> String {
    let counts = run.counts();
    let mut head = " ".repeat(NAME);
    for count in &counts {
        let _ = write!(head, " {:>13}", people(*count));
    }
    let mut text = heading(name, "");
    let _ = writeln!(text, "{}", paint(DIM, head));
    for server in &run.servers {
        let mut line = format!("{:NAME$}", server.name);
        let mut bad = false;
        for count in &counts {
            let cell = found(run, server, *count);
            bad |= cell.is_err();
            let cell = cell.map_or_else(short, |of| figure(&of));
            let _ = write!(line, " {cell:>13}");
        }
        let _ = writeln!(text, "{}", shown(server, line, bad));
    }
    text
}

/// What is known of a cell, or the words in its place.
fn found(run: &Run, server: &Server, clients: u32) -> Result<Summary, String> {
    if server.closes {
        return Err("closes after each answer: not measured".to_string());
    }
    let cell = run.cell(server, clients);
    cell.map_err(|what| what.map_or("not measured", What::shown).to_string())
}

/// The same words, where there is less room.
fn short(words: String) -> String {
    match words.len() {
        ..=13 => words,
        _ => "not measured".to_string(),
    }
}

/// A row: the lab's own and the student's stand out among the peers, and what has gone wrong
/// among all.
fn shown(server: &Server, line: String, bad: bool) -> String {
    match (bad, server.origin) {
        (true, _) => paint(RED, line),
        (false, Origin::Peer) => line,
        (false, _) => paint(BOLD, line),
    }
}

fn heading(name: &str, rest: &str) -> String {
    format!("\n{}{}\n", paint(BOLD, name), paint(DIM, rest))
}

/// How it was measured.
fn mode(run: &Run) -> String {
    let connections = match run.keep_alive {
        true => "connections are kept",
        false => "a connection for each request",
    };
    format!(
        "   {connections}, {} KiB, by {}; medians of {}",
        run.page / 1024,
        run.generator.kind.name(),
        match run.rounds {
            1 => "one round".to_string(),
            rounds => format!("{rounds} rounds"),
        }
    )
}

/// What a large file takes more than a small one.
fn large(run: &Run) -> String {
    let servers = run.servers.iter();
    let rows: Vec<_> = servers
        .filter_map(|server| server.large.as_ref().map(|large| (server, large)))
        .collect();
    let Some((_, any)) = rows.first() else {
        return String::new();
    };
    let mut text = heading("peak memory, MiB", "   of the process that serves");
    let sizes = [any.small_file, any.large_file].map(size);
    let head = format!("{:NAME$} {:>13} {:>13}", "", sizes[0], sizes[1]);
    let _ = writeln!(text, "{}", paint(DIM, head));
    for (server, large) in rows {
        let peaks = [large.small_peak, large.large_peak].map(|peak| peak as f64 / MIB);
        let line = format!(
            "{:NAME$} {:>13.1} {:>13.1}",
            server.name, peaks[0], peaks[1]
        );
        let _ = writeln!(text, "{}", shown(server, line, false));
    }
    text
}

fn per_connection(memory: &Memory) -> String {
    // Parts of shared pages change with what else runs: less than nothing is nothing.
    let shown = |bytes: f64| format!("{:.1}", bytes.max(0.0) / 1024.0);
    memory.per_connection().map_or(none(), shown)
}

/// A figure that needs a word, which stands below.
fn mark(memory: &Memory, figure: String) -> String {
    let (opened, taken) = memory.taken_on();
    match taken < opened {
        true => format!("* {figure}"),
        false => figure,
    }
}

fn none() -> String {
    "-".to_string()
}

/// A whole number, with a comma between thousands.
pub fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in milliseconds, with as many figures as it is worth.
fn milliseconds(time: f64) -> String {
    match time {
        ..10.0 => format!("{time:.2}"),
        10.0..100.0 => format!("{time:.1}"),
        _ => whole(time),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        1_073_741_824.. => format!("{} GiB", bytes >> 30),
        1_048_576.. => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}
