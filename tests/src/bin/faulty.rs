//! A web server that has one fault at a time; see `lab::faulty`.

use lab::faulty;
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    faulty::run(faulty::options::read(env::args_os().collect()))
}
