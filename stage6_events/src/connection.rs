//! One connection: a state machine, which goes on when its socket is ready and never waits for it.
//!
//! ```text
//!         a byte                   a request, or none in time
//!  Idle ---------> Reading ----------------------------------> Responding
//!    ^                                                          |     |
//!    +-------------------- it stays open -----------------------+     | the last response
//!                                                                     v
//!                      the client closes, or time is over <------ Lingering
//! ```
//!
//! A client may be slow, hostile or gone. Look at how each state has a deadline, and at how a step
//! that can't go on says so to the loop.

use crate::request::{self, Request, trim_line_ending};
use crate::response::{Response, Status};
use crate::{Options, handler, log};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

/// The longest request line, in bytes, without its line ending.
const MAX_LINE: usize = 8_000;

/// The longest head, in bytes: request line, header fields and empty line.
const MAX_HEAD: usize = 16 * 1024;

/// How many steps a turn may have: reads, responses, chunks of files.
const MAX_STEPS: usize = 16;

/// What all connections of a loop share.
pub struct Context<'a> {
    options: &'a Options,
    pub timeout: Duration,
    /// Whether the program ends, so that each response is the last one on its connection.
    pub is_stopping: bool,
    /// Where bytes arrive. An idle connection needs no memory for that.
    buffer: Vec<u8>,
}

impl<'a> Context<'a> {
    pub fn new(options: &'a Options) -> Self {
        Context {
            options,
            timeout: Duration::from_secs(options.timeout),
            is_stopping: false,
            buffer: vec![0; MAX_HEAD],
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// How a connection's turn ended.
pub enum Turn {
    /// It needs its socket, which isn't ready.
    Waits,
    /// It could go on, but others wait.
    Unfinished,
    /// The connection is to be closed.
    Ended,
}

/// How a step ended.
enum Step {
    Done,
    Waits,
    Ends,
}

/// A client's socket, and how far its request or response has come.
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    state: State,
    /// What has arrived and hasn't been used.
    input: Vec<u8>,
    /// Where the last line of a head in `input` begins.
    line: usize,
    /// What the system has reported, until a read or a write finds that it is no longer so.
    is_readable: bool,
    is_writable: bool,
    /// Whether the client sends nothing more.
    is_read_closed: bool,
    /// When to stop waiting.
    pub deadline: Instant,
}

enum State {
    /// Nothing of a request has arrived.
    Idle,
    /// A part of a request has arrived. If it is all but the content, the head is here.
    Reading(Option<Box<Request>>),
    /// A response is being sent.
    Responding(Box<Exchange>),
    /// The last response has been sent. What still arrives is discarded.
    Lingering,
}

/// A request and its response.
struct Exchange {
    /// `None` if it wasn't understood.
    request: Option<Box<Request>>,
    response: Response,
    is_last: bool,
    body_may_follow: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, peer: SocketAddr, context: &Context) -> Self {
        Connection {
            stream,
            peer,
            state: State::Idle,
            input: Vec::new(),
            line: 0,
            // What it has sent may have arrived before it was accepted.
            is_readable: true,
            is_writable: false,
            is_read_closed: false,
            deadline: context.deadline(),
        }
    }

    /// Has the system report when the socket becomes ready. The token says whose event it is.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // The end of a response must not wait until the client has acknowledged its beginning.
        self.stream.set_nodelay(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.stream, token, both)
    }

    /// Remembers what the system has reported. It reports each change only once.
    pub fn note(&mut self, event: &Event) {
        self.is_read_closed |= event.is_read_closed();
        self.is_readable |= event.is_readable() || event.is_read_closed();
        self.is_writable |= event.is_writable();
    }

