//! The client of a request, while an application works on it: does anybody still wait?

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::connection::peek;
use rustix::event::{PollFd, PollFlags, Timespec};

/// How long to wait before looking at the client again.
pub const TICK: Duration = Duration::from_millis(100);

/// A client that waits for a response.
#[derive(Clone)]
pub struct Client {
    pub peer: SocketAddr,
    /// The address at which it has reached the server.
    pub local: SocketAddr,
    /// Whoever waits for an application must not keep the connection open.
    stream: Weak<TcpStream>,
    timeout: Duration,
    /// Since when it can't send any more.
    finished: Option<Instant>,
}

impl Client {
    /// The client of this connection. `timeout` is for one that may have left.
    pub fn new(stream: &Arc<TcpStream>, timeout: Duration) -> Self {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Client {
            peer: stream.peer_addr().unwrap_or(unknown),
            local: stream.local_addr().unwrap_or(unknown),
            stream: Arc::downgrade(stream),
            timeout,
            finished: None,
        }
    }

    /// Nobody waits: no look shows that a client has left.
    pub fn detach(&mut self) {
        self.stream = Weak::new();
    }

    /// Whether the client has left. One that has only stopped sending may still read, and nothing shows
    /// the difference, so it gets the timeout.
    pub fn has_left(&mut self) -> bool {
        let Some(stream) = self.stream.upgrade() else {
            return false;
        };
        match peek(&stream) {
            Ok(0) => {
                let finished = self.finished.get_or_insert_with(Instant::now);
                finished.elapsed() > self.timeout
            }
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Waits for a moment until any of these can be read, and says which. Fails when the time is up or
    /// the client has left.
    pub fn wait(&mut self, fds: &[Option<BorrowedFd>], deadline: Instant) -> io::Result<Vec<bool>> {
        if Instant::now() >= deadline {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                "it was silent for too long",
            ));
        }
        let ready = poll(fds, TICK)?;
        if !ready.contains(&true) && self.has_left() {
            return Err(io::Error::new(
                ErrorKind::ConnectionAborted,
                "the client has left",
            ));
        }
        Ok(ready)
    }
}

/// Waits for at most `limit` until any of these can be read, or has ended (poll(2)).
pub fn poll(fds: &[Option<BorrowedFd>], limit: Duration) -> io::Result<Vec<bool>> {
    let given = fds.iter().flatten();
    let mut polled: Vec<PollFd> = given.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    rustix::event::poll(&mut polled, Some(&limit))?;
    let mut polled = polled.iter().map(|fd| !fd.revents().is_empty());
    let is_ready = |fd: &Option<BorrowedFd>| fd.is_some() && polled.next().unwrap_or(false);
    Ok(fds.iter().map(is_ready).collect())
}
