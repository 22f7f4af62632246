//! The program of a `my_stageN` in another language. Cargo wants a program in each package of the
//! workspace; this one becomes the executable `server` in the package's folder.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/server");
    let error = Command::new(server).args(env::args_os().skip(1)).exec();
    eprintln!("Cannot start {server}: {error}");
    ExitCode::FAILURE
}
