//! How connections are dispatched: one after the other in stage 1, with a process for each in stage
//! 2, and with a thread for each from stage 3 on. Look at what one silent client does to all others,
//! and at what it takes to avoid that.

use crate::response::{Response, Status};
use crate::{Options, connection, log};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How long to pause when the system has nothing left for us, so that the loop doesn't spin.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How many clients are served at once. Further ones wait in the backlog.
const MAX_CLIENTS: usize = 256;
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Accepts and serves clients until the program is stopped.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    // A child that has exited remains as a zombie until its parent asks for its status.
    let is_running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
    thread::Builder::new().spawn(move || {
        loop {
            CHILDREN.lock().unwrap().retain_mut(is_running);
            thread::sleep(RETRY_DELAY);
        }
    })?;
    loop {
        while CHILDREN.lock().unwrap().len() >= MAX_CLIENTS {
            thread::sleep(RETRY_DELAY);
        }
        match listener.accept() {
            Ok((stream, _)) => start_child(&stream, &options).unwrap_or_else(|error| {
                log::line(&format!("cannot serve a client: {error}"));
                // Nobody may wait for a client that can't be served.
                let _ = stream.set_nonblocking(true);
                let mut response = Response::error(Status::new(503, "Service Unavailable"));
                connection::send(&stream, &mut response, RETRY_DELAY, true);
            }),
            Err(error) => {
                log::line(&format!("cannot accept a client: {error}"));
                thread::sleep(RETRY_DELAY);
            }
        }
    }
}

/// Starts this program again, with the client's socket as its standard input.
fn start_child(stream: &TcpStream, options: &Options) -> io::Result<()> {
    // When a build has replaced the file, only this link still leads to the running program.
    let program = std::env::current_exe()?.canonicalize();
    let mut child = Command::new(program.unwrap_or("/proc/self/exe".into()));
    let timeout = options.timeout.to_string();
    child.args(["--child", "--timeout", &timeout, "--root"]);
    child.arg(&options.root);
    child.args(options.verbose.then_some("--verbose"));
    let child = child.stdin(OwnedFd::from(stream.try_clone()?)).spawn()?;
    CHILDREN.lock().unwrap().push(child);
    Ok(())
}
