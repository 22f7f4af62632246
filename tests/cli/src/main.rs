//! `cargo lab`: parses the command line and hands over.

use clap::Parser;
use harness::cleanup;
use lab::command::{self, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit_code = command::run(Options::parse());
    cleanup::clean_up();
    exit_code
}
