//! Checks outside of a grading: listed with their points, or run and explained in full.

use harness::program::Program;
use harness::style::{CYAN, DIM, GREEN, RED, paint};
use harness::{cleanup, process, workspace};
use std::process::ExitCode;
use suite::check::{Check, points};
use suite::explain::{Details, explain};
use suite::run::{Run, TimedVerdict, Verdict};
use suite::translation::{fill, text};

/// Lists checks with their points.
pub fn list(checks: &[&Check]) {
    let points = points(checks);
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for (check, points) in checks.iter().zip(&points) {
        let id = paint(CYAN, format!("{:width$}", check.id));
        let must = text(check.must);
        let system = if check.linux_only {
            paint(DIM, text(" (Linux only)"))
        } else {
            String::new()
        };
        anstream::println!("{points:3}  {id}  {must}{system}");
    }
    let total: u32 = points.iter().sum();
    let unit = fill("points in {count} checks", &[("count", &checks.len())]);
    anstream::println!("{total:3}  {unit}");
}

/// Runs the checks whose ids contain `part`, after those that they need, and explains each verdict.
/// The exit code is 0 only if all of them passed.
pub fn run_matching(
    stage: u8,
    checks: Vec<&'static Check>,
    part: &str,
    program: &Program,
    seed: u64,
) -> Result<ExitCode, String> {
    if !checks.iter().any(|check| check.id.contains(part)) {
        return Err(format!(
            "No check has `{part}` in its name. Use `--list` instead of `--only` to see them all."
        ));
    }
    process::adopt_orphans();
    let run = Run::new(checks, program.clone(), seed);
    let mut code = ExitCode::SUCCESS;
    for (index, check) in run.checks.iter().enumerate() {
        if check.id.contains(part) && !print_verdict(check, run.verdict(index), stage) {
            code = ExitCode::FAILURE;
        }
    }
    cleanup::kill_orphans();
    let seed = fill("seed {seed}", &[("seed", &seed)]);
    anstream::println!("{}", paint(DIM, seed));
    Ok(code)
}

/// Explains the verdict of a check. Returns whether it passed.
pub fn print_verdict(check: &Check, timed: &TimedVerdict, stage: u8) -> bool {
    let passed = matches!(timed.verdict, Verdict::Passed);
    let (style, sign) = if passed { (GREEN, '✓') } else { (RED, '✗') };
    let port = workspace::stage(stage).port;
    let explanation = explain(check, timed, Details::Full, port);
    anstream::println!(
        "{}\n{explanation}",
        paint(style, format!("{sign} {}", check.id))
    );
    passed
}
