//! Gradescope's `results.json`: see "Output format" in
//! <https://gradescope-autograders.readthedocs.io/en/latest/specs/>.

use crate::report::{Report, Status};
use harness::text::truncate;
use serde_json::{Value, json};

/// How many characters of an output Gradescope shows, less a margin for our ellipsis.
const OUTPUT_LIMIT: usize = 9_990;

pub fn value(report: &Report) -> Value {
    let tests = (1..).zip(&report.checks).map(|(number, check)| {
        // Gradescope knows only passed and failed; the output shows the rest.
        let passed = check.status == Status::Passed;
        let output = truncate(&check.output, OUTPUT_LIMIT);
        json!({
            "name": check.id,
            "number": number.to_string(),
            "score": check.score,
            "max_score": check.max_score,
            "status": if passed { "passed" } else { "failed" },
            "output": format!("{}\n{output}", check.must),
            "visibility": "visible",
            "extra_data": {"status": check.status.name(), "seconds": check.seconds},
        })
    });
    json!({
        "score": report.score,
        "execution_time": report.seconds,
        "output": truncate(&summary(report), OUTPUT_LIMIT),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"schema": report.schema, "seed": report.seed, "stage": report.stage},
        "tests": tests.collect::<Vec<Value>>(),
    })
}

/// What there is to say about the whole run.
fn summary(report: &Report) -> String {
    let mut text = String::new();
    if report.status == Status::Broken {
        text +=
            "THIS GRADE DOESN'T COUNT: the harness broke, which is not your fault. Grade again.\n";
    }
    if !report.message.is_empty() {
        text += &format!("{}\n", report.message);
    }
    text + &format!(
        "Stage {}: {} of {} points. {} checks passed, {} failed, {} not reached.\n",
        report.stage,
        report.score,
        report.max_score,
        report.count(Status::Passed),
        report.count(Status::Failed),
        report.count(Status::NotReached),
    )
}
