//! WSGI: a Python function that any server can call (PEP 3333).

use super::gateway::{STAGE_5, ensure_line, require_python, start_with};
use super::{ensure_alive, ensure_status_in, parse_response};
use crate::check::{Check, PREREQUISITE};
use harness::client::{get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckResult, FailureKind, ensure};
use harness::server::{Server, Start};
use std::collections::BTreeSet;
use std::fs;

/// What the checks of WSGI have in common.
const WSGI: Check = Check {
    needs: &[PREREQUISITE, "wsgi-application-responds"],
    ..STAGE_5
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "wsgi-application-responds",
        must: "import a module from the folder in which it was started, and call its application",
        why: "PEP 3333: the same function runs under any server.",
        hint: "Put that folder into sys.path. What is returned may be a list, or a generator.",
        needs: &[PREREQUISITE],
        weight: 3,
        run: wsgi_application_responds,
        ..WSGI
    },
    Check {
        id: "wsgi-environ",
        must: "pass an environ that wsgiref.validate accepts, with the content in wsgi.input",
        why: "PEP 3333, environ variables: text, in which each character is a byte.",
        hint: "Decode the variables as latin-1. A worker takes one request at a time.",
        weight: 2,
        run: wsgi_environ,
        ..WSGI
    },
    Check {
        id: "wsgi-pieces-are-sent",
        must: "send each piece of an application's content at once, and call close() at the end",
        why: "PEP 3333, buffering and streaming: a piece must not wait for the next one.",
        hint: "The head goes out with the first piece. Call close() whatever happens.",
        about: &[FailureKind::TooSlow],
        run: wsgi_pieces_are_sent,
        ..WSGI
    },
    Check {
        id: "wsgi-invalid-responses",
        must: "respond with 500 or 502 to CR, LF or NUL in a WSGI head, and to content that isn't bytes",
        why: "CWE-113: the value of a field may come from the client.",
        hint: "Check what start_response gets before any of it is sent.",
        run: wsgi_invalid_responses,
        ..WSGI
    },
    Check {
        id: "wsgi-exceptions",
        must: "log an application's traceback: respond with 500 before its head, and visibly cut after it",
        why: "PEP 3333, error handling: an exception must not end the worker.",
        hint: "Without the end of the request, the server knows that something is missing.",
        run: wsgi_exceptions,
        ..WSGI
    },
    Check {
        id: "wsgi-unread-content",
        must: "send the whole response of an application that doesn't read a large content, and keep its worker",
        why: "PEP 3333: an application need not read. What it leaves must not precede the next request.",
        hint: "Read the rest at the end, and discard it. Meanwhile, send and receive at the same time.",
        about: &[FailureKind::TooSlow, FailureKind::NoResponse],
        run: wsgi_unread_content,
        ..WSGI
    },
];

/// Writes a module into the folder in which the server is started, and returns its name.
fn add_module(ctx: &TestContext, text: &str) -> CheckResult<String> {
    require_python()?;
    let name = ctx.site.name();
    ctx.site.add_outside(&format!("site/{name}.py"), text)?;
    Ok(name)
}

/// Starts the server in that folder, with this application at `/app`.
fn start(ctx: &TestContext, module: &str) -> CheckResult<Server> {
    let mount = format!("/app={module}:application");
    let folder = Some(ctx.site.outside("site"));
    start_with(
        ctx,
        Start {
            folder,
            ..Start::default()
        },
        &["--wsgi", &mount],
    )
}

fn wsgi_application_responds(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let module = add_module(
        ctx,
        &format!(
            "def application(environ, start_response):\n\
             \x20   name = environ['QUERY_STRING']\n\
             \x20   fields = [('Content-Type', 'text/x-{word}'), ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')]\n\
             \x20   write = start_response('299 As You Like It', fields)\n\
             \x20   if name == 'list':\n\
             \x20       return [b'{word}', b'', b' list']\n\
             \x20   if name == 'write':\n\
             \x20       write(b'{word} ')\n\
             \x20       return [b'write']\n\
             \x20   return (piece for piece in [b'{word}', b' generator'])\n"
        ),
    )?;
    let server = start(ctx, &module)?;
    for name in ["list", "write", "generator"] {
        let response = server.get(&format!("/app?{name}"))?;
        response.ensure_status(299)?;
        response.ensure_content(format!("{word} {name}").as_bytes())?;
        response.ensure_field("Content-Type", &format!("text/x-{word}"))?;
        let cookies = response
            .fields
            .iter()
            .filter(|field| field.0 == "set-cookie");
        response.ensure(cookies.count() == 2, "two cookies, each in a field")?;
        response.ensure_well_formed()?;
    }
    ensure_alive(ctx, &server)
}

