//! The request: from bytes to what the client asks for.
//!
//! The first line says it all: `GET /index.html HTTP/1.1`. Look at how little is accepted: a line
//! that doesn't match the pattern is refused, and nothing is guessed.

use crate::response::Status;
use regex::bytes::Regex;
use std::sync::LazyLock;

/// METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A
/// target is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112, 3.2). It
/// has neither a bare CR (RFC 9112, 2.2) nor a fragment, which a browser keeps to itself.
static REQUEST_LINE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x-u)
        ^ (?<method> [-!\#$%&'*+.^_`|~0-9A-Za-z]+ )
        \x20 (?<target> (?<host> (?i:http):// [^\x20\r\#/?]+ )? (?<path> / [^\x20\r\#?]* )?
            (?<query> \? [^\x20\r\#]* )? )
        \x20 HTTP/ (?<major> [0-9] ) \. [0-9] $";
    Regex::new(pattern).expect("the pattern is well-formed")
});

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub method: String,
    /// The request target as it came.
    pub target: Vec<u8>,
    /// The path in the target, without the query.
    pub path: Vec<u8>,
}

/// Parses a head. The error is the status of the response.
pub fn parse(head: &[u8]) -> Result<Request, Status> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let line = trim_line_ending(lines.next().unwrap_or(b""));
    let parts = REQUEST_LINE.captures(line).ok_or(Status::BAD_REQUEST)?;
    let part = |name: &str| parts.name(name).map(|part| part.as_bytes());
    // Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
    if part("major") != Some(b"1") {
        return Err(Status::VERSION_NOT_SUPPORTED);
    }
    let path = part("path").or(part("host").and(Some(b"/")));
    Ok(Request {
        method: String::from_utf8_lossy(&parts["method"]).into_owned(),
        target: parts["target"].to_vec(),
        path: path.ok_or(Status::BAD_REQUEST)?.to_vec(),
    })
}

/// A line without its CRLF. LF alone may end it too, so that a request can be typed by hand.
pub fn trim_line_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The path in a request with this target, or the status code that refuses it.
    fn path_of(target: &str) -> Result<String, u16> {
        path_in(&format!("GET {target} HTTP/1.1"))
    }

    /// The same for a request line.
    fn path_in(line: &str) -> Result<String, u16> {
        let head = format!("{line}\r\nHost: lab\r\n\r\n");
        let path = |request: Request| String::from_utf8(request.path).unwrap();
        parse(head.as_bytes())
            .map(path)
            .map_err(|status| status.code)
    }

    #[test]
    fn request_line_has_three_parts() {
        let request = parse(b"GET /a/b.html?x=1 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(request.method, "GET");
        assert_eq!(request.target, b"/a/b.html?x=1");
        assert_eq!(request.path, b"/a/b.html");
    }

    #[test]
    fn line_may_end_in_lf_alone() {
        assert!(parse(b"GET / HTTP/1.0\n\n").is_ok());
    }

    #[test]
    fn unusual_bytes_of_a_target_are_kept() {
        assert_eq!(parse(b"GET /\xff\0 HTTP/1.0\n\n").unwrap().path, b"/\xff\0");
    }

    #[test]
    fn malformed_request_line_is_refused() {
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
            "GET /a b HTTP/1.1",
            "GET /a\rb HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET\t/\tHTTP/1.1",
        ] {
            assert_eq!(path_in(line), Err(400), "{line:?}");
        }
    }

    #[test]
    fn only_the_major_version_matters() {
        for minor in 0..=9 {
            let version = |major| path_in(&format!("GET / HTTP/{major}.{minor}"));
            assert_eq!(version(1), Ok("/".to_string()));
            assert_eq!(version(0), Err(505));
            assert_eq!(version(2), Err(505));
        }
    }

    #[test]
    fn path_is_found_in_each_form_of_target() {
        for (target, path) in [
            ("/", "/"),
            ("/?", "/"),
            ("/a?b?c", "/a"),
            ("//a//b", "//a//b"),
            ("http://lab/a/b?c", "/a/b"),
            ("HTTP://lab:80", "/"),
            ("http://lab?c=/d", "/"),
        ] {
            assert_eq!(path_of(target).as_deref(), Ok(path), "{target}");
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
            assert_eq!(path_of(target), Err(400), "{target}");
        }
    }

    proptest! {
        #[test]
        fn valid_request_line_is_taken_apart(
            method in "[A-Z!#$%&'*+.^_`|~-]{1,9}",
            path in "/[^?# \r\n]{0,30}",
            query in "(\\?[^# \r\n]{0,20})?",
            host in "(http://[a-z.:0-9]{1,9})?",
        ) {
            let head = format!("{method} {host}{path}{query} HTTP/1.1\r\n\r\n");
            let request = parse(head.as_bytes()).unwrap();
            prop_assert_eq!(request.method, method);
            prop_assert_eq!(request.target, format!("{host}{path}{query}").into_bytes());
            prop_assert_eq!(request.path, path.into_bytes());
        }

        #[test]
        fn accepted_path_has_no_delimiter(line in "(GET|get) [/a?#\r \t]{0,9} HTTP/[0-2]\\.[0-2]") {
            if let Ok(request) = parse(line.as_bytes()) {
                prop_assert!(request.path.starts_with(b"/"));
                prop_assert!(!request.path.iter().any(|byte| b"?#\r ".contains(byte)));
            }
        }
    }
}
