//! Classroom 50's `result.json`, schema `classroom50/result/v1`: see "Advanced Autograding" in
//! <https://github.com/foundation50/classroom50/wiki>. Scores are whole numbers.
//!
//! Its runner says in variables which submission this is. Outside of it, names stand in their
//! place that say so: the runner refuses a result whose names are not its own.

use crate::report::Report;
use serde_json::{Value, json};
use std::env;
use std::time::SystemTime;

pub fn value(report: &Report) -> Value {
    value_for(report, |name| env::var(name).ok())
}

fn value_for(report: &Report, variable: impl Fn(&str) -> Option<String>) -> Value {
    let told = |name: &str| {
        let text = variable(name).filter(|text| !text.is_empty());
        text.unwrap_or_else(|| format!("not-told-in-{name}"))
    };
    let tests: Vec<Value> = report
        .checks
        .iter()
        .map(|line| {
            json!({
                "test-name": line.id,
                "passed": line.score == line.max_score,
                "score": line.score,
                "max-score": line.max_score,
                "status": line.status.name(),
                "output": line.output,
            })
        })
        .collect();
    let commit = told("COMMIT_URL");
    json!({
        "schema": "classroom50/result/v1",
        "classroom": told("CLASSROOM"),
        "assignment": told("ASSIGNMENT"),
        "submission": told("SUBMISSION_TAG"),
        "review": variable("REVIEW_URL").unwrap_or_else(|| commit.clone()),
        "commit": commit,
        "release": told("RELEASE_URL"),
        "datetime": report.started,
        "graded_at": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "score": report.score,
        "max-score": report.max_score,
        "tests": tests,
    })
}
