//! What an application responds: its head is checked, and the server says where the content ends.

use super::fastcgi;
use super::gateway::{STAGE_5, Script, TEXT, add_script, start_cgi, until};
use super::parse_response;
use crate::check::Check;
use harness::client::{get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckResult, FailureKind, ensure};
use harness::fastcgi::STDOUT;
use harness::response::Response;
use harness::server::Start;
use std::fs;

pub const CHECKS: &[Check] = &[
    Check {
        id: "status-and-fields",
        must: "send an application's Status, with or without a phrase, and all of its fields",
        why: "RFC 3875, 6.3.3: without Status it is 200. Each Set-Cookie is a field of its own.",
        hint: "Keep fields in a list, not in a map. Lines may end in LF alone.",
        weight: 2,
        run: status_and_fields,
        ..STAGE_5
    },
    Check {
        id: "redirects",
        must: "send 302 for a Location that is a URL, and follow one that is a path, up to ten times",
        why: "RFC 3875, 6.2.2 to 6.2.4. A program that redirects to itself must not go on forever.",
        hint: "A path alone is a GET request for that target, without content. Count them, then respond with 502.",
        weight: 2,
        run: redirects,
        ..STAGE_5
    },
    Check {
        id: "output-is-streamed",
        must: "send each piece of an application's output at once",
        why: "A page that takes long, or an event stream, would show nothing until its end.",
        hint: "Send what one read returns. Never wait for a full buffer.",
        weight: 2,
        about: &[FailureKind::TooSlow],
        run: output_is_streamed,
        ..STAGE_5
    },
    Check {
        id: "output-is-framed",
        must: "keep a true Content-Length; without one send chunks, or to HTTP/1.0 until the close",
        why: "RFC 9112, 6.3: without a length, a cut response looks complete.",
        hint: "A client of HTTP/1.0 doesn't know chunks.",
        weight: 2,
        run: output_is_framed,
        ..STAGE_5
    },
    Check {
        id: "connection-fields-are-dropped",
        must: "drop an application's Connection, Transfer-Encoding and other hop-by-hop fields",
        why: "RFC 9110, 7.6.1: they are about a connection, which the application doesn't see.",
        hint: "Keep-Alive, Proxy-Connection, TE, Trailer and Upgrade belong to them.",
        run: connection_fields_are_dropped,
        ..STAGE_5
    },
    Check {
        id: "invalid-head-is-502",
        must: "respond with 502 if an application's head is missing, incomplete or malformed",
        why: "RFC 9110, 15.6.3: the fault isn't the client's, and it must not be hidden.",
        hint: "Without Content-Type, Location or Status it is no head. A Status is 200 to 599.",
        weight: 2,
        run: invalid_head_is_502,
        ..STAGE_5
    },
    Check {
        id: "head-split-anywhere",
        must: "understand an application's head wherever it is split",
        why: "A read returns what has arrived, which may end between CR and LF.",
        hint: "Collect until there is an empty line, and look again at the end of what was there.",
        run: head_split_anywhere,
        ..STAGE_5
    },
    Check {
        id: "no-response-splitting",
        must: "respond with 502 to CR, NUL or another control character in an application's fields",
        why: "CWE-113: what a client takes for a line ending begins a field of an attacker's choice.",
        hint: "Only the ending of a line may have a CR. Check the Status, too.",
        run: no_response_splitting,
        ..STAGE_5
    },
    Check {
        id: "output-length-is-enforced",
        must: "cut output beyond its Content-Length, log that once, and let the client see if there is less",
        why: "A client takes what is too much for the response to its next request.",
        hint: "If an application was killed, never send the last chunk.",
        weight: 2,
        run: output_length_is_enforced,
        ..STAGE_5
    },
    Check {
        id: "programs-finish",
        must: "let a program run to its end after HEAD, 204 or a local redirect, whatever it writes",
        why: "A program that has responded may still have to store what it was asked to.",
        hint: "Read what nobody gets, and discard it.",
        run: programs_finish,
        ..STAGE_5
    },
    Check {
        id: "responses-without-content",
        must: "pass on HEAD and discard its content, and send none with 204, 205 and 304",
        why: "RFC 9110, 9.3.2, 15.3.5, 15.3.6 and 15.4.5. None of them has Transfer-Encoding.",
        hint: "The program decides what HEAD means. It may still write content.",
        run: responses_without_content,
        ..STAGE_5
    },
];

/// Adds a script that writes this, as printf(1) reads it.
fn add_output(ctx: &TestContext, output: &str) -> CheckResult<Script> {
    add_script(ctx, &format!("printf '{output}'\n"))
}

