//! `cargo lab fault`: shows what a fault does, and which checks detect it.

use crate::single_checks;
use clap::{Args, ValueEnum};
use faulty::faults::{Fault, TABLE};
use harness::program::Program;
use harness::style::{BOLD, CYAN, DIM, RED, paint};
use harness::text::truncate;
use harness::workspace;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use suite::check::Check;
use suite::checks;
use suite::run::{self, Job, Verdict};
use suite::translation::{fill, text};

/// The hidden command that runs the faulty server.
pub const SERVER: &str = "faulty-server";

/// How much of an expectation or a response a lesson shows, in characters.
const LINE_LENGTH: usize = 100;

#[derive(Args)]
pub struct Options {
    /// The fault; without one, list all faults.
    #[arg(value_parser = parse_fault)]
    fault: Option<Fault>,

    /// The check to run; without one, list the checks that fail.
    #[arg(requires = "fault", conflicts_with = "serve")]
    check: Option<String>,

    /// Show each fault of the article behind that lesson, 1 to 4, with a check that detects it; for
    /// later lessons, show how to try one.
    #[arg(long, value_name = "N", value_parser = super::stage_number, conflicts_with = "fault")]
    lesson: Option<u8>,

    /// Run the server on its stage's port, so that you can talk to it.
    #[arg(long, requires = "fault")]
    serve: bool,

    /// Repeat the run with this seed.
    #[arg(long)]
    seed: Option<u64>,

    /// Options for the server.
    #[arg(last = true, requires = "serve", value_name = "SERVER_OPTIONS")]
    options: Vec<OsString>,
}

/// There are too many faults to list them all in an error.
fn parse_fault(name: &str) -> Result<Fault, String> {
    Fault::from_str(name, false)
        .map_err(|_| "There is no such fault. To list them all: cargo lab fault".to_string())
}

/// The faulty server doesn't imitate the stages after the fork. Their faults are changes of their own
/// sources.
fn explain_changes(lesson: u8) {
    let stage = workspace::stage(lesson).name;
    let folder = if lesson == 5 { "gateway" } else { "events" };
    let explanation = fill(
        "The faults of lesson {lesson} are small changes to its stage: tests/suite/{folder}/faults.toml lists them, \
         each\nwith the checks that detect it. To try one:\n\n  \
         1. In that file of {stage}/src, replace what is after `find` with what is after `replace`.\n  \
         2. See it fail: cargo lab grade {lesson} --original --only CHECK\n  \
         3. Undo it: git restore {stage}",
        &[("lesson", &lesson), ("folder", &folder), ("stage", &stage)],
    );
    anstream::println!("{explanation}");
    if lesson == 5 {
        let article = text(
            "The article's own fault, a \"not found\" with status 200: cargo lab fault missing-file-is-ok",
        );
        anstream::println!("\n{article}");
    }
}

/// The faults of a lesson's article, each with a check that detects it.
fn faults_of_lesson(lesson: u8) -> &'static [(Fault, &'static str)] {
    match lesson {
        1 => &[
            (Fault::MissingFileEndsServer, "missing-file"),
            (Fault::EmptyRequestPanics, "empty-connection"),
            (Fault::MalformedLinePanics, "malformed-request-line"),
            (Fault::ReadsOnce, "byte-by-byte"),
            (Fault::TruncatesLongHead, "long-head"),
            (Fault::SendsOneChunk, "large-file"),
            (Fault::FollowsDotDot, "no-path-traversal"),
            (Fault::QueryIsPartOfName, "query-is-ignored"),
            (Fault::NoTimeout, "silent-client-timeout"),
            (Fault::AlwaysHello, "named-file"),
            (Fault::SlashInStatusLine, "well-formed-response"),
            (Fault::NoIndexPages, "index-page"),
            (Fault::DecodesContent, "binary-content"),
        ],
        2 => &[
            (Fault::NeverReapsChildren, "no-zombies"),
            (Fault::UnboundedChildren, "children-are-bounded"),
            (Fault::InvalidUtf8KillsChild, "unusual-bytes-in-target"),
        ],
        3 => &[
            (Fault::NoAddressReuse, "restarts-immediately"),
            (Fault::UnboundedThreads, "threads-are-bounded"),
            (Fault::DoubleSlashIsAbsolute, "no-absolute-path"),
        ],
        _ => &[
            (Fault::KnowsSevenTypes, "content-types"),
            (Fault::UnknownExtensionPanics, "unknown-extension"),
            (Fault::ExtensionAfterFirstDot, "extension-after-last-dot"),
            (Fault::UnregisteredJpegType, "content-types"),
            (Fault::MethodNotAllowedPanics, "method-not-allowed"),
            (Fault::HeadIsNotImplemented, "head-matches-get"),
            (Fault::NoPercentDecoding, "percent-encoding"),
            (Fault::NeverReadsForm, "form-is-echoed"),
            (Fault::NoContentLength, "content-length"),
            (Fault::ServesPrivateFiles, "private-file"),
            (Fault::IgnoresFolderPermissions, "private-folder"),
            (Fault::MissingFileIsOk, "missing-file"),
        ],
    }
}

