//! The checks of stages 5 and 6 can fail: each fault in `tests/suite/gateway/faults.toml` and
//! `tests/suite/events/faults.toml` is a small change to the stage that fails exactly the checks that it
//! lists, of those that the stage introduces.
//!
//! Normally the faults are applied but not built. With `LAB_CI=1` they are built, and each gets the
//! checks that a fault of the same file fails: all checks on all faults are 5,000 runs, some of which
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
use suite::run::Job;

/// A stage whose faults are changes of it, and the folder with its table.
struct Changed {
    stage: u8,
    folder: &'static str,
}

const GATEWAY: Changed = Changed {
    stage: 5,
    folder: "gateway",
};

const EVENTS: Changed = Changed {
    stage: 6,
    folder: "events",
};

#[derive(Deserialize)]
struct Table {
    fault: Vec<Fault>,
}

impl Changed {
    fn faults(&self) -> Vec<Fault> {
        let path = format!("tests/suite/{}/faults.toml", self.folder);
        let table: Table = toml::from_str(&read(&workspace::root().join(path))).unwrap();
        table.fault
    }

    fn sources(&self) -> Sources {
        patch::read(&workspace::folder(stage(self.stage), false)).unwrap()
    }

    /// The checks that the stage introduces.
    fn new_checks(&self) -> Vec<&'static Check> {
        let mut checks = checks::of_stage(self.stage);
        checks.retain(|check| check.stages == (self.stage..=self.stage));
        checks
    }

    /// Builds its faults. Returns what to run on each.
    fn jobs(&self) -> Vec<Job> {
        let only = env::var("LAB_FAULT");
        let all_faults = self.faults();
        let mut faults = self.faults();
        if let Ok(only) = &only {
            faults.retain(|fault| fault.fails.iter().any(|id| id.contains(only)));
        }
        assert!(!faults.is_empty(), "LAB_FAULT names no check: {only:?}");
        let mut workspace = Workspace::new(self.folder);
        let package = |number: usize| format!("{}_fault_{number}", self.folder);
        for (number, fault) in faults.iter().enumerate() {
            workspace.add(&package(number), &fault.apply(self.sources()));
        }
        workspace.finish();
        let building = BUILDING.write().unwrap();
        let programs = workspace.build();
        drop(building);
        let mut all = Vec::new();
        for (number, fault) in faults.iter().enumerate() {
            let program = &programs[&package(number)];
            let mut checks = self.new_checks();
            let is_related = |it: &Fault, id| it.file == fault.file && it.fails.contains(id);
            let is_selected = |id| only.is_ok() || all_faults.iter().any(|it| is_related(it, id));
            checks.retain(|check| is_selected(check.id));
            all.extend(jobs(checks, program, |id| !fault.fails.contains(id)));
        }
        all
    }
}

#[test]
fn every_check_fails_for_a_fault() {
    for changed in [GATEWAY, EVENTS] {
        let mut listed = BTreeSet::new();
        for fault in changed.faults() {
            fault.apply(changed.sources());
            listed.extend(fault.fails);
        }
        let checks = changed.new_checks();
        let new: BTreeSet<String> = checks.iter().map(|check| check.id.to_string()).collect();
        assert_eq!(listed, new, "listed checks, and those of {}", changed.stage);
    }
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all faults: LAB_CI=1 runs it")]
fn fault_of_stage_5_fails_exactly_the_checks_that_it_lists() {
    ensure_verdicts(GATEWAY.jobs());
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds all faults: LAB_CI=1 runs it")]
fn fault_of_stage_6_fails_exactly_the_checks_that_it_lists() {
    ensure_verdicts(EVENTS.jobs());
}
