//! The request: from bytes to what is asked.
//!
//! The first line says it all: `GET /index.html HTTP/1.1`. Look at how little is accepted:
//! a line that does not fit the pattern is refused, never guessed at.

use regex::bytes::Regex;
use std::sync::LazyLock;

/// METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is made of the
/// characters that RFC 9110, 5.6.2, allows in a token.
static REQUEST_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?-u)([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ ]+) HTTP/([0-9])\.([0-9])$")
        .expect("the pattern is well-formed")
});

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub method: String,
    /// The path in the request target, as it came, without the query.
    pub path: Vec<u8>,
}

/// Understands a head. The error is the status code to answer with.
pub fn parse(head: &[u8]) -> Result<Request, u16> {
    let line = head
        .split_inclusive(|byte| *byte == b'\n')
        .next()
        .unwrap_or(b"");
    let parts = REQUEST_LINE
        .captures(without_line_end(line))
        .ok_or(400_u16)?;
    let (_, [method, target, major, minor]) = parts.extract();
    match (major, minor) {
        (b"1", b"0" | b"1") => {}
        (b"1", _) => return Err(400),
        _ => return Err(505),
    }
    Ok(Request {
        method: String::from_utf8_lossy(method).into_owned(),
        path: path(target).ok_or(400_u16)?.to_vec(),
    })
}

/// The path of a request target: of `/path?query`, or of `http://host/path?query` as it is
/// sent to proxies (RFC 9112, 3.2). `None` for any other form.
fn path(target: &[u8]) -> Option<&[u8]> {
    let end = target
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with(b"/") {
        return Some(target);
    }
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    match rest.iter().position(|byte| *byte == b'/') {
        _ if rest.is_empty() => None,
        Some(0) => None,
        Some(slash) => Some(&rest[slash..]),
        None => Some(b"/"),
    }
}

/// A line without its CRLF. LF alone will do, so that a request can be typed by hand.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_in(line: &str) -> Result<String, u16> {
        let head = format!("{line}\r\nHost: lab\r\n\r\n");
        parse(head.as_bytes()).map(|request| String::from_utf8(request.path).unwrap())
    }

    #[test]
    fn takes_a_request_line_apart() {
        let request = parse(b"GET /a/b.html?x=1 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(request.method, "GET");
        assert_eq!(request.path, b"/a/b.html");
    }

    #[test]
    fn a_line_may_end_in_lf_alone() {
        assert!(parse(b"GET / HTTP/1.0\n\n").is_ok());
    }

    #[test]
    fn keeps_odd_bytes_of_a_target() {
        assert_eq!(parse(b"GET /\xff\0 HTTP/1.0\n\n").unwrap().path, b"/\xff\0");
    }

    #[test]
    fn refuses_what_is_no_request_line() {
        for line in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.11",
            "GET / HTTP/1.2",
            "GET /a b HTTP/1.1",
            "GET\t/\tHTTP/1.1",
        ] {
            assert_eq!(path_in(line), Err(400), "{line:?}");
        }
    }

    #[test]
    fn knows_a_version_it_does_not_speak() {
        assert_eq!(path_in("GET / HTTP/2.0"), Err(505));
        assert_eq!(path_in("GET / HTTP/0.9"), Err(505));
    }

    #[test]
    fn finds_the_path_in_each_form_of_target() {
        for (target, path) in [
            ("/", "/"),
            ("/?", "/"),
            ("/a?b?c", "/a"),
            ("//a//b", "//a//b"),
            ("http://lab/a/b?c", "/a/b"),
            ("HTTP://lab:80", "/"),
            ("http://lab?c=/d", "/"),
        ] {
            let found = path_in(&format!("GET {target} HTTP/1.1"));
            assert_eq!(found.as_deref(), Ok(path), "{target}");
        }
        for target in [
            "*",
            "a",
            "lab:80",
            "http:/a",
            "http://",
            "http:///a",
            "http://?a",
            "ftp://lab/",
        ] {
            assert_eq!(
                path_in(&format!("GET {target} HTTP/1.1")),
                Err(400),
                "{target}"
            );
        }
    }
}
