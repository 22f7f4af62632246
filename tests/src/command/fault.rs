//! `cargo lab fault`: a server with one fault, to see what happens, and which check notices.

use super::grade;
use crate::checks;
use crate::faulty::faults::{Fault, Row, TABLE};
use crate::paint::{BOLD, CYAN, paint};
use crate::program::Program;
use crate::workspace::{self, STAGES};
use crate::{faulty, suite};
use clap::Args;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The hidden command that is the faulty server.
pub const SERVER: &str = "faulty-server";

#[derive(Args)]
pub struct Options {
    /// The fault; without one, all of them are listed.
    #[arg(value_enum, hide_possible_values = true)]
    fault: Option<Fault>,

    /// The check to hold against it; without one, those that notice it are listed.
    #[arg(requires = "fault", conflicts_with = "serve")]
    check: Option<String>,

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

/// Lists, shows or serves. Shown, the check is expected to be red: exit code 0 says so.
pub fn fault(options: &Options) -> Result<ExitCode, String> {
    let Some(fault) = options.fault else {
        list();
        return Ok(ExitCode::SUCCESS);
    };
    let row = TABLE.iter().find(|row| row.fault == fault);
    let row = row.ok_or_else(|| format!("`{}` is in no table.", fault.name()))?;
    match &options.check {
        _ if options.serve => serve(row, &options.options),
        Some(check) => show(row, check, options.seed),
        None => {
            tell(row);
            Ok(ExitCode::SUCCESS)
        }
    }
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
    let mut program = Program::new(ourselves()?);
    program.arguments = arguments(row);
    anstream::println!("{}", paint(BOLD, format!("{}.", row.what)));
    let noticed = !grade::run_and_tell(row.stage, |id| id == check, &program, seed)?;
    match noticed == row.red.contains(check) {
        true => Ok(ExitCode::SUCCESS),
        false => Err(format!(
            "`{check}` should have been {} for {name}. This is a defect of the suite.",
            if noticed { "green" } else { "red" }
        )),
    }
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
