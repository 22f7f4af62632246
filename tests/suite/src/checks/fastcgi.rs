//! FastCGI: the server's records, seen from an application that the check itself is.

use super::ensure_status_in;
use super::gateway::{STAGE_5, start_with};
use super::parse_response;
use crate::check::{Check, PREREQUISITE};
use harness::client::{Client, get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext};
use harness::error::{CheckResult, FailureKind, ensure};
use harness::fastcgi::{
    ABORT_REQUEST, Application, Connection, OVERLOADED, REQUEST_COMPLETE, Request, STDERR, STDOUT,
    UNKNOWN_TYPE, record,
};
use harness::server::{Server, Start};
use std::{panic, thread};

/// What the checks of FastCGI have in common.
const FASTCGI: Check = Check {
    needs: &[PREREQUISITE, "fastcgi-application-responds"],
    ..STAGE_5
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "fastcgi-application-responds",
        must: "send a request to a FastCGI application, at a path or a port, and its response back",
        why: "FastCGI 1.0, 5 and 6: the variables of CGI come as FCGI_PARAMS, the content as FCGI_STDIN.",
        hint: "Each stream ends with an empty record. Lengths over 127 have four bytes.",
        needs: &[PREREQUISITE],
        weight: 3,
        run: fastcgi_application_responds,
        ..FASTCGI
    },
    Check {
        id: "fastcgi-records",
        must: "read records split at any byte, with padding, and ignore what isn't about the request",
        why: "FastCGI 1.0, 3.3: a stream may be cut into records anywhere, and later versions have more types.",
        hint: "Read eight bytes, then the content, then the padding. STDERR may come between.",
        weight: 2,
        run: fastcgi_records,
        ..FASTCGI
    },
    Check {
        id: "fastcgi-large-content",
        must: "read a response while it sends a large content, and never wait for both sides",
        why: "An application may respond before it has read everything.",
        hint: "Send in a thread of its own, or with poll(2).",
        about: &[FailureKind::TooSlow, FailureKind::NoResponse],
        run: fastcgi_large_content,
        ..FASTCGI
    },
    Check {
        id: "fastcgi-failures",
        must: "respond with 503 to an overloaded application, 502 to a lost connection, and visibly cut after a head",
        why: "FastCGI 1.0, 5.5: without FCGI_END_REQUEST a response isn't complete, wherever it ends.",
        hint: "Look at the protocol status. The end of the connection is not the end of the request.",
        run: fastcgi_failures,
        ..FASTCGI
    },
    Check {
        id: "fastcgi-client-leaves",
        must: "abort a request, or close its connection, when the client has left",
        why: "FastCGI 1.0, 5.4: otherwise the application works for nobody.",
        hint: "Look at the client while you wait for the application.",
        slow: true,
        run: fastcgi_client_leaves,
        ..FASTCGI
    },
];

/// The beginning of a response.
const HEAD: &str = "Content-Type: text/plain\r\n\r\n";

/// Starts an application, and the server with it at `/app`.
pub fn start(ctx: &TestContext, start: Start) -> CheckResult<(Application, Server)> {
    let application = Application::on_port()?;
    let mount = format!("/app={}", application.address);
    let server = start_with(ctx, start, &["--fastcgi", &mount])?;
    Ok((application, server))
}

/// Sends a request, and reads it as the application.
fn ask(
    server: &Server,
    application: &Application,
    request: &[u8],
) -> CheckResult<(Client, Connection, Request)> {
    let mut client = server.connect()?;
    client.send(request);
    let (connection, request) = application.request()?;
    Ok((client, connection, request))
}