/// An application that shows what it finds in its environ.
const SHOW_ENVIRON: &str = "from wsgiref.validate import validator\n\
     \n\
     def show(environ, start_response):\n\
     \x20   length = int(environ.get('CONTENT_LENGTH') or 0)\n\
     \x20   content = environ['wsgi.input']\n\
     \x20   lines = content.readline(), content.read(length)\n\
     \x20   path = environ['PATH_INFO'].encode('latin-1').decode('utf-8')\n\
     \x20   text = f'''SCRIPT_NAME={environ['SCRIPT_NAME']}\n\
     PATH_INFO={path}\n\
     QUERY_STRING={environ['QUERY_STRING']}\n\
     CONTENT={lines}\n\
     SCHEME={environ['wsgi.url_scheme']}\n\
     THREADS={bool(environ['wsgi.multithread'])}\n\
     PROCESSES={bool(environ['wsgi.multiprocess'])}\n\
     ONCE={bool(environ['wsgi.run_once'])}\n\
     HTTP_X_LAB={environ.get('HTTP_X_LAB')}\n\
     '''\n\
     \x20   print('in the log', environ.get('HTTP_X_LAB'), file=environ['wsgi.errors'])\n\
     \x20   start_response('200 OK', [('Content-Type', 'text/plain; charset=utf-8')])\n\
     \x20   return [text.encode()]\n\
     \n\
     application = validator(show)\n";

fn wsgi_environ(ctx: &TestContext) -> CheckResult {
    let module = add_module(ctx, SHOW_ENVIRON)?;
    let server = start(ctx, &module)?;
    let word = ctx.site.name();
    let content = format!("first\n{}", "second".repeat(20_000));
    let fields = format!("X-Lab: {word}\r\n");
    let head = request(
        "POST",
        "/app/%E4%BD%A0",
        &format!("{fields}Content-Length: {}\r\n", content.len()),
    );
    let posted = [head, content.clone().into_bytes()].concat();
    let shown = format!("CONTENT=(b'first\\n', b'{}')", &content[6..]);
    for (request, lines) in [
        (
            request("GET", "/app/a%20b?c=%20", &fields),
            ["PATH_INFO=/a b", "QUERY_STRING=c=%20", "CONTENT=(b'', b'')"],
        ),
        (posted, ["PATH_INFO=/你", "QUERY_STRING=", &shown]),
    ] {
        let response = server.exchange(&request)?;
        response.ensure_status(200)?;
        for line in lines.into_iter().chain([
            "SCRIPT_NAME=/app",
            "SCHEME=http",
            "THREADS=False",
            "PROCESSES=True",
            "ONCE=False",
            &format!("HTTP_X_LAB={word}"),
        ]) {
            ensure_line(&response, line)?;
        }
    }
    let line = server.wait_for_log_line(&["in the log", &word])?;
    ensure(
        line.is_some(),
        "what was written to wsgi.errors in the log",
        server.log_text(),
    )
}

fn wsgi_pieces_are_sent(ctx: &TestContext) -> CheckResult {
    let module = add_module(
        ctx,
        "import os, time\n\
         \n\
         class Pieces:\n\
         \x20   def __iter__(self):\n\
         \x20       for word in (b'one', b'two', b'three'):\n\
         \x20           yield word\n\
         \x20           while not os.path.exists(word.decode()):\n\
         \x20               time.sleep(0.02)\n\
         \n\
         \x20   def close(self):\n\
         \x20       open('closed', 'w').close()\n\
         \n\
         def application(environ, start_response):\n\
         \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
         \x20   return Pieces()\n",
    )?;
    let server = start(ctx, &module)?;
    let file = |name: &str| ctx.site.outside("site").join(name);
    let request = get("/app");
    let mut client = server.connect()?;
    client.send(&request);
    let mut raw = Vec::new();
    for word in ["one", "two", "three"] {
        raw.extend(client.read_through(word.as_bytes(), RESPONSE_TIMEOUT)?);
        let is_open = !file("closed").exists();
        ensure(
            is_open,
            "close() after the last piece",
            "it was called before",
        )?;
        fs::write(file(word), "")?;
    }
    raw.extend(client.ensure_ends_within(RESPONSE_TIMEOUT)?);
    let response = parse_response(&request, &raw)?;
    response.ensure_serves(b"onetwothree")?;
    let is_closed = wait_until(RESPONSE_TIMEOUT, || Ok(file("closed").exists()))?;
    ensure(is_closed, "a call of close()", "none")
}

