//! How connections are shared out. This is the whole lesson of stages 1, 2 and 3.
//!
//! Here each gets a process: this program, started again with the socket as standard input.
//! A silent client holds up only its own child. But look at what it costs to start one.

use crate::{Options, client};
use std::env;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How long to rest when the system has nothing for us, so that we do not spin.
const REST: Duration = Duration::from_millis(50);

/// So many clients are served at once; further ones wait in the backlog.
const LIMIT: usize = 256;
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Accepts and serves clients until the program is told to end.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    // A child that has ended stays behind as a zombie until its parent asks after it.
    let still_runs = |child: &mut Child| matches!(child.try_wait(), Ok(None));
    thread::Builder::new().spawn(move || {
        loop {
            CHILDREN.lock().unwrap().retain_mut(still_runs);
            thread::sleep(REST);
        }
    })?;
    loop {
        while CHILDREN.lock().unwrap().len() >= LIMIT {
            thread::sleep(REST);
        }
        match listener.accept() {
            Ok((stream, _)) => start_child(&stream).unwrap_or_else(|error| {
                client::log(&format!("cannot serve a client: {error}"));
                client::refuse(&stream, &options, b"- -", 503);
            }),
            Err(error) => {
                client::log(&format!("cannot accept a client: {error}"));
                thread::sleep(REST);
            }
        }
    }
}

/// Starts this program again, with the client's socket as its standard input.
fn start_child(stream: &TcpStream) -> io::Result<()> {
    let mut program = Command::new(env::current_exe()?);
    program.args(env::args_os().skip(1)).arg("--child");
    let child = program.stdin(OwnedFd::from(stream.try_clone()?)).spawn()?;
    CHILDREN.lock().unwrap().push(child);
    Ok(())
}

/// Does the child's work: serves the client whose socket is standard input.
pub fn serve_stdin(options: &Options) -> anyhow::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    client::serve_client(&TcpStream::from(socket), options);
    Ok(())
}
