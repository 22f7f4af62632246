//! The Common Test Report Format: <https://ctrf.io>, specification 0.0.0.

use crate::report::{Report, Status};
use serde_json::{Value, json};

/// The version of the specification that this is written by.
const SPECIFICATION: &str = "0.0.0";

pub fn value(report: &Report) -> Value {
    let start = humantime::parse_rfc3339(&report.started)
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_millis() as u64);
    let milliseconds = |seconds: f64| (seconds * 1000.0).round() as u64;
    let tests: Vec<Value> = report
        .checks
        .iter()
        .map(|line| {
            let mut test = json!({
                "name": line.id,
                "status": status(line.status),
                "rawStatus": line.status.name(),
                "duration": milliseconds(line.seconds),
                "suite": [format!("stage {}", report.stage)],
                "extra": {"score": line.score, "maxScore": line.max_score, "must": line.must},
            });
            if line.status != Status::Passed {
                test["message"] = json!(line.output);
            }
            test
        })
        .collect();
    json!({
        "reportFormat": "CTRF",
        "specVersion": SPECIFICATION,
        "generatedBy": "HTTP Lab",
        "timestamp": report.started,
        "results": {
            "tool": {"name": "HTTP Lab", "version": env!("CARGO_PKG_VERSION")},
            "summary": {
                "tests": tests.len(),
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
            "tests": tests,
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
