//! A report for a person: the first failing checks in full, since people fix one at a time, the
//! others in short, and what to do next.

use crate::report::{Budget, CheckReport, Report, Status};
use anstyle::Style;
use harness::style::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use harness::workspace::stage;
use std::collections::BTreeSet;
use suite::check::{ANNOUNCEMENT, PREREQUISITE};
use suite::steps::{self, STEPS};
use suite::translation::{fill, text as translated, translatable};

/// How many failing checks are shown in full.
const SHOWN_IN_FULL: usize = 3;

/// Prints a report, with color on a terminal.
pub fn print(report: &Report) {
    anstream::print!("{}", text(report));
}

/// The first line: what was graded. Students must know that failing checks are expected.
pub fn headline(report: &Report, is_own: bool) -> String {
    let (number, program) = (report.stage, &report.program);
    if is_own && report.status != Status::Passed {
        let text = fill(
            "{program} is on its way to stage {number}. The failing checks are your to-do list.",
            &[("program", program), ("number", &number)],
        );
        return paint(YELLOW.bold(), text);
    }
    let idea = translated(stage(number).idea);
    let heading = fill(
        "Stage {number} ({idea}): {program}",
        &[("number", &number), ("idea", &idea), ("program", program)],
    );
    paint(BOLD, heading)
}

/// The color of a status.
pub fn style(status: Status) -> Style {
    match status {
        Status::Passed => GREEN,
        Status::Failed => RED,
        Status::NotReached | Status::NotRun | Status::Broken => YELLOW,
    }
}

/// The report as text, with color.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    if !report.message.is_empty() {
        text += &format!("{}\n\n", report.message.trim_end());
    }
    if let Some(note) = report.details_budget.as_ref().and_then(Budget::note) {
        text += &format!("{}\n\n", paint(YELLOW, note));
    }
    // If no check could run, the message explains why.
    let has_run = report.count(Status::Passed) + report.count(Status::Failed) > 0;
    if report.message.is_empty() || has_run {
        text += &problems(report);
    }
    text + &score(report)
}

/// The checks that did not pass: first those that failed or broke, and of these first the ones
/// without which hardly any other can pass; then the others, by name only.
pub fn problems(report: &Report) -> String {
    let is_failure = |check: &&CheckReport| matches!(check.status, Status::Failed | Status::Broken);
    let mut failures: Vec<&CheckReport> = report.checks.iter().filter(is_failure).collect();
    failures.sort_by_key(|check| rank(check));
    let (in_full, in_short) = failures.split_at(failures.len().min(SHOWN_IN_FULL));
    let mut text = String::new();
    for check in in_full {
        text += &format!("{}{}\n", check_line(check), check.output);
    }
    if !in_short.is_empty() {
        let count = in_short.len();
        let heading = fill(
            "{count} more, without details. To see one in full: --only NAME",
            &[("count", &count)],
        );
        text += &format!("{}\n", paint(BOLD, heading));
    }
    for check in in_short {
        text += &format!("{}  {}\n", check_line(check), paint(DIM, &check.must));
    }
    let has_recovered =
        |check: &&CheckReport| check.first_attempt.is_some() && check.status == Status::Passed;
    let recovered = report.checks.iter().filter(has_recovered);
    let recovered: Vec<&str> = recovered.map(|check| check.id.as_str()).collect();
    text += &named(
        translatable("{count} failed while the machine was too busy, then passed alone: "),
        &recovered,
    );
    let ids = |status| {
        let checks = report.checks.iter().filter(|check| check.status == status);
        checks.map(|check| check.id.as_str()).collect()
    };
    let not_reached: Vec<&str> = ids(Status::NotReached);
    text += &named(
        translatable("{count} not reached, because another check failed: "),
        &not_reached,
    );
    text + &named(translatable("{count} not run: "), &ids(Status::NotRun))
}

/// Checks by name only, after a heading with their number; empty if there are none.
fn named(heading: &str, ids: &[&str]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    let heading = fill(heading, &[("count", &ids.len())]);
    let (heading, ids) = (paint(YELLOW, heading), paint(DIM, ids.join(", ")));
    format!("\n{heading}{ids}\n")
}

