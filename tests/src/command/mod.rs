//! The `lab` command: what a student, an instructor and a course's automation call.

mod diff;
mod diff_page;
mod exercise;
mod fault;
mod fingerprint;
mod grade;
mod measure;
mod overview;
mod package;
mod run;
mod scores;
mod soak;
mod start;
mod submission;
mod submissions;
mod summary;
mod watch;

use crate::exercises::{self, Exercise};
use crate::paint::{RED, paint};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// The exit code when the harness or its user did something wrong, not the server.
const TROUBLE: u8 = 3;

/// Learn how a web server works: run one, break it, read what changed, and write the next.
///
/// Without a command: where you are, and the next step.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Build a stage and run it in the foreground; Ctrl-C ends it.
    Run {
        /// The stage, 1 to 4, or the exercise that you have begun.
        #[arg(value_name = "STAGE|EXERCISE", value_parser = |text: &str| chosen(text, 1))]
        what: Chosen,
        /// Run the lab's own stage, though there is a my_stageN of yours.
        #[arg(long)]
        original: bool,
        /// Options for the server, behind `--`.
        #[arg(last = true)]
        options: Vec<OsString>,
    },
    /// Run a stage's checks on your my_stageN, on the lab's own stage, or on any program.
    Grade(grade::Options),
    /// Show what changes from one stage to another, room by room.
    Diff(diff::Options),
    /// Copy stage N-1 to my_stageN, for you to turn it into stage N; or the stage of an exercise.
    Start {
        /// The stage that you are going to write, 2 to 4, or the exercise.
        #[arg(value_name = "STAGE|EXERCISE", value_parser = |text: &str| chosen(text, 2))]
        what: Chosen,
    },
    /// List the exercises; of one, say what it asks for, and run its checks on your copy.
    Exercise(exercise::Options),
    /// Grade again after each save.
    Watch {
        #[arg(value_parser = stage_number())]
        stage: u8,
        /// Watch the lab's own stage, though there is a my_stageN of yours.
        #[arg(long)]
        original: bool,
    },
    /// Show what a fault does, and which check notices it; without a name, list all faults.
    Fault(fault::Options),
    /// The server with a fault.
    #[command(name = fault::SERVER, hide = true, disable_help_flag = true)]
    FaultyServer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run the suites again and again on a busy machine: their verdicts must never differ.
    Soak(soak::Options),
    /// Measure how fast the stages are, beside other servers, and draw what was seen.
    ///
    /// Without a command: builds in release, and starts the stages and whatever nginx, lighttpd,
    /// busybox httpd and python3 there are; lets 1, 8, 64 and 256 clients ask each for the same
    /// page of 4 KiB, in rounds that interleave; measures their memory; then shows a table, and
    /// writes speed.json, throughput.svg, memory.svg, and the waterfall of the stages.
    ///
    /// Exit code: 0, all was measured; 1, a server failed under load; 2, wrong usage; 3, trouble,
    /// such as no load generator.
    Measure(measure::Options),
    /// Pack the suite for a course's automation.
    #[command(subcommand)]
    Package(package::Kind),
}

/// What a command is about: a stage by its number, or an exercise by its name.
#[derive(Clone, Copy)]
enum Chosen {
    Stage(u8),
    Exercise(&'static Exercise),
}

/// Takes the number of a stage, from `first` on, or the name of an exercise.
fn chosen(text: &str, first: u8) -> Result<Chosen, String> {
    match text.parse::<i64>() {
        Ok(number) if (i64::from(first)..=4).contains(&number) => Ok(Chosen::Stage(number as u8)),
        Ok(number) => Err(format!("{number} is not in {first}..=4")),
        Err(_) => exercises::named(text).map(Chosen::Exercise),
    }
}

fn stage_number() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(1..=4)
}

/// Does what the command line asks for.
pub fn run(options: Options) -> ExitCode {
    let outcome = match options.command {
        None => overview::show(),
        Some(Command::Run {
            what,
            original,
            options,
        }) => run::run(what, original, &options),
        Some(Command::Grade(options)) => grade::run(&options),
        Some(Command::Diff(options)) => diff::diff(&options),
        Some(Command::Start { what }) => start::start(what),
        Some(Command::Exercise(options)) => exercise::run(&options),
        Some(Command::Watch { stage, original }) => watch::watch(stage, original),
        Some(Command::Fault(options)) => fault::fault(&options),
        Some(Command::FaultyServer { arguments }) => Ok(fault::server(&arguments)),
        Some(Command::Soak(options)) => soak::soak(&options),
        Some(Command::Measure(options)) => measure::measure(&options),
        Some(Command::Package(kind)) => package::pack(&kind),
    };
    outcome.unwrap_or_else(|error| {
        anstream::eprintln!("{} {error}", paint(RED.bold(), "lab:"));
        ExitCode::from(TROUBLE)
    })
}
