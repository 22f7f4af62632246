//! One connection: read the request, send the response, close gently.

use crate::reader::{Head, Reader};
use crate::request::Request;
use crate::response::Response;
use crate::{Config, Fault, Status, cheat, handler, log};
use rustix::net::sockopt::set_socket_linger;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Serves one client. Returns whether it has sent a request.
pub fn serve(stream: &TcpStream, config: &Config) -> bool {
    if config.has(Fault::RespondsBeforeReading) {
        send_and_close(stream, config, b"", cheat::index(config));
        return true;
    }
    let mut reader = Reader::new(stream, config);
    let (head, error) = match reader.read_head() {
        Head::Complete(head) => (head, None),
        Head::Rejected(head, status) => (head, Some(status)),
        Head::Closed => return false,
    };
    log::head(config, &head);
    if config.has(Fault::HalfCloseIsDisconnect) && has_stopped_sending(stream) {
        return true;
    }
    let response = match error {
        None => build_response(config, &head, &mut reader),
        Some(status) => Response::for_status(config, status),
    };
    send_and_close(stream, config, &head, response);
    true
}

/// Turns a client away without waiting for it.
pub fn turn_away(mut stream: &TcpStream, config: &Config) {
    let response = Response::for_status(config, Status::SERVICE_UNAVAILABLE);
    if config.has(Fault::WaitsForTurnedAwayClients) {
        return send_and_close(stream, config, b"", response);
    }
    let _ = stream.set_nonblocking(true);
    let _ = response.send(stream, config);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 16 * 1024]);
}

/// The response to a complete head.
fn build_response(config: &Config, head: &[u8], reader: &mut Reader) -> Response {
    if let Some(response) = cheat::response(config, head) {
        return response;
    }
    let request = match Request::parse(config, head) {
        Ok(request) => request,
        Err(Status::BAD_REQUEST) if config.has(Fault::MalformedLinePanics) => {
            panic!("the request line is malformed")
        }
        Err(status) => return Response::for_status(config, status),
    };
    let response = handler::handle(config, &request, reader);
    let mut response = response.unwrap_or_else(|status| Response::for_status(config, status));
    response.content_may_follow = request.method != "GET";
    response
}

/// Sends a response, logs the request, and closes the connection.
fn send_and_close(stream: &TcpStream, config: &Config, head: &[u8], mut response: Response) {
    response.head_only = head.starts_with(b"HEAD ") && !config.has(Fault::SendsContentForHead);
    let result = response.send(ChunkWriter::new(stream, config), config);
    log::request(config, stream, head, response.status, &result);
    if config.has(Fault::BrokenPipePanics) {
        result.unwrap();
    } else if result.is_err() {
        if !config.has(Fault::GivesUpQuietly) {
            // Then the client sees that something is missing.
            let _ = set_socket_linger(stream, Some(Duration::ZERO));
        }
        return;
    }
    let is_refused_form = matches!(response.status.code, 405 | 411 | 413 | 415);
    match config.fault {
        Some(Fault::NeverCloses) => mem::forget(stream.try_clone()),
        Some(Fault::ResetsRefusedForm) if is_refused_form => {}
        Some(Fault::ClosesWithoutDraining) if response.content_may_follow => await_content(stream),
        Some(Fault::ClosesWithoutDraining) => {}
        _ => {
            let _ = stream.shutdown(Shutdown::Write);
            if response.content_may_follow || has_unread_input(stream) {
                drain(stream, config);
            }
        }
    }
}

/// Writes to a client, each chunk with a deadline. A chunk ends when it is flushed.
struct ChunkWriter<'a> {
    stream: &'a TcpStream,
    config: &'a Config,
    deadline: Instant,
}

impl<'a> ChunkWriter<'a> {
    fn new(stream: &'a TcpStream, config: &'a Config) -> Self {
        ChunkWriter {
            stream,
            config,
            deadline: Instant::now() + Duration::from_secs(config.timeout),
        }
    }
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.config.has(Fault::WriteTimeoutPerWrite) {
            self.flush()?;
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let is_endless = self.config.has(Fault::NoWriteTimeout);
        if left.is_zero() && !is_endless {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream
            .set_write_timeout((!is_endless).then_some(left))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.deadline = Instant::now() + Duration::from_secs(self.config.timeout);
        Ok(())
    }
}

/// Reads and discards input until the client closes the connection or the timeout is over. Closing
/// with unread input would reset the connection, and the client could lose the response.
fn drain(mut stream: &TcpStream, config: &Config) {
    let timeout = Duration::from_secs(config.timeout);
    let mut deadline = Instant::now() + timeout;
    let mut chunk = vec![0; 64 * 1024];
    let mut drained = 0;
    let limit = match config.fault {
        Some(Fault::DrainsOneMebibyte) => 1024 * 1024,
        _ => u64::MAX,
    };
    while drained < limit {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match stream.read(&mut chunk) {
            Ok(length @ 1..) => drained += length as u64,
            _ => return,
        }
        if config.has(Fault::DrainsForever) {
            deadline = Instant::now() + timeout;
        }
    }
}

/// Waits until all content has arrived, if there is any. A client that gets a reset while it is
/// still sending notices that as it sends, and may still read the response.
fn await_content(stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    if matches!(stream.peek(&mut [0]), Ok(1..)) {
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether there is input that has not been read, without waiting for any.
fn has_unread_input(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let result = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    matches!(result, Ok(1..))
}

/// Whether the client has closed its sending side.
fn has_stopped_sending(stream: &TcpStream) -> bool {
    // Long enough for a FIN that was sent with the request to arrive.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    matches!(stream.peek(&mut [0]), Ok(0))
}