fn status_and_fields(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let mut scripts = Vec::new();
    for end in ["\\n", "\\r\\n"] {
        for (line, code) in [
            ("", 200),
            ("Status: 404 Not Found", 404),
            ("Status: 404", 404),
            ("status:299 As You Like It", 299),
            ("STATUS: 503", 503),
        ] {
            let status = if line.is_empty() {
                String::new()
            } else {
                format!("{line}{end}")
            };
            let head = format!(
                "Set-Cookie: a=1{end}{status}Content-type:text/x-{word}{end}X-{word}: a: b{end}Set-Cookie: b=2; Path=/{end}{end}"
            );
            scripts.push((add_output(ctx, &format!("{head}{word}"))?, code));
        }
    }
    let server = start_cgi(ctx, &[])?;
    for (script, code) in scripts {
        let response = server.get(&script.target)?;
        response.ensure_status(code)?;
        response.ensure_content(word.as_bytes())?;
        response.ensure_field("Content-Type", &format!("text/x-{word}"))?;
        response.ensure_field(&format!("x-{word}"), "a: b")?;
        let cookies: Vec<&str> = values(&response, "set-cookie");
        response.ensure(
            cookies == ["a=1", "b=2; Path=/"],
            "both cookies, each in a field",
        )?;
        let has_status = !values(&response, "status").is_empty();
        response.ensure(!has_status, "no field Status")?;
    }
    Ok(())
}

/// The values of all fields with that name.
fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let fields = response.fields.iter().filter(|field| field.0 == name);
    fields.map(|field| field.1.as_str()).collect()
}

fn redirects(ctx: &TestContext) -> CheckResult {
    ensure_client_redirects(ctx)?;
    ensure_local_redirects(ctx)?;
    ensure_bounded_redirects(ctx)
}

fn ensure_client_redirects(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let url = format!("http://{word}.test/a?b=c");
    let head = format!("Location: {url}\\n");
    let text = format!("Content-Type: text/plain\\n\\n{word}");
    let bare = add_output(ctx, &format!("{head}\\n"))?;
    let whole = add_output(
        ctx,
        &format!("{head}Status: 307 Temporary Redirect\\n{text}"),
    )?;
    let path = add_output(
        ctx,
        &format!("Status: 303 See Other\\nLocation: /{word}\\n{text}"),
    )?;
    let server = start_cgi(ctx, &[])?;
    let response = server.get(&bare.target)?;
    response.ensure_status(302)?;
    response.ensure_field("Location", &url)?;
    let response = server.get(&whole.target)?;
    response.ensure_status(307)?;
    response.ensure_field("Location", &url)?;
    response.ensure_content(word.as_bytes())?;
    let response = server.get(&path.target)?;
    response.ensure_status(303)?;
    response.ensure_field("Location", &format!("/{word}"))
}

fn ensure_local_redirects(ctx: &TestContext) -> CheckResult {
    let page = &ctx.site.page;
    let lines = "printf '%s|' \"$REQUEST_METHOD\" \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$QUERY_STRING\" \"$(cat)\"\n";
    let second = add_script(ctx, &format!("{TEXT}{lines}"))?;
    let to_file = add_output(ctx, &format!("Location: {}\\n\\n", page.target()))?;
    let location = format!("{}/c%%20d?e=f%%20", second.target);
    let to_program = add_output(ctx, &format!("Location: {location}\\r\\n\\r\\n"))?;
    let missing = add_output(ctx, &format!("Location: /{}\\n\\n", ctx.site.name()))?;
    let server = start_cgi(ctx, &[])?;
    server.get(&to_file.target)?.ensure_serves(&page.content)?;
    let shown = format!("GET|{}|/c d|e=f%20||", second.target);
    for request in [
        get(&format!("{}/a?b", to_program.target)),
        [
            request("POST", &to_program.target, "Content-Length: 3\r\n"),
            b"a=b".to_vec(),
        ]
        .concat(),
    ] {
        server.exchange(&request)?.ensure_serves(shown.as_bytes())?;
    }
    server.get(&missing.target)?.ensure_status(404)
}

fn ensure_bounded_redirects(ctx: &TestContext) -> CheckResult {
    // Each run counts itself, and redirects to the program, until the last one.
    let word = ctx.site.name();
    let lines = format!(
        "echo >> \"$0.runs\"\n\
         runs=$(wc -l < \"$0.runs\")\n\
         if [ \"$runs\" -gt \"${{QUERY_STRING:-99}}\" ]; then {TEXT}printf {word}\n\
         else printf 'Location: %s?%s\\n\\n' \"$SCRIPT_NAME\" \"$QUERY_STRING\"; fi\n"
    );
    let script = add_script(ctx, &lines)?;
    let server = start_cgi(ctx, &[])?;
    server
        .get(&format!("{}?10", script.target))?
        .ensure_serves(word.as_bytes())?;
    fs::remove_file(script.file("runs"))?;
    server
        .get(&format!("{}?90", script.target))?
        .ensure_status(502)?;
    let runs = fs::read_to_string(script.file("runs")).unwrap_or_default();
    let runs = runs.lines().count();
    ensure(runs <= 12, "at most ten redirects", format!("{runs} runs"))
}

