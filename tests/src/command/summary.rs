//! The summaries of a class: a table for a spreadsheet, and a page to look at.

use crate::report::{Line, Report, Status};
use html_escape::{encode_double_quoted_attribute, encode_text};

/// A line for each submission: its score, then the points of each check.
pub fn csv(reports: &[&Report]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: Vec<String>| writer.write_record(&row).map_err(|error| error.to_string());
    let Some(first) = reports.first() else {
        return Ok(Vec::new());
    };
    let mut head = ["submission", "status", "score", "max_score", "message"]
        .map(String::from)
        .to_vec();
    head.extend(first.checks.iter().map(|line| line.id.clone()));
    write(head)?;
    for report in reports {
        let mut row = vec![
            harmless(&report.program),
            report.status.name().to_string(),
            report.score.to_string(),
            report.max_score.to_string(),
            harmless(report.message.lines().next().unwrap_or_default()),
        ];
        row.extend(report.checks.iter().map(|line| line.score.to_string()));
        write(row)?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_string(),
    }
}

/// A page with all submissions and checks, the check that the class fails most first.
pub fn html(stage: u8, reports: &[&Report]) -> String {
    let checks: &[Line] = reports.first().map_or(&[], |report| &report.checks);
    let count = |place: usize, status: Status| {
        let is_so = |report: &&&Report| report.checks[place].status == status;
        reports.iter().filter(is_so).count()
    };
    let failures = |place: usize| count(place, Status::Failed);
    let mut order: Vec<usize> = (0..checks.len()).collect();
    order.sort_by_key(|place| (std::cmp::Reverse(failures(*place)), *place));
    let mut head = String::new();
    for place in &order {
        let line = &checks[*place];
        head += &format!(
            "<th scope=\"col\" title=\"{}\"><span>{} ({} + {})</span></th>",
            encode_double_quoted_attribute(&line.must),
            encode_text(&line.id),
            failures(*place),
            count(*place, Status::NotReached)
        );
    }
    let mut rows = String::new();
    for report in reports {
        rows += &row(report, &order);
    }
    let mean = reports
        .iter()
        .map(|report| f64::from(report.score))
        .sum::<f64>()
        / reports.len().max(1) as f64;
    let full = reports
        .iter()
        .filter(|report| report.score == report.max_score);
    PAGE.replace("{stage}", &stage.to_string())
        .replace("{count}", &reports.len().to_string())
        .replace("{mean}", &format!("{mean:.1}"))
        .replace("{full}", &full.count().to_string())
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
    for place in order {
        let line = &report.checks[*place];
        let sign = match line.status {
            Status::Passed => "✓",
            Status::Failed => "✗",
            Status::NotReached => "·",
            Status::NotRun => "–",
            Status::Broken => "!",
        };
        let name = line.status.name();
        let title = format!("{}: {name}\n{}", line.id, line.output);
        row += &format!(
            "<td class=\"{name}\" title=\"{}\">{sign}</td>",
            encode_double_quoted_attribute(&title)
        );
    }
    row + "</tr>\n"
}

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>HTTP Lab: stage {stage}, {count} submissions</title>
<style>
:root { color-scheme: light dark; --good: light-dark(#d3f0d8, #15452a); --bad: light-dark(#f8cfcf, #6b1f26); --weak: light-dark(#f3ecd0, #4a431d); }
body { font: 1rem/1.4 system-ui, sans-serif; margin: 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
td, tbody th { border: 1px solid light-dark(#ccc, #444); padding: .1rem .4rem; text-align: center; }
tbody th { text-align: left; font-weight: 600; position: sticky; left: 0; background: Canvas; }
thead th { vertical-align: bottom; font-weight: 400; padding: .2rem; }
thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.score { font-weight: 600; text-align: right; }
.passed { background: var(--good); }
.failed { background: var(--bad); }
.not-reached, .not-run, .broken { background: var(--weak); }
</style>
</head>
<body>
<h1>Stage {stage}: {count} submissions</h1>
<p>{mean} points on average, {full} with full points. ✓ passed, ✗ failed, · not reached,
– not run, ! broken (does not count). The check that most fail stands first; behind its name, how
many fail it, and how many did not reach it. What a check found shows when the pointer rests on it.</p>
<div class="wide">
<table>
<thead><tr><th scope="col">submission</th><th scope="col">points</th>{head}</tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("alice"), "alice");
    }
}
