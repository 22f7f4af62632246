//! Programs that produce responses: the Common Gateway Interface.

use super::{Exercise, defaults};
use crate::check::Check;
use crate::checks::ensure_status_in;
use crate::checks::robustness::CUTOFF_LIMIT;
use harness::cleanup;
use harness::client::request;
use harness::context::{TestContext, wait_until};
use harness::error::{CheckResult, ensure};
use harness::process;
use harness::server::Start;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

pub const EXERCISE: Exercise = Exercise {
    name: "gateway",
    stage: 4,
    title: "programs that produce responses: the Common Gateway Interface (CGI)",
    task: "\
A GET or POST request for `/cgi-bin/NAME` starts the executable file cgi-bin/NAME in the
document root, and its output is the response. The output begins with a head, whose lines may
end in LF alone. Its field `Content-Type` becomes that of the response. Its field `Status`, for
example `404 Not Found`, sets the status; without it, the status is 200. You may ignore other
fields. The content follows after the empty line.

The program's environment contains GATEWAY_INTERFACE (`CGI/1.1`), SERVER_PROTOCOL (`HTTP/1.1`),
REQUEST_METHOD, SCRIPT_NAME (`/cgi-bin/NAME`), PATH_INFO (the rest of the path, decoded; may be
empty), QUERY_STRING (what follows the `?`, not decoded; may be empty), and each header field as
HTTP_NAME, in capitals and with `_` for `-`, but never HTTP_PROXY, because programs would use it
as their proxy. For POST there are also CONTENT_LENGTH and CONTENT_TYPE, and the content is the
program's standard input: of any type, up to 64 KiB. A program need not read it.

A program that can't be started, or that exits without a head, is 502 (or 500). One that still
runs after `--timeout` is killed and reaped, and is 504 (or 502 or 500). Neither stops the
server.

The server never sends the text of a program, however its path is written. A file there that
others may not execute is 403, and a missing file is 404. A file outside the document root is
404 and never started, whatever leads to it.",
    references: &[
        "RFC 3875 (CGI), 4.1 (the environment), 6 (the response)",
        "https://httpoxy.org (what HTTP_PROXY did)",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &[],
};

const DEFAULTS: Check = defaults("gateway", 4, &["program-output"]);

const CHECKS: &[Check] = &[
    Check {
        id: "program-output",
        must: "send a program's output as the response: status, type and content",
        why: "RFC 3875, 6: everybody can extend such a server, in any language.",
        hint: "Split the output at its first empty line. Without a Status it is 200.",
        needs: &[],
        weight: 2,
        run: program_output,
        ..DEFAULTS
    },
    Check {
        id: "program-environment",
        must: "describe the request in the program's environment, without HTTP_PROXY",
        why: "RFC 3875, 4.1; CVE-2016-5385: a client must not choose a program's proxy.",
        hint: "The path may go on after the name of the program.",
        run: program_environment,
        ..DEFAULTS
    },
    Check {
        id: "program-standard-input",
        must: "pass posted content to standard input, byte for byte, with its length and type",
        why: "RFC 3875, 4.2: a program reads no more than CONTENT_LENGTH says.",
        hint: "A program may write before it has read everything, so don't write all first.",
        run: program_standard_input,
        ..DEFAULTS
    },
    Check {
        id: "failing-program",
        must: "respond 502 or 500 if a program exits without a head, and keep serving",
        why: "RFC 9110, 15.6.3: the fault isn't the client's, and it must not be hidden.",
        hint: "No empty line, no head. A program that can't be started has failed, too.",
        run: failing_program,
        ..DEFAULTS
    },
    Check {
        id: "programs-outside-root",
        must: "respond 403 if a program isn't executable, 404 if it is missing or outside the root",
        why: "CWE-22: to run a file is more dangerous than to read it.",
        hint: "What protects files protects programs, too: let `files` find them.",
        run: programs_outside_root,
        ..DEFAULTS
    },
    Check {
        id: "hanging-program",
        must: "kill a program after `--timeout`, respond, and leave no process behind",
        why: "Otherwise a few requests are enough to fill the process table.",
        hint: "To wait with a limit, let a thread read, and wait for what it sends.",
        slow: true,
        run: hanging_program,
        ..DEFAULTS
    },
];

/// Lines of a script that print a head.
const TEXT: &str = "printf 'Content-Type: text/plain\\n\\n'\n";

/// Adds an executable file below the root.
fn add_executable(ctx: &TestContext, name: &str, text: &str) -> io::Result<()> {
    // Nobody could execute it while it is open for writing.
    cleanup::without_starting_processes(|| ctx.site.add(name, text.as_bytes()))?;
    ctx.site.set_mode(name, 0o755)
}

/// Adds a script to cgi-bin. Returns its request target.
fn add_program(ctx: &TestContext, lines: &str) -> io::Result<String> {
    let name = format!("cgi-bin/{}", ctx.site.name());
    add_executable(ctx, &name, &format!("#!/bin/sh\n{lines}"))?;
    Ok(format!("/{name}"))
}

fn program_output(ctx: &TestContext) -> CheckResult {
    let (word, other) = (ctx.site.name(), ctx.site.name());
    let lines = format!(
        "printf 'Content-Type: text/x-{word}\\n\\n{word} %s\\n\\n{word}' \"$QUERY_STRING\"\n"
    );
    let found = add_program(ctx, &lines)?;
    let head = "Status: 404 Not Found\\r\\nContent-type:text/plain\\r\\n\\r\\n";
    let missing = add_program(ctx, &format!("printf '{head}{other}'\n"))?;
    let server = ctx.start()?;
    for query in [ctx.site.name(), ctx.site.name()] {
        let response = server.get(&format!("{found}?{query}"))?;
        response.ensure_serves(format!("{word} {query}\n\n{word}").as_bytes())?;
        response.ensure_field("Content-Type", &format!("text/x-{word}"))?;
        response.ensure_well_formed()?;
    }
    let response = server.get(&missing)?;
    response.ensure_status(404)?;
    response.ensure_content(other.as_bytes())?;
    response.ensure_field("Content-Type", "text/plain")
}

fn program_environment(ctx: &TestContext) -> CheckResult {
    let target = add_program(ctx, &format!("{TEXT}env\n"))?;
    let server = ctx.start()?;
    let (agent, value) = (ctx.site.name(), ctx.site.name());
    let fields = format!("User-Agent: {agent}\r\nX-Lab: {value}\r\nProxy: http://{value}/\r\n");
    for (suffix, info, query) in [
        ("?a=%20+&b", "", "a=%20+&b"),
        ("/deeper/and%20deeper", "/deeper/and deeper", ""),
        ("/?x", "/", "x"),
    ] {
        let request = request("GET", &format!("{target}{suffix}"), &fields);
        let response = server.exchange(&request)?;
        response.ensure_status(200)?;
        let text = String::from_utf8_lossy(&response.content);
        for line in [
            "GATEWAY_INTERFACE=CGI/1.1",
            "SERVER_PROTOCOL=HTTP/1.1",
            "REQUEST_METHOD=GET",
            &format!("SCRIPT_NAME={target}"),
            &format!("PATH_INFO={info}"),
            &format!("QUERY_STRING={query}"),
            &format!("HTTP_USER_AGENT={agent}"),
            &format!("HTTP_X_LAB={value}"),
        ] {
            let is_there = text.lines().any(|found| found == line);
            response.ensure(is_there, format!("the line `{line}`"))?;
        }
        response.ensure(!text.contains("HTTP_PROXY="), "no HTTP_PROXY")?;
    }
    Ok(())
}

fn program_standard_input(ctx: &TestContext) -> CheckResult {
    let lines = format!("{TEXT}echo \"$CONTENT_LENGTH $CONTENT_TYPE\"\ncat\n");
    let target = add_program(ctx, &lines)?;
    // It writes a lot and reads nothing.
    let writer = add_program(ctx, &format!("{TEXT}head -c 200000 /dev/zero\n"))?;
    let server = ctx.start()?;
    let word = ctx.site.name();
    for length in [0, 1, 1000, 65_536] {
        let content = ctx.site.bytes(length);
        let fields = format!("Content-Type: image/{word}; a=b\r\nContent-Length: {length}\r\n");
        let request = [request("POST", &target, &fields), content.clone()].concat();
        let response = server.exchange(&request)?;
        let line = format!("{length} image/{word}; a=b\n").into_bytes();
        response.ensure_serves(&[line, content].concat())?;
    }
    let fields = "Content-Type: text/plain\r\nContent-Length: 65536\r\n";
    let request = [request("POST", &writer, fields), ctx.site.bytes(65_536)].concat();
    server.exchange(&request)?.ensure_serves(&[0; 200_000])
}

fn failing_program(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let good = add_program(ctx, &format!("{TEXT}printf {word}\n"))?;
    let mut bad = Vec::new();
    for lines in ["exit 3\n", "echo no head at all\n", "kill -9 $$\n"] {
        bad.push(add_program(ctx, lines)?);
    }
    let name = format!("cgi-bin/{}", ctx.site.name());
    add_executable(ctx, &name, "#!/no/such/interpreter\n")?;
    bad.push(format!("/{name}"));
    let server = ctx.start()?;
    for target in bad {
        ensure_status_in(&server.get(&target)?, &[502, 500])?;
        server.get(&good)?.ensure_serves(word.as_bytes())?;
    }
    server.ensure_no_panic()
}

fn programs_outside_root(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let lines = format!("{TEXT}touch \"$0.ran\"\n");
    let private = add_program(ctx, &lines)?;
    site.set_mode(&private[1..], 0o644)?;
    let outside = add_program(ctx, &lines)?;
    fs::rename(site.path(&outside[1..]), site.outside("outside"))?;
    let link = format!("/cgi-bin/{}", site.name());
    symlink(site.outside("outside"), site.path(&link[1..]))?;
    let server = ctx.start()?;
    // Other ways to write the path of a program.
    let name = private.trim_start_matches("/cgi-bin/");
    for path in ["//cgi-bin", "/./cgi-bin", "/cgi-bin/."] {
        let response = server.get(&format!("{path}/{name}"))?;
        let text = String::from_utf8_lossy(&response.content);
        response.ensure(!text.contains("touch"), "no text of a program")?;
    }
    let missing = format!("/cgi-bin/{}", site.name());
    let absolute = format!("/cgi-bin/{}", site.outside("outside").display());
    for (target, status) in [
        (private.as_str(), 403),
        (&missing, 404),
        (&link, 404),
        ("/cgi-bin/../../outside", 404),
        ("/cgi-bin/%2e%2e/%2e%2e/outside", 404),
        ("/cgi-bin/..%2f..%2foutside", 404),
        (&absolute, 404),
    ] {
        server.get(target)?.ensure_status(status)?;
    }
    let traces = [
        site.outside("outside.ran"),
        site.path(&format!("{}.ran", &private[1..])),
    ];
    let has_run = traces.iter().any(|trace| trace.exists());
    ensure(!has_run, "no program that has run", "one has left a file")
}

fn hanging_program(ctx: &TestContext) -> CheckResult {
    let target = add_program(ctx, "echo $$ > \"$0.pid\"\nexec sleep 1000\n")?;
    let server = ctx.start_with(Start::with_short_timeout())?;
    ensure_status_in(&server.get(&target)?, &[504, 502, 500])?;
    let pid = fs::read_to_string(ctx.site.path(&format!("{}.pid", &target[1..])))?;
    let pid = pid.trim().parse().unwrap_or(i32::MAX);
    // A zombie still exists.
    let is_gone = wait_until(CUTOFF_LIMIT, || Ok(!process::exists(pid)))?;
    ensure(is_gone, "no process of the program", pid.to_string())?;
    server.get("/")?.ensure_serves(&ctx.site.index)
}
