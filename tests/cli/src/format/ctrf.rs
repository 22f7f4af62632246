//! The Common Test Report Format: <https://ctrf.io>, specification 0.0.0.

use crate::report::{Report, Status};
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;

/// The version of the specification.
const SPECIFICATION: &str = "0.0.0";

pub fn value(report: &Report) -> Value {
    let start = humantime::parse_rfc3339(&report.started)
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_millis() as u64);
    let milliseconds = |seconds: f64| (seconds * 1000.0).round() as u64;
    let tests = report.checks.iter().map(|check| {
        let mut test = json!({
            "name": check.id,
            "status": status(check.status),
            "rawStatus": check.status.name(),
            "duration": milliseconds(check.seconds),
            "suite": [format!("stage {}", report.stage)],
            "extra": {"score": check.score, "maxScore": check.max_score, "must": check.must},
        });
        if check.status != Status::Passed {
            test["message"] = json!(check.output);
        }
        test
    });
    json!({
        "reportFormat": "CTRF",
        "specVersion": SPECIFICATION,
        "generatedBy": "HTTP Lab",
        "timestamp": report.started,
        "results": {
            "tool": {"name": "HTTP Lab", "version": report.lab_version},
            "summary": {
                "tests": report.checks.len(),
                "passed": report.count(Status::Passed),
                "failed": report.count(Status::Failed),
                "skipped": report.count(Status::NotReached) + report.count(Status::NotRun),
                "pending": 0,
                "other": report.count(Status::Broken),
                "start": start,
                "stop": start + milliseconds(report.seconds),
                "extra": {
                    "stage": report.stage,
                    "seed": report.seed,
                    "score": report.score,
                    "maxScore": report.max_score,
                    "message": report.message,
                },
            },
            "tests": tests.collect::<Vec<Value>>(),
        },
    })
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::NotReached | Status::NotRun => "skipped",
        Status::Broken => "other",
    }
}
