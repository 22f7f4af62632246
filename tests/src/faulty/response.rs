//! The response: status line, fields, an empty line, content.

use crate::faulty::faults::Fault;
use crate::faulty::files::{self, Found};
use crate::faulty::{Settings, media};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

/// How much of a file is in memory at once, in bytes.
const PART: u64 = 64 * 1024;

/// What a client gets.
pub struct Response {
    pub status: u16,
    fields: Vec<(&'static str, String)>,
    content: Content,
    /// Whether it goes out as it is, without a field.
    bare: bool,
}

enum Content {
    Nothing,
    Bytes(Vec<u8>),
    /// A file, and how many bytes of it are to be sent.
    File(File, u64),
}

impl Response {
    /// A response without content.
    pub fn new(status: u16) -> Self {
        Response {
            status,
            fields: Vec::new(),
            content: Content::Nothing,
            bare: false,
        }
    }

    /// A response with a page.
    pub fn page(status: u16, page: String) -> Self {
        let mut response = Response::new(status);
        response.content = Content::Bytes(page.into_bytes());
        response.with("Content-Type", media::HTML)
    }

    /// The smallest answer there is.
    pub fn bare(text: &str) -> Self {
        let mut response = Response::page(200, text.to_string());
        response.bare = true;
        response
    }

    /// A response with a file.
    pub fn file(settings: &Settings, file: File, name: &Path) -> Self {
        let length = match file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(_) => return Response::error(settings, 500),
        };
        let mut response = Response::new(200);
        response.content = Content::File(file, length);
        response.with("Content-Type", &media::media_type(settings, name))
    }

