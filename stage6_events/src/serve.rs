//! How connections are dispatched: here one thread serves them all, and never waits for any one of
//! them. It asks the system which sockets are ready, and gives each of those connections a turn.
//!
//! Look at what keeps this fair and bounded: a turn ends after a few steps, each connection has a
//! deadline, and there is a limit to how many there are.

use crate::connection::{Connection, Context, Turn};
use crate::{Options, log};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use signal_hook_mio::v1_0::Signals;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// How long to pause when the system has nothing left for us, so that the loop doesn't spin.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How many events the system reports at once, and how many clients are accepted in a turn.
const BATCH: usize = 256;

/// What the events of the listener and of signals are marked with. The connections follow.
const LISTENER: Token = Token(0);
const SIGNALS: Token = Token(1);

/// Accepts and serves clients until a signal ends the program.
pub fn serve(listener: std::net::TcpListener, options: &Options) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let max_clients = raise_descriptor_limit() / usize::from(options.loops);
    let loops =
        (0..options.loops).map(|_| EventLoop::new(listener.try_clone()?, options, max_clients));
    let mut loops = loops.collect::<io::Result<Vec<_>>>()?;
    // Each loop has a clone, so that nobody listens any more once all loops have closed theirs.
    drop(listener);
    let mut first = loops.pop().expect("there is at least one loop");
    thread::scope(|scope| {
        for mut other in loops {
            scope.spawn(move || other.run());
        }
        first.run();
    });
    Ok(())
}

/// Lets this process open as many descriptors as the system allows. Returns how many clients that is
/// enough for: a quarter is for files.
fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit).map(|()| limit.current);
    let descriptors = raised.unwrap_or(soft).unwrap_or(u64::MAX);
    usize::try_from(descriptors / 4 * 3).unwrap_or(usize::MAX)
}

/// A connection, and what the loop knows about it.
struct Client {
    connection: Connection,
    /// Its entry in the queue of deadlines.
    next_check: Instant,
    /// Whether it is in the queue of those that get a turn.
    is_queued: bool,
}

/// A thread's sockets, and what it has to do next.
struct EventLoop<'a> {
    poll: Poll,
    signals: Signals,
    /// `None` when the program ends.
    listener: Option<TcpListener>,
    /// Whether clients may be waiting in the backlog.
    may_accept: bool,
    /// When to try to accept again after there was nothing left to accept a client with.
    retry_at: Option<Instant>,
    clients: HashMap<Token, Client>,
    /// How many clients there may be.
    max_clients: usize,
    next_token: usize,
    /// Who gets a turn. The system reports once that a socket is ready; if a turn ends before there
    /// is nothing left to do, the connection comes here again.
    turns: VecDeque<Token>,
    /// When to look at which connection: once for each, and never later than its deadline.
    deadlines: BTreeSet<(Instant, Token)>,
    /// When everything must have ended.
    stop_by: Option<Instant>,
    context: Context<'a>,
}

