//! `cargo lab fault`: a server with one fault, to see what happens, and which check notices.

use super::grade;
use crate::check::Finding;
use crate::checks;
use crate::ending;
use crate::explain::shortened;
use crate::faulty;
use crate::faulty::faults::{Fault, Row, TABLE};
use crate::paint::{BOLD, CYAN, RED, paint};
use crate::program::Program;
use crate::suite::{self, Verdict};
use crate::workspace::{self, STAGES};
use clap::{Args, ValueEnum};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

/// What the articles got wrong, lesson by lesson: a fault, and the check that catches it.
const ARTICLES: &[(u8, Fault, &str)] = &[
    (1, Fault::MissingEndsServer, "missing-file"),
    (1, Fault::EmptyRequestPanics, "empty-connection"),
    (1, Fault::OddLinePanics, "garbage"),
    (1, Fault::ReadsOnce, "byte-by-byte"),
    (1, Fault::HeadCutAt1024, "long-head"),
    (1, Fault::OnePartOfAFile, "large-file"),
    (1, Fault::Climbs, "no-climbing"),
    (1, Fault::QueryInName, "query-is-cut-off"),
    (1, Fault::NoTimeout, "silent-client-is-cut-off"),
    (1, Fault::HelloToAll, "named-file"),
    (1, Fault::SlashInStatusLine, "well-formed-answer"),
    (1, Fault::SlashIsNoPage, "index-at-slash"),
    (1, Fault::ContentIsText, "every-byte-survives"),
    (2, Fault::Zombies, "no-zombies"),
    (2, Fault::NoBoundOnChildren, "children-are-bounded"),
    (2, Fault::OddByteKillsChild, "odd-bytes-in-the-target"),
    (3, Fault::NoAddressReuse, "restarts-at-once"),
    (3, Fault::NoBoundOnThreads, "threads-are-bounded"),
    (3, Fault::DoubleSlashIsAbsolute, "no-absolute-path"),
    (4, Fault::SevenTypes, "content-types"),
    (4, Fault::UnknownExtensionPanics, "unknown-extension"),
    (4, Fault::FirstDotCounts, "extension-behind-the-last-dot"),
    (4, Fault::ImageJpg, "content-types"),
    (4, Fault::NotAllowedPanics, "method-not-allowed"),
    (4, Fault::HeadIsNotDispatched, "head-equals-get"),
    (4, Fault::NothingIsDecoded, "percent-encoding"),
    (4, Fault::FormIsNeverRead, "form-is-echoed"),
    (4, Fault::NoLength, "content-length"),
    (4, Fault::PrivateFileIsServed, "private-file"),
    (4, Fault::PrivateFolderIsServed, "private-folder"),
    (4, Fault::MissingIs200, "missing-file"),
];

/// The hidden command that is the faulty server.
pub const SERVER: &str = "faulty-server";

#[derive(Args)]
pub struct Options {
    /// The fault; without one, all of them are listed.
    #[arg(value_parser = named)]
    fault: Option<Fault>,

    /// The check to hold against it; without one, those that notice it are listed.
    #[arg(requires = "fault", conflicts_with = "serve")]
    check: Option<String>,

    /// Show what that lesson's article got wrong, each with the check that catches it.
    #[arg(long, value_name = "N", value_parser = super::stage_number(), conflicts_with = "fault")]
    lesson: Option<u8>,

    /// Run the server with this fault, on its stage's port, for you to talk to.
    #[arg(long, requires = "fault")]
    serve: bool,

    /// Repeat the run of that seed.
    #[arg(long)]
    seed: Option<u64>,

    /// Options for the server, behind `--`.
    #[arg(last = true, requires = "serve")]
    options: Vec<OsString>,
}

/// The fault of that name. There are too many to list them all in an error.
fn named(name: &str) -> Result<Fault, String> {
    Fault::from_str(name, false).map_err(|_| "All faults: cargo lab fault".to_string())
}

