//! The checks of stage 5 can fail: each fault in `tests/suite/gateway/faults.toml` is a small change
//! to the stage that fails exactly the checks that it lists, of those that the stage introduces.
//!
//! Normally the faults are applied but not built. With `LAB_CI=1` they are built, and each gets the
//! checks that a fault of the same file fails: all checks on all faults are 3,500 runs, some of which
//! start Python. `LAB_FAULT=TEXT` runs all checks, on those that list a check with that text in its
//! name; `LAB_FAULT=` on all.

use crate::packages::{Fault, Workspace, read};
use crate::{BUILDING, ensure_verdicts, jobs};
use harness::workspace::{self, stage};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::env;
use suite::check::Check;
use suite::checks;
use suite::patch::{self, Sources};

#[derive(Deserialize)]
struct Table {
    fault: Vec<Fault>,
}

fn faults() -> Vec<Fault> {
    let path = workspace::root().join("tests/suite/gateway/faults.toml");
    let table: Table = toml::from_str(&read(&path)).unwrap();
    table.fault
}

fn sources() -> Sources {
    patch::read(&workspace::folder(stage(5), false)).unwrap()
}

/// The checks that the stage introduces.
fn new_checks() -> Vec<&'static Check> {
    let mut checks = checks::of_stage(5);
    checks.retain(|check| check.stages == (5..=5));
    checks
}

#[test]
fn every_check_fails_for_a_fault() {
    let mut listed = BTreeSet::new();
    for fault in faults() {
        fault.apply(sources());
        listed.extend(fault.fails);
    }
    let checks = new_checks();
    let new: BTreeSet<String> = checks.iter().map(|check| check.id.to_string()).collect();
    assert_eq!(listed, new, "listed checks, and the new ones");
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all faults: LAB_CI=1 runs it")]
fn fault_fails_exactly_the_checks_that_it_lists() {
    let only = env::var("LAB_FAULT");
    let all_faults = faults();
    let mut faults = faults();
    if let Ok(only) = &only {
        faults.retain(|fault| fault.fails.iter().any(|id| id.contains(only)));
    }
    let mut workspace = Workspace::new("gateway");
    let package = |number: usize| format!("gateway_fault_{number}");
    for (number, fault) in faults.iter().enumerate() {
        workspace.add(&package(number), &fault.apply(sources()));
    }
    workspace.finish();
    let building = BUILDING.write().unwrap();
    let programs = workspace.build();
    drop(building);
    let mut all = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let program = &programs[&package(number)];
        let mut checks = new_checks();
        let is_related = |it: &Fault, id| it.file == fault.file && it.fails.contains(id);
        checks.retain(|check| only.is_ok() || all_faults.iter().any(|it| is_related(it, check.id)));
        all.extend(jobs(checks, program, |id| !fault.fails.contains(id)));
    }
    ensure_verdicts(all);
}