impl<'a> EventLoop<'a> {
    fn new(
        listener: std::net::TcpListener,
        options: &'a Options,
        max_clients: usize,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (registry, readable) = (poll.registry(), Interest::READABLE);
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, LISTENER, readable)?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        registry.register(&mut signals, SIGNALS, readable)?;
        Ok(EventLoop {
            poll,
            signals,
            listener: Some(listener),
            may_accept: false,
            retry_at: None,
            clients: HashMap::new(),
            max_clients,
            next_token: SIGNALS.0 + 1,
            turns: VecDeque::new(),
            deadlines: BTreeSet::new(),
            stop_by: None,
            context: Context::new(options),
        })
    }

    /// Runs until a signal has come and the last connection has ended.
    fn run(&mut self) {
        let mut events = Events::with_capacity(BATCH);
        while self.listener.is_some() || !self.clients.is_empty() {
            // It fails only when a signal interrupts it. Then there are no events.
            let _ = self.poll.poll(&mut events, self.time_to_wait());
            for event in &events {
                match event.token() {
                    LISTENER => self.may_accept = true,
                    SIGNALS => self.stop(),
                    token => self.note(token, event),
                }
            }
            if self.may_accept || self.retry_at.is_some_and(|time| time <= Instant::now()) {
                self.accept();
            }
            // Whoever isn't done after a turn gets the next one after all others.
            for _ in 0..self.turns.len() {
                self.take_turn();
            }
            self.expire();
        }
    }

    /// How long the system may wait for events.
    fn time_to_wait(&self) -> Option<Duration> {
        if self.may_accept || !self.turns.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.first().map(|(time, _)| *time);
        let next = [deadline, self.retry_at, self.stop_by]
            .into_iter()
            .flatten()
            .min();
        next.map(|time| time.saturating_duration_since(Instant::now()))
    }

    /// Accepts clients from the backlog.
    fn accept(&mut self) {
        (self.may_accept, self.retry_at) = (false, None);
        for _ in 0..BATCH {
            if self.clients.len() >= self.max_clients && !self.close_longest_idle() {
                self.retry_at = Some(Instant::now() + RETRY_DELAY);
                return;
            }
            let Some(listener) = &self.listener else {
                return;
            };
            let added = match listener.accept() {
                Ok((stream, peer)) => self.add(Connection::new(stream, peer, &self.context)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => Err(error),
            };
            if let Err(error) = added {
                log::line(&format!("cannot accept a client: {error}"));
                let is_short = matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::MFILE | Errno::NFILE)
                );
                // The next client needs a descriptor, and its file another.
                if !(is_short && self.close_longest_idle() && self.close_longest_idle()) {
                    self.retry_at = Some(Instant::now() + RETRY_DELAY);
                    return;
                }
            }
        }
        self.may_accept = true;
    }

    fn add(&mut self, mut connection: Connection) -> io::Result<()> {
        let token = Token(self.next_token);
        self.next_token += 1;
        connection.register(self.poll.registry(), token)?;
        let next_check = connection.deadline;
        self.deadlines.insert((next_check, token));
        let client = Client {
            connection,
            next_check,
            is_queued: false,
        };
        self.clients.insert(token, client);
        Ok(())
    }

    /// Closes the connection that has been idle the longest, if there is one, in favor of a new one.
    fn close_longest_idle(&mut self) -> bool {
        let idle = self.clients.iter();
        let idle = idle.filter(|(_, client)| client.connection.is_idle());
        let longest = idle.min_by_key(|(_, client)| client.connection.deadline);
        let token = longest.map(|(token, _)| *token);
        token.inspect(|token| self.remove(*token)).is_some()
    }

    fn remove(&mut self, token: Token) {
        if let Some(client) = self.clients.remove(&token) {
            self.deadlines.remove(&(client.next_check, token));
        }
    }

    /// Remembers what the system has reported about a connection.
    fn note(&mut self, token: Token, event: &Event) {
        // It may have been closed since.
        if let Some(client) = self.clients.get_mut(&token) {
            client.connection.note(event);
            if !client.is_queued {
                client.is_queued = true;
                self.turns.push_back(token);
            }
        }
    }

    /// Gives a turn to the connection that has waited the longest.
    fn take_turn(&mut self) {
        let token = self.turns.pop_front();
        let Some((token, client)) = token.and_then(|it| Some((it, self.clients.get_mut(&it)?)))
        else {
            return;
        };
        client.is_queued = false;
        let connection = &mut client.connection;
        // A panic ends this connection, and no other.
        let turn = AssertUnwindSafe(|| connection.advance(&mut self.context));
        match catch_unwind(turn) {
            Ok(Turn::Waits) => {}
            Ok(Turn::Unfinished) => {
                client.is_queued = true;
                self.turns.push_back(token);
            }
            Ok(Turn::Ended) | Err(_) => self.remove(token),
        }
    }

    /// Ends what has exceeded its deadline.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((time, token)) = self.deadlines.first().copied()
            && time <= now
        {
            self.deadlines.pop_first();
            let Some(client) = self.clients.get_mut(&token) else {
                continue;
            };
            let connection = &mut client.connection;
            if connection.deadline <= now && !connection.expire(&mut self.context) {
                self.clients.remove(&token);
                continue;
            }
            client.next_check = connection.deadline;
            self.deadlines.insert((client.next_check, token));
            if !client.is_queued {
                client.is_queued = true;
                self.turns.push_back(token);
            }
        }
        if self.stop_by.is_some_and(|time| time <= now) {
            for client in self.clients.values_mut() {
                client.connection.cut(&self.context);
            }
            self.clients.clear();
        }
    }

    /// Ends gracefully after the first signal, and at once after the second.
    fn stop(&mut self) {
        for signal in self.signals.pending() {
            if self.listener.take().is_none() {
                let _ = emulate_default_handler(signal);
            }
        }
        self.stop_by = Some(Instant::now() + self.context.timeout);
        self.context.is_stopping = true;
        (self.may_accept, self.retry_at) = (false, None);
        let idle = self.clients.iter();
        let idle = idle.filter(|(_, client)| client.connection.is_idle());
        let idle: Vec<Token> = idle.map(|(token, _)| *token).collect();
        for token in idle {
            self.remove(token);
        }
    }
}
