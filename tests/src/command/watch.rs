//! `cargo lab watch N`: grades again after each save.

use super::{fingerprint, scores};
use crate::ending;
use crate::explain::Details;
use crate::format;
use crate::grade::Grading;
use crate::paint::{DIM, paint};
use crate::program::Program;
use crate::suite;
use crate::workspace::{self, stage};
use notify::RecursiveMode;
use notify_debouncer_mini::new_debouncer;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

/// Editors write a file in several steps: so long it must be quiet before we look.
const QUIET: Duration = Duration::from_millis(150);

/// Grades whenever the sources have changed, until Ctrl-C.
pub fn watch(number: u8, original: bool) -> Result<ExitCode, String> {
    suite::prepare()?;
    let stage = stage(number);
    let (package, own) = workspace::chosen(stage, original);
    let folder = workspace::folder(stage, own);
    let (sender, changes) = mpsc::channel();
    let unwatched = |error: notify::Error| format!("Cannot watch {}: {error}", folder.display());
    let mut watcher = new_debouncer(QUIET, sender).map_err(unwatched)?;
    watcher
        .watcher()
        .watch(&folder, RecursiveMode::Recursive)
        .map_err(unwatched)?;
    loop {
        let graded = fingerprint::of(&folder).ok();
        anstream::println!();
        if let Err(error) = grade(number, &package, own) {
            anstream::println!("{error}");
        }
        let hint = format!("Waiting for a change in {package}/. Ctrl-C ends this.");
        anstream::println!("{}", paint(DIM, hint));
        // To read a file is an event as well: only what is another file now is a change.
        while fingerprint::of(&folder).ok() == graded {
            if changes.recv().is_err() {
                return Err("The watch has ended.".to_string());
            }
        }
    }
}

fn grade(number: u8, package: &str, own: bool) -> Result<(), String> {
    let binary = workspace::build_package(package, false)?;
    let program = Program::copy_of(&binary)
        .map_err(|error| format!("Cannot copy {}: {error}", binary.display()))?;
    let grading = Grading::new(number, package.to_string(), suite::seed()?, Details::Full);
    let bar = super::grade::bar(grading.so_far().checks.len());
    let report = grading.run(program, |_| bar.inc(1));
    bar.finish_and_clear();
    ending::sweep();
    anstream::println!("{}", super::grade::first_line(&report, own));
    format::print(&report);
    scores::keep(package, &report);
    Ok(())
}
