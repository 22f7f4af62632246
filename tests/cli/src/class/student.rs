//! The page of one student: printable, and without scripts.

use crate::report::{Budget, CheckReport, Report, Status};
use html_escape::encode_text;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The page, with names in braces for what differs.
const PAGE: &str = include_str!("student.html");

/// The address of a student's page, seen from the summary.
pub fn link(name: &str) -> String {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("results/{name}.html")
}

/// A sign for a status, which is clear without color.
pub fn sign(status: Status) -> &'static str {
    match status {
        Status::Passed => "✓",
        Status::Failed => "✗",
        Status::NotReached => "·",
        Status::NotRun => "–",
        Status::Broken => "!",
    }
}

/// The page: the reason for the whole grade if there is one, each check that didn't pass, and a list
/// of those that did.
pub fn page(report: &Report) -> String {
    let (passed, others): (Vec<&CheckReport>, Vec<&CheckReport>) = report
        .checks
        .iter()
        .partition(|check| check.status == Status::Passed);
    let message = match report.message.trim_end() {
        "" => String::new(),
        message => format!("<pre class=\"message\">{}</pre>", encode_text(message)),
    };
    let note = report.details_budget.as_ref().and_then(Budget::note);
    let note = note.map_or(String::new(), |note| format!("<p>{note}</p>"));
    let others: String = others.into_iter().map(section).collect();
    let passed: String = passed.into_iter().map(item).collect();
    // What a student has written comes last, since it may hold names in braces.
    PAGE.replace("{stage}", &report.stage.to_string())
        .replace("{score}", &report.score.to_string())
        .replace("{max}", &report.max_score.to_string())
        .replace("{status}", report.status.name())
        .replace("{started}", &report.started)
        .replace("{version}", &report.lab_version)
        .replace("{passed}", &passed)
        .replace("{note}", &note)
        .replace("{name}", &encode_text(&report.program))
        .replace("{message}", &message)
        .replace("{others}", &others)
}

fn section(check: &CheckReport) -> String {
    format!(
        "<section id=\"{id}\" class=\"{status}\"><h3>{sign} {id}: {status}, {score} of {max} points</h3>\n\
         <pre>{output}</pre></section>\n",
        id = check.id,
        status = check.status.name(),
        sign = sign(check.status),
        score = check.score,
        max = check.max_score,
        output = encode_text(check.output.trim_end())
    )
}

fn item(check: &CheckReport) -> String {
    let (id, max) = (&check.id, check.max_score);
    let must = encode_text(&check.must);
    format!("<li id=\"{id}\">✓ {id}: {must} ({max} points)</li>\n")
}
