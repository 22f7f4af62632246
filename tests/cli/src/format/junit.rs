//! JUnit XML, which CI systems read. It has no single standard; points are properties.

use crate::report::{Report, Status};
use quick_junit::{NonSuccessKind, Property, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub fn text(report: &Report) -> String {
    let mut suite = TestSuite::new(format!("HTTP Lab, stage {}", report.stage));
    suite.set_time(Duration::from_secs_f64(report.seconds));
    suite.add_property(Property::new("program", &report.program));
    suite.add_property(Property::new("seed", report.seed.to_string()));
    suite.add_property(Property::new("score", report.score.to_string()));
    suite.add_property(Property::new("max_score", report.max_score.to_string()));
    if !report.message.is_empty() {
        suite.set_system_err(&report.message);
    }
    for check in &report.checks {
        let mut status = match check.status {
            Status::Passed => TestCaseStatus::success(),
            Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Status::Broken => TestCaseStatus::non_success(NonSuccessKind::Error),
            Status::NotReached | Status::NotRun => TestCaseStatus::skipped(),
        };
        if check.status != Status::Passed {
            status.set_message(&check.must);
            status.set_description(&check.output);
        }
        let mut case = TestCase::new(&check.id, status);
        case.set_classname(format!("stage{}", report.stage));
        case.set_time(Duration::from_secs_f64(check.seconds));
        case.add_property(Property::new("score", check.score.to_string()));
        case.add_property(Property::new("max_score", check.max_score.to_string()));
        case.add_property(Property::new("status", check.status.name()));
        suite.add_test_case(case);
    }
    let mut junit = Junit::new("HTTP Lab");
    junit.set_time(Duration::from_secs_f64(report.seconds));
    junit.add_test_suite(suite);
    // Writing to memory doesn't fail.
    junit.to_string().unwrap_or_default()
}
