//! A web server with one fault at a time, to test the suite with.
//!
//! It imitates stages 1 to 4 but shares no code with them. (The faults of stages 5 and 6 are changes of
//! the stages themselves.) Without a fault it passes every check of the stage. With a fault it fails
//! exactly the checks that [`faults::TABLE`] lists. This shows that every check can fail, and that it fails only for what it is about.
//!
//! # How to find a fault
//!
//! Search for its name: the fault `follows-dot-dot` is `Fault::FollowsDotDot` in the code. Each
//! fault is an `if` or a match arm in the place where somebody could make that mistake.
//!
//! # How to add a fault
//!
//! 1. Add a row to the table in `faults.rs`: its name, the stage, what the server does wrong,
//!    and the checks that should fail.
//! 2. Write the `if`.
//! 3. Run `LAB_FAULT=the-name cargo test -p suite --test integration faults`. This runs all
//!    checks of the stage. If the verdicts differ from the row, the message lists the actual
//!    ones.

mod cheat;
mod config;
mod connection;
pub mod faults;
mod fields;
mod files;
mod form;
mod handler;
mod listener;
mod log;
mod mime;
mod permission;
mod reader;
mod request;
mod response;
mod serve;
mod status;
mod target;

use config::Config;
use faults::Fault;
use signal_hook::consts::{SIGINT, SIGTERM};
use status::Status;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// The last stage that it imitates.
pub const LAST_STAGE: u8 = 4;

/// Runs the server with a command line, which starts with the program's name.
pub fn run(command_line: Vec<OsString>) -> ExitCode {
    let config = Config::from_command_line(command_line);
    let fault = config.fault;
    let Err(error) = start(config) else {
        return ExitCode::SUCCESS;
    };
    log::message(&format!("faulty: {error}"));
    match fault {
        Some(Fault::StartErrorExitsTwo) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// Opens what the server needs, and serves.
fn start(mut config: Config) -> anyhow::Result<()> {
    let shown_root = config.root.display().to_string();
    match files::canonicalize_root(&config) {
        Ok(root) => config.root = root,
        // The root may have moved since the parent found it.
        Err(_) if config.child => {}
        Err(error) => return Err(error),
    }
    let config = Arc::new(config);
    if config.child {
        return serve::serve_stdin(&config);
    }
    if config.has(Fault::IgnoresSignals) {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
    }
    let listener = listener::open(&config)?;
    listener::announce(&listener, &shown_root, &config)?;
    serve::serve(&listener, &config)
}