/// Lists faults, describes one, runs checks on it, or runs the server.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let seed = options.seed.map_or_else(run::seed, Ok)?;
    match (options.fault, &options.check, options.lesson) {
        (Some(fault), ..) if options.serve => serve(fault, &options.options)?,
        (Some(fault), Some(id), _) => show(fault, id, seed)?,
        (Some(fault), None, _) => describe(fault),
        (None, _, Some(lesson)) if lesson > faulty::LAST_STAGE => explain_changes(lesson),
        (None, _, Some(lesson)) => show_lesson(lesson, seed)?,
        (None, _, None) => list(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists all faults by stage.
fn list() {
    let width = TABLE.iter().map(|row| row.fault.name().len()).max();
    let width = width.unwrap_or(0);
    for stage in 1..=faulty::LAST_STAGE {
        let heading = fill("Stage {stage}", &[("stage", &stage)]);
        anstream::println!("{}", paint(BOLD, heading));
        for row in TABLE.iter().filter(|row| row.stage == stage) {
            let name = paint(CYAN, format!("{:width$}", row.fault.name()));
            anstream::println!("  {name}  {}", text(row.description));
        }
    }
    let more = text("To see which checks detect one: cargo lab fault NAME");
    anstream::println!("\n{more}");
}

/// Shows what a fault is, and which checks fail.
fn describe(fault: Fault) {
    let (row, name) = (fault.row(), fault.name());
    let checks = checks::of_stage(row.stage);
    let failing = checks.iter().map(|check| check.id);
    let failing: Vec<&str> = failing.filter(|id| row.fails.contains(id)).collect();
    let title = fill(
        "Stage {stage}: {description}.",
        &[
            ("stage", &row.stage),
            ("description", &text(row.description)),
        ],
    );
    anstream::println!("{}", paint(BOLD, title));
    let text = fill(
        "Fails {count} of {all} checks: {ids}\n\
         To see one fail: cargo lab fault {name} {id}\n\
         To talk to the server: cargo lab fault {name} --serve",
        &[
            ("count", &failing.len()),
            ("all", &checks.len()),
            ("ids", &paint(CYAN, failing.join(", "))),
            ("name", &name),
            ("id", &failing[0]),
        ],
    );
    anstream::println!("{text}");
}

/// Runs a check on a server with a fault, and explains the verdict.
fn show(fault: Fault, id: &str, seed: u64) -> Result<(), String> {
    let row = fault.row();
    let check = find_check(row.stage, id).map_err(|error| {
        let command = format!("cargo lab fault {}", fault.name());
        format!("{error} To list those that fail: {command}")
    })?;
    run::prepare()?;
    let verdict = run::run_check(check, &program(row.stage, fault)?, seed);
    let title = fill("{description}.", &[("description", &text(row.description))]);
    anstream::println!("{}", paint(BOLD, title));
    let passed = single_checks::print_verdict(check, &verdict, row.stage);
    let seed = fill("seed {seed}", &[("seed", &seed)]);
    anstream::println!("{}", paint(DIM, seed));
    if passed == row.fails.contains(id) {
        let expected = if passed { "failed" } else { "passed" };
        return Err(format!(
            "`{id}` should have {expected}. This is a defect of the suite."
        ));
    }
    Ok(())
}

/// Runs the check for each fault of a lesson, all at the same time, and shows what they found.
fn show_lesson(lesson: u8, seed: u64) -> Result<(), String> {
    run::prepare()?;
    let faults = faults_of_lesson(lesson);
    let mut jobs = Vec::new();
    for (fault, id) in faults {
        jobs.push(Job {
            check: find_check(lesson, id)?,
            program: program(lesson, *fault)?,
            must_pass: false,
        });
    }
    for ((fault, id), timed) in faults.iter().zip(run::run_each(&jobs, seed)) {
        let (description, name) = (text(fault.row().description), fault.name());
        let Verdict::Failed(failure) = timed.verdict else {
            return Err(format!(
                "`{id}` doesn't detect {name}. This is a defect of the suite."
            ));
        };
        let evidence = failure.evidence;
        let received = relevant_line(&evidence.expected, &evidence.received);
        anstream::println!("{} ({name})", paint(BOLD, description));
        anstream::println!("  {}", paint(RED, format!("✗ {id}")));
        let expected = first_line(&evidence.expected);
        anstream::println!("    {}{expected}", text("expected: "));
        anstream::println!("    {}{received}", text("received: "));
    }
    Ok(())
}

fn find_check(stage: u8, id: &str) -> Result<&'static Check, String> {
    let check = checks::all().find(|check| check.id == id && check.stages.contains(&stage));
    check.ok_or_else(|| format!("Stage {stage} has no check `{id}`."))
}

/// The first line of a text, cut to a readable length.
fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or("nothing");
    let line = line.strip_suffix("\\r\\n").unwrap_or(line);
    truncate(line, LINE_LENGTH)
}

