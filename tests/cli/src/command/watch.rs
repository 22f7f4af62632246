//! `cargo lab watch`: grades again after each save.

use crate::grading::Grading;
use crate::{fingerprint, format, program, scores};
use harness::style::{DIM, paint};
use harness::workspace::{self, stage};
use notify::RecursiveMode;
use notify_debouncer_mini::new_debouncer;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;
use suite::explain::Details;
use suite::run;

/// How long no file may change before the next grading. Editors save a file in several steps.
const QUIET_TIME: Duration = Duration::from_millis(150);

/// Grades whenever the sources have changed, until Ctrl-C.
pub fn run(number: u8, original: bool) -> Result<ExitCode, String> {
    run::prepare()?;
    let stage = stage(number);
    let (package, is_own) = workspace::select_package(stage, original);
    let folder = workspace::folder(stage, is_own);
    let (sender, events) = mpsc::channel();
    let watch_error = |error: notify::Error| format!("Cannot watch {}: {error}", folder.display());
    let mut watcher = new_debouncer(QUIET_TIME, sender).map_err(watch_error)?;
    let watched = watcher.watcher().watch(&folder, RecursiveMode::Recursive);
    watched.map_err(watch_error)?;
    loop {
        let graded = fingerprint::of(&[&folder]).ok();
        anstream::println!();
        if let Err(error) = grade(number, &package, is_own) {
            anstream::println!("{error}");
        }
        let hint = format!("Waiting for changes in {package}/. Press Ctrl-C to stop.");
        anstream::println!("{}", paint(DIM, hint));
        // Reading a file is an event too, so only the contents show whether there was a change.
        while fingerprint::of(&[&folder]).ok() == graded {
            if events.recv().is_err() {
                return Err(format!("The watch on {} ended.", folder.display()));
            }
        }
    }
}

fn grade(number: u8, package: &str, is_own: bool) -> Result<(), String> {
    let program = program::build(package)?;
    let grading = Grading::of_stage(number, package.to_string(), run::seed()?, Details::Full);
    let report = grading.run_with_bar(program);
    anstream::println!("{}", format::headline(&report, is_own));
    format::print(&report);
    scores::save(package, &report);
    Ok(())
}
