//! The command line: the options that every server must accept, the stage, and the fault.

use crate::Fault;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum, value_parser};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;

/// A web server with one fault, to test the suite with. `cargo lab fault` lists all faults.
#[derive(Parser)]
#[command(name = "faulty", version)]
pub struct Config {
    /// Where to listen; by default on the port of the stage.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// The document root: the folder to serve.
    #[arg(long, value_name = "DIR", default_value = "html")]
    pub root: PathBuf,

    /// How long to wait for a client.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Log the head of every request.
    #[arg(long)]
    pub verbose: bool,

    /// The stage to imitate.
    #[arg(long, value_name = "N", default_value = "4", value_parser = value_parser!(u8).range(1..=i64::from(crate::LAST_STAGE)))]
    pub stage: u8,

    /// The fault to have.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub fault: Option<Fault>,

    /// Serve the one client whose socket is standard input.
    #[arg(long, hide = true)]
    pub child: bool,
}

impl Config {
    /// Parses a command line. Exits after `--help`, `--version` and usage errors.
    pub fn from_command_line(command_line: Vec<OsString>) -> Config {
        // Some faults change the parser, so the fault must be known before it runs.
        let fault = find_fault(&command_line);
        let command = Config::command();
        let command = match fault {
            Some(Fault::HelpOmitsOption) => command.mut_arg("timeout", |option| option.hide(true)),
            Some(Fault::NoVersionFlag) => command.disable_version_flag(true),
            Some(Fault::AcceptsZeroTimeout) => {
                command.mut_arg("timeout", |option| option.value_parser(value_parser!(u64)))
            }
            _ => command,
        };
        let matches = command.try_get_matches_from(command_line);
        let config = matches.and_then(|matches| Config::from_arg_matches(&matches));
        config.unwrap_or_else(|error| {
            let _ = error.print();
            match (fault, error.exit_code()) {
                (Some(Fault::UsageErrorExitsOne), 2) => process::exit(1),
                (_, code) => process::exit(code),
            }
        })
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        let port = [7788, 8888, 8000, 9001][usize::from(self.stage) - 1];
        let default = SocketAddr::from(([127, 0, 0, 1], port));
        self.listen.unwrap_or(default)
    }

    /// Whether the server has this fault.
    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether the server does what stage 4 adds: header fields, more methods, permissions.
    pub fn is_stage4(&self) -> bool {
        self.stage == 4
    }
}

/// The value of `--fault`.
fn find_fault(command_line: &[OsString]) -> Option<Fault> {
    let index = command_line.iter().position(|word| word == "--fault")?;
    let name = command_line.get(index + 1)?.to_str()?;
    Fault::from_str(name, false).ok()
}
