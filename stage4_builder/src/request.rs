//! The request: from bytes to what is asked.
//!
//! The first line says what is wanted: `GET /index.html HTTP/1.1`. The header fields say
//! how, and whether a body follows. Look at how little is accepted: what does not fit is
//! refused, never guessed at, since another program may guess otherwise.

use percent_encoding::percent_decode;
use regex::bytes::Regex;
use std::sync::LazyLock;

/// METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is made of the
/// characters that RFC 9110, 5.6.2, allows in a token; a target has no control characters.
static REQUEST_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?-u)([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\x00-\x20\x7F]+) HTTP/([0-9])\.([0-9])$")
        .expect("the pattern is well-formed")
});

/// A name or an IP address, and perhaps a port (RFC 9110, 7.2).
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?-u)([0-9A-Za-z._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$")
        .expect("the pattern is well-formed")
});

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub method: String,
    /// The path in the request target, percent-decoded; `*` when OPTIONS asks for all.
    pub path: String,
    /// What stands behind the path, with its question mark, as it came.
    pub query: Vec<u8>,
    /// How many bytes of content follow the head; `None` if the client did not say.
    pub content_length: Option<u64>,
    /// Whether the client waits for `100 Continue` before it sends them.
    pub expects_continue: bool,
    /// What the content is, in lower case and without parameters; empty if not said.
    pub media_type: String,
}

/// A header field: its name in lower case, since case does not count there, and its value.
type Field = (String, Vec<u8>);

/// Understands a head. The error is the status code to answer with.
pub fn parse(head: &[u8]) -> Result<Request, u16> {
    let mut lines = head
        .split_inclusive(|byte| *byte == b'\n')
        .map(without_line_end);
    let parts = REQUEST_LINE
        .captures(lines.next().unwrap_or(b""))
        .ok_or(400_u16)?;
    let (_, [method, target, major, minor]) = parts.extract();
    match (major, minor) {
        (b"1", b"0" | b"1") => {}
        (b"1", _) => return Err(400),
        _ => return Err(505),
    }
    let (path, query) = match (method, target) {
        (b"OPTIONS", b"*") => (target, b"".as_slice()),
        _ => path(target).ok_or(400_u16)?,
    };
    let fields: Option<Vec<Field>> = lines
        .take_while(|line| !line.is_empty())
        .map(field)
        .collect();
    let fields = fields.ok_or(400_u16)?;
    check_host(&fields, minor)?;
    Ok(Request {
        method: String::from_utf8_lossy(method).into_owned(),
        path: decode(path).ok_or(400_u16)?,
        query: query.to_vec(),
        content_length: content_length(&fields)?,
        expects_continue: expects_continue(&fields, minor)?,
        media_type: media_type(&fields),
    })
}

/// The path and the query of `/path?query`, or of `http://host/path?query` as it is sent
/// to proxies (RFC 9112, 3.2). `None` for any other form.
fn path(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = target
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(target.len());
    let (target, query) = target.split_at(end);
    if target.starts_with(b"/") {
        return Some((target, query));
    }
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    match rest.iter().position(|byte| *byte == b'/') {
        _ if rest.is_empty() => None,
        Some(0) => None,
        Some(slash) => Some((&rest[slash..], query)),
        None => Some((b"/", query)),
    }
}

/// Undoes percent-encoding (RFC 3986, 2.1), once. `None`: a broken escape, a NUL, no UTF-8.
fn decode(path: &[u8]) -> Option<String> {
    let is_escape = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if !path.split(|byte| *byte == b'%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode(path).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

/// Takes a field line apart: NAME ":" VALUE (RFC 9112, 5). `None`: it is malformed. A line
/// that begins with a space, once a way to continue the line before, has no proper name.
fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let named = !name.is_empty() && name.iter().all(is_token_byte);
    let harmless = value
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    (named && harmless).then(|| (name, value.trim_ascii().to_vec()))
}

/// The characters of a token (RFC 9110, 5.6.2).
fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// The values of all fields of that name.
fn values<'a>(fields: &'a [Field], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.0 == name)
        .map(|field| field.1.as_slice())
}

/// HTTP/1.1 demands exactly one valid Host; HTTP/1.0 may leave it out (RFC 9112, 3.2).
fn check_host(fields: &[Field], minor: &[u8]) -> Result<(), u16> {
    let hosts: Vec<&[u8]> = values(fields, "host").collect();
    match hosts[..] {
        [host] if HOST.is_match(host) => Ok(()),
        [] if minor == b"0" => Ok(()),
        _ => Err(400),
    }
}

/// The length of the body (RFC 9112, 6.3). Where two programs could disagree on it, one
/// could smuggle a request past the other: so what is not clear is refused.
fn content_length(fields: &[Field]) -> Result<Option<u64>, u16> {
    let lengths: Vec<&[u8]> = values(fields, "content-length").collect();
    let coded = values(fields, "transfer-encoding").next().is_some();
    match lengths[..] {
        [] if coded => Err(501),
        _ if coded => Err(400),
        [] => Ok(None),
        [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            // A number too large for us is as good as the largest.
            let number = String::from_utf8_lossy(digits).parse();
            Ok(Some(number.unwrap_or(u64::MAX)))
        }
        _ => Err(400),
    }
}

/// Whether to say `100 Continue`; HTTP/1.0 does not know it (RFC 9110, 10.1.1).
fn expects_continue(fields: &[Field], minor: &[u8]) -> Result<bool, u16> {
    let mut expectations = values(fields, "expect");
    if expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(minor == b"1" && values(fields, "expect").next().is_some())
    } else {
        Err(417)
    }
}

