//! What is to be said of the figures: what went wrong, what they do not show, and how far
//! they can be trusted.

use crate::measure::speed::generator::Kind;
use crate::measure::speed::memory::Memory;
use crate::measure::speed::people;
use crate::measure::speed::run::{Incident, Run, Server};
use crate::paint::{RED, YELLOW, paint};
use std::fmt::Write;

/// From so much of one processor on, a generator is at its limit.
const AT_ITS_LIMIT: f64 = 0.9;

/// Below so many of its clients, a server had not let in all of them. The rest is for what a
/// generator needs to come again.
const LET_IN: f64 = 0.75;

/// From so much on, rounds differ too much.
const NOISY: f64 = 0.2;

/// What is to be said of the figures.
pub fn sentences(run: &Run) -> String {
    let mut text = String::from("\n");
    for incident in told(&run.incidents) {
        let _ = writeln!(text, "{}", paint(RED, incident));
    }
    let mut lines: Vec<String> = at_its_limit(run).into_iter().collect();
    lines.extend(in_the_backlog(run));
    lines.extend(not_let_in(run));
    if run.servers.iter().all(|server| server.memory.is_none()) {
        lines.push("Memory and processor time were not measured: only Linux tells them.".into());
    }
    let untimed = untimed(run);
    if !untimed.is_empty() {
        lines.push(format!(
            "Nobody keeps the processor times of what {} started: it does not wait for its children.",
            untimed.join(", ")
        ));
    }
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text + &noise(run)
}

/// Each thing that went wrong, once, with how often.
fn told(incidents: &[Incident]) -> Vec<String> {
    let mut told: Vec<(&Incident, u32)> = Vec::new();
    for incident in incidents {
        let same = |one: &&mut (&Incident, u32)| {
            let of = |it: &Incident| (it.server.clone(), it.clients, it.what);
            of(one.0) == of(incident)
        };
        match told.iter_mut().find(same) {
            Some((_, times)) => *times += 1,
            None => told.push((incident, 1)),
        }
    }
    let words = |(incident, times): (&Incident, u32)| {
        let clients = incident.clients.map(|count| format!(", {}", people(count)));
        let often = match times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        let detail = incident.detail.trim().replace('\n', "\n    ");
        format!(
            "{}{}: {}{often}: {detail}",
            incident.server,
            clients.unwrap_or_default(),
            incident.what.shown()
        )
    };
    told.into_iter().map(words).collect()
}

/// Where the generator could not ask faster.
fn at_its_limit(run: &Run) -> Option<String> {
    let mut places = Vec::new();
    for server in &run.servers {
        let limited = |clients: &u32| {
            let share = run.cell(server, *clients).ok().and_then(|of| of.generator);
            share.is_some_and(|share| share >= AT_ITS_LIMIT)
        };
        let counts = run.counts().into_iter().filter(limited);
        let counts: Vec<String> = counts.map(|count| count.to_string()).collect();
        if !counts.is_empty() {
            places.push(format!("{} ({})", server.name, counts.join(", ")));
        }
    }
    (run.generator.kind == Kind::Ab && !places.is_empty()).then(|| {
        format!(
            "ab has one processor and took 90 % of it or more, and so was the limit, with: {} clients. \
             These servers may be faster than shown: compare their processor times.",
            places.join(", ")
        )
    })
}

/// Who did not take on silent connections.
fn in_the_backlog(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    for server in &run.servers {
        let Some((opened, taken)) = server.memory.as_ref().map(Memory::taken_on) else {
            continue;
        };
        let closed = server.memory.as_ref().map_or(0, Memory::closed);
        if closed > 0 {
            lines.push(format!(
                "* {} had closed {closed} of {opened} idle connections: what one of them takes is \
                 not known.",
                server.name
            ));
        } else if taken < opened {
            lines.push(format!(
                "* {} had taken on {taken} of {opened} idle connections: the others waited in the \
                 kernel, whose memory does not count here.",
                server.name
            ));
        }
    }
    lines
}

/// Where many clients waited all the time, and so are in no figure: by Little's law as many are
/// served at once as come in a second, times the seconds that each of them takes.
fn not_let_in(run: &Run) -> Option<String> {
    let mut places = Vec::new();
    for server in &run.servers {
        for clients in run.counts() {
            let Ok(of) = run.cell(server, clients) else {
                continue;
            };
            let served = of.rate * of.mean / 1000.0;
            if served < f64::from(clients) * LET_IN {
                let served = served.max(1.0);
                places.push(format!("{} ({served:.0} of {clients})", server.name));
            }
        }
    }
    (!places.is_empty()).then(|| {
        format!(
            "Not all clients were let in, as a backlog was short: {} were served at once. How long \
             the others waited is in no figure: p50 and p99 look better there than they are.",
            places.join(", ")
        )
    })
}

/// Those whose processor time is not known, though that of others is.
fn untimed(run: &Run) -> Vec<&str> {
    let known = |server: &Server, known: bool| {
        let mut rounds = server.cells.iter().flat_map(|cell| &cell.rounds);
        rounds.any(|round| round.answered > 0 && round.processor.is_some() == known)
    };
    let any = run.servers.iter().any(|server| known(server, true));
    let these = run
        .servers
        .iter()
        .filter(|server| any && known(server, false));
    these.map(|server| server.name.as_str()).collect()
}

/// How far the rounds lie apart.
fn noise(run: &Run) -> String {
    let mut spreads = Vec::new();
    for server in &run.servers {
        for clients in run.counts() {
            let spread = run.cell(server, clients).ok().and_then(|of| of.spread);
            spreads.extend(spread.map(|spread| (spread, &server.name, clients)));
        }
    }
    spreads.sort_by(|one, other| one.0.total_cmp(&other.0));
    let middle = spreads.get(spreads.len() / 2);
    let (Some(middle), Some((most, name, clients))) = (middle, spreads.last()) else {
        let mut cells = run.servers.iter().flat_map(|server| &server.cells);
        if cells.all(|cell| cell.rounds.is_empty()) {
            return String::new();
        }
        let words = "With one round, nobody knows how far rounds differ: give `--rounds`.\n";
        return paint(YELLOW, words);
    };
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let sentence = format!(
        "Rounds differ by {} in the middle, by {} at most ({name}, {}): highest from lowest, of \
         the median.\n",
        percent(middle.0),
        percent(*most),
        people(*clients)
    );
    match *most > NOISY {
        false => sentence,
        true => {
            let words = format!(
                "The machine was not quiet, or the rounds too short: trust no difference below {}.\n",
                percent(*most)
            );
            sentence + &paint(YELLOW, words)
        }
    }
}
