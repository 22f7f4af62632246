//! The response: status line, header fields, an empty line, content.

use crate::files::{self, Found};
use crate::{Config, Fault, Status, mime};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

/// How much of a file is held in memory at a time, in bytes.
const CHUNK_SIZE: u64 = 64 * 1024;

/// A response that can be sent.
pub struct Response {
    pub status: Status,
    /// Whether the content is left out, as in a response to HEAD.
    pub head_only: bool,
    /// Whether the client may send content that nobody reads.
    pub content_may_follow: bool,
    fields: Vec<(&'static str, String)>,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    File { file: File, length: u64 },
}

impl Response {
    fn new(status: Status, content: Content) -> Self {
        Response {
            status,
            head_only: false,
            content_may_follow: true,
            fields: Vec::new(),
            content,
        }
    }

    /// A response without content.
    pub fn empty(status: Status) -> Self {
        Response::new(status, Content::Bytes(Vec::new()))
    }

    /// A response with an HTML page.
    pub fn html(status: Status, page: impl Into<Vec<u8>>) -> Self {
        let response = Response::new(status, Content::Bytes(page.into()));
        response.with_field("Content-Type", mime::HTML)
    }

    /// A response with a file.
    pub fn file(config: &Config, file: File, path: &Path) -> Result<Self, Status> {
        let metadata = file.metadata();
        let length = metadata.map_err(|_| Status::INTERNAL_SERVER_ERROR)?.len();
        if config.has(Fault::LeaksDescriptors) {
            mem::forget(file.try_clone());
        }
        let content = if config.has(Fault::CachesFiles) && length <= CHUNK_SIZE {
            Content::Bytes(read_cached(file, path))
        } else {
            Content::File { file, length }
        };
        let content_type = mime::content_type(config, path);
        Ok(Response::new(Status::OK, content).with_field("Content-Type", &content_type))
    }

    /// A response that only reports a status: with the site's own page if it has one, or else
    /// with a generated page.
    pub fn for_status(config: &Config, status: Status) -> Self {
        let is_missing = status == Status::NOT_FOUND;
        match config.fault {
            Some(Fault::NotFoundHasNoContent) if is_missing => return Response::empty(status),
            Some(Fault::MissingFileEndsServer) if is_missing => panic!("the file is missing"),
            Some(Fault::MissingErrorPageEndsServer)
                if is_missing && !config.root.join("404.html").exists() =>
            {
                panic!("404.html is missing")
            }
            _ => {}
        }
        let mut response = match site_page(config, status) {
            Some(response) => response,
            None if config.has(Fault::RequiresErrorPages) && is_missing => Response::empty(status),
            None => {
                let title = format!("{} {}", status.code, status.reason);
                let page = format!("<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n");
                Response::html(status, page)
            }
        };
        response.status = match config.fault {
            Some(Fault::MissingFileIsOk) if is_missing => Status::OK,
            _ => status,
        };
        response
    }

    /// Adds a field.
    pub fn with_field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// Sends the response. Returns how many bytes were sent.
    pub fn send(&self, mut out: impl Write, config: &Config) -> io::Result<u64> {
        let head = self.head(config);
        out.write_all(head.as_bytes())?;
        out.flush()?;
        let mut sent = head.len() as u64;
        if !self.head_only {
            sent += self.send_content(out, config)?;
        }
        Ok(sent)
    }

    /// The status line, the header fields, and the empty line.
    fn head(&self, config: &Config) -> String {
        let Status { code, reason } = self.status;
        let is_other_error = !matches!(code, 200 | 204 | 301 | 403 | 404 | 405);
        let mut head = match config.fault {
            Some(Fault::AlwaysHello) => return format!("HTTP/1.1 {code} {reason}\n\n"),
            Some(Fault::ErrorsWithoutFields) if is_other_error => {
                return format!("HTTP/1.1 {code} {reason}\n\n");
            }
            Some(Fault::SlashInStatusLine) => format!("HTTP/1.1/ {code} {reason}\r\n"),
            Some(Fault::NoReasonPhrase) => format!("HTTP/1.1 {code} \r\n"),
            _ => format!("HTTP/1.1 {code} {reason}\r\n"),
        };
        for (name, value) in self.all_fields(config) {
            head += &match config.fault {
                Some(Fault::SendsSpaceBeforeColon) => format!("{name} : {value}\r\n"),
                _ => format!("{name}: {value}\r\n"),
            };
        }
        match config.fault {
            Some(Fault::OmitsEmptyLine) => head,
            Some(Fault::EndsLinesWithLf) => head.replace("\r\n", "\n") + "\n",
            _ => head + "\r\n",
        }
    }

