//! How connections are dispatched: one at a time, each to a process, or each to a thread.

use crate::{Config, Fault, connection, log};
use rustix::io::{FdFlags, fcntl_setfd};
use std::env;
use std::io;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long to wait for a descriptor or a slot before the next attempt.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How many clients are served at the same time.
const MAX_CLIENTS: usize = 256;

/// The stack size of a thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;

/// What each client holds while it is served. It is released even if its thread panics.
type Slot = Arc<()>;

/// Serves clients until the program is killed.
pub fn serve(listener: &TcpListener, config: &Arc<Config>) -> anyhow::Result<()> {
    if config.has(Fault::ChildInheritsListener) {
        fcntl_setfd(listener, FdFlags::empty())?;
    }
    let dispatch_like_stage = match config.fault {
        Some(Fault::SequentialInsteadOfProcesses | Fault::SequentialInsteadOfThreads) => 1,
        Some(Fault::ProcessesInsteadOfThreads) => 2,
        Some(Fault::ThreadsInsteadOfProcesses) => 3,
        _ => config.stage,
    };
    let max_clients = match config.fault {
        Some(Fault::UnboundedChildren | Fault::UnboundedThreads) => usize::MAX,
        Some(Fault::OnlyEightThreads) => 8,
        _ => MAX_CLIENTS,
    };
    let slots = Slot::default();
    let mut last_child = None;
    loop {
        while Arc::strong_count(&slots) > max_clients {
            thread::sleep(RETRY_DELAY);
        }
        let slot = Arc::clone(&slots);
        let stream = accept(listener, config)?;
        let result = match dispatch_like_stage {
            1 => {
                connection::serve(&stream, config);
                Ok(())
            }
            2 => start_child(&stream).map(|child| match config.fault {
                Some(Fault::NeverReapsChildren) => {}
                Some(Fault::ReapsOnNextConnection) => {
                    if let Some((child, slot)) = last_child.replace((child, slot)) {
                        reap(child, slot);
                    }
                }
                _ => reap(child, slot),
            }),
            _ => start_thread(&stream, config, slot),
        };
        if let Err(error) = result {
            log::message(&format!("cannot serve a client: {error}"));
            connection::turn_away(&stream, config);
        }
        if config.has(Fault::ParentKeepsSocket) {
            mem::forget(stream);
        }
    }
}

/// Accepts the next client. An error is no reason to exit.
fn accept(listener: &TcpListener, config: &Config) -> io::Result<TcpStream> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if config.has(Fault::AcceptErrorEndsServer) => return Err(error),
            Err(_) if config.has(Fault::SpinsOnAcceptError) => {}
            Err(error) => {
                log::message(&format!("cannot accept a client: {error}"));
                thread::sleep(RETRY_DELAY);
            }
        }
    }
}

/// Starts this program again with the client's socket as its standard input.
fn start_child(stream: &TcpStream) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--child")
        .stdin(OwnedFd::from(stream.try_clone()?))
        .spawn()
}

/// Serves the client whose socket is standard input.
pub fn serve_stdin(config: &Config) -> anyhow::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    connection::serve(&TcpStream::from(socket), config);
    Ok(())
}

/// Waits for a child in a thread, and then releases its slot.
fn reap(mut child: Child, slot: Slot) {
    let wait = move || {
        let _ = child.wait();
        drop(slot);
    };
    if let Err(error) = thread::Builder::new().stack_size(STACK_SIZE).spawn(wait) {
        log::message(&format!("cannot wait for a child: {error}"));
    }
}

/// Starts a thread that serves the client.
fn start_thread(stream: &TcpStream, config: &Arc<Config>, slot: Slot) -> io::Result<()> {
    let (stream, config) = (stream.try_clone()?, Arc::clone(config));
    let work = move || {
        let sent_request = connection::serve(&stream, &config);
        drop(stream);
        if config.has(Fault::SilentClientLeaksSlot) && !sent_request {
            mem::forget(slot);
        } else {
            drop(slot);
        }
        while config.has(Fault::ThreadsNeverEnd) {
            thread::park();
        }
    };
    thread::Builder::new().stack_size(STACK_SIZE).spawn(work)?;
    Ok(())
}
