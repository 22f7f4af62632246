//! How connections are shared out. This is the whole lesson of stages 1, 2 and 3.
//!
//! Here each gets a thread: it starts much sooner than a process, and shares all memory and
//! descriptors. But look at what that means: when the process dies, every client is gone.

use crate::{Options, client};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long to rest when the system has nothing for us, so that we do not spin.
const REST: Duration = Duration::from_millis(50);

/// So many clients are served at once; further ones wait in the backlog.
const LIMIT: usize = 512;

/// The stack of a thread, in bytes. The usual 2 MiB take longer to set up.
const STACK_SIZE: usize = 128 * 1024;

/// Accepts and serves clients until the program is told to end.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    // Each thread holds one count of this, and gives it back even when it panics.
    let options = Arc::new(options);
    loop {
        while Arc::strong_count(&options) > LIMIT {
            thread::sleep(REST);
        }
        match listener.accept() {
            Ok((stream, _)) => start_thread(&stream, &options).unwrap_or_else(|error| {
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

/// Starts a thread that serves the client.
fn start_thread(stream: &TcpStream, options: &Arc<Options>) -> io::Result<()> {
    let (stream, options) = (stream.try_clone()?, Arc::clone(options));
    let work = move || client::serve_client(&stream, &options);
    thread::Builder::new().stack_size(STACK_SIZE).spawn(work)?;
    Ok(())
}