/// Lists, shows or serves. Shown, the check is expected to be red: exit code 0 says so.
pub fn fault(options: &Options) -> Result<ExitCode, String> {
    if let Some(number) = options.lesson {
        return lesson(number, options.seed);
    }
    let Some(fault) = options.fault else {
        list();
        return Ok(ExitCode::SUCCESS);
    };
    let row = row(fault)?;
    match &options.check {
        _ if options.serve => serve(row, &options.options),
        Some(check) => show(row, check, options.seed),
        None => {
            tell(row);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What is written down of a fault.
fn row(fault: Fault) -> Result<&'static Row, String> {
    let row = TABLE.iter().find(|row| row.fault == fault);
    row.ok_or_else(|| format!("`{}` is in no table.", fault.name()))
}

fn list() {
    for stage in &STAGES {
        anstream::println!("{}", paint(BOLD, format!("Stage {}", stage.number)));
        for row in TABLE.iter().filter(|row| row.stage == stage.number) {
            let name = paint(CYAN, format!("{:32}", row.fault.name()));
            anstream::println!("  {name} {}", row.what);
        }
    }
    anstream::println!("\nWhich checks notice one: cargo lab fault NAME");
}

/// Says what the fault is, and which checks notice it.
fn tell(row: &Row) {
    let Row { stage, what, .. } = row;
    let name = row.fault.name();
    let suite = checks::of_stage(*stage);
    let red = suite.iter().filter(|check| row.red.contains(check.id));
    let red: Vec<&str> = red.map(|check| check.id).collect();
    anstream::println!("{}", paint(BOLD, format!("Stage {stage}: {what}.")));
    anstream::println!("noticed by {} of {} checks: {}", red.len(), suite.len(), {
        paint(CYAN, red.join(", "))
    });
    if let Some(check) = red.first() {
        anstream::println!("to see it noticed:  cargo lab fault {name} {check}");
    }
    anstream::println!("to talk to it:      cargo lab fault {name} --serve");
}

/// Holds the check against the server, and tells all there is to tell.
fn show(row: &Row, check: &str, seed: Option<u64>) -> Result<ExitCode, String> {
    let suite = checks::of_stage(row.stage);
    let name = row.fault.name();
    if !suite.iter().any(|other| other.id == check) {
        return Err(format!(
            "Stage {} has no check `{check}`. Those that notice this fault: cargo lab fault {name}",
            row.stage
        ));
    }
    suite::prepare()?;
    let seed = seed.map_or_else(suite::seed, Ok)?;
    anstream::println!("{}", paint(BOLD, format!("{}.", row.what)));
    let seen = grade::run_and_tell(row.stage, suite, |id| id == check, &program(row)?, seed)?;
    let noticed = seen == Some(false);
    match noticed == row.red.contains(check) {
        true => Ok(ExitCode::SUCCESS),
        false => Err(format!(
            "`{check}` should have been {} for {name}. This is a defect of the suite.",
            if noticed { "green" } else { "red" }
        )),
    }
}

/// Holds each fault of a lesson's article against its check, all at the same time, and tells
/// in a line what was seen.
fn lesson(number: u8, seed: Option<u64>) -> Result<ExitCode, String> {
    suite::prepare()?;
    let seed = seed.map_or_else(suite::seed, Ok)?;
    let faults = ARTICLES.iter().filter(|(lesson, ..)| *lesson == number);
    let seen: Vec<Result<String, String>> = thread::scope(|scope| {
        let hold = |(_, fault, id): &'static (u8, Fault, &str)| {
            scope.spawn(move || (*fault, *id, hold(number, *fault, id, seed)))
        };
        let running: Vec<_> = faults.map(hold).collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended
            .map(|seen| seen.map_or_else(|_| Err("a check broke".to_string()), line))
            .collect()
    });
    ending::sweep();
    for line in seen {
        anstream::println!("{}", line?);
    }
    Ok(ExitCode::SUCCESS)
}

/// The fault, the check, and what it saw.
fn line((fault, id, verdict): (Fault, &str, Result<Verdict, String>)) -> Result<String, String> {
    let (what, name) = (row(fault)?.what, fault.name());
    match verdict? {
        Verdict::Failed(failure) => {
            let Finding {
                expected, received, ..
            } = failure.finding.as_ref();
            let (what, check) = (paint(BOLD, what), paint(RED, format!("✗ {id}")));
            let (expected, received) = (first_line(expected), telling_line(expected, received));
            Ok(format!(
                "{what} ({name})\n  {check} expected {expected}\n    and got {received}"
            ))
        }
        _ => Err(format!(
            "`{id}` does not notice {name}. This is a defect of the suite."
        )),
    }
}

/// Of an answer, the field that something else was expected of, or else its first line.
fn telling_line(expected: &str, received: &str) -> String {
    let wanted = expected.strip_prefix("the field `");
    let Some((name, _)) = wanted.and_then(|wanted| wanted.split_once(':')) else {
        return first_line(received);
    };
    let is_it = |line: &&str| line.trim_start().starts_with(&format!("{name}:"));
    match received.lines().find(is_it) {
        Some(line) => first_line(line),
        None => "no such field".to_string(),
    }
}

/// How much of a line is worth showing, in characters.
const SHOWN: usize = 100;

/// The first line of what was seen, cut to what a person would read of it.
fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or("nothing");
    let line = line.strip_suffix("\\r\\n").unwrap_or(line);
    shortened(line, SHOWN)
}

