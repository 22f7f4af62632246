//! How connections are shared out. This is the whole lesson of stages 1, 2 and 3.
//!
//! Here they are served one at a time: nothing could be simpler. But look at what all the
//! others do meanwhile: they wait. One client that says nothing holds up everybody.

use crate::{Options, client};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

/// How long to rest when the system has nothing for us, so that we do not spin.
const REST: Duration = Duration::from_millis(50);

/// Accepts and serves clients until the program is told to end.
pub fn serve(listener: &TcpListener, options: Options) -> anyhow::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => client::serve_client(&stream, &options),
            Err(error) => {
                client::log(&format!("cannot accept a client: {error}"));
                thread::sleep(REST);
            }
        }
    }
}
