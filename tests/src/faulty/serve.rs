//! How connections are shared out: one after the other, a process or a thread for each.

use crate::faulty::faults::Fault;
use crate::faulty::{Settings, client, log};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::env;
use std::io;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long to rest when the system has no descriptor to give.
const REST: Duration = Duration::from_millis(50);

/// How many clients may be served at once.
const MOST_CHILDREN: usize = 256;
const MOST_THREADS: usize = 512;

/// The stack of a thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;

/// Serves clients for ever, in the way of the stage.
pub fn serve(listener: &TcpListener, settings: &Arc<Settings>) -> Result<(), String> {
    let mut way = settings.stage;
    match settings.fault {
        Some(Fault::OneAtATime | Fault::ThreadsForOneAtATime) => way = 1,
        Some(Fault::ProcessesForThreads) => way = 2,
        Some(Fault::ThreadsForProcesses) => way = 3,
        _ => {}
    }
    match way {
        1 => one_by_one(listener, settings),
        2 => by_processes(listener, settings),
        _ => by_threads(listener, settings),
    }
}

fn one_by_one(listener: &TcpListener, settings: &Settings) -> Result<(), String> {
    loop {
        client::serve(&accept(listener, settings)?, settings);
    }
}

/// The next client. What goes wrong before one is there is no reason to end.
fn accept(listener: &TcpListener, settings: &Settings) -> Result<TcpStream, String> {
    loop {
        let error = match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => error,
        };
        if settings.has(Fault::AcceptErrorEndsServer) {
            return Err(error.to_string());
        }
        if !settings.has(Fault::SpinsOnAcceptError) {
            log::line(&format!("cannot accept: {error}"));
            thread::sleep(REST);
        }
    }
}

fn by_processes(listener: &TcpListener, settings: &Arc<Settings>) -> Result<(), String> {
    if settings.has(Fault::ChildInheritsListener) {
        let closed_on_exec = FcntlArg::F_SETFD(FdFlag::empty());
        fcntl(listener, closed_on_exec).map_err(|error| error.to_string())?;
    }
    let places = Places::new(match settings.has(Fault::NoBoundOnChildren) {
        true => usize::MAX,
        false => MOST_CHILDREN,
    });
    let mut latest = None;
    loop {
        let place = places.take();
        let stream = accept(listener, settings)?;
        match start_child(&stream) {
            Err(error) => cannot_serve(&stream, settings, &error),
            Ok(_) if settings.has(Fault::Zombies) => {}
            Ok(child) if settings.has(Fault::AsksTooLate) => {
                if let Some((child, place)) = latest.replace((child, place)) {
                    wait_for(child, place);
                }
            }
            Ok(child) => wait_for(child, place),
        }
        if settings.has(Fault::ParentKeepsSocket) {
            mem::forget(stream);
        }
    }
}

/// Starts this program again, with the client's socket as standard input.
fn start_child(stream: &TcpStream) -> io::Result<Child> {
    let socket = OwnedFd::from(stream.try_clone()?);
    Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--child")
        .stdin(socket)
        .spawn()
}

/// Has somebody wait for the child, who gives its place back then.
fn wait_for(mut child: Child, place: Place) {
    let work = move || {
        let _ = child.wait();
        drop(place);
    };
    let waiter = thread::Builder::new().stack_size(STACK_SIZE).spawn(work);
    if let Err(error) = waiter {
        log::line(&format!("cannot wait for a child: {error}"));
    }
}

/// The child's work: the client at standard input.
pub fn serve_stdin(settings: &Settings) -> Result<(), String> {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| error.to_string())?;
    client::serve(&TcpStream::from(socket), settings);
    Ok(())
}

fn by_threads(listener: &TcpListener, settings: &Arc<Settings>) -> Result<(), String> {
    let places = Places::new(match settings.fault {
        Some(Fault::NoBoundOnThreads) => usize::MAX,
        Some(Fault::EightThreads) => 8,
        _ => MOST_THREADS,
    });
    loop {
        let place = places.take();
        let stream = accept(listener, settings)?;
        let started = stream.try_clone().and_then(|stream| {
            let settings = Arc::clone(settings);
            let work = move || serve_in_thread(stream, &settings, place);
            thread::Builder::new().stack_size(STACK_SIZE).spawn(work)
        });
        if let Err(error) = started {
            cannot_serve(&stream, settings, &error);
        }
    }
}

fn serve_in_thread(stream: TcpStream, settings: &Settings, place: Place) {
    let spoke = client::serve(&stream, settings);
    drop(stream);
    if settings.has(Fault::SilentClientKeepsPlace) && !spoke {
        mem::forget(place);
    } else {
        drop(place);
    }
    while settings.has(Fault::ThreadsNeverEnd) {
        thread::park();
    }
}

/// Sends a client away for whom there is no process or thread.
fn cannot_serve(stream: &TcpStream, settings: &Settings, error: &io::Error) {
    log::line(&format!("cannot serve: {error}"));
    client::refuse(stream, settings, 503);
}

/// So many places as there may be clients.
struct Places {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// One of them, given back when it is dropped, after a panic too.
struct Place(Arc<Places>);

impl Places {
    fn new(count: usize) -> Arc<Places> {
        Arc::new(Places {
            free: Mutex::new(count),
            given_back: Condvar::new(),
        })
    }

    /// Takes a place as soon as one is free.
    fn take(self: &Arc<Places>) -> Place {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.given_back.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Place(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let free = self.0.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}