fn output_is_streamed(ctx: &TestContext) -> CheckResult {
    let lines = ["one", "two", "three"].map(|word| format!("printf {word}\n{}", until(word)));
    let script = add_script(ctx, &format!("{TEXT}{}printf end\n", lines.concat()))?;
    let server = start_cgi(ctx, &[])?;
    for version in ["1.1", "1.0"] {
        let request = format!("GET {} HTTP/{version}\r\nHost: a\r\n\r\n", script.target);
        let mut client = server.connect()?;
        client.send(request.as_bytes());
        let mut raw = Vec::new();
        for word in ["one", "two", "three"] {
            raw.extend(client.read_through(word.as_bytes(), RESPONSE_TIMEOUT)?);
            script.allow(word)?;
        }
        raw.extend(client.ensure_ends_within(RESPONSE_TIMEOUT)?);
        let response = parse_response(request.as_bytes(), &raw)?;
        response.ensure_serves(b"onetwothreeend")?;
        for word in ["one", "two", "three"] {
            fs::remove_file(script.file(word))?;
        }
    }
    Ok(())
}

fn output_is_framed(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let without = add_script(
        ctx,
        &format!("{TEXT}printf {word}\nhead -c 200000 /dev/zero\n"),
    )?;
    let length = word.len();
    let head = format!("Content-Type: text/plain\\nContent-Length: {length}\\n\\n");
    let with = add_output(ctx, &format!("{head}{word}"))?;
    let server = start_cgi(ctx, &[])?;
    let content = [word.as_bytes(), &[0; 200_000]].concat();
    let ask = |script: &Script, version: &str| {
        let request = format!("GET {} HTTP/{version}\r\nHost: a\r\n\r\n", script.target);
        let response = server.exchange(request.as_bytes())?;
        response.ensure_well_formed()?;
        Ok::<Response, harness::error::CheckError>(response)
    };
    let response = ask(&without, "1.1")?;
    response.ensure_serves(&content)?;
    response.ensure(response.is_complete(), "chunks up to the last one")?;
    let response = ask(&without, "1.0")?;
    response.ensure_serves(&content)?;
    let coding = response.field("transfer-encoding");
    response.ensure(coding.is_none(), "no Transfer-Encoding for HTTP/1.0")?;
    for version in ["1.1", "1.0"] {
        let response = ask(&with, version)?;
        response.ensure_serves(word.as_bytes())?;
        response.ensure_field("Content-Length", &length.to_string())?;
    }
    Ok(())
}

fn connection_fields_are_dropped(ctx: &TestContext) -> CheckResult {
    const FIELDS: [&str; 7] = [
        "Connection: keep-alive, X-Lab",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-Lab",
        "Transfer-Encoding: chunked",
        "Upgrade: websocket",
    ];
    let word = ctx.site.name();
    let head = format!("{}\\nContent-Type: text/plain\\n", FIELDS.join("\\n"));
    let with_length = add_output(ctx, &format!("{head}Content-Length: 12\\n\\n{word}"))?;
    let without = add_output(ctx, &format!("{head}\\n{word}"))?;
    let server = start_cgi(ctx, &[])?;
    for script in [with_length, without] {
        let response = server.get(&script.target)?;
        response.ensure_serves(word.as_bytes())?;
        response.ensure_well_formed()?;
        for field in FIELDS {
            let (name, value) = field.split_once(": ").unwrap_or_default();
            let found = values(&response, &name.to_ascii_lowercase());
            // The server may have such a field of its own.
            let is_own = match name {
                "Connection" => found.len() <= 1 && found != [value],
                "Transfer-Encoding" => found.len() <= 1,
                _ => found.is_empty(),
            };
            response.ensure(is_own, format!("no `{field}` of the application"))?;
        }
    }
    Ok(())
}