/// What the check says of the server with that fault, as that lesson's stage.
fn hold(stage: u8, fault: Fault, id: &str, seed: u64) -> Result<Verdict, String> {
    let mut program = program(row(fault)?)?;
    program.arguments[2] = stage.to_string().into();
    let check = checks::of_stage(stage)
        .into_iter()
        .find(|check| check.id == id);
    let check = check.ok_or_else(|| format!("stage {stage} has no check `{id}`"))?;
    Ok(suite::run(check, &program, seed))
}

/// The faulty server, to hold checks against.
fn program(row: &Row) -> Result<Program, String> {
    let mut program = Program::new(ourselves()?);
    program.arguments = arguments(row);
    Ok(program)
}

/// Becomes the server.
fn serve(row: &Row, options: &[OsString]) -> Result<ExitCode, String> {
    env::set_current_dir(workspace::root())
        .map_err(|error| format!("Cannot go to {}: {error}", workspace::root().display()))?;
    let program = ourselves()?;
    let mut server = Command::new(&program);
    let error = server.args(arguments(row)).args(options).exec();
    Err(format!("Cannot start {}: {error}", program.display()))
}

/// What the server is told: to be one, of which stage, and with which fault.
fn arguments(row: &Row) -> Vec<OsString> {
    let (stage, fault) = (row.stage.to_string(), row.fault.name());
    let words = [SERVER, "--stage", &stage, "--fault", &fault];
    words.into_iter().map(OsString::from).collect()
}

/// This program: the faulty server is a part of it.
fn ourselves() -> Result<PathBuf, String> {
    env::current_exe().map_err(|error| format!("Cannot find the `lab` program: {error}"))
}

/// The hidden command: these arguments are the faulty server's.
pub fn server(arguments: &[OsString]) -> ExitCode {
    let name = OsString::from("faulty");
    let arguments = [std::slice::from_ref(&name), arguments].concat();
    faulty::run(faulty::options::read(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_articles_got_wrong_is_noticed_by_the_check_named() {
        for (number, fault, id) in ARTICLES {
            let row = row(*fault).unwrap();
            assert!(row.stage <= *number, "{fault:?}");
            assert!(row.red.contains(id), "{fault:?}: {id}");
            let mut suite = checks::of_stage(*number).into_iter();
            assert!(suite.any(|check| check.id == *id), "{number}: {id}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(
            first_line("\n  HTTP/1.1 200 OK\\r\\n\nmore"),
            "HTTP/1.1 200 OK"
        );
        assert_eq!(first_line(""), "nothing");
        let answer = "HTTP/1.1 200 OK\\r\\n\n    Content-Type: image/jpg\\r\\n\n";
        let expected = "the field `Content-Type: image/jpeg`";
        assert_eq!(telling_line(expected, answer), "Content-Type: image/jpg");
        assert_eq!(telling_line("the field `Date: `", answer), "no such field");
        assert_eq!(telling_line("status 404", answer), "HTTP/1.1 200 OK");
        let cut = first_line(&"你".repeat(200));
        assert_eq!(cut, format!("{} ...", "你".repeat(100)));
    }
}
