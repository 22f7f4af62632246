//! The summaries of a class: a table for a spreadsheet, and a page to look at.

use super::student;
use crate::report::{CheckReport, Report, Status};
use html_escape::{encode_double_quoted_attribute, encode_text};
use std::cmp::Reverse;

/// The page, with names in braces for what differs.
const PAGE: &str = include_str!("summary.html");

/// Without it, Excel takes the letters of other alphabets for something else.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What the summaries show.
pub struct Summary<'a> {
    pub stage: u8,
    pub reports: &'a [&'a Report],
    /// How many submissions there are.
    pub submissions: usize,
    /// What is in the folder but no submission, and why.
    pub skipped: &'a [(String, String)],
}

impl Summary<'_> {
    fn checks(&self) -> &[CheckReport] {
        self.reports.first().map_or(&[], |report| &report.checks)
    }

    /// A row for each submission: its score, then the points of each check.
    pub fn csv(&self) -> Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(BYTE_ORDER_MARK.as_bytes().to_vec());
        let mut write =
            |row: Vec<String>| writer.write_record(&row).map_err(|error| error.to_string());
        let head = ["submission", "status", "score", "max_score", "message"];
        let ids = self.checks().iter().map(|check| check.id.clone());
        write(head.map(String::from).into_iter().chain(ids).collect())?;
        for report in self.reports {
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

    /// A row for each submission with its points, as gradebooks of learning platforms read it.
    pub fn gradebook(&self) -> Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(BYTE_ORDER_MARK.as_bytes().to_vec());
        let mut rows = vec![["name".to_string(), "points".to_string()]];
        for report in self.reports {
            rows.push([escape_formula(&report.program), report.score.to_string()]);
        }
        for row in rows {
            writer
                .write_record(&row)
                .map_err(|error| error.to_string())?;
        }
        writer.into_inner().map_err(|error| error.to_string())
    }

    /// A page with all submissions and checks, first the check that fails most often.
    pub fn html(&self) -> String {
        let mut order: Vec<usize> = (0..self.checks().len()).collect();
        order.sort_by_key(|index| (Reverse(self.count(*index, Status::Failed)), *index));
        let head: String = order.iter().map(|index| self.column(*index)).collect();
        let rows: String = self
            .reports
            .iter()
            .map(|report| row(report, &order))
            .collect();
        let scores = self.reports.iter().map(|report| f64::from(report.score));
        let mean = scores.sum::<f64>() / self.reports.len().max(1) as f64;
        let is_full = |report: &&&Report| report.status == Status::Passed;
        let full = self.reports.iter().filter(is_full).count();
        PAGE.replace("{stage}", &self.stage.to_string())
            .replace("{count}", &self.reports.len().to_string())
            .replace("{mean}", &format!("{mean:.1}"))
            .replace("{full}", &full.to_string())
            .replace("{notes}", &self.notes())
            .replace("{head}", &head)
            .replace("{rows}", &rows)
    }

    /// How many submissions have this status in a check.
    fn count(&self, index: usize, status: Status) -> usize {
        let has_status = |report: &&&Report| report.checks[index].status == status;
        self.reports.iter().filter(has_status).count()
    }

    fn column(&self, index: usize) -> String {
        let check = &self.checks()[index];
        format!(
            "<th scope=\"col\" title=\"{}\"><span>{} ({} + {})</span></th>",
            encode_double_quoted_attribute(&check.must),
            encode_text(&check.id),
            self.count(index, Status::Failed),
            self.count(index, Status::NotReached)
        )
    }

    /// What is missing on the page, and why.
    fn notes(&self) -> String {
        let mut notes = String::new();
        let missing = self.submissions.saturating_sub(self.reports.len());
        if missing > 0 {
            notes +=
                &format!("<p><strong>Submissions without a grade yet: {missing}.</strong></p>\n");
        }
        if self.skipped.is_empty() {
            return notes;
        }
        let item = |(name, reason): &(String, String)| {
            format!("<li>{}: {}</li>\n", encode_text(name), encode_text(reason))
        };
        let items: String = self.skipped.iter().map(item).collect();
        notes + &format!("<p>Skipped:</p>\n<ul>\n{items}</ul>\n")
    }
}

/// A text that no spreadsheet takes for a formula.
fn escape_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_string()
    }
}

/// A submission's results, or, if no check could run, why.
fn row(report: &Report, order: &[usize]) -> String {
    let link = student::link(&report.program);
    let message = report.message.lines().next().unwrap_or_default();
    let has_run = report.count(Status::Passed) + report.count(Status::Failed) > 0;
    let name = encode_text(&report.program);
    let mut row = format!("<tr><th scope=\"row\"><a href=\"{link}\">{name}</a>");
    if has_run && !message.is_empty() {
        row += &format!("<small>{}</small>", encode_text(message));
    }
    row += &format!("</th><td class=\"score\">{}</td>", report.score);
    if !has_run && !message.is_empty() {
        let (status, count) = (report.status.name(), order.len());
        let message = encode_text(message);
        row += &format!("<td class=\"reason {status}\" colspan=\"{count}\">{message}</td></tr>\n");
        return row;
    }
    for index in order {
        let check = &report.checks[*index];
        let (name, sign) = (check.status.name(), student::sign(check.status));
        let id = &check.id;
        row += &format!("<td class=\"{name}\"><a href=\"{link}#{id}\">{sign}</a></td>");
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