fn invalid_head_is_502(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let good = add_script(ctx, &format!("{TEXT}printf {word}\n"))?;
    let mut bad = Vec::new();
    for lines in [
        "exit 3\n",
        "kill -9 $$\n",
        "echo no head at all\n",
        "printf 'Content-Type: text/plain\\n'\n",
        "exec >&-\nsleep 20\n",
    ] {
        bad.push(add_script(ctx, lines)?);
    }
    for output in [
        "\\n\\n",
        "\\nContent-Type: text/plain\\n\\n",
        "X-Lab: no type\\n\\ntext",
        "Content-Type: text/plain\\nno colon\\n\\n",
        "Content-Type: text/plain\\n: no name\\n\\n",
        "Content-Type: text/plain\\nX Lab: no token\\n\\n",
        "Content-Type: text/plain\\nContent-Length: five\\n\\nabcde",
        "Content-Type: text/plain\\nContent-Type: text/html\\n\\n",
        "Status: 200\\nStatus: 404\\nContent-Type: text/plain\\n\\n",
        "Status: abc\\nContent-Type: text/plain\\n\\n",
        "Status: 99\\nContent-Type: text/plain\\n\\n",
        "Status: 0200\\nContent-Type: text/plain\\n\\n",
        "Status: 101 Switching Protocols\\nContent-Type: text/plain\\n\\n",
        "Status: 600\\nContent-Type: text/plain\\n\\n",
        "Status:\\nContent-Type: text/plain\\n\\n",
    ] {
        bad.push(add_output(ctx, output)?);
    }
    let broken = ctx.site.name();
    ctx.site
        .add_executable(&format!("programs/{broken}"), "#!/no/such/interpreter\n")?;
    let server = start_cgi(ctx, &[])?;
    for script in bad {
        let response = server.get(&script.target)?;
        let text = fs::read_to_string(&script.path)?;
        let expected = format!(
            "status 502, since the program is `{}`",
            text.trim_end().escape_default()
        );
        response.ensure(response.status == 502, expected)?;
    }
    server.get(&format!("/cgi/{broken}"))?.ensure_status(502)?;
    server.get(&good.target)?.ensure_serves(word.as_bytes())?;
    server.ensure_no_panic()
}

fn head_split_anywhere(ctx: &TestContext) -> CheckResult {
    let head = "Status: 201 Created\\r\\nContent-Type: text/plain\\r\\nX-Lab: a\\r\\n\\r\\n";
    // From a program, a moment apart: in the middle of a word, and between CR and LF.
    let mut scripts = Vec::new();
    for split in ["Sta", "Created\\r", "a\\r\\n", "a\\r\\n\\r"] {
        let (start, end) = head.split_at(head.find(split).unwrap_or(0) + split.len());
        let lines = format!("printf '{start}'\nsleep 0.1\nprintf '{end}text'\n");
        scripts.push(add_script(ctx, &lines)?);
    }
    let server = start_cgi(ctx, &[])?;
    let ensure_right = |response: &Response| {
        response.ensure_status(201)?;
        response.ensure_field("X-Lab", "a")?;
        response.ensure_content(b"text")
    };
    for script in scripts {
        ensure_right(&server.get(&script.target)?)?;
    }
    // From another application, in records, at every byte.
    let (application, server) = fastcgi::start(ctx, Start::default())?;
    let output = format!("{}text", head.replace("\\r", "\r").replace("\\n", "\n"));
    for split in 1..output.len() {
        let mut client = server.connect()?;
        client.send(&get("/app"));
        let (mut connection, _) = application.request()?;
        let (start, end) = output.as_bytes().split_at(split);
        connection.write(STDOUT, start);
        connection.respond(end);
        ensure_right(&client.response()?)?;
    }
    Ok(())
}

fn no_response_splitting(ctx: &TestContext) -> CheckResult {
    let (application, server) = fastcgi::start(ctx, Start::default())?;
    let word = ctx.site.name();
    for head in [
        format!("Content-Type: text/plain\r\nX-Lab: a\rSet-Cookie: {word}=1\r\n\r\n"),
        format!("Content-Type: text/plain\rSet-Cookie: {word}=1\n\n"),
        format!("Content-Type: text/plain\nX-Lab: \0{word}\n\n"),
        format!("Content-Type: text/plain\nX-Lab: \x1b{word}\n\n"),
        format!("Status: 200 OK\rSet-Cookie: {word}=1\nContent-Type: text/plain\n\n"),
        format!("Location: http://a.test/\rSet-Cookie: {word}=1\n\n"),
        format!("Content-Type: text/plain\n Set-Cookie: {word}=1\n\n"),
    ] {
        let mut client = server.connect()?;
        client.send(&get("/app"));
        let (mut connection, _) = application.request()?;
        connection.respond(format!("{head}text").as_bytes());
        let response = client.response()?;
        let raw = String::from_utf8_lossy(&response.raw);
        let is_refused = response.status == 502 && !raw.contains(&word);
        response.ensure(
            is_refused,
            format!("status 502, since the head is {head:?}"),
        )?;
    }
    Ok(())
}

