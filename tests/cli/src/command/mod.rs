//! The commands of `cargo lab`, a module for each.

mod book;
mod diff;
mod exercise;
mod fault;
mod grade;
mod help;
mod lesson;
mod measure;
mod overview;
mod package;
mod run;
mod soak;
mod start;
mod steps;
mod viva;
mod watch;

pub use help::texts as help_texts;

use crate::report::Status;
use clap::{FromArgMatches, Parser, Subcommand};
use harness::style::{RED, paint};
use harness::workspace::STAGES;
use std::ffi::OsString;
use std::process::ExitCode;
use suite::exercises::{self, Exercise};
use suite::steps::STEPS;
use suite::translation;

/// The exit code if the command can't do its work, or the harness breaks. It says nothing about
/// the server.
const EXIT_ERROR: u8 = 3;

/// The number of the last stage.
const LAST_STAGE: u8 = STAGES.len() as u8;

/// Learn how a web server works: run one, break it, read what changes, and write the next one.
///
/// Without a command, it shows where you are and what to do next.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Build a stage and run it until Ctrl-C.
    Run {
        /// The stage, 1 to 6, or an exercise that you have started. Stage 5 gets sample applications.
        #[arg(value_name = "STAGE|EXERCISE", value_parser = |text: &str| selection(text, 1))]
        selection: Selection,
        /// Run the lab's own stage, even if you have a my_stageN.
        #[arg(long)]
        original: bool,
        /// Options for the server, such as --verbose.
        #[arg(last = true, value_name = "SERVER_OPTIONS")]
        options: Vec<OsString>,
    },
    /// Read a lesson in your browser, served by the stage that it is about.
    Lesson {
        /// The lesson, 0 to 6.
        #[arg(value_name = "LESSON", value_parser = |text: &str| number(text, "lesson", 0))]
        number: u8,
    },
    /// Run the checks of a stage on your my_stageN, on the lab's own stage, or on any program.
    Grade(grade::Options),
    /// Show what changes from one stage or step to another, file by file.
    Diff(diff::Options),
    /// Copy the stage below stage N to my_stageN, to turn it into stage N, or copy a stage to solve an
    /// exercise.
    Start {
        /// The stage to write, 2 to 6, or an exercise.
        #[arg(value_name = "STAGE|EXERCISE", value_parser = |text: &str| selection(text, 2))]
        selection: Selection,
        /// Begin with the reference in this language, such as python, instead of Rust.
        #[arg(long, value_name = "NAME")]
        language: Option<String>,
    },
    /// List the exercises, or show the task of one and check your solution.
    Exercise(exercise::Options),
    /// Grade a stage, a step to stage 4, or an exercise again after each save.
    Watch {
        /// The stage, 1 to 6, a step, 4a to 4d, or an exercise that you have started.
        #[arg(value_name = "STAGE|STEP|EXERCISE", value_parser = watch::Target::parse)]
        target: watch::Target,
        /// Watch the lab's own stage, even if you have a my_stageN.
        #[arg(long)]
        original: bool,
    },
    /// Show what a fault does and which checks detect it; without a name, list all faults.
    Fault(fault::Options),
    /// Run the faulty server.
    #[command(name = fault::SERVER, hide = true, disable_help_flag = true)]
    FaultyServer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run the suites many times on a busy machine: every verdict must stay the same.
    Soak(soak::Options),
    /// Refresh the patches of the steps to stage 4 after a change of stage 3 or 4.
    #[command(hide = true)]
    Steps(steps::Options),
    /// Make the pages of the course from LESSONS.md and its translations, for the site.
    #[command(hide = true)]
    Book(book::Options),
    /// Measure how fast the stages are, next to other servers, and plot the results.
    ///
    /// Without a command, it builds stages 1 to 4 and 6 in release mode and starts them and each of
    /// nginx, lighttpd, busybox httpd and python3 that is installed. Stage 5 serves files as stage 4
    /// does; name it to measure it. First it measures memory. Then 1, 8, 64 and 256 clients request
    /// the same page of 4 KiB, each time on a new connection, in interleaved rounds. The servers that
    /// keep connections open are then measured on 1 to 1,024 of those. It shows tables, and writes
    /// speed.json, throughput.svg, memory.svg, kept.json, kept.svg, and the waterfall of the stages.
    ///
    /// `cargo lab measure --no-log` compares one loop of stage 6 with one worker of nginx.
    ///
    /// The exit code is 0 if everything was measured, 1 if a server failed under load, 2 for wrong
    /// usage, and 3 for other errors, such as a missing load generator.
    Measure(measure::Options),
    /// Prepare an oral examination about a submission: questions, answers, and a server with a fault.
    Viva(viva::Options),
    /// Package the suite for Gradescope or GitHub Actions.
    #[command(subcommand)]
    Package(package::Kind),
}