/// Where a failing check belongs in the order in which to make them pass: first those without which
/// hardly any other can pass, then those of earlier stages, then step by step.
fn rank(check: &CheckReport) -> (usize, Option<usize>) {
    let first = [ANNOUNCEMENT, PREREQUISITE];
    let position = first.iter().position(|id| *id == check.id);
    (position.unwrap_or(first.len()), steps::place_of(&check.id))
}

fn check_line(check: &CheckReport) -> String {
    let sign = match check.status {
        Status::Broken => '!',
        _ => '✗',
    };
    let name = paint(style(check.status), format!("{sign} {}", check.id));
    let result = fill(
        " ({status}, 0 of {points} points)",
        &[
            ("status", &words(check.status)),
            ("points", &check.max_score),
        ],
    );
    format!("{name}{result}\n")
}

/// A status for a person.
fn words(status: Status) -> &'static str {
    translated(match status {
        Status::Passed => translatable("passed"),
        Status::Failed => translatable("failed"),
        Status::NotReached => translatable("not reached"),
        Status::NotRun => translatable("not run"),
        Status::Broken => translatable("broken"),
    })
}

/// The last lines: the score, how it came about, and what to do next.
fn score(report: &Report) -> String {
    let statuses: BTreeSet<Status> = report.checks.iter().map(|check| check.status).collect();
    let counts = statuses.into_iter().map(|status| {
        let (count, words) = (report.count(status), words(status));
        let text = fill("{count} {status}", &[("count", &count), ("status", &words)]);
        paint(style(status), text)
    });
    let counts: Vec<String> = counts.collect();
    let score = fill(
        "{score} of {max} points",
        &[("score", &report.score), ("max", &report.max_score)],
    );
    let seconds = format!("{:.1}", report.seconds);
    let run = fill(
        "in {seconds} s, seed {seed}",
        &[("seconds", &seconds), ("seed", &report.seed)],
    );
    let mut text = format!(
        "\n{}  {}  {}\n",
        paint(style(report.status).bold(), score),
        counts.join(translated(", ")),
        paint(DIM, run),
    );
    text += &step_points(report);
    if report.status == Status::Broken {
        let warning =
            translated("This grade doesn't count: the harness broke, not the server. Grade again.");
        text += &format!("{}\n", paint(YELLOW.bold(), warning));
    }
    let is_failed = |check: &&CheckReport| check.status == Status::Failed;
    let failed = report.checks.iter().filter(is_failed);
    if let Some(check) = failed.min_by_key(|check| rank(check)) {
        let (next, id) = (paint(BOLD, translated("Next: ")), paint(CYAN, &check.id));
        let step = fill(
            "make {id} pass ({lesson}).",
            &[("id", &id), ("lesson", &check.lesson)],
        );
        text += &format!("{next}{step}\n");
    }
    text
}

/// The points of each step to stage 4, in a line; empty for other stages and for exercises.
fn step_points(report: &Report) -> String {
    if report.stage != 4 {
        return String::new();
    }
    let points = |place: Option<usize>| {
        let checks = report.checks.iter();
        let checks = checks.filter(|check| steps::place_of(&check.id) == place);
        checks.fold((0, 0), |(score, max_score), check| {
            (score + check.score, max_score + check.max_score)
        })
    };
    let part = |name: &str, (score, max_score): (u32, u32)| {
        let style = if score == max_score { GREEN } else { RED };
        let points = fill(
            "{score} of {max}",
            &[("score", &score), ("max", &max_score)],
        );
        format!("{name} {}", paint(style, points))
    };
    let mut parts = vec![part(translated("earlier stages"), points(None))];
    for (place, step) in STEPS.iter().enumerate() {
        let points = points(Some(place));
        if points.1 == 0 {
            return String::new();
        }
        parts.push(part(step.id, points));
    }
    let label = paint(BOLD, translated("By step: "));
    format!("{label}{}\n", parts.join(translated(", ")))
}
