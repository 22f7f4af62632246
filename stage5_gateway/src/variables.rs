//! The variables that describe a request to an application (RFC 3875, 4.1).
//!
//! They travel in an environment or in FastCGI's parameters. Look at the names that a client can
//! choose: each begins with `HTTP_`, so that none is mistaken for one of the server's.

use crate::client::Client;
use crate::gateway::Script;
use crate::options::Options;
use crate::request::{Request, values};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

/// Values by name.
pub type Variables = BTreeMap<String, Vec<u8>>;

/// Fields that become no variable: `Proxy` would be taken for the setting HTTP_PROXY
/// (CVE-2016-5385), the type and the length have names of their own, and the rest is between the
/// client and the server.
const HIDDEN_FIELDS: [&str; 5] = [
    "proxy",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// The name and the version of this server.
const SOFTWARE: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Everything that an application learns about a request.
pub fn variables(
    request: &Request,
    script: &Script,
    client: &Client,
    options: &Options,
) -> Variables {
    let mut variables = of_fields(request);
    for (name, value) in &options.gateway.env {
        variables.insert(name.clone(), value.clone().into_bytes());
    }
    // These come last, so that nobody else can choose them.
    of_request(request, &mut variables);
    let mut set = |name: &str, value: &[u8]| variables.insert(name.into(), value.into());
    let root = options.root.path.as_os_str().as_bytes();
    let (name, info) = (script.name.as_bytes(), script.info.as_bytes());
    set("SCRIPT_NAME", name);
    set("PATH_INFO", info);
    if !info.is_empty() {
        set("PATH_TRANSLATED", &[root, info].concat());
    }
    set("SCRIPT_FILENAME", script.file.as_os_str().as_bytes());
    set("DOCUMENT_ROOT", root);
    let peer = client.peer.ip().to_string();
    set("REMOTE_ADDR", peer.as_bytes());
    set("REMOTE_HOST", peer.as_bytes());
    set("REMOTE_PORT", client.peer.port().to_string().as_bytes());
    set("SERVER_PORT", client.local.port().to_string().as_bytes());
    let host = variables.get("HTTP_HOST").map_or(&b""[..], |host| host);
    let name = match without_port(host) {
        b"" => client.local.ip().to_string().into_bytes(),
        name => name.to_vec(),
    };
    variables.insert("SERVER_NAME".into(), name);
    variables
}

/// What the request line and the fields about the content say.
fn of_request(request: &Request, variables: &mut Variables) {
    let mut set = |name: &str, value: &[u8]| variables.insert(name.into(), value.into());
    let (authority, uri) = split_target(request);
    if let Some(authority) = authority {
        // It overrides the field (RFC 9112, 3.2.2).
        set("HTTP_HOST", authority);
    }
    let protocol = if request.is_1_0 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    set("GATEWAY_INTERFACE", b"CGI/1.1");
    set("SERVER_SOFTWARE", SOFTWARE.as_bytes());
    set("SERVER_PROTOCOL", protocol.as_bytes());
    set("REQUEST_METHOD", request.method.as_bytes());
    set("REQUEST_SCHEME", b"http");
    set("REQUEST_URI", &uri);
    let query = request.query.strip_prefix(b"?");
    set("QUERY_STRING", query.unwrap_or(b""));
    // Without it, php-cgi takes itself for a program that a client has asked for by name.
    set("REDIRECT_STATUS", b"200");
    if let Some(length) = request.content_length {
        set("CONTENT_LENGTH", length.to_string().as_bytes());
    }
    if let Some(value) = values(&request.fields, "content-type").next() {
        set("CONTENT_TYPE", value);
    }
}

/// The header fields, as HTTP_NAME. A name with `_` is dropped: it could be mistaken for one with `-`.
fn of_fields(request: &Request) -> Variables {
    let mut variables = Variables::new();
    for (name, value) in &request.fields {
        let is_plain = |byte: u8| byte == b'-' || byte.is_ascii_alphanumeric();
        if HIDDEN_FIELDS.contains(&name.as_str()) || !name.bytes().all(is_plain) {
            continue;
        }
        // Equal names are one list (RFC 9110, 5.3). Cookies have a separator of their own.
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        let name = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        let joined = variables
            .get(&name)
            .map(|old| [old, separator, value].concat());
        variables.insert(name, joined.unwrap_or_else(|| value.clone()));
    }
    variables
}

/// The host and port in the target, if it has one, and the path with its query as they came.
pub fn split_target(request: &Request) -> (Option<&[u8]>, Vec<u8>) {
    let target = &request.target;
    if !target[..target.len().min(5)].eq_ignore_ascii_case(b"http:") {
        return (None, target.clone());
    }
    let after_scheme = &target["http://".len()..];
    let end = after_scheme.iter().position(|byte| b"/?".contains(byte));
    let (authority, rest) = after_scheme.split_at(end.unwrap_or(after_scheme.len()));
    let slash: &[u8] = if rest.starts_with(b"/") { b"" } else { b"/" };
    (Some(authority), [slash, rest].concat())
}

/// A host without its port. The colons of an IPv6 address are in brackets.
fn without_port(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|byte| *byte == b':');
    match colon {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn request(head: &str) -> Request {
        request::parse(head.as_bytes()).unwrap()
    }

    #[test]
    fn fields_become_variables_with_a_prefix() {
        let request = request(
            "GET / HTTP/1.1\r\nHost: lab\r\nAccept: a\r\naccept: b\r\nCookie: c=1\r\nCookie: d=2\r\n\
             Proxy: evil\r\nContent_Length: 9\r\nA.B: c\r\nContent-Type: a/b\r\nX-A-1: e\r\n\r\n",
        );
        let found: Vec<_> = of_fields(&request).into_iter().collect();
        let expected = [
            ("HTTP_ACCEPT", "a, b"),
            ("HTTP_COOKIE", "c=1; d=2"),
            ("HTTP_HOST", "lab"),
            ("HTTP_X_A_1", "e"),
        ];
        let expected = expected.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        assert_eq!(found, expected);
    }

    #[test]
    fn target_may_name_a_host() {
        for (target, authority, uri) in [
            ("/a%20b?c", None, "/a%20b?c"),
            ("http://lab:80/a?b", Some("lab:80"), "/a?b"),
            ("HTTP://lab", Some("lab"), "/"),
            ("http://lab?a", Some("lab"), "/?a"),
        ] {
            let request = request(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let found = split_target(&request);
            assert_eq!(
                found,
                (authority.map(str::as_bytes), uri.as_bytes().to_vec())
            );
        }
    }

    #[test]
    fn host_may_have_a_port() {
        for (host, name) in [
            ("lab", "lab"),
            ("lab:80", "lab"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes());
        }
    }
}
