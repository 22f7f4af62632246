//! How connections are dispatched: one after the other in stage 1, with a process for each in stage
//! 2, and with a thread for each from stage 3 on. Look at what one silent client does to all others,
//! and at what it takes to avoid that.

use crate::{Options, connection, log};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

/// How long to pause when the system has nothing left for us, so that the loop doesn't spin.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Accepts and serves clients until the program is stopped.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => connection::serve_client(stream, &options),
            Err(error) => {
                log::line(&format!("cannot accept a client: {error}"));
                thread::sleep(RETRY_DELAY);
            }
        }
    }
}
