//! One connection: read what is asked, answer, part.

use crate::faulty::faults::Fault;
use crate::faulty::head::{NoHead, Source};
use crate::faulty::request::Request;
use crate::faulty::response::Response;
use crate::faulty::{Settings, cheat, log, method};
use std::io::Read;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How much is read behind an answer, in bytes, and for how long.
const PARTING_LIMIT: u64 = 8 * 1024 * 1024;
const PARTING_TIME: Duration = Duration::from_millis(1500);

/// Serves one client, to the end of its connection. Tells whether it has spoken.
pub fn serve(stream: &TcpStream, settings: &Settings) -> bool {
    if settings.has(Fault::AnswersUnread) {
        answer(stream, settings, b"", cheat::index(settings), true);
        return true;
    }
    let mut source = Source::new(stream, settings);
    let (head, refused) = match source.head() {
        Ok(head) => (head, None),
        Err(NoHead::Refused(head, status)) => (head, Some(status)),
        Err(NoHead::Left) => return false,
    };
    log::head(settings, &head);
    if settings.has(Fault::HalfClosedIsGone) && has_stopped_sending(stream) {
        return true;
    }
    let (response, more) = match refused {
        None => respond(&mut source, settings, &head),
        Some(status) => (Response::error(settings, status), true),
    };
    answer(stream, settings, &head, response, more);
    true
}

/// The response to a head, and whether content may follow that nobody reads.
fn respond(source: &mut Source, settings: &Settings, head: &[u8]) -> (Response, bool) {
    if let Some(response) = cheat::response(settings, head) {
        return (response, true);
    }
    let request = match Request::parse(settings, head) {
        Ok(request) => request,
        Err(status) => return (Response::error(settings, status), true),
    };
    let response = method::respond(&request, source, settings);
    let response = response.unwrap_or_else(|status| Response::error(settings, status));
    (response, request.method != "GET")
}

/// Sends a client away that could not even be heard.
pub fn refuse(stream: &TcpStream, settings: &Settings, status: u16) {
    answer(
        stream,
        settings,
        b"",
        Response::error(settings, status),
        true,
    );
}

/// Sends a response, tells the log, and parts.
fn answer(stream: &TcpStream, settings: &Settings, head: &[u8], response: Response, more: bool) {
    if !settings.has(Fault::NoWriteTimeout) {
        let _ = stream.set_write_timeout(Some(settings.timeout));
    }
    let with_content = !head.starts_with(b"HEAD ") || settings.has(Fault::HeadHasContent);
    let status = response.status;
    let (sent, outcome) = response.send(stream, settings, with_content);
    log::request(settings, stream, head, status, sent);
    if settings.has(Fault::BrokenPipePanics) {
        outcome.unwrap();
    } else if outcome.is_err() {
        return;
    }
    if settings.has(Fault::KeepsOpen) {
        mem::forget(stream.try_clone());
        return;
    }
    let refused_form = matches!(status, 405 | 411 | 413 | 415);
    if settings.has(Fault::RefusedFormIsReset) && refused_form {
        return;
    }
    part(stream, settings, more);
}

/// Stops sending, and reads what still comes: to close with bytes unread would reset the
/// connection, and the answer could be lost.
fn part(stream: &TcpStream, settings: &Settings, more: bool) {
    if settings.has(Fault::PartsAtOnce) {
        if more {
            let_the_rest_arrive(stream);
        }
        return;
    }
    let _ = stream.shutdown(Shutdown::Write);
    if !more && !bytes_wait(stream) {
        return;
    }
    let deadline = Instant::now() + PARTING_TIME;
    let mut unwanted = vec![0; 64 * 1024];
    let mut taken = 0;
    while taken < PARTING_LIMIT || settings.has(Fault::PartsForEver) {
        let mut left = deadline.saturating_duration_since(Instant::now());
        if settings.has(Fault::PartsForEver) {
            left = PARTING_TIME;
        }
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match Read::read(&mut &*stream, &mut unwanted) {
            Ok(length @ 1..) => taken += length as u64,
            _ => return,
        }
    }
}

/// Waits until all that the client sends has come, if more comes at all. A client that is reset
/// while it still sends learns so as it sends, and may read the answer even so.
fn let_the_rest_arrive(stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    if matches!(stream.peek(&mut [0]), Ok(1..)) {
        thread::sleep(Duration::from_millis(100));
    }
}

/// Looks, without waiting, whether more has come than was read.
fn bytes_wait(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let waiting = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    matches!(waiting, Ok(1..))
}

/// Whether the client has said that nothing more will come.
fn has_stopped_sending(stream: &TcpStream) -> bool {
    // Long enough that the word arrives, if it was sent with the request.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    matches!(stream.peek(&mut [0]), Ok(0))
}
