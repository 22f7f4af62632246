//! The request: from bytes to what the client asks for.
//!
//! The first line says what the client wants: `GET /index.html HTTP/1.1`. The header fields say how,
//! and whether content follows. Look at how little is accepted: whatever doesn't match is refused, and
//! nothing is guessed, since another program might guess differently.

use crate::response::Status;
use percent_encoding::percent_decode;
use regex::bytes::Regex;
use std::net::Ipv6Addr;
use std::sync::LazyLock;

/// METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A
/// target is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112, 3.2), or
/// `*`. It has neither a control character nor a fragment, which a browser keeps to itself.
static REQUEST_LINE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x-u)
        ^ (?<method> [-!\#$%&'*+.^_`|~0-9A-Za-z]+ )
        \x20 (?<target> (?<star> \* )? (?: (?i:http):// (?<host> [^\x00-\x20\x7F\#/?]+ ) )?
            (?<path> / [^\x00-\x20\x7F\#?]* )? (?<query> \? [^\x00-\x20\x7F\#]* )? )
        \x20 HTTP/ (?<major> [0-9] ) \. (?<minor> [0-9] ) $";
    Regex::new(pattern).expect("the pattern is well-formed")
});

/// A name or an IP address, and perhaps a port (RFC 3986, 3.2.2 and 3.2.3).
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x-u)
        ^ (?: \[ (?<ipv6> [0-9A-Fa-f:.]+ ) \]
            | (?: [0-9A-Za-z._~!$&'()*+,;=-] | % [0-9A-Fa-f]{2} )* )
        (?: : [0-9]* )? $";
    Regex::new(pattern).expect("the pattern is well-formed")
});

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: String,
    /// The request target as it came.
    pub target: Vec<u8>,
    /// The path in the target, percent-decoded, without the query; `*` for the whole server.
    pub path: String,
    /// The query with its question mark, as it came.
    pub query: Vec<u8>,
    /// How many bytes of content follow the head; `None` if the client didn't say.
    pub content_length: Option<u64>,
    /// The content, if it has been read.
    pub content: Vec<u8>,
    /// Whether the client waits for `100 Continue` before it sends content.
    pub expects_continue: bool,
    /// What the content is, in lower case and without parameters; empty if the client didn't say.
    pub media_type: String,
    /// Whether the content comes in chunks (RFC 9112, 7.1).
    pub is_chunked: bool,
    /// Whether the client speaks HTTP/1.0, which doesn't know chunks.
    pub is_1_0: bool,
    /// All header fields, in the order in which they came.
    pub fields: Vec<Field>,
}

impl Request {
    /// Whether all of the content has been read.
    pub fn is_complete(&self) -> bool {
        match self.content_length {
            Some(length) => length == self.content.len() as u64,
            // Other methods may have content whose length the client didn't say.
            None => matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS"),
        }
    }
}

/// A header field: its name in lower case, since case doesn't count there, and its value.
pub type Field = (String, Vec<u8>);

/// Parses a head. The error is the status of the response.
pub fn parse(head: &[u8]) -> Result<Request, Status> {
    let lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut lines = lines.map(trim_line_ending);
    let line = lines.next().unwrap_or(b"");
    let parts = REQUEST_LINE.captures(line).ok_or(Status::BAD_REQUEST)?;
    let part = |name: &str| parts.name(name).map(|part| part.as_bytes());
    // Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
    if part("major") != Some(b"1") {
        return Err(Status::VERSION_NOT_SUPPORTED);
    }
    let method = String::from_utf8_lossy(&parts["method"]).into_owned();
    let path = match (part("star"), part("host"), part("path")) {
        // Only OPTIONS may ask for the whole server (RFC 9112, 3.2.4).
        (Some(star), None, None) if method == "OPTIONS" && &parts["target"] == star => Some(star),
        (None, Some(host), path) if is_host(host) && !host.starts_with(b":") => path.or(Some(b"/")),
        (None, None, path) => path,
        _ => None,
    };
    let fields = lines.take_while(|line| !line.is_empty()).map(field);
    let fields: Option<Vec<Field>> = fields.collect();
    let (path, fields) = path
        .and_then(decode)
        .zip(fields)
        .ok_or(Status::BAD_REQUEST)?;
    let is_1_0 = part("minor") == Some(b"0");
    check_host(&fields, is_1_0)?;
    Ok(Request {
        target: parts["target"].to_vec(),
        path,
        query: part("query").unwrap_or(b"").to_vec(),
        content_length: content_length(&fields)?,
        is_chunked: is_chunked(&fields, is_1_0)?,
        is_1_0,
        content: Vec::new(),
        expects_continue: expects_continue(&fields, is_1_0)?,
        media_type: media_type(&fields),
        fields,
        method,
    })
}

/// Undoes percent-encoding (RFC 3986, 2.1), once. `None` for a broken escape, a NUL, or what isn't UTF-8.
fn decode(path: &[u8]) -> Option<String> {
    let is_escape = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if !path.split(|byte| *byte == b'%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode(path).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

/// Parses a field line: NAME ":" VALUE (RFC 9112, 5). `None` if it is malformed. A line that begins
/// with a space, once a way to continue the line before, has no valid name.
pub fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    let is_valid = !name.is_empty() && name.iter().all(is_token_byte) && value.iter().all(is_text);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    is_valid.then(|| (name, value.trim_ascii().to_vec()))
}

/// The characters of a token (RFC 9110, 5.6.2).
fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// The values of all fields with that name.
pub fn values<'a>(fields: &'a [Field], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let fields = fields.iter().filter(move |field| field.0 == name);
    fields.map(|field| field.1.as_slice())
}

/// Whether this is a host, perhaps an empty one, and perhaps with a port.
fn is_host(text: &[u8]) -> bool {
    let ipv6 = |parts: regex::bytes::Captures| match parts.name("ipv6") {
        Some(text) => String::from_utf8_lossy(text.as_bytes())
            .parse::<Ipv6Addr>()
            .is_ok(),
        None => true,
    };
    HOST.captures(text).is_some_and(ipv6)
}

/// HTTP/1.1 demands exactly one valid Host. HTTP/1.0 may leave it out (RFC 9112, 3.2).
fn check_host(fields: &[Field], is_1_0: bool) -> Result<(), Status> {
    let hosts: Vec<&[u8]> = values(fields, "host").collect();
    match hosts[..] {
        [host] if is_host(host) => Ok(()),
        [] if is_1_0 => Ok(()),
        _ => Err(Status::BAD_REQUEST),
    }
}

/// The length of the content (RFC 9112, 6.3). If two programs could disagree on it, a request could
/// be smuggled past one of them, so whatever is ambiguous is refused.
fn content_length(fields: &[Field]) -> Result<Option<u64>, Status> {
    let lengths: Vec<&[u8]> = values(fields, "content-length").collect();
    let is_coded = values(fields, "transfer-encoding").next().is_some();
    match lengths[..] {
        [] if is_coded => Ok(None),
        _ if is_coded => Err(Status::BAD_REQUEST),
        [] => Ok(None),
        [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let length = String::from_utf8_lossy(digits).parse();
            length.map(Some).map_err(|_| Status::CONTENT_TOO_LARGE)
        }
        _ => Err(Status::BAD_REQUEST),
    }
}

/// Whether the content is coded in chunks, once, and in no other way (RFC 9112, 6.1).
fn is_chunked(fields: &[Field], is_1_0: bool) -> Result<bool, Status> {
    let codings: Vec<&[u8]> = values(fields, "transfer-encoding").collect();
    match codings[..] {
        [] => Ok(false),
        _ if is_1_0 => Err(Status::BAD_REQUEST),
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Status::NOT_IMPLEMENTED),
    }
}

/// Whether to send `100 Continue`, which HTTP/1.0 doesn't know (RFC 9110, 10.1.1).
fn expects_continue(fields: &[Field], is_1_0: bool) -> Result<bool, Status> {
    let mut expectations = values(fields, "expect");
    if expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(!is_1_0 && values(fields, "expect").next().is_some())
    } else {
        Err(Status::EXPECTATION_FAILED)
    }
}

/// The value of Content-Type up to its first semicolon (RFC 9110, 8.3).
fn media_type(fields: &[Field]) -> String {
    let value = values(fields, "content-type").next().unwrap_or(b"");
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    value.split(';').next().unwrap_or("").trim().to_string()
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

    /// A head, parsed, or the status code that refuses it.
    fn parsed(head: &str) -> Result<Request, u16> {
        parse(head.as_bytes()).map_err(|status| status.code)
    }

    fn get(target: &str) -> Result<Request, u16> {
        parsed(&format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n"))
    }

    /// The status code for a request with these field lines; 200 if it is accepted.
    fn status(version: &str, fields: &str) -> u16 {
        let head = format!("POST / HTTP/{version}\r\n{fields}\r\n");
        parsed(&head).map_or_else(|code| code, |_| 200)
    }

    /// The same in HTTP/1.1 with a Host.
    fn status_of(fields: &str) -> u16 {
        status("1.1", &format!("Host: lab\r\n{fields}"))
    }

    #[test]
    fn request_has_parts() {
        let head = b"POST /a%20b?x=1 HTTP/1.1\r\nHOST: lab:80\r\nContent-Length: 3\r\n\
            Expect: 100-Continue\r\nContent-Type: Text/Plain ; charset=utf-8\r\n\r\n";
        let request = Request {
            method: "POST".to_string(),
            target: b"/a%20b?x=1".to_vec(),
            path: "/a b".to_string(),
            query: b"?x=1".to_vec(),
            content_length: Some(3),
            content: Vec::new(),
            expects_continue: true,
            media_type: "text/plain".to_string(),
            is_chunked: false,
            is_1_0: false,
            fields: [
                ("host", "lab:80"),
                ("content-length", "3"),
                ("expect", "100-Continue"),
                ("content-type", "Text/Plain ; charset=utf-8"),
            ]
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .to_vec(),
        };
        assert_eq!(parse(head), Ok(request));
    }

    #[test]
    fn request_without_a_length_may_have_content() {
        let is_complete = |method: &str, fields: &str| {
            let head = format!("{method} / HTTP/1.1\r\nHost: lab\r\n{fields}\r\n");
            parse(head.as_bytes()).unwrap().is_complete()
        };
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(is_complete(method, ""), "{method}");
            assert!(!is_complete(method, "Content-Length: 1\r\n"), "{method}");
        }
        for method in ["POST", "PUT", "BREW"] {
            assert!(!is_complete(method, ""), "{method}");
            assert!(is_complete(method, "Content-Length: 0\r\n"), "{method}");
        }
    }

    #[test]
    fn lines_may_end_in_lf_alone() {
        assert!(parse(b"GET / HTTP/1.1\nHost: lab\n\n").is_ok());
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
            "GET /a\rb HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a\0b HTTP/1.1",
        ] {
            let head = format!("{line}\r\nHost: lab\r\n\r\n");
            assert_eq!(parsed(&head), Err(400), "{line:?}");
        }
    }

    #[test]
    fn only_the_major_version_matters() {
        for minor in 0..=9 {
            let code = |major| status(&format!("{major}.{minor}"), "Host: lab\r\n");
            assert_eq!([code(0), code(1), code(2)], [505, 200, 505], "{minor}");
        }
    }

    #[test]
    fn path_is_found_in_each_form_of_target() {
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
            "**",
            "*/",
            "*?a",
            "?a",
            "http://:80/x",
            "http://@/x",
            "http://me@lab/x",
            "http://lab:abc/",
            "http://[::1/",
            "http://[12345]/",
            "http://a%zz/",
            "http://?a",
        ] {
            assert_eq!(get(target), Err(400), "{target}");
        }
        assert_eq!(get("http://[::1]:80/a").unwrap().path, "/a");
        assert_eq!(parsed("OPTIONS * HTTP/1.0\r\n\r\n").unwrap().path, "*");
    }

    #[test]
    fn path_is_decoded_once() {
        assert_eq!(decode(b"/a%20b%2Fc"), Some("/a b/c".to_string()));
        assert_eq!(decode(b"/%E4%bd%A0"), Some("/你".to_string()));
        assert_eq!(decode(b"/%252e"), Some("/%2e".to_string()));
        for broken in ["/%", "/%2", "/%zz", "/%%20", "/a%0", "/%00", "/%ff", "/%+1"] {
            assert_eq!(decode(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn malformed_field_is_refused() {
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
    fn one_valid_host_is_required() {
        assert_eq!(status("1.1", ""), 400);
        assert_eq!(status("1.0", ""), 200);
        for host in [
            "lab",
            "127.0.0.1:8000",
            "[::1]:8000",
            "a-b.c",
            "a%20b",
            "lab:",
            "",
        ] {
            assert_eq!(status("1.1", &format!("Host: {host}\r\n")), 200, "{host}");
        }
        for host in [
            "a b", "a/b", "a:b", "a,b:1:2", "[::1", "me@lab", "[12345]", "[....]", "[]", "%",
            "a%zz",
        ] {
            assert_eq!(status("1.1", &format!("Host: {host}\r\n")), 400, "{host}");
        }
        assert_eq!(status_of("Host: lab\r\n"), 400);
    }

    #[test]
    fn ambiguous_length_is_refused() {
        assert_eq!(status_of("Content-Length: 5\r\n"), 200);
        for length in ["", "-1", "+5", "5, 5", "0x5", "five"] {
            assert_eq!(
                status_of(&format!("Content-Length: {length}\r\n")),
                400,
                "{length:?}"
            );
        }
        assert_eq!(status_of("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
        assert_eq!(status_of("Transfer-Encoding: Chunked\r\n"), 200);
        for codings in [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "",
            "chunked\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(
                status_of(&format!("Transfer-Encoding: {codings}\r\n")),
                501,
                "{codings}"
            );
        }
        // HTTP/1.0 doesn't know chunks: it would take them for something else.
        assert_eq!(status("1.0", "Transfer-Encoding: chunked\r\n"), 400);
        assert_eq!(
            status_of("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            400
        );
        assert_eq!(status_of("Content-Length: 99999999999999999999\r\n"), 413);
    }

    #[test]
    fn one_expectation_is_known() {
        assert_eq!(status_of("Expect: 100-continue\r\n"), 200);
        assert_eq!(status_of("Expect: something\r\n"), 417);
        assert!(
            !parse(b"GET / HTTP/1.0\nExpect: 100-continue\n\n")
                .unwrap()
                .expects_continue
        );
    }

    proptest! {
        #[test]
        fn valid_request_line_is_taken_apart(
            method in "[A-Z!#$%&'*+.^_`|~-]{1,9}",
            path in "/[^?#% [:cntrl:]]{0,30}",
            query in "(\\?[^# [:cntrl:]]{0,20})?",
            host in "(http://[a-z.]{1,9}(:[0-9]{0,5})?)?",
        ) {
            let head = format!("{method} {host}{path}{query} HTTP/1.1\r\nHost: lab\r\n\r\n");
            let request = parse(head.as_bytes()).unwrap();
            prop_assert_eq!(request.method, method);
            prop_assert_eq!(request.target, format!("{host}{path}{query}").into_bytes());
            prop_assert_eq!((request.path, request.query), (path, query.into_bytes()));
        }

        #[test]
        fn encoded_path_is_decoded(path in "/[^\0]{0,30}") {
            let encoded: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()), Some(path));
        }

        #[test]
        fn decoding_never_leaves_an_invalid_escape(path in "[/%a0]{0,9}") {
            let is_valid = regex::Regex::new("^([/a0]|%[a0]{2})*$").unwrap().is_match(&path);
            let has_nul = path.contains("%00");
            prop_assert_eq!(decode(path.as_bytes()).is_some(), is_valid && !has_nul && !path.contains("%a"));
        }

        #[test]
        fn every_address_is_a_host(v6: u128, v4: u32, port: u16) {
            let (v6, v4) = (Ipv6Addr::from(v6), std::net::Ipv4Addr::from(v4));
            for host in [format!("[{v6}]"), format!("[{v6}]:{port}"), format!("{v4}:{port}")] {
                prop_assert!(is_host(host.as_bytes()), "{}", host);
            }
            prop_assert!(!is_host(v6.to_string().as_bytes()));
        }
    }
}
