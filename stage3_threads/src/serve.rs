//! How connections are dispatched: one after the other in stage 1, with a process for each in stage
//! 2, and with a thread for each from stage 3 on. Look at what one silent client does to all others,
//! and at what it takes to avoid that.

use crate::response::{Response, Status};
use crate::{Options, connection, log};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long to pause when the system has nothing left for us, so that the loop doesn't spin.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How many clients are served at once. Further ones wait in the backlog.
const MAX_CLIENTS: usize = 256;

/// The stack of a thread, in bytes. The usual 2 MiB take longer to set up.
const STACK_SIZE: usize = 128 * 1024;

/// Accepts and serves clients until the program is stopped.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    let options = Arc::new(options);
    // Each thread holds a clone, and drops it even when it panics, so they can be counted.
    let running = Arc::new(());
    loop {
        while Arc::strong_count(&running) > MAX_CLIENTS {
            thread::sleep(RETRY_DELAY);
        }
        match listener.accept() {
            Ok((stream, _)) => start_thread(&stream, &options, &running).unwrap_or_else(|error| {
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

/// Starts a thread that serves the client.
fn start_thread(stream: &TcpStream, options: &Arc<Options>, running: &Arc<()>) -> io::Result<()> {
    let (stream, options, running) = (stream.try_clone()?, options.clone(), running.clone());
    let thread = thread::Builder::new().stack_size(STACK_SIZE);
    thread.spawn(move || {
        let _running = running;
        connection::serve_client(stream, &options);
    })?;
    Ok(())
}