    /// An answer that something is wrong: with the site's own page where it has one.
    pub fn error(settings: &Settings, status: u16) -> Self {
        let shown = match settings.has(Fault::MissingIs200) && status == 404 {
            true => 200,
            false => status,
        };
        if status == 404 && settings.has(Fault::MissingHasNoContent) {
            return Response::new(404);
        }
        if status == 404 && settings.has(Fault::MissingEndsServer) {
            panic!("there is no such file");
        }
        if settings.has(Fault::BareErrors) && ![301, 403, 404, 405].contains(&status) {
            let mut response = Response::page(status, format!("{status}\n"));
            response.fields.clear();
            response.bare = true;
            return response;
        }
        let has_page = settings.understands_fields() && !settings.has(Fault::NoErrorPages);
        let name = format!("/{status}.html");
        if has_page && matches!(status, 403 | 404) {
            match files::find(settings, name.as_bytes()) {
                Ok(Found::File(file, name)) => {
                    let mut response = Response::file(settings, file, &name);
                    response.status = shown;
                    return response;
                }
                _ if settings.has(Fault::ErrorPagesMustBeThere) => return Response::new(status),
                _ => {}
            }
        }
        let title = format!("{status} {}", reason(status));
        let page = format!("<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n");
        Response::page(shown, page)
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// Leaves the content out.
    pub fn without_content(mut self) -> Self {
        self.content = Content::Nothing;
        self
    }

    /// The content as it would go out in one piece, for a server that keeps files.
    pub fn take_content(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Content::File(file, length) = &mut self.content {
            file.take(*length).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Whether its content is longer than that.
    pub fn is_longer_than(&self, limit: u64) -> bool {
        matches!(&self.content, Content::File(_, length) if *length > limit)
    }

    /// Gives it other content.
    pub fn set_content(&mut self, bytes: Vec<u8>) {
        self.content = Content::Bytes(bytes);
    }

    /// The length of the content; `None` if there is no content by definition.
    fn length(&self, settings: &Settings) -> Option<u64> {
        match &self.content {
            Content::Nothing if self.status == 204 => {
                settings.has(Fault::OptionsHasLength).then_some(0)
            }
            Content::Nothing => Some(0),
            Content::Bytes(bytes) if settings.has(Fault::LengthInCharacters) => {
                Some(String::from_utf8_lossy(bytes).chars().count() as u64)
            }
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::File(_, length) => Some(*length),
        }
    }

    /// Status line, fields and empty line.
    fn head(&self, settings: &Settings, with_content: bool) -> String {
        let has = |fault| settings.has(fault);
        let version = match settings.has(Fault::SlashInStatusLine) {
            true => "HTTP/1.1/",
            false => "HTTP/1.1",
        };
        let reason = match has(Fault::NoReasonPhrase) {
            true => "",
            false => reason(self.status),
        };
        let mut head = format!("{version} {} {reason}\r\n", self.status);
        let separator = match has(Fault::AnswerHasSpaceBeforeColon) {
            true => " : ",
            false => ": ",
        };
        let mut add = |name: &str, value: &str| head += &format!("{name}{separator}{value}\r\n");
        if !has(Fault::NoServerField) && !has(Fault::NoFields) {
            add("Server", &format!("faulty/{}", settings.stage));
        }
        if !has(Fault::NoConnectionField) && !has(Fault::NoFields) {
            add("Connection", "close");
        }
        if settings.understands_fields() {
            self.add_what_stage_4_tells(settings, with_content, &mut add);
        }
        if !has(Fault::NoEmptyLine) {
            head += "\r\n";
        }
        if has(Fault::LinesEndInLf) {
            head = head.replace("\r\n", "\n");
        }
        head
    }

    fn add_what_stage_4_tells(
        &self,
        settings: &Settings,
        with_content: bool,
        add: &mut impl FnMut(&str, &str),
    ) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        match settings.fault {
            Some(Fault::NoDate) => {}
            Some(Fault::DateNotInGmt) => add("Date", &date.replace("GMT", "+0000")),
            _ => add("Date", &date),
        }
        for (name, value) in &self.fields {
            if *name != "Content-Type" || !settings.has(Fault::NoContentType) {
                add(name, value);
            }
        }
        let length = match settings.fault {
            Some(Fault::NoLength) => None,
            Some(Fault::HeadHasNoLength) if !with_content => None,
            Some(Fault::LengthOneTooLong) => self.length(settings).map(|length| length + 1),
            _ => self.length(settings),
        };
        if let Some(length) = length {
            add("Content-Length", &length.to_string());
        }
    }

    /// Sends it. Tells how many bytes went out, and how it ended.
    pub fn send(
        mut self,
        stream: &TcpStream,
        settings: &Settings,
        with_content: bool,
    ) -> (u64, io::Result<()>) {
        let head = match self.bare {
            true => format!("HTTP/1.1 {} {}\n\n", self.status, reason(self.status)),
            false => self.head(settings, with_content),
        };
        let mut sent = 0;
        let mut out = |bytes: &[u8]| -> io::Result<()> {
            (&*stream).write_all(bytes)?;
            sent += bytes.len() as u64;
            Ok(())
        };
        let mut outcome = out(head.as_bytes());
        if with_content && outcome.is_ok() {
            outcome = self.send_content(settings, &mut out);
        }
        if settings.has(Fault::LeaksFiles) {
            std::mem::forget(self.content);
        }
        (sent, outcome)
    }

    fn send_content(
        &mut self,
        settings: &Settings,
        out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (file, mut left) = match &mut self.content {
            Content::Nothing => return Ok(()),
            Content::Bytes(bytes) => return out(bytes),
            Content::File(file, length) => (file, *length),
        };
        if settings.has(Fault::LastByteMissing) {
            left = left.saturating_sub(1);
        }
        let most = match settings.has(Fault::WholeFileInMemory) {
            true => left,
            false => PART,
        };
        while left > 0 {
            let wanted = most.min(left);
            let mut part = Vec::new();
            let read = file.take(wanted).read_to_end(&mut part)?;
            match settings.fault {
                Some(Fault::WaitsForShrunkFile) if read == 0 => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                Some(Fault::ShrunkFilePanics) => assert!(read > 0, "the file is too short"),
                Some(Fault::PadsShrunkFile) => part.resize(wanted as usize, 0),
                Some(Fault::ContentIsText) => {
                    part = String::from_utf8_lossy(&part).into_owned().into_bytes();
                }
                _ if read == 0 => return Ok(()),
                _ => {}
            }
            out(&part)?;
            left -= wanted;
            if settings.has(Fault::OnePartOfAFile) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The reason phrase of a status code (RFC 9110, 15; RFC 6585 for 431).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}
