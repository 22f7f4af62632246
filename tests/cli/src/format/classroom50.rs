//! Classroom 50's `result.json`, schema `classroom50/result/v1`: see "Advanced Autograding" in
//! <https://github.com/foundation50/classroom50/wiki>.
//!
//! Its runner names the submission in environment variables, and rejects results for any other.
//! Outside of it, placeholders name the variables that are missing.

use crate::report::{Report, Status};
use serde_json::{Value, json};
use std::env;
use std::time::SystemTime;

pub fn value(report: &Report) -> Value {
    let tests = report.checks.iter().map(|check| {
        json!({
            "test-name": check.id,
            "passed": check.status == Status::Passed,
            "score": check.score,
            "max-score": check.max_score,
            "status": check.status.name(),
            "output": check.output,
        })
    });
    let commit = variable("COMMIT_URL");
    json!({
        "schema": "classroom50/result/v1",
        "classroom": variable("CLASSROOM"),
        "assignment": variable("ASSIGNMENT"),
        "submission": variable("SUBMISSION_TAG"),
        "review": env::var("REVIEW_URL").unwrap_or_else(|_| commit.clone()),
        "commit": commit,
        "release": variable("RELEASE_URL"),
        "datetime": report.started,
        "graded_at": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "score": report.score,
        "max-score": report.max_score,
        "tests": tests.collect::<Vec<Value>>(),
    })
}

/// The value of an environment variable, or a placeholder.
fn variable(name: &str) -> String {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    value.unwrap_or_else(|| format!("missing-{name}"))
}