    /// The fields to send: those of every response, and in stage 4 those of this one.
    fn all_fields(&self, config: &Config) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("Server", format!("faulty/{}", config.stage)),
            ("Connection", "close".to_string()),
        ];
        if config.is_stage4() {
            let date = httpdate::fmt_http_date(SystemTime::now());
            let date = match config.fault {
                Some(Fault::DateNotInGmt) => date.replace("GMT", "+0000"),
                _ => date,
            };
            fields.push(("Date", date));
            fields.extend(self.fields.iter().cloned());
            let length = self.content_length(config);
            fields.extend(length.map(|length| ("Content-Length", length.to_string())));
        }
        let is_405 = self.status == Status::METHOD_NOT_ALLOWED;
        fields.retain(|(name, _)| match config.fault {
            Some(Fault::SendsNoFields) => false,
            Some(Fault::NoServerField) => *name != "Server",
            Some(Fault::NoConnectionField) => *name != "Connection",
            Some(Fault::NoDate) => *name != "Date",
            Some(Fault::NoContentType) => *name != "Content-Type",
            Some(Fault::NoContentLength) => *name != "Content-Length",
            Some(Fault::HeadHasNoContentLength) if self.head_only => *name != "Content-Length",
            Some(Fault::MethodNotAllowedLacksAllow) if is_405 => *name != "Allow",
            _ => true,
        });
        fields
    }

    /// The value of Content-Length, which 204 doesn't have (RFC 9110, 8.6).
    fn content_length(&self, config: &Config) -> Option<u64> {
        if self.status == Status::NO_CONTENT && !config.has(Fault::OptionsHasContentLength) {
            return None;
        }
        let length = match &self.content {
            Content::Bytes(bytes) if config.has(Fault::ContentLengthInCharacters) => {
                String::from_utf8_lossy(bytes).chars().count() as u64
            }
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { length, .. } => *length,
        };
        match config.fault {
            Some(Fault::ContentLengthTooLarge) => Some(length + 1),
            _ => Some(length),
        }
    }

    /// Sends the content. Returns how many bytes were sent.
    fn send_content(&self, mut out: impl Write, config: &Config) -> io::Result<u64> {
        let has = |fault| config.has(fault);
        let (file, mut left) = match &self.content {
            Content::Bytes(bytes) => return out.write_all(bytes).map(|()| bytes.len() as u64),
            Content::File { file, length } => (file, *length),
        };
        if has(Fault::OmitsLastByte) {
            left = left.saturating_sub(1);
        }
        let chunk_size = match config.fault {
            Some(Fault::ReadsWholeFile) => left,
            _ => CHUNK_SIZE,
        };
        let mut sent = 0;
        while left > 0 {
            let wanted = chunk_size.min(left);
            let mut chunk = Vec::new();
            let read = file.take(wanted).read_to_end(&mut chunk)?;
            match config.fault {
                Some(Fault::WaitsForShrunkFile) if read == 0 => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                Some(Fault::ShrunkFilePanics) if read == 0 => panic!("the file has shrunk"),
                Some(Fault::PadsShrunkFile) => chunk.resize(wanted as usize, 0),
                Some(Fault::DecodesContent) => {
                    chunk = String::from_utf8_lossy(&chunk).into_owned().into_bytes();
                }
                _ => {}
            }
            out.write_all(&chunk)?;
            out.flush()?;
            sent += chunk.len() as u64;
            left -= wanted;
            if chunk.is_empty() || has(Fault::SendsOneChunk) {
                break;
            }
        }
        Ok(sent)
    }
}

/// The site's own page for a status, in stage 4.
fn site_page(config: &Config, status: Status) -> Option<Response> {
    let has_page = matches!(status, Status::FORBIDDEN | Status::NOT_FOUND);
    if !config.is_stage4() || !has_page || config.has(Fault::IgnoresErrorPages) {
        return None;
    }
    match files::open(config, format!("/{}.html", status.code).as_bytes()) {
        Ok(Found::File { file, path }) => Response::file(config, file, &path).ok(),
        _ => None,
    }
}

/// The content that a file had when it was read for the first time.
fn read_cached(mut file: File, path: &Path) -> Vec<u8> {
    static CACHE: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let content = cache.entry(path.to_path_buf()).or_insert_with(|| {
        let mut content = Vec::new();
        let _ = file.read_to_end(&mut content);
        content
    });
    content.clone()
}
