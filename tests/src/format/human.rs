//! A report for a person: the first failures in full, since one is mended at a time, the
//! others by name, and what to do next.

use crate::check::BASIC;
use crate::paint::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use crate::report::{Line, Report, Status};

/// So many failures are told in full.
const TOLD: usize = 3;

/// Prints a report, in colour on a terminal.
pub fn print(report: &Report) {
    anstream::print!("{}", text(report));
}

/// The report as text, with colours.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    if !report.message.is_empty() {
        text += &format!("{}\n\n", report.message.trim_end());
    }
    let (told, named): (Vec<&Line>, Vec<&Line>) = {
        let red = |line: &&Line| matches!(line.status, Status::Failed | Status::Broken);
        let mut red: Vec<&Line> = report.checks.iter().filter(red).collect();
        // What nearly all others wait for comes first.
        red.sort_by_key(|line| line.id != BASIC);
        let mut red = red.into_iter();
        (red.by_ref().take(TOLD).collect(), red.collect())
    };
    // When nothing could be checked, the message has said it all.
    let given_up = !report.message.is_empty() && report.count(Status::Passed) == 0;
    if !given_up {
        for line in told {
            text += &headline(line);
            text += &format!("{}\n", line.output);
        }
        if !named.is_empty() {
            let more = format!(
                "{} more in short; --only NAME tells all of one:",
                named.len()
            );
            text += &format!("{}\n", paint(BOLD, more));
        }
        for line in named {
            text += &headline(line);
            text += &format!("  {}\n", paint(DIM, &line.must));
        }
        text += &rest(report);
    }
    text + &score(report)
}

fn headline(line: &Line) -> String {
    let (style, sign) = match line.status {
        Status::Broken => (YELLOW, '!'),
        _ => (RED, '✗'),
    };
    let name = paint(style, format!("{sign} {}", line.id));
    format!(
        "{name} ({}, 0 of {} points)\n",
        line.status.name(),
        line.max_score
    )
}

/// What was neither passed nor failed, by name only.
fn rest(report: &Report) -> String {
    let mut text = String::new();
    for (status, what) in [
        (Status::NotReached, "not reached, since others come first"),
        (Status::NotRun, "not run here"),
    ] {
        let names: Vec<&str> = report
            .checks
            .iter()
            .filter(|line| line.status == status)
            .map(|line| line.id.as_str())
            .collect();
        if !names.is_empty() {
            let heading = paint(YELLOW, format!("{} {what}", names.len()));
            text += &format!("\n{heading}: {}\n", paint(DIM, names.join(", ")));
        }
    }
    text
}

/// The last lines: the score, and how it came about.
fn score(report: &Report) -> String {
    let counts = [
        (GREEN, Status::Passed, "passed"),
        (RED, Status::Failed, "failed"),
        (YELLOW, Status::NotReached, "not reached"),
        (YELLOW, Status::NotRun, "not run"),
        (YELLOW, Status::Broken, "broken"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, status, _)| report.count(*status) > 0)
        .map(|(style, status, name)| paint(style, format!("{} {name}", report.count(status))))
        .collect();
    let style = match report.status {
        Status::Passed => GREEN,
        Status::Broken => YELLOW,
        _ => RED,
    };
    let score = format!("{} of {} points", report.score, report.max_score);
    let mut text = format!(
        "\n{}  {}  {}\n",
        paint(style.bold(), score),
        counts.join(", "),
        paint(
            DIM,
            format!("in {:.1} s, seed {}", report.seconds, report.seed)
        ),
    );
    if report.status == Status::Broken {
        let shout = "This grade does not count: the harness broke, not the server. Grade again.";
        text += &format!("{}\n", paint(YELLOW.bold(), shout));
    }
    let failed = || {
        report
            .checks
            .iter()
            .filter(|line| line.status == Status::Failed)
    };
    let first = failed().find(|line| line.id == BASIC).or(failed().next());
    if let Some(line) = first {
        let next = format!("{} ({})", paint(CYAN, &line.id), line.lesson);
        text += &format!("{} make {next} green.\n", paint(BOLD, "Next:"));
    }
    text
}
