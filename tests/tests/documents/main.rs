//! The documents: what README.md and LESSONS.md show is so.
//!
//! Every console block is run, in order, in a copy of this workspace, and what it prints is
//! compared. Every excerpt and every diff stands in the code, every edit is made, every check
//! that is named exists, every link leads somewhere. What has drifted is named with its line.
//!
//! The commands need `curl`, `git`, `nc`, `ps`, `cc` and `strace`, the ports of the four stages,
//! and what only Linux tells of processes. Without these they are reported as ignored; with
//! `LAB_DOCUMENTS=required` in the environment that is a failure.

mod commands;
mod console;
mod document;
mod drift;
mod names;
mod pattern;
mod quotes;
mod shape;
mod terminal;

use document::Document;
use lab::{ending, workspace};
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::process::ExitCode;

/// The documents whose commands are run, in the order in which a newcomer reads them.
const RUN: [&str; 2] = ["README.md", "LESSONS.md"];

/// All documents.
const ALL: [&str; 3] = ["README.md", "LESSONS.md", "CONTRIBUTING.md"];

/// Looks at a document: a message for each thing that is not so.
type Look = fn(&Document) -> Vec<String>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = commands::missing();
    if let Some(missing) = &missing
        && env::var("LAB_DOCUMENTS").is_ok_and(|value| value == "required")
    {
        eprintln!("The commands of the documents cannot be run: {missing}");
        return ExitCode::FAILURE;
    }
    if let Some(missing) = &missing {
        eprintln!("The commands of the documents are not run here: {missing}");
    }
    let looks: [(&str, &[&str], Look); 5] = [
        ("links-lead-somewhere", &ALL, names::links),
        ("names-exist", &ALL, names::names),
        ("blocks-are-of-a-known-kind", &RUN, shape::blocks),
        ("code-is-the-real-code", &RUN, quotes::code),
        (
            "lessons-have-the-same-parts",
            &["LESSONS.md"],
            shape::lessons,
        ),
    ];
    let mut trials = vec![
        Trial::test("commands-do-what-is-shown", run_commands).with_ignored_flag(missing.is_some()),
        Trial::test("a-comparison-sees-what-differs", || {
            pattern::tests().map_err(Failed::from)
        }),
        Trial::test("a-document-that-drifts-is-red", drift::tests),
        Trial::test("diffs-are-shown-whole", || {
            outcome(quotes::whole_diffs(&open("LESSONS.md")?))
        }),
    ];
    for (name, documents, look) in looks {
        for document in documents {
            trials.push(Trial::test(format!("{name}::{document}"), move || {
                outcome(look(&open(document)?))
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn open(name: &'static str) -> Result<Document, Failed> {
    Document::open(workspace::root(), name).map_err(Failed::from)
}

fn outcome(faults: Vec<String>) -> Result<(), Failed> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n").into()),
    }
}

/// One after the other: they share their ports.
fn run_commands() -> Result<(), Failed> {
    ending::watch_for_signals()?;
    for name in RUN {
        commands::run(&open(name)?)?;
    }
    Ok(())
}
