//! What prevents wrong conclusions from the figures: failures, limits of the load generator,
//! waiting that no figure includes, and how much the rounds differ.

use crate::speed::generator::Kind;
use crate::speed::results::{Run, clients_text};
use harness::style::{RED, YELLOW, paint};

/// From this share of a processor on, `ab` is the limit.
const GENERATOR_LIMIT: f64 = 0.9;

/// Below this share of the clients being served at once, some were waiting to be accepted. The
/// rest is the time that the generator takes between two requests.
const SERVED_SHARE: f64 = 0.75;

/// From this spread on, the rounds differ too much.
const NOISY: f64 = 0.2;

/// All remarks, one per line.
pub fn all(run: &Run) -> String {
    let mut lines = failures(run);
    lines.extend(generator_limit(run));
    lines.extend(idle_connections(run));
    lines.extend(waiting_clients(run));
    lines.extend(noise(run));
    format!("\n{}\n", lines.join("\n"))
}

fn failures(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    for (server, clients, failure) in run.failures() {
        let clients = clients.map(|it| format!(", {}", clients_text(it)));
        let (name, clients) = (&server.name, clients.unwrap_or_default());
        let detail = failure.detail.trim().replace('\n', "\n    ");
        let line = format!("{name}{clients}: {}: {detail}", failure.kind.name());
        lines.push(paint(RED, line));
    }
    lines
}

fn generator_limit(run: &Run) -> Option<String> {
    let mut limited = Vec::new();
    for (server, level) in run.levels() {
        let load = level.median(|round| round.generator_load);
        if run.generator == Kind::Ab && load >= Some(GENERATOR_LIMIT) {
            limited.push(format!("{} ({})", server.name, level.clients));
        }
    }
    (!limited.is_empty()).then(|| {
        format!(
            "ab can use one processor and used 90 % of it or more, so it was the limit for {}. \
             These servers may be faster than shown: compare their processor times.",
            limited.join(", ")
        )
    })
}

fn idle_connections(run: &Run) -> Vec<String> {
    let lines = run.servers.iter().filter_map(|server| {
        let (connections, held) = server.memory.as_ref()?.not_held()?;
        Some(format!(
            "* {} held {held} of {connections} idle connections. It closed the others, or they \
             waited in the kernel, whose memory isn't counted.",
            server.name
        ))
    });
    lines.collect()
}

/// By Little's law, the clients that are served at once are those that arrive in a second times
/// the seconds that each takes. All others were waiting to be accepted.
fn waiting_clients(run: &Run) -> Option<String> {
    let mut waiting = Vec::new();
    for (server, level) in run.levels() {
        let (name, clients) = (&server.name, level.clients);
        let seconds = level.median(|round| round.load.mean / 1000.0);
        let served = level.rate() * seconds.unwrap_or_default();
        if served < f64::from(clients) * SERVED_SHARE {
            waiting.push(format!("{name} ({:.0} of {clients})", served.max(1.0)));
        }
    }
    (!waiting.is_empty()).then(|| {
        format!(
            "Some clients waited for a place in the backlog. On average these were served at \
             once: {}. No figure includes how long the others waited, so p50 and p99 look better \
             there than they are.",
            waiting.join(", ")
        )
    })
}

/// How much the rounds differ; nothing if there was one.
fn noise(run: &Run) -> Option<String> {
    let levels = run.levels().into_iter();
    let spreads = levels.filter_map(|(server, level)| Some((level.spread()?, server, level)));
    let (most, server, level) = spreads.max_by(|one, other| one.0.total_cmp(&other.0))?;
    let (percent, clients) = (most * 100.0, clients_text(level.clients));
    let text = format!(
        "Medians of {} rounds, which differ by {percent:.0} % at most ({}, {clients}): highest \
         minus lowest, relative to the median.",
        run.rounds, server.name
    );
    let warning =
        " The machine was busy, or the rounds were too short: trust no smaller difference.";
    Some(if most > NOISY {
        text + &paint(YELLOW, warning)
    } else {
        text
    })
}
