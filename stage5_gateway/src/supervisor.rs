//! The supervisor of a worker: this program, started again. It starts the worker, and ends it when
//! the server is gone.
//!
//! A server that is ended by SIGKILL can't clean up. But the system closes its descriptors, so a
//! supervisor reads from a pipe whose other end only the server holds. Look at its descriptors: the
//! pipe is standard input, and the worker's listening socket is standard output, since a new program
//! inherits only these and standard error.

use crate::log;
use rustix::process::{Signal, kill_current_process_group};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode};
use std::{env, fs, io, thread};

/// The folder of the worker's socket and the worker's command follow.
pub const OPTION: &str = "--supervise";

/// What follows the option, if this program is to be a supervisor.
pub fn command() -> Option<Vec<OsString>> {
    let mut arguments = env::args_os().skip(1);
    let is_supervisor = arguments.next().is_some_and(|option| option == OPTION);
    is_supervisor.then(|| arguments.collect())
}

/// Runs the worker until it exits or the server is gone. Then everything in the group ends.
pub fn run(command: &[OsString]) -> ExitCode {
    let [folder, program, arguments @ ..] = command else {
        return ExitCode::FAILURE;
    };
    match start(program, arguments) {
        Ok(mut worker) => {
            let folder = folder.clone();
            thread::spawn(move || {
                // This ends when nobody holds the other end.
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                let _ = fs::remove_dir_all(folder);
                let _ = kill_current_process_group(Signal::KILL);
            });
            let _ = worker.wait();
            let _ = kill_current_process_group(Signal::KILL);
        }
        Err(error) => log::line(&format!("cannot start {}: {error}", program.display())),
    }
    ExitCode::FAILURE
}

/// Starts the worker with the listening socket as its descriptor 0 (FastCGI 1.0, 2.2). From then on
/// nobody else holds that socket: whoever connects to a worker that has ended is refused.
fn start(program: &OsString, arguments: &[OsString]) -> io::Result<Child> {
    let listener = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Command::new(program)
        .args(arguments)
        .stdin(listener)
        .spawn()
}
