//! Gradescope's `results.json`: see "Output format" in
//! <https://gradescope-autograders.readthedocs.io/en/latest/specs/>.

use crate::report::{Report, Status};
use serde_json::{Value, json};

/// What Gradescope shows of a test is at most so long, in characters.
const OUTPUT_LIMIT: usize = 10_000;

pub fn value(report: &Report) -> Value {
    let tests: Vec<Value> = (1..)
        .zip(&report.checks)
        .map(|(number, line)| {
            let output: String = line.output.chars().take(OUTPUT_LIMIT).collect();
            // It knows passed and failed only; the output says what else it was.
            let status = match line.status {
                Status::Passed => "passed",
                _ => "failed",
            };
            json!({
                "name": line.id,
                "number": number.to_string(),
                "score": line.score,
                "max_score": line.max_score,
                "status": status,
                "output": format!("{}\n{output}", line.must),
                "visibility": "visible",
                "extra_data": {"status": line.status.name(), "seconds": line.seconds},
            })
        })
        .collect();
    let output: String = summary(report).chars().take(OUTPUT_LIMIT).collect();
    json!({
        "score": report.score,
        "execution_time": report.seconds,
        "output": output,
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"schema": report.schema, "seed": report.seed, "stage": report.stage},
        "tests": tests,
    })
}

/// What there is to say of the whole.
fn summary(report: &Report) -> String {
    let mut text = String::new();
    if report.status == Status::Broken {
        text +=
            "THIS GRADE DOES NOT COUNT: the harness broke, which is not your fault. Grade again.\n";
    }
    if !report.message.is_empty() {
        text += &format!("{}\n", report.message);
    }
    text + &format!(
        "Stage {}: {} of {} points; {} checks passed, {} failed, {} not reached.\n",
        report.stage,
        report.score,
        report.max_score,
        report.count(Status::Passed),
        report.count(Status::Failed),
        report.count(Status::NotReached),
    )
}