/// A stage by its number, or an exercise by its name.
#[derive(Clone, Copy)]
enum Selection {
    Stage(u8),
    Exercise(&'static Exercise),
}

/// Parses the number of a stage, from `first` on, or the name of an exercise.
fn selection(text: &str, first: u8) -> Result<Selection, String> {
    let stage = number(text, "stage", first).map(Selection::Stage);
    stage.or_else(|error| {
        let exercise = exercises::named(text).map(Selection::Exercise);
        exercise.map_err(|other| format!("{error}, or an exercise. {other}"))
    })
}

/// Parses the number of a stage or a lesson, from `first` on.
fn number(text: &str, what: &str, first: u8) -> Result<u8, String> {
    let numbers = first..=LAST_STAGE;
    let number = text.parse().ok().filter(|number| numbers.contains(number));
    number.ok_or_else(|| format!("it must be a {what}, {first} to {LAST_STAGE}"))
}

/// Parses the number of a stage.
fn stage_number(text: &str) -> Result<u8, String> {
    if let Some(step) = STEPS.iter().find(|step| step.id == text) {
        return Err(format!(
            "a step is graded with its stage, `cargo lab grade 4`, or after each save, `cargo lab watch {}`",
            step.id
        ));
    }
    number(text, "stage", 1)
}

/// The exit code of a grading: 0 only if all checks passed.
fn exit_code(status: Status) -> ExitCode {
    match status {
        Status::Passed => ExitCode::SUCCESS,
        Status::Broken => ExitCode::from(EXIT_ERROR),
        Status::Failed | Status::NotReached | Status::NotRun => ExitCode::FAILURE,
    }
}

impl Options {
    /// Whether what the command prints is for a person, and not for a program or for the people who
    /// maintain the lab.
    fn is_translated(&self) -> bool {
        match &self.command {
            Some(Command::Grade(options)) => !options.is_for_programs(),
            Some(
                Command::FaultyServer { .. }
                | Command::Soak(_)
                | Command::Steps(_)
                | Command::Measure(_)
                | Command::Viva(_)
                | Command::Package(_),
            ) => false,
            _ => true,
        }
    }
}

/// Parses the command line in the person's language.
fn parse() -> Result<Options, String> {
    translation::choose()?;
    let matches = help::command().get_matches();
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if !options.is_translated() {
        translation::choose_english();
    }
    Ok(options)
}

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    parse().and_then(run).unwrap_or_else(|error| {
        anstream::eprintln!("{} {error}", paint(RED.bold(), "lab:"));
        ExitCode::from(EXIT_ERROR)
    })
}

fn run(options: Options) -> Result<ExitCode, String> {
    match options.command {
        None => Ok(overview::run()),
        Some(Command::Run {
            selection,
            original,
            options,
        }) => run::run(selection, original, &options),
        Some(Command::Lesson { number }) => lesson::run(number),
        Some(Command::Grade(options)) => grade::run(&options),
        Some(Command::Diff(options)) => diff::run(&options),
        Some(Command::Start {
            selection,
            language,
        }) => start::run(selection, language.as_deref()),
        Some(Command::Exercise(options)) => exercise::run(&options),
        Some(Command::Watch { target, original }) => watch::run(target, original),
        Some(Command::Fault(options)) => fault::run(&options),
        Some(Command::FaultyServer { arguments }) => Ok(fault::server(&arguments)),
        Some(Command::Soak(options)) => soak::run(&options),
        Some(Command::Steps(options)) => steps::run(&options),
        Some(Command::Book(options)) => book::run(&options),
        Some(Command::Measure(options)) => measure::measure(&options),
        Some(Command::Viva(options)) => viva::run(&options),
        Some(Command::Package(kind)) => package::run(&kind),
    }
}
