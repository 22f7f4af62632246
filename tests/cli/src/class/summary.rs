//! The summaries of a class: a table for a spreadsheet, and a page to look at.

use crate::report::{CheckReport, Report, Status};
use html_escape::{encode_double_quoted_attribute, encode_text};
use std::cmp::Reverse;

/// The page, with names in braces for what differs.
const PAGE: &str = include_str!("summary.html");

/// A row for each submission: its score, then the points of each check.
pub fn csv(reports: &[&Report]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: Vec<String>| writer.write_record(&row).map_err(|error| error.to_string());
    let checks: &[CheckReport] = reports.first().map_or(&[], |report| &report.checks);
    let head = ["submission", "status", "score", "max_score", "message"];
    let ids = checks.iter().map(|check| check.id.clone());
    write(head.map(String::from).into_iter().chain(ids).collect())?;
    for report in reports {
        let mut row = vec![
            escape_formula(&report.program),
            report.status.name().to_string(),
            report.score.to_string(),
            report.max_score.to_string(),
            escape_formula(report.message.lines().next().unwrap_or_default()),
        ];
        row.extend(report.checks.iter().map(|check| check.score.to_string()));
        write(row)?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

/// A text that no spreadsheet takes for a formula.
fn escape_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_string()
    }
}

/// A page with all submissions and checks, first the check that fails most often.
pub fn html(stage: u8, reports: &[&Report]) -> String {
    let checks: &[CheckReport] = reports.first().map_or(&[], |report| &report.checks);
    let count = |index: usize, status: Status| {
        let has_status = |report: &&&Report| report.checks[index].status == status;
        reports.iter().filter(has_status).count()
    };
    let failures = |index: usize| count(index, Status::Failed);
    let mut order: Vec<usize> = (0..checks.len()).collect();
    order.sort_by_key(|index| (Reverse(failures(*index)), *index));
    let column = |index: &usize| {
        format!(
            "<th scope=\"col\" title=\"{}\"><span>{} ({} + {})</span></th>",
            encode_double_quoted_attribute(&checks[*index].must),
            encode_text(&checks[*index].id),
            failures(*index),
            count(*index, Status::NotReached)
        )
    };
    let head: String = order.iter().map(column).collect();
    let rows: String = reports.iter().map(|report| row(report, &order)).collect();
    let scores = reports.iter().map(|report| f64::from(report.score));
    let mean = scores.sum::<f64>() / reports.len().max(1) as f64;
    let is_full = |report: &&&Report| report.status == Status::Passed;
    PAGE.replace("{stage}", &stage.to_string())
        .replace("{count}", &reports.len().to_string())
        .replace("{mean}", &format!("{mean:.1}"))
        .replace(
            "{full}",
            &reports.iter().filter(is_full).count().to_string(),
        )
        .replace("{head}", &head)
        .replace("{rows}", &rows)
}

fn row(report: &Report, order: &[usize]) -> String {
    let mut row = format!(
        "<tr><th scope=\"row\" title=\"{}\">{}</th><td class=\"score\">{}</td>",
        encode_double_quoted_attribute(&report.message),
        encode_text(&report.program),
        report.score
    );
    for index in order {
        let check = &report.checks[*index];
        let sign = match check.status {
            Status::Passed => "✓",
            Status::Failed => "✗",
            Status::NotReached => "·",
            Status::NotRun => "–",
            Status::Broken => "!",
        };
        let name = check.status.name();
        let title = format!("{}: {name}\n{}", check.id, check.output);
        row += &format!(
            "<td class=\"{name}\" title=\"{}\">{sign}</td>",
            encode_double_quoted_attribute(&title)
        );
    }
    row + "</tr>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formula_is_escaped() {
        assert_eq!(escape_formula("=1+1"), "'=1+1");
        assert_eq!(escape_formula("alice"), "alice");
    }
}
