//! Every check can fail: a server with one fault at a time turns red just the checks that
//! its row in the table of faults names, and without a fault it passes all of them.
//!
//! In an ordinary run, all checks that a row names as red run, and of the others one in four,
//! another quarter for each seed, but none that waits for a timeout and should stay green.
//! With the variable LAB_ALL_FAULTS set, every check runs on every fault, for some minutes.
//! LAB_FAULT, set to the name of a fault, tries that one alone, with every check.

// The rows name checks that need what only Linux tells.
#![cfg(target_os = "linux")]

use clap::ValueEnum;
use lab::check::Check;
use lab::checks;
use lab::explain::{Details, explain};
use lab::faulty::faults::{Fault, Red, Row, TABLE};
use lab::program::Program;
use lab::suite::{self, Verdict};
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::thread;

/// How many checks run at once, on any servers.
const AT_ONCE: usize = 16;

/// One check on one server.
struct Job {
    /// The place of its server in the list of servers.
    server: usize,
    check: &'static Check,
}

/// The faulty server as that stage with that fault.
fn program(stage: u8, fault: Option<Fault>) -> Program {
    let mut program = Program::new(env!("CARGO_BIN_EXE_faulty"));
    program.arguments = vec!["--stage".into(), stage.to_string().into()];
    if let Some(fault) = fault {
        program
            .arguments
            .extend(["--fault".into(), fault.name().into()]);
    }
    program
}

/// Runs the jobs, many at once, and gives their verdicts in the same order.
fn run(jobs: &[Job], programs: &[Program], seed: u64) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((place, job)) = take(jobs, &next) {
                    let verdict = suite::run(job.check, &programs[job.server], seed);
                    verdicts.lock().unwrap().push((place, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap();
    verdicts.sort_by_key(|(place, _)| *place);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn take<'a>(jobs: &'a [Job], next: &AtomicUsize) -> Option<(usize, &'a Job)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, jobs.get(place)?))
}

/// Gets ready, once for all tests of this program.
fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| suite::prepare().unwrap());
}

fn seed() -> u64 {
    let seed = suite::seed().unwrap();
    println!("seed {seed} (LAB_SEED={seed} repeats this run)");
    seed
}

/// What was seen of a row: a line for each difference from what is written down.
fn differences(row: &Row, seen: &[(&Check, &Verdict)]) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut red, mut green) = (Vec::new(), Vec::new());
    for (check, verdict) in seen {
        let expected = row.red.contains(check.id);
        match verdict {
            Verdict::Passed if expected => lines.push(format!("{} is green", check.id)),
            Verdict::Passed => {}
            Verdict::Failed(_) if expected => {}
            verdict => {
                let text = explain(check, verdict, Details::Full, 0);
                lines.push(format!("{} is not green:\n{text}", check.id));
            }
        }
        match verdict {
            Verdict::Passed => green.push(check.id),
            _ => red.push(check.id),
        }
    }
    if !lines.is_empty() {
        lines.insert(0, format!("{:?}, stage {}:", row.fault, row.stage));
        lines.push(match row.red {
            Red::Just(_) => format!("as it was seen: red: Red::Just(&{red:?}),\n"),
            Red::AllBut(_) => format!("as it was seen: red: Red::AllBut(&{green:?}),\n"),
        });
    }
    lines
}

/// The checks that run on a fault in this run.
fn wanted(row: &Row, seed: u64) -> Vec<&'static Check> {
    let all = ["LAB_ALL_FAULTS", "LAB_FAULT"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let turn = seed as usize % 4 + row.fault as usize;
    let is_wanted = |(place, check): &(usize, &Check)| {
        let red = row.red.contains(check.id);
        let named = red && matches!(row.red, Red::Just(_));
        let in_turn = (place + turn).is_multiple_of(4) && (red || !check.waits);
        all || named || in_turn
    };
    let checks = checks::of_stage(row.stage).into_iter().enumerate();
    checks.filter(is_wanted).map(|(_, check)| check).collect()
}

#[test]
fn a_server_without_a_fault_passes_all_suites() {
    prepare();
    let seed = seed();
    let programs: Vec<Program> = (1..=4).map(|stage| program(stage, None)).collect();
    let mut jobs = Vec::new();
    for server in 0..programs.len() {
        let checks = checks::of_stage(server as u8 + 1);
        jobs.extend(checks.into_iter().map(|check| Job { server, check }));
    }
    jobs.sort_by_key(|job| !job.check.waits);
    let mut failed = Vec::new();
    for (job, verdict) in jobs.iter().zip(run(&jobs, &programs, seed)) {
        let text = explain(job.check, &verdict, Details::Full, 0);
        if !text.is_empty() {
            failed.push(format!(
                "stage {}: {}\n{text}",
                job.server + 1,
                job.check.id
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn each_fault_turns_just_its_checks_red() {
    prepare();
    let seed = seed();
    let only = env::var("LAB_FAULT").ok();
    let rows: Vec<&Row> = TABLE
        .iter()
        .filter(|row| only.as_ref().is_none_or(|only| row.fault.name() == *only))
        .collect();
    let mut programs = Vec::new();
    let mut jobs = Vec::new();
    for (server, row) in rows.iter().enumerate() {
        programs.push(program(row.stage, Some(row.fault)));
        let checks = wanted(row, seed).into_iter();
        jobs.extend(checks.map(|check| Job { server, check }));
    }
    // Mixed, so that those that start hundreds of processes do not all run at once.
    fastrand::Rng::with_seed(seed).shuffle(&mut jobs);
    let verdicts = run(&jobs, &programs, seed);
    let mut lines = Vec::new();
    for (server, row) in rows.iter().enumerate() {
        let seen: Vec<(&Check, &Verdict)> = jobs
            .iter()
            .zip(&verdicts)
            .filter(|(job, _)| job.server == server)
            .map(|(job, verdict)| (job.check, verdict))
            .collect();
        lines.extend(differences(row, &seen));
    }
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn each_check_is_red_for_a_fault() {
    let is_red = |check: &&Check| {
        TABLE
            .iter()
            .any(|row| check.stages.contains(&row.stage) && row.red.contains(check.id))
    };
    let never: Vec<&str> = checks::all()
        .filter(|check| !is_red(check))
        .map(|check| check.id)
        .collect();
    assert!(never.is_empty(), "no fault turns these red: {never:?}");
}

#[test]
fn the_table_has_each_fault_once_and_names_checks_in_order() {
    let listed: Vec<Fault> = TABLE.iter().map(|row| row.fault).collect();
    assert_eq!(listed, Fault::value_variants());
    for row in TABLE {
        let name = row.fault.name();
        let (Red::Just(named) | Red::AllBut(named)) = row.red;
        let checks = checks::of_stage(row.stage);
        let mut known: Vec<&str> = checks.iter().map(|check| check.id).collect();
        known.retain(|id| named.contains(id));
        assert_eq!(
            named, known,
            "{name}: another order, or no checks of that stage"
        );
        let seen = checks.iter().any(|check| row.red.contains(check.id));
        assert!(seen, "no check sees {name}");
    }
}
