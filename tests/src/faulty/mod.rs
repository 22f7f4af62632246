//! The faulty server: a web server in all four ways of the ladder, with one fault at a time.
//!
//! It shows that the suite sees what it should see, and nothing else. Without a fault it
//! passes the suite of each stage, though it shares no line with the stages. With a fault
//! it fails just the checks that [`faults::TABLE`] writes down.
//!
//! To see what a fault looks like, search for its name: each is an `if` at the place where
//! somebody could have made that mistake.

pub mod cheat;
pub mod client;
pub mod faults;
pub mod fields;
pub mod files;
pub mod form;
pub mod head;
pub mod listener;
pub mod log;
pub mod media;
pub mod method;
pub mod options;
pub mod request;
pub mod response;
pub mod serve;

use faults::Fault;
use options::Options;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// What a server is told when it starts.
#[derive(Debug)]
pub struct Settings {
    /// The stage whose behaviour is asked for.
    pub stage: u8,
    pub fault: Option<Fault>,
    /// The document root, with all links followed.
    pub root: PathBuf,
    pub timeout: Duration,
    pub verbose: bool,
}

impl Settings {
    /// Whether the server is to have this fault.
    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether header fields are understood, and all that hangs on them: the last stage.
    pub fn understands_fields(&self) -> bool {
        self.stage == 4
    }
}

/// Runs the server until it is told to end.
pub fn run(options: Options) -> ExitCode {
    if options.list {
        faults::TABLE.iter().for_each(|row| println!("{row}"));
        return ExitCode::SUCCESS;
    }
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(&format!("faulty: {error}"));
            match options.fault {
                Some(Fault::StartErrorExits2) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Opens what a server needs, and serves. The error is a line for a person.
fn start(options: &Options) -> Result<(), String> {
    let settings = Arc::new(Settings {
        stage: options.stage,
        fault: options.fault,
        root: files::open_root(&options.root, options.fault)?,
        timeout: Duration::from_secs(options.timeout),
        verbose: options.verbose,
    });
    if options.child {
        return serve::serve_stdin(&settings);
    }
    if settings.has(Fault::IgnoresSignals) {
        ctrlc::set_handler(|| {}).map_err(|error| error.to_string())?;
    }
    let listener = listener::open(options.address(), &settings)?;
    listener::announce(&listener, options, &settings)?;
    serve::serve(&listener, &settings)
}