/// The value of Content-Type, as far as its first semicolon (RFC 9110, 8.3).
fn media_type(fields: &[Field]) -> String {
    let value = values(fields, "content-type").next().unwrap_or(b"");
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    value.split(';').next().unwrap_or("").trim().to_string()
}

/// A line without its CRLF. LF alone will do, so that a request can be typed by hand.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<Request, u16> {
        parse(format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())
    }

    /// The status for a request with these field lines; 200 stands for understood.
    fn status(version: &str, fields: &str) -> u16 {
        let head = format!("POST / HTTP/{version}\r\n{fields}\r\n");
        parse(head.as_bytes()).map_or_else(|status| status, |_| 200)
    }

    /// The same in HTTP/1.1 with a Host.
    fn status_of(fields: &str) -> u16 {
        status("1.1", &format!("Host: lab\r\n{fields}"))
    }

    #[test]
    fn takes_a_request_apart() {
        let head = b"POST /a%20b?x=1 HTTP/1.1\r\nHOST: lab:80\r\nContent-Length: 3\r\n\
            Expect: 100-Continue\r\nContent-Type: Text/Plain ; charset=utf-8\r\n\r\n";
        let request = Request {
            method: "POST".to_string(),
            path: "/a b".to_string(),
            query: b"?x=1".to_vec(),
            content_length: Some(3),
            expects_continue: true,
            media_type: "text/plain".to_string(),
        };
        assert_eq!(parse(head), Ok(request));
    }

    #[test]
    fn lines_may_end_in_lf_alone() {
        assert!(parse(b"GET / HTTP/1.1\nHost: lab\n\n").is_ok());
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
            "GET /a\rb HTTP/1.1",
            "GET /a\0b HTTP/1.1",
        ] {
            let head = format!("{line}\r\nHost: lab\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Err(400), "{line:?}");
        }
        assert_eq!(parse(b"GET / HTTP/2.0\r\nHost: lab\r\n\r\n"), Err(505));
    }

    #[test]
    fn finds_the_path_in_each_form_of_target() {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/a?b?c", "/a", "?b?c"),
            ("//a//b", "//a//b", ""),
            ("http://lab/a/b?c", "/a/b", "?c"),
            ("HTTP://lab:80", "/", ""),
            ("http://lab?c=/d", "/", "?c=/d"),
        ] {
            let request = get(target).unwrap();
            assert_eq!(
                (request.path.as_str(), request.query.as_slice()),
                (path, query.as_bytes())
            );
        }
        for target in [
            "*",
            "a",
            "lab:80",
            "http:/a",
            "http://",
            "http:///a",
            "ftp://lab/",
        ] {
            assert_eq!(get(target), Err(400), "{target}");
        }
        assert_eq!(parse(b"OPTIONS * HTTP/1.0\r\n\r\n").unwrap().path, "*");
    }

    #[test]
    fn decodes_percent_once() {
        assert_eq!(decode(b"/a%20b%2Fc"), Some("/a b/c".to_string()));
        assert_eq!(decode(b"/%E4%bd%A0"), Some("/你".to_string()));
        assert_eq!(decode(b"/%252e"), Some("/%2e".to_string()));
        for broken in ["/%", "/%2", "/%zz", "/%%20", "/a%0", "/%00", "/%ff", "/%+1"] {
            assert_eq!(decode(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn refuses_malformed_fields() {
        for line in [
            "no colon",
            ": no name",
            "Name : space before the colon",
            " Name: folded",
            "\tfolded",
            "Na me: space",
            "Na(me): no token",
            "Name: bare\rCR",
            "Name: CR at the end\r",
            "Name: NUL\0",
        ] {
            assert_eq!(status_of(&format!("{line}\r\n")), 400, "{line:?}");
        }
        assert_eq!(status_of("Name:\r\nX-~!: \t v\tw \r\n"), 200);
    }

    #[test]
    fn demands_one_valid_host() {
        assert_eq!(status("1.1", ""), 400);
        assert_eq!(status("1.0", ""), 200);
        for host in ["lab", "127.0.0.1:8000", "[::1]:8000", "a-b.c", ""] {
            assert_eq!(status("1.1", &format!("Host: {host}\r\n")), 200, "{host}");
        }
        for host in ["a b", "a/b", "a:b", "a,b:1:2", "[::1", "user@lab"] {
            assert_eq!(status("1.1", &format!("Host: {host}\r\n")), 400, "{host}");
        }
        assert_eq!(status_of("Host: lab\r\n"), 400);
    }

    #[test]
    fn demands_a_clear_body_length() {
        assert_eq!(status_of("Content-Length: 5\r\n"), 200);
        for length in ["", "-1", "+5", "5, 5", "0x5", "five"] {
            assert_eq!(
                status_of(&format!("Content-Length: {length}\r\n")),
                400,
                "{length:?}"
            );
        }
        assert_eq!(status_of("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
        assert_eq!(status_of("Transfer-Encoding: chunked\r\n"), 501);
        assert_eq!(
            status_of("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            400
        );
        let head = b"POST / HTTP/1.0\nContent-Length: 99999999999999999999\n\n";
        assert_eq!(parse(head).unwrap().content_length, Some(u64::MAX));
    }

    #[test]
    fn knows_one_expectation() {
        assert_eq!(status_of("Expect: 100-continue\r\n"), 200);
        assert_eq!(status_of("Expect: a miracle\r\n"), 417);
        assert!(
            !parse(b"GET / HTTP/1.0\nExpect: 100-continue\n\n")
                .unwrap()
                .expects_continue
        );
    }
}
