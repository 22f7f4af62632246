//! Every check can fail: a server with one fault fails exactly the checks that its row in the
//! table of faults lists, and without a fault it passes every suite.
//!
//! Normally each fault runs against the checks that its row says fail. With `LAB_CI=1` every check
//! runs against every fault. `LAB_FAULT=NAME` tries one fault only.

// The rows list checks that need /proc.
#![cfg(target_os = "linux")]

use crate::{ensure_verdicts, jobs};
use faulty::faults::{Fails, Fault, Row, TABLE};
use harness::program::Program;
use harness::workspace;
use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;
use suite::check::Check;
use suite::checks;

/// How many of the checks that fail for a fault run normally, if nearly all of them do.
const SAMPLE: usize = 4;

/// The faulty server, behaving as that stage with that fault.
pub fn program(stage: u8, fault: Option<Fault>) -> Program {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let binary = BINARY.get_or_init(|| workspace::build_package("faulty", false).unwrap());
    let mut program = Program::new(binary);
    program.arguments = vec!["--stage".into(), stage.to_string().into()];
    if let Some(fault) = fault {
        let arguments = ["--fault".into(), fault.name().into()];
        program.arguments.extend(arguments);
    }
    program
}

/// The checks that run against a fault. With `LAB_CI=1` or `LAB_FAULT`, all of its stage.
fn selected_checks(row: &Row, seed: u64) -> Vec<&'static Check> {
    let mut checks = checks::of_stage(row.stage);
    if cfg!(lab_ci) || env::var_os("LAB_FAULT").is_some() {
        return checks;
    }
    checks.retain(|check| row.fails.contains(check.id));
    if matches!(row.fails, Fails::AllExcept(_)) {
        fastrand::Rng::with_seed(seed).shuffle(&mut checks);
        checks.truncate(SAMPLE);
    }
    checks
}

#[test]
fn server_without_fault_passes_every_suite() {
    let all = (1..=faulty::LAST_STAGE).flat_map(|stage| {
        let checks = checks::of_stage(stage);
        jobs(checks, &program(stage, None), |_| true)
    });
    ensure_verdicts(all.collect());
}

#[test]
fn fault_fails_the_checks_of_its_row() {
    let seed = crate::prepare();
    let only = env::var("LAB_FAULT").ok();
    let is_selected = |row: &&Row| only.as_ref().is_none_or(|only| row.fault.name() == *only);
    let rows: Vec<&Row> = TABLE.iter().filter(is_selected).collect();
    assert!(!rows.is_empty(), "LAB_FAULT names no fault: {only:?}");
    let all = rows.into_iter().flat_map(|row| {
        let program = program(row.stage, Some(row.fault));
        let must_pass = |id: &str| !row.fails.contains(id);
        jobs(selected_checks(row, seed), &program, must_pass)
    });
    ensure_verdicts(all.collect());
}

#[test]
fn every_check_fails_for_a_fault() {
    // Those of stages 5 and 6 have faults of their own.
    let imitated = |check: &&Check| *check.stages.start() <= faulty::LAST_STAGE;
    for check in checks::all().filter(imitated) {
        let detects = |row: &Row| check.stages.contains(&row.stage) && row.fails.contains(check.id);
        let is_used = TABLE.iter().any(detects);
        assert!(is_used, "no fault makes {} fail", check.id);
    }
}

#[test]
fn rows_list_existing_checks_in_order() {
    for row in TABLE {
        let name = row.fault.name();
        let (Fails::Only(listed) | Fails::AllExcept(listed)) = row.fails;
        let checks = checks::of_stage(row.stage);
        let ids = checks.iter().map(|check| check.id);
        let known: Vec<&str> = ids.filter(|id| listed.contains(id)).collect();
        let problem = "another order, or not checks of that stage";
        assert_eq!(listed, known, "{name}: {problem}");
        let is_detected = checks.iter().any(|check| row.fails.contains(check.id));
        assert!(is_detected, "no check detects {name}");
    }
}