fn wsgi_invalid_responses(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let module = add_module(
        ctx,
        &format!(
            "TYPE = ('Content-Type', 'text/plain')\n\
             CASES = {{\n\
             \x20   'good': ('200 OK', [TYPE], b'good'),\n\
             \x20   'lf': ('200 OK', [TYPE, ('X-Lab', 'a\\nSet-Cookie: {word}=1')], b''),\n\
             \x20   'crlf': ('200 OK', [TYPE, ('X-Lab', 'a\\r\\nSet-Cookie: {word}=1')], b''),\n\
             \x20   'cr': ('200 OK', [TYPE, ('X-Lab', 'a\\rSet-Cookie: {word}=1')], b''),\n\
             \x20   'nul': ('200 OK', [TYPE, ('X-Lab', '\\0{word}')], b''),\n\
             \x20   'name': ('200 OK', [TYPE, ('X-Lab: a\\r\\nSet-Cookie', '{word}=1')], b''),\n\
             \x20   'status': ('200 OK\\r\\nSet-Cookie: {word}=1', [TYPE], b''),\n\
             \x20   'code': ('two hundred', [TYPE, ('X-Lab', '{word}')], b''),\n\
             \x20   'text': ('200 OK', [TYPE], '{word}'),\n\
             }}\n\
             \n\
             def application(environ, start_response):\n\
             \x20   status, fields, content = CASES[environ['QUERY_STRING']]\n\
             \x20   start_response(status, fields)\n\
             \x20   return [content]\n"
        ),
    )?;
    let server = start(ctx, &module)?;
    for case in ["lf", "crlf", "cr", "nul", "name", "status", "code", "text"] {
        let response = server.get(&format!("/app?{case}"))?;
        ensure_status_in(&response, &[500, 502])?;
        let raw = String::from_utf8_lossy(&response.raw);
        let has_none = !raw.contains(&word) && response.field("set-cookie").is_none();
        response.ensure(has_none, "nothing of the invalid response")?;
        server.get("/app?good")?.ensure_serves(b"good")?;
    }
    Ok(())
}

fn wsgi_exceptions(ctx: &TestContext) -> CheckResult {
    let [first, second, third] = [ctx.site.name(), ctx.site.name(), ctx.site.name()];
    let module = add_module(
        ctx,
        &format!(
            "def pieces(query):\n\
             \x20   if query == 'second':\n\
             \x20       raise RuntimeError('{second}')\n\
             \x20   yield b'begun'\n\
             \x20   if query == 'third':\n\
             \x20       raise RuntimeError('{third}')\n\
             \n\
             def application(environ, start_response):\n\
             \x20   query = environ['QUERY_STRING']\n\
             \x20   if query == 'first':\n\
             \x20       raise RuntimeError('{first}')\n\
             \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
             \x20   return pieces(query)\n"
        ),
    )?;
    let server = start(ctx, &module)?;
    for (query, word) in [("first", &first), ("second", &second)] {
        let response = server.get(&format!("/app?{query}"))?;
        response.ensure_status(500)?;
        let text = String::from_utf8_lossy(&response.content);
        response.ensure(!text.contains(word), "no traceback for the client")?;
    }
    let request = get("/app?third");
    let mut client = server.connect()?;
    client.send(&request);
    let response = parse_response(&request, &client.ensure_ends_within(RESPONSE_TIMEOUT)?)?;
    response.ensure_serves(b"begun")?;
    response.ensure(
        !response.is_complete(),
        "a response whose end is visibly missing",
    )?;
    for word in [first, second, third] {
        let line = server.wait_for_log_line(&["RuntimeError", &word])?;
        ensure(
            line.is_some(),
            "each traceback in the log",
            server.log_text(),
        )?;
    }
    for _ in 0..4 {
        server.get("/app?good")?.ensure_serves(b"begun")?;
    }
    Ok(())
}

fn wsgi_unread_content(ctx: &TestContext) -> CheckResult {
    const LENGTH: usize = 2_000_000;
    let module = add_module(
        ctx,
        &format!(
            "import os\n\
             \n\
             def application(environ, start_response):\n\
             \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
             \x20   return [bytes({LENGTH}), b'%d' % os.getpid()]\n"
        ),
    )?;
    let server = start(ctx, &module)?;
    let content = ctx.site.bytes(4_000_000);
    let fields = format!("Content-Length: {}\r\n", content.len());
    let posted = [request("POST", "/app", &fields), content].concat();
    let mut workers = BTreeSet::new();
    for request in [&posted, &get("/app"), &posted, &posted, &get("/app")] {
        let mut response = server.exchange(request)?;
        let worker = response
            .content
            .split_off(response.content.len().min(LENGTH));
        response.ensure_serves(&vec![0; LENGTH])?;
        response.ensure(response.is_complete(), "a complete response")?;
        workers.insert(worker);
    }
    let received = format!("{} workers", workers.len());
    ensure(
        workers.len() <= 2,
        "the two workers for all requests",
        received,
    )
}