fn fastcgi_application_responds(ctx: &TestContext) -> CheckResult {
    const RESPONDER: u16 = 1;
    let at_path = Application::at_path(&ctx.site.outside("socket"))?;
    let on_port = Application::on_port()?;
    let word = ctx.site.name();
    let long = word.repeat(20);
    let options = [
        ("--fastcgi", format!("/path={}", at_path.address)),
        ("--fastcgi", format!("/port={}", on_port.address)),
        ("--env", format!("LAB={word}")),
    ];
    let options = options.each_ref();
    let options = options
        .map(|(name, value)| [*name, value.as_str()])
        .concat();
    let server = start_with(ctx, Start::default(), &options)?;
    let content = ctx.site.bytes(3000);
    let fields = format!(
        "X-Short: {word}\r\nX-Long: {long}\r\nContent-Type: text/{word}\r\nContent-Length: 3000\r\n"
    );
    for (application, name) in [(&at_path, "/path"), (&on_port, "/port")] {
        let head = request("POST", &format!("{name}/a%20b?c=d"), &fields);
        let sent = [head, content.clone()].concat();
        let (mut client, mut connection, request) = ask(&server, application, &sent)?;
        let is_responder = request.role == RESPONDER;
        let received = format!("role {}", request.role);
        ensure(is_responder, "the role of a responder", received)?;
        ensure_params(&request, name, &word)?;
        let is_same = request.content == content;
        let received = format!("{} bytes", request.content.len());
        ensure(is_same, "the content in FCGI_STDIN", received)?;
        connection.respond(format!("Status: 201\r\n{HEAD}{word}").as_bytes());
        let response = client.response()?;
        response.ensure_status(201)?;
        response.ensure_field("Content-Type", "text/plain")?;
        response.ensure_content(word.as_bytes())?;
    }
    Ok(())
}

/// Fails unless the parameters, short and long ones, describe the request.
fn ensure_params(request: &Request, name: &str, word: &str) -> CheckResult {
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_NAME", name),
        ("PATH_INFO", "/a b"),
        ("QUERY_STRING", "c=d"),
        ("CONTENT_LENGTH", "3000"),
        ("CONTENT_TYPE", &format!("text/{word}")),
        ("HTTP_X_SHORT", word),
        ("HTTP_X_LONG", &word.repeat(20)),
        ("LAB", word),
    ] {
        request.ensure_param(name, value.as_bytes())?;
    }
    Ok(())
}

fn fastcgi_records(ctx: &TestContext) -> CheckResult {
    const LATER_TYPE: u8 = 99;
    let (application, server) = start(ctx, Start::default())?;
    let word = ctx.site.name();
    let output = format!("{HEAD}{word}");
    let (mut client, mut connection, _) = ask(&server, &application, &get("/app"))?;
    let id = connection.id();
    let mut bytes = Vec::new();
    for (number, byte) in output.bytes().enumerate() {
        bytes.extend(record(STDOUT, id, &[byte], (number % 256) as u8));
        // None of these is about the response.
        bytes.extend(match number % 4 {
            0 => record(STDERR, id, b"noise\n", 2),
            1 => record(LATER_TYPE, id, b"later", 3),
            2 => record(UNKNOWN_TYPE, 0, &[9, 0, 0, 0, 0, 0, 0, 0], 0),
            _ => record(STDOUT, id.wrapping_add(1), b"of another request", 6),
        });
    }
    bytes.extend(record(STDOUT, id, b"", 0));
    bytes.extend(record(STDERR, id, b"", 8));
    bytes.extend(connection.end_record(REQUEST_COMPLETE));
    for byte in bytes {
        connection.send(&[byte]);
    }
    client.response()?.ensure_serves(word.as_bytes())?;
    // The longest record, with the longest padding.
    let longest = vec![b'a'; usize::from(u16::MAX)];
    let (mut client, mut connection, _) = ask(&server, &application, &get("/app"))?;
    connection.write(STDOUT, HEAD.as_bytes());
    connection.send(&record(STDOUT, connection.id(), &longest, 255));
    let end = connection.end_record(REQUEST_COMPLETE);
    connection.send(&end);
    client.response()?.ensure_serves(&longest)
}

