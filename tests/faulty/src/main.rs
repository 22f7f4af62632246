//! The faulty server as a program.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    faulty::run(env::args_os().collect())
}