fn output_length_is_enforced(ctx: &TestContext) -> CheckResult {
    let head = |length: usize| format!("Content-Type: text/plain\\nContent-Length: {length}\\n\\n");
    let word = ctx.site.name();
    let more = add_output(ctx, &format!("{}{word}extra", head(word.len())))?;
    let much_more = format!(
        "printf '{}'\nhead -c 3000000 /dev/zero\n: > \"$0.done\"\n",
        head(100_000)
    );
    let much_more = add_script(ctx, &much_more)?;
    let less = add_output(ctx, &format!("{}{word}", head(100)))?;
    let killed = add_script(ctx, &format!("{TEXT}printf {word}\nkill -9 $$\n"))?;
    let server = start_cgi(ctx, &[])?;
    server.get(&more.target)?.ensure_serves(word.as_bytes())?;
    server
        .get(&much_more.target)?
        .ensure_serves(&[0; 100_000])?;
    // A server that stops the program before its end logs no more, either.
    wait_until(RESPONSE_TIMEOUT, || Ok(much_more.has_file("done")))?;
    for script in [less, killed] {
        let request = get(&script.target);
        let mut client = server.connect()?;
        client.send(&request);
        let response = parse_response(&request, &client.ensure_ends_within(RESPONSE_TIMEOUT)?)?;
        response.ensure_serves(word.as_bytes())?;
        let expected = "a response whose end is visibly missing";
        response.ensure(!response.is_complete() && declares_end(&response), expected)?;
    }
    // Once the last line has come, all earlier ones have.
    server.get(&more.target)?;
    let count = || server.log_text().matches(&more.target).count();
    wait_until(RESPONSE_TIMEOUT, || Ok(count() >= 2))?;
    let lines = server.log_text().lines().count();
    let expected = "a log of fewer than 20 lines";
    ensure(lines < 20, expected, format!("{lines} lines"))
}

/// Whether a response without its end can be told from a complete one.
fn declares_end(response: &Response) -> bool {
    response.field("content-length").is_some() || response.field("transfer-encoding").is_some()
}

fn programs_finish(ctx: &TestContext) -> CheckResult {
    let page = &ctx.site.page;
    let rest = "sleep 0.2\nhead -c 200000 /dev/zero\n: > \"$0.done\"\n";
    let head = |head: &str| add_script(ctx, &format!("printf '{head}\\n\\n'\n{rest}"));
    let scripts = [
        ("HEAD", head("Content-Type: text/plain")?, 200),
        ("GET", head("Status: 204 No Content")?, 204),
        ("GET", head(&format!("Location: {}", page.target()))?, 200),
    ];
    let server = start_cgi(ctx, &[])?;
    for (method, script, status) in scripts {
        let response = server.exchange(&request(method, &script.target, ""))?;
        response.ensure_status(status)?;
        let is_done = wait_until(RESPONSE_TIMEOUT, || Ok(script.has_file("done")))?;
        response.ensure(
            is_done,
            "a program that runs to its end after this response",
        )?;
    }
    Ok(())
}

fn responses_without_content(ctx: &TestContext) -> CheckResult {
    let lines =
        format!("echo \"$REQUEST_METHOD\" > \"$0.method\"\n{TEXT}head -c 200000 /dev/zero\n");
    let head = add_script(ctx, &lines)?;
    let mut empty = Vec::new();
    for code in [204, 205, 304] {
        let output = format!("Status: {code}\\nX-Lab: a\\n\\ntext");
        empty.push((code, add_output(ctx, &output)?));
    }
    let server = start_cgi(ctx, &[])?;
    let ask = |request: &[u8]| {
        let mut client = server.connect()?;
        client.send(request);
        parse_response(request, &client.ensure_ends_within(RESPONSE_TIMEOUT)?)
    };
    let response = ask(&request("HEAD", &head.target, ""))?;
    response.ensure_serves(b"")?;
    response.ensure_field("Content-Type", "text/plain")?;
    let method = fs::read_to_string(head.file("method")).unwrap_or_default();
    ensure(method == "HEAD\n", "HEAD as REQUEST_METHOD", method)?;
    for (code, script) in empty {
        let response = ask(&get(&script.target))?;
        response.ensure_status(code)?;
        response.ensure_content(b"")?;
        response.ensure_field("X-Lab", "a")?;
        let is_coded = response.field("transfer-encoding").is_some();
        response.ensure(!is_coded, "no Transfer-Encoding")?;
    }
    Ok(())
}