fn fastcgi_large_content(ctx: &TestContext) -> CheckResult {
    const LENGTH: usize = 4_000_000;
    let application = Application::at_path(&ctx.site.outside("socket"))?;
    let mount = format!("/app={}", application.address);
    let server = start_with(ctx, Start::default(), &["--fastcgi", &mount])?;
    let head = request("POST", "/app", &format!("Content-Length: {LENGTH}\r\n"));
    let mut client = server.connect()?;
    client.send(&[head, vec![b'a'; LENGTH]].concat());
    let mut connection = application.accept()?;
    connection.begin()?;
    let response = thread::scope(|scope| {
        let response = scope.spawn(move || client.response());
        // It writes more than fits into any buffer, and reads nothing meanwhile.
        let piece = vec![b'b'; LENGTH / 100];
        let mut output = vec![HEAD.as_bytes()];
        output.extend([piece.as_slice(); 100]);
        if output
            .into_iter()
            .all(|piece| connection.write(STDOUT, piece))
        {
            let end = connection.end_record(REQUEST_COMPLETE);
            connection.send(&end);
        }
        response
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
    })?;
    response.ensure_serves(&vec![b'b'; LENGTH])
}

fn fastcgi_failures(ctx: &TestContext) -> CheckResult {
    ensure_refusals_are_seen(ctx)?;
    ensure_lost_connections_are_seen(ctx)
}

fn ensure_refusals_are_seen(ctx: &TestContext) -> CheckResult {
    const CANNOT_MULTIPLEX: u8 = 1;
    const UNKNOWN_ROLE: u8 = 3;
    let (application, server) = start(ctx, Start::default())?;
    for (protocol_status, statuses) in [
        (OVERLOADED, &[503][..]),
        (UNKNOWN_ROLE, &[502]),
        (CANNOT_MULTIPLEX, &[502, 503]),
    ] {
        let (mut client, mut connection, _) = ask(&server, &application, &get("/app"))?;
        let end = connection.end_record(protocol_status);
        connection.send(&end);
        ensure_status_in(&client.response()?, statuses)?;
    }
    let (mut client, mut connection, _) = ask(&server, &application, &get("/app"))?;
    connection.respond(HEAD.as_bytes());
    client.response()?.ensure_status(200)
}

fn ensure_lost_connections_are_seen(ctx: &TestContext) -> CheckResult {
    let (application, server) = start(ctx, Start::default())?;
    let word = ctx.site.name();
    for output in ["", "Content-Type: text/plain\r\n"] {
        let (mut client, mut connection, _) = ask(&server, &application, &get("/app"))?;
        connection.write(STDOUT, output.as_bytes());
        drop(connection);
        client.response()?.ensure_status(502)?;
    }
    let request = get("/app");
    let (mut client, mut connection, _) = ask(&server, &application, &request)?;
    connection.write(STDOUT, format!("{HEAD}{word}").as_bytes());
    let mut raw = client.read_through(word.as_bytes(), RESPONSE_TIMEOUT)?;
    drop(connection);
    raw.extend(client.ensure_ends_within(RESPONSE_TIMEOUT)?);
    let response = parse_response(&request, &raw)?;
    response.ensure(
        !response.is_complete(),
        "a response whose end is visibly missing",
    )?;
    // Nobody listens there any more.
    drop(application);
    ensure_status_in(&server.get("/app")?, &[502, 503])
}

fn fastcgi_client_leaves(ctx: &TestContext) -> CheckResult {
    let (application, server) = start(ctx, Start::with_short_timeout())?;
    let (client, mut connection, _) = ask(&server, &application, &get("/app"))?;
    drop(client);
    let next = connection.record()?;
    let is_aborted = next
        .as_ref()
        .is_none_or(|record| record.kind == ABORT_REQUEST);
    ensure(
        is_aborted,
        "FCGI_ABORT_REQUEST, or the connection's end",
        format!("{next:?}"),
    )
}
