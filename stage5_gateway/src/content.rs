//! The content of a request for an application: it may be long, and its length may come last.
//!
//! It is kept until it is complete, so a slow client holds up no application, and the application
//! gets a true length. Look at where it is kept: a long one in a file without a name, which vanishes
//! with its last descriptor, whatever happens to the server.

use crate::chunked::Decoder;
use crate::connection::{Deadline, TIMED_OUT};
use crate::files::{CHUNK_SIZE, read_chunk};
use crate::request::Request;
use crate::response::Status;
use std::io::{self, BufReader, Read, Seek, Write};
use std::time::{Duration, Instant};
use tempfile::SpooledTempFile;

/// The content, as it comes from the client.
enum Source<'a, 'b> {
    Plain(io::Take<&'a mut BufReader<Deadline<'b>>>),
    Chunks(Decoder<&'a mut BufReader<Deadline<'b>>>),
}

impl Source<'_, '_> {
    /// Reads the next piece. Each has its own deadline: a client may be slow, but it must not stop.
    fn read_piece(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let time = Instant::now() + timeout;
        match self {
            Source::Plain(reader) => {
                reader.get_mut().get_mut().time = time;
                read_chunk(reader)
            }
            Source::Chunks(decoder) => {
                decoder.reader.get_mut().time = time;
                read_chunk(decoder)
            }
        }
    }
}

/// Reads all of the content. The error is the status of the response.
pub fn read(
    request: &mut Request,
    reader: &mut BufReader<Deadline>,
    timeout: Duration,
    max: u64,
) -> Result<SpooledTempFile, Status> {
    let mut content = SpooledTempFile::new(CHUNK_SIZE as usize);
    let length = request.content_length.unwrap_or(0);
    if length > max {
        return Err(Status::CONTENT_TOO_LARGE);
    }
    // Before some clients send much, they ask whether they may (RFC 9110, 10.1.1).
    if request.expects_continue && (length > 0 || request.is_chunked) {
        let _ = reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let mut source = if request.is_chunked {
        Source::Chunks(Decoder::new(reader))
    } else {
        Source::Plain(reader.take(length))
    };
    let mut read = 0;
    loop {
        let piece = source.read_piece(timeout);
        let piece = piece.map_err(|error| match error.kind() {
            kind if TIMED_OUT.contains(&kind) => Status::REQUEST_TIMEOUT,
            _ => Status::BAD_REQUEST,
        })?;
        read += piece.len() as u64;
        if read > max {
            return Err(Status::CONTENT_TOO_LARGE);
        }
        if piece.is_empty() {
            break;
        }
        let written = content.write_all(&piece);
        written.map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    }
    if !request.is_chunked && read < length {
        // The client left before the end of its content (RFC 9112, 8).
        return Err(Status::BAD_REQUEST);
    }
    if request.is_chunked {
        request.content_length = Some(read);
    }
    content
        .rewind()
        .map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    Ok(content)
}
