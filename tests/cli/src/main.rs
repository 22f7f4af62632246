//! `cargo lab`: parses the command line and hands over.

use harness::cleanup;
use lab::command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit_code = command::main();
    cleanup::clean_up();
    exit_code
}
