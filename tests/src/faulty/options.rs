//! The command line: the contract's options, and which server with which fault is wanted.

use crate::faulty::faults::Fault;
use crate::workspace;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum, value_parser};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;

/// A web server with one fault, to test the suite with.
#[derive(Parser)]
#[command(name = "faulty", version)]
pub struct Options {
    /// Where to listen; the default is the stage's port.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// The document root: the folder whose files are served.
    #[arg(long, value_name = "DIR", default_value = "html")]
    pub root: PathBuf,

    /// How long to wait for a client before giving it up.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Show the head of every request as it came.
    #[arg(long)]
    pub verbose: bool,

    /// Behave as this stage does.
    #[arg(long, value_name = "N", default_value = "4", value_parser = value_parser!(u8).range(1..=4))]
    pub stage: u8,

    /// Have this fault.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub fault: Option<Fault>,

    /// Print each fault, its stage, and what it does.
    #[arg(long)]
    pub list: bool,

    /// Serve the one client whose socket is standard input.
    #[arg(long, hide = true)]
    pub child: bool,
}

impl Options {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        let port = workspace::stage(self.stage).port;
        self.listen
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// Reads a command line, the program's name first; ends the program if that is all there is to
/// do. Some faults lie in the command line itself, so the fault is looked for first.
pub fn read(arguments: Vec<OsString>) -> Options {
    let fault = named_fault(&arguments);
    let mut command = Options::command();
    match fault {
        Some(Fault::HelpForgetsAnOption) => {
            command = command.mut_arg("timeout", |option| option.hide(true));
        }
        Some(Fault::NoVersion) => command = command.disable_version_flag(true),
        Some(Fault::TakesAnyTimeout) => {
            command = command.mut_arg("timeout", |option| option.value_parser(value_parser!(u64)));
        }
        _ => {}
    }
    let matches = command.try_get_matches_from(arguments);
    match matches.and_then(|matches| Options::from_arg_matches(&matches)) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            let wrong = fault == Some(Fault::WrongUsageExits1) && error.exit_code() == 2;
            process::exit(if wrong { 1 } else { error.exit_code() })
        }
    }
}

/// The fault that follows `--fault`.
fn named_fault(arguments: &[OsString]) -> Option<Fault> {
    let place = arguments.iter().position(|word| word == "--fault")?;
    let name = arguments.get(place + 1)?.to_str()?;
    Fault::from_str(name, false).ok()
}
