//! `cargo lab`: parses the command line and hands over.

use clap::Parser;
use lab::command::{self, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(Options::parse())
}