    /// Whether it could be closed without a loss. What a new client has sent hasn't been looked at yet.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && !self.is_readable
    }

    /// Goes on as far as possible, but not too far, since others wait.
    pub fn advance(&mut self, context: &mut Context) -> Turn {
        for _ in 0..MAX_STEPS {
            let step = match self.state {
                State::Idle | State::Reading(_) => self.read_request(context),
                State::Responding(_) => self.write_response(context),
                State::Lingering => self.discard_input(context),
            };
            match step {
                Step::Done => {}
                Step::Waits if context.is_stopping && self.is_idle() => return Turn::Ended,
                Step::Waits => return Turn::Waits,
                Step::Ends => return Turn::Ended,
            }
        }
        Turn::Unfinished
    }

    /// Acts on the deadline. Returns whether the connection stays open.
    pub fn expire(&mut self, context: &mut Context) -> bool {
        match self.state {
            State::Reading(_) => {
                self.refuse(Status::REQUEST_TIMEOUT, context);
                true
            }
            State::Responding(_) => {
                self.cut(context);
                false
            }
            State::Idle | State::Lingering => false,
        }
    }

    /// Gives up a response. The client must see that something is missing. Where no length is
    /// promised, an orderly end would hide it, so close(2) must reset the connection.
    pub fn cut(&self, context: &Context) {
        if let State::Responding(exchange) = &self.state {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
            self.log(exchange, context);
        }
    }

    fn log(&self, exchange: &Exchange, context: &Context) {
        if !context.options.quiet {
            let (request, response) = (exchange.request.as_deref(), &exchange.response);
            log::request(&self.peer.to_string(), request, response);
        }
    }

    /// Takes a request from what has arrived, or reads more.
    fn read_request(&mut self, context: &mut Context) -> Step {
        if self.take_request(context) {
            return Step::Done;
        }
        match self.read(context) {
            // The client left before the end of its content (RFC 9112, 8).
            Ok(0) if matches!(self.state, State::Reading(Some(_))) => {
                self.refuse(Status::BAD_REQUEST, context);
                Step::Done
            }
            Ok(0) => Step::Ends,
            Ok(length) => {
                self.input.extend_from_slice(&context.buffer[..length]);
                Step::Done
            }
            Err(error) => step_after(&error),
        }
    }

    /// Reads what has arrived into the shared buffer.
    fn read(&mut self, context: &mut Context) -> io::Result<usize> {
        if !self.is_readable {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = self.stream.read(&mut context.buffer);
        // Less than fits is all that there is. The system reports when more arrives.
        let is_full = matches!(result, Ok(length) if length == context.buffer.len());
        self.is_readable = is_full || self.is_read_closed;
        result
    }

    /// Takes the next request and responds to it. Returns whether anything could be done.
    fn take_request(&mut self, context: &mut Context) -> bool {
        if let State::Reading(Some(request)) = &mut self.state {
            let length = request.content_length.unwrap_or_default() as usize;
            if self.input.len() < length {
                return false;
            }
            request.content = self.input.drain(..length).collect();
            let State::Reading(request) = mem::replace(&mut self.state, State::Idle) else {
                return false;
            };
            self.respond(request, Ok(()), context);
            return true;
        }
        if matches!(self.state, State::Idle) {
            skip_empty_lines(&mut self.input);
            if self.input.is_empty() {
                // An idle connection holds no memory.
                self.input = Vec::new();
                return false;
            }
            if self.input == b"\r" {
                // It may be the first half of another empty line.
                return false;
            }
            self.state = State::Reading(None);
            self.deadline = context.deadline();
        }
        match find_head(&self.input, &mut self.line) {
            Head::Incomplete => return false,
            Head::Refused(status) => self.refuse(status, context),
            Head::Complete(length) => self.take_head(length, context),
        }
        true
    }

    fn take_head(&mut self, length: usize, context: &mut Context) {
        let head = &self.input[..length];
        if context.options.verbose {
            log::head(head);
        }
        let request = match request::parse(head) {
            Ok(request) => Box::new(request),
            Err(status) => return self.respond(None, Err(status), context),
        };
        self.input.drain(..length);
        self.line = 0;
        match handler::content_needed(&request, &context.options.root) {
            Ok(0) => self.respond(Some(request), Ok(()), context),
            Ok(_) => self.await_content(request, context),
            Err(status) => self.respond(Some(request), Err(status), context),
        }
    }

    fn await_content(&mut self, request: Box<Request>, context: &Context) {
        // Before some clients send much, they ask whether they may (RFC 9110, 10.1.1).
        if request.expects_continue && self.input.is_empty() {
            let _ = self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.state = State::Reading(Some(request));
        self.deadline = context.deadline();
    }

    /// Responds to a request that can't be read.
    fn refuse(&mut self, status: Status, context: &Context) {
        let State::Reading(request) = mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        if context.options.verbose && request.is_none() {
            log::head(&self.input);
        }
        self.respond(request, Err(status), context);
    }

    /// Begins a response. If the request is refused, the status says why.
    fn respond(
        &mut self,
        request: Option<Box<Request>>,
        outcome: Result<(), Status>,
        context: &Context,
    ) {
        let root = &context.options.root;
        let mut response = match (&request, outcome) {
            (Some(request), Ok(())) => handler::respond(request, root),
            (None, Ok(())) => handler::error(Status::BAD_REQUEST, root),
            (_, Err(status)) => handler::error(status, root),
        };
        // The response to HEAD never has content, even if it refuses the request (RFC 9110, 9.3.2).
        let is_head = match &request {
            Some(request) => request.method == "HEAD",
            None => self.input.starts_with(b"HEAD "),
        };
        if is_head {
            response = response.without_content();
        }
        // Unread content would be taken for the next request.
        let body_may_follow = !request.as_ref().is_some_and(|it| it.is_complete());
        let stays = request.as_ref().is_some_and(|it| it.keep_alive);
        let is_last = body_may_follow || !stays || !response.has_end() || context.is_stopping;
        if is_last {
            response = response.connection("close");
        } else if request.as_ref().is_some_and(|it| it.is_1_0) {
            // This version closes unless both sides say otherwise (RFC 9112, 9.3).
            response = response.connection("keep-alive");
        }
        self.deadline = context.deadline();
        self.state = State::Responding(Box::new(Exchange {
            request,
            response,
            is_last,
            body_may_follow,
        }));
    }

    fn write_response(&mut self, context: &mut Context) -> Step {
        let State::Responding(exchange) = &mut self.state else {
            return Step::Done;
        };
        if !self.is_writable {
            return Step::Waits;
        }
        match exchange.response.write_chunk(&self.stream) {
            Ok(()) if exchange.response.is_complete => self.finish(context),
            Ok(()) => {
                // Each chunk has its own deadline: a client may be slow, but it must not stop.
                self.deadline = context.deadline();
                Step::Done
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_writable = false;
                Step::Waits
            }
            Err(_) => {
                self.cut(context);
                Step::Ends
            }
        }
    }

    /// After a complete response: is there a next request, or does the connection end?
    fn finish(&mut self, context: &mut Context) -> Step {
        let State::Responding(exchange) = mem::replace(&mut self.state, State::Idle) else {
            return Step::Done;
        };
        self.log(&exchange, context);
        self.deadline = context.deadline();
        if !exchange.is_last {
            return Step::Done;
        }
        // If bytes from the client were still unread, close(2) would reset the connection, and the
        // response could be lost on its way (RFC 9112, 9.6).
        let is_all = !exchange.body_may_follow && self.input.is_empty();
        self.is_readable = true;
        if is_all && !matches!(self.read(context), Ok(1..)) {
            return Step::Ends;
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        self.input = Vec::new();
        self.state = State::Lingering;
        Step::Done
    }

    /// Reads until the client closes.
    fn discard_input(&mut self, context: &mut Context) -> Step {
        match self.read(context) {
            Ok(0) => Step::Ends,
            Ok(_) => Step::Done,
            Err(error) => step_after(&error),
        }
    }
}

/// What a failed read means for the connection.
fn step_after(error: &io::Error) -> Step {
    match error.kind() {
        ErrorKind::WouldBlock => Step::Waits,
        _ => Step::Ends,
    }
}

/// Empty lines before the request line are ignored (RFC 9112, 2.2).
fn skip_empty_lines(input: &mut Vec<u8>) {
    let mut rest = input.as_slice();
    while let Some(next) = rest.strip_prefix(b"\n").or(rest.strip_prefix(b"\r\n")) {
        rest = next;
    }
    input.drain(..input.len() - rest.len());
}

/// What has arrived of a head.
#[derive(Debug, PartialEq)]
enum Head {
    Incomplete,
    /// Its length in bytes.
    Complete(usize),
    Refused(Status),
}

/// Looks for the empty line that ends a head. `line` is where its last line begins, so that no line
/// is looked at twice.
fn find_head(input: &[u8], line: &mut usize) -> Head {
    loop {
        let rest = &input[*line..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let text = trim_line_ending(&rest[..end.map_or(rest.len(), |end| end + 1)]);
        if *line == 0 && text.len() > MAX_LINE {
            return Head::Refused(Status::URI_TOO_LONG);
        }
        let length = end.map_or(input.len(), |end| *line + end + 1);
        if length > MAX_HEAD {
            return Head::Refused(Status::HEADER_FIELDS_TOO_LARGE);
        }
        match end {
            None => return Head::Incomplete,
            Some(_) if text.is_empty() => return Head::Complete(length),
            Some(_) => *line = length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is found in these bytes.
    fn head_of(sent: &[u8]) -> Head {
        find_head(sent, &mut 0)
    }

    #[test]
    fn empty_lines_before_the_request_are_skipped() {
        for (sent, rest) in [
            ("\r\n\nGET /", "GET /"),
            ("GET /\r\n\r\n", "GET /\r\n\r\n"),
            ("\n\r", "\r"),
            ("", ""),
        ] {
            let mut input = sent.as_bytes().to_vec();
            skip_empty_lines(&mut input);
            assert_eq!(input, rest.as_bytes(), "{sent:?}");
        }
    }

    #[test]
    fn head_ends_with_an_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
        let sent = [head.as_slice(), b"more"].concat();
        assert_eq!(head_of(&sent), Head::Complete(head.len()));
        for sent in ["G", "GET / HT", "GET / HTTP/1.1\r\nHost: lab\r\n"] {
            assert_eq!(head_of(sent.as_bytes()), Head::Incomplete, "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn head_is_the_same_however_it_is_split(
            sent in "GET /(a: b|\r|\r?\n){0,8}\r?\n\r?\n?",
            size in 1..40_usize,
        ) {
            let sent = sent.as_bytes();
            let mut line = 0;
            let ends = (0..sent.len()).step_by(size).chain([sent.len()]);
            let mut heads = ends.map(|end| find_head(&sent[..end], &mut line));
            let head = heads.find(|head| *head != Head::Incomplete);
            prop_assert_eq!(head.unwrap_or(Head::Incomplete), head_of(sent));
        }
    }

    #[test]
    fn head_has_limits() {
        let line = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length - 14));
        let head = |length: usize| {
            let fields = "a".repeat(length - 8_006);
            format!("{}{fields}\r\n\r\n", line(8_000))
        };
        let status = |sent: String| match head_of(sent.as_bytes()) {
            Head::Refused(status) => status.code,
            _ => 0,
        };
        assert_eq!(status(line(8_000) + "\r\n"), 0);
        assert_eq!(status(line(8_001) + "\r\n"), 414);
        assert_eq!(status("a".repeat(8_001)), 414);
        assert_eq!(status(head(16 * 1024)), 0);
        assert_eq!(status(head(16 * 1024 + 1)), 431);
    }
}