/// The field of a response that an expectation is about, or else the first line.
fn relevant_line(expected: &str, received: &str) -> String {
    let field = expected.strip_prefix("the field `");
    let Some((name, _)) = field.and_then(|field| field.split_once(':')) else {
        return first_line(received);
    };
    let prefix = format!("{name}:");
    let mut lines = received.lines();
    let line = lines.find(|line| line.trim_start().starts_with(&prefix));
    line.map_or_else(|| "no such field".to_string(), first_line)
}

/// The faulty server, which this program contains.
fn program(stage: u8, fault: Fault) -> Result<Program, String> {
    let path = env::current_exe();
    let path = path.map_err(|error| format!("Cannot find the program `lab`: {error}"))?;
    let (stage, fault) = (stage.to_string(), fault.name());
    let mut program = Program::new(path);
    program.arguments = [SERVER, "--stage", &stage, "--fault", &fault]
        .map(OsString::from)
        .to_vec();
    Ok(program)
}

/// Replaces this process with the server. Returns only if that fails.
fn serve(fault: Fault, options: &[OsString]) -> Result<(), String> {
    let program = program(fault.row().stage, fault)?;
    let error = Command::new(&program.path)
        .args(&program.arguments)
        .args(options)
        .current_dir(workspace::root())
        .exec();
    Err(format!("Cannot start {}: {error}", program.path.display()))
}

/// The hidden command: runs the faulty server with these arguments.
pub fn server(arguments: &[OsString]) -> ExitCode {
    faulty::run([&["faulty".into()], arguments].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_of_lesson_detects_its_fault() {
        for lesson in 1..=faulty::LAST_STAGE {
            for (fault, id) in faults_of_lesson(lesson) {
                let row = fault.row();
                assert_eq!(row.fault, *fault);
                assert!(row.stage <= lesson, "{fault:?}");
                assert!(row.fails.contains(id), "{fault:?}: {id}");
                assert!(find_check(lesson, id).is_ok(), "{lesson}: {id}");
            }
        }
    }

    #[test]
    fn first_line_is_cut_between_characters() {
        let response = "\n  HTTP/1.1 200 OK\\r\\n\nmore";
        assert_eq!(first_line(response), "HTTP/1.1 200 OK");
        assert_eq!(first_line(""), "nothing");
        let expected = format!("{} ...", "你".repeat(100));
        assert_eq!(first_line(&"你".repeat(200)), expected);
    }

    #[test]
    fn relevant_line_is_the_expected_field() {
        let field = "Content-Type: image/jpg";
        let response = format!("HTTP/1.1 200 OK\\r\\n\n    {field}\\r\\n\n");
        for (expected, relevant) in [
            ("the field `Content-Type: image/jpeg`", field),
            ("the field `Date: `", "no such field"),
            ("status 404", "HTTP/1.1 200 OK"),
        ] {
            assert_eq!(relevant_line(expected, &response), relevant);
        }
    }
}
