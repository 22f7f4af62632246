//! Programs that answer: the Common Gateway Interface.

use super::Exercise;
use crate::bench::{Bench, wait_until};
use crate::check::{COMMON, Check, Outcome, must};
use crate::checks::faults::LATEST;
use crate::ending;
use crate::server::Start;
use crate::wire::{get, request, strict_fault};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

pub const EXERCISE: Exercise = Exercise {
    name: "gateway",
    stage: 4,
    title: "programs that answer: the Common Gateway Interface (CGI)",
    asked: "\
A GET or POST for `/cgi-bin/NAME` starts the executable file cgi-bin/NAME below the document
root, and its output is the answer. It begins with a head, whose lines may end in LF alone: of
its fields, `Content-Type` becomes the answer's, and `Status: 404 Not Found` sets the status,
else 200; the others may be left out. What follows the empty line is the content.

In its environment the program finds GATEWAY_INTERFACE (`CGI/1.1`), SERVER_PROTOCOL
(`HTTP/1.1`), REQUEST_METHOD, SCRIPT_NAME (`/cgi-bin/NAME`), PATH_INFO (what stands in the
path behind it, or nothing), QUERY_STRING (what stands behind the `?`, as it came, or
nothing), and each header field as HTTP_NAME, in capitals and with `_` for `-`, but never
HTTP_PROXY, which programs take for an order. With POST it finds CONTENT_LENGTH and
CONTENT_TYPE too, and the content on its standard input: of any type, to 64 KiB.

A program that cannot be started, or ends without a head, is 502 (or 500). One that has not
ended after `--timeout` is ended, waited for, and 502, 504 or 500. No program is ever sent as
a file, however its path is written. A file there that others may not execute is 403, one that
is missing 404, and what lies outside of the document root, by whatever way, is never started,
and is 404.",
    read: &[
        "RFC 3875 (CGI), 4.1 (the environment), 6 (the answer)",
        "https://httpoxy.org (what HTTP_PROXY did)",
    ],
    checks: CHECKS,
    excuses: &[],
    already: &[],
};

const OWN: Check = Check {
    stages: 4..=4,
    needs: &["a-program-answers"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "a-program-answers",
        must: "the output of a program is the answer: status, type and content",
        why: "RFC 3875, 6: so anybody can extend a server, in any language.",
        hint: "Part the output at its first empty line; without a Status it is 200.",
        needs: &[],
        weight: 2,
        run: a_program_answers,
        ..OWN
    },
    Check {
        id: "the-request-is-in-the-environment",
        must: "the program finds the request in its variables, and HTTP_PROXY is never there",
        why: "RFC 3875, 4.1; CVE-2016-5385: a client must not choose a program's proxy.",
        hint: "The path goes on behind the name of the program.",
        run: the_request_is_in_the_environment,
        ..OWN
    },
    Check {
        id: "content-on-standard-input",
        must: "what is posted comes on standard input, byte for byte, with its length and type",
        why: "RFC 3875, 4.2: a program reads no more than CONTENT_LENGTH says.",
        hint: "A program may answer before it has read all: who writes must not wait for that.",
        run: content_on_standard_input,
        ..OWN
    },
    Check {
        id: "a-failing-program-is-502",
        must: "a program that ends without a head is 502 or 500, and the server goes on",
        why: "RFC 9110, 15.6.3: the fault is neither the client's nor hidden.",
        hint: "No empty line, no head. Not to start is a way to fail too.",
        run: a_failing_program_is_502,
        ..OWN
    },
    Check {
        id: "only-programs-inside-are-started",
        must: "what is not executable is 403, what is missing 404, and nothing outside is started",
        why: "CWE-22: what may be started must be guarded better than what may be read.",
        hint: "What guards the files guards the programs too: ask `files` for the way.",
        run: only_programs_inside_are_started,
        ..OWN
    },
    Check {
        id: "a-hanging-program-is-ended",
        must: "a program that hangs is ended after `--timeout`, its client told, and no process left",
        why: "Else a few requests are enough to fill the process table.",
        hint: "To wait with a limit: let a thread read, and wait for what it sends.",
        waits: true,
        run: a_hanging_program_is_ended,
        ..OWN
    },
];

/// Puts a script into a folder; returns its name there.
fn add_script(bench: &Bench, folder: &str, lines: &str) -> io::Result<String> {
    let name = bench.site.name();
    let path = format!("{folder}/{name}");
    // While it is open for writing, nobody could start it.
    ending::while_nothing_starts(|| {
        bench
            .site
            .add(&path, format!("#!/bin/sh\n{lines}").as_bytes())
    })?;
    bench.site.set_mode(&path, 0o755)?;
    Ok(name)
}

/// Puts a script into cgi-bin; returns its request target.
fn add_program(bench: &Bench, lines: &str) -> io::Result<String> {
    Ok(format!("/cgi-bin/{}", add_script(bench, "cgi-bin", lines)?))
}

fn a_program_answers(bench: &Bench) -> Outcome {
    let (word, other) = (bench.site.name(), bench.site.name());
    let plain = add_program(
        bench,
        &format!(
            "printf 'Content-Type: text/x-{word}\\n\\n{word} %s\\n\\n{word}' \"$QUERY_STRING\"\n"
        ),
    )?;
    let missing = add_program(
        bench,
        &format!(
            "printf 'Status: 404 Not Found\\r\\nContent-type:text/plain\\r\\n\\r\\n{other}'\n"
        ),
    )?;
    let server = bench.start()?;
    for query in [bench.site.name(), bench.site.name()] {
        let answer = server.get(&format!("{plain}?{query}"))?;
        answer.must_have_status(200)?;
        answer.must_have_content(format!("{word} {query}\n\n{word}").as_bytes())?;
        answer.must_have_field("Content-Type", &format!("text/x-{word}"))?;
        let fault = strict_fault(&answer.raw).unwrap_or_default();
        answer.must(
            fault.is_empty(),
            format!("a well-formed answer, but {fault}"),
        )?;
    }
    let answer = server.get(&missing)?;
    answer.must_have_status(404)?;
    answer.must_have_content(other.as_bytes())?;
    answer.must_have_field("Content-Type", "text/plain")
}

fn the_request_is_in_the_environment(bench: &Bench) -> Outcome {
    let names = [
        "GATEWAY_INTERFACE",
        "SERVER_PROTOCOL",
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "HTTP_USER_AGENT",
        "HTTP_X_LAB",
    ];
    let mut lines = "printf 'Content-Type: text/plain\\n\\n'\n".to_string();
    for name in names {
        lines += &format!("echo \"{name}=${{{name}-unset}}\"\n");
    }
    lines += "echo \"HTTP_PROXY=${HTTP_PROXY-unset}\"\n";
    let target = add_program(bench, &lines)?;
    let server = bench.start()?;
    let (agent, value) = (bench.site.name(), bench.site.name());
    let fields = format!("User-Agent: {agent}\r\nX-Lab: {value}\r\nProxy: http://{value}/\r\n");
    for (info, query) in [("", "a=%20+&b"), ("/deeper/and deeper", ""), ("/", "x")] {
        let shown = info.replace(' ', "%20");
        let question = if query.is_empty() { "" } else { "?" };
        let request = request("GET", &format!("{target}{shown}{question}{query}"), &fields);
        let answer = server.ask(&request)?;
        answer.must_have_status(200)?;
        let text = String::from_utf8_lossy(&answer.content).into_owned();
        let values = [
            "CGI/1.1", "HTTP/1.1", "GET", &target, info, query, &agent, &value,
        ];
        for (name, value) in names.iter().zip(values).chain([(&"HTTP_PROXY", "unset")]) {
            let there = text.lines().any(|line| line == format!("{name}={value}"));
            answer.must(there, format!("the line `{name}={value}`"))?;
        }
    }
    Ok(())
}

fn content_on_standard_input(bench: &Bench) -> Outcome {
    let head = "printf 'Content-Type: application/octet-stream\\n\\n'\n";
    let length = "echo \"$CONTENT_LENGTH $CONTENT_TYPE\"\n";
    let target = add_program(bench, &format!("{head}{length}cat\n"))?;
    // Answers much, and reads nothing: it must not wait for us, nor we for it.
    let deaf = add_program(bench, &format!("{head}head -c 200000 /dev/zero\n"))?;
    let server = bench.start()?;
    let word = bench.site.name();
    for length in [0, 1, 1000, 65_536] {
        let content = bench.site.bytes(length);
        let fields = format!("Content-Type: image/{word}; a=b\r\nContent-Length: {length}\r\n");
        let request = [request("POST", &target, &fields), content.clone()].concat();
        let answer = server.ask(&request)?;
        let expected = format!("{length} image/{word}; a=b\n").into_bytes();
        answer.must_serve(&[expected, content].concat())?;
    }
    let fields = "Content-Type: text/plain\r\nContent-Length: 65536\r\n";
    let request = [request("POST", &deaf, fields), bench.site.bytes(65_536)].concat();
    server.ask(&request)?.must_serve(&[0; 200_000])
}

fn a_failing_program_is_502(bench: &Bench) -> Outcome {
    let word = bench.site.name();
    let good = add_program(
        bench,
        &format!("printf 'Content-Type: text/plain\\n\\n{word}'\n"),
    )?;
    let mut bad = Vec::new();
    for lines in ["exit 3\n", "echo no head at all\n", "kill -9 $$\n"] {
        bad.push(add_program(bench, lines)?);
    }
    let unstartable = add_program(bench, "")?;
    let path = &unstartable[1..];
    ending::while_nothing_starts(|| bench.site.add(path, b"#!/no/such/interpreter\n"))?;
    bench.site.set_mode(path, 0o755)?;
    bad.push(unstartable);
    let server = bench.start()?;
    for target in bad {
        let answer = server.get(&target)?;
        let right = matches!(answer.status, 500 | 502);
        answer.must(right, "status 502, or 500")?;
        server.get(&good)?.must_serve(word.as_bytes())?;
    }
    server.must_not_have_panicked()
}

fn only_programs_inside_are_started(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let lines = "printf 'Content-Type: text/plain\\n\\nstarted'\ntouch \"$0.ran\"\n";
    let private = add_program(bench, lines)?;
    site.set_mode(&private[1..], 0o644)?;
    // Not a name that only `//` or `.` could hide.
    for path in ["//cgi-bin", "/./cgi-bin", "/cgi-bin/."] {
        let name = private.rsplit('/').next().unwrap_or_default();
        let answer = bench.start()?.get(&format!("{path}/{name}"))?;
        let text = String::from_utf8_lossy(&answer.content).into_owned();
        answer.must(!text.contains("touch"), "no text of a program")?;
    }
    let inside = add_script(bench, "elsewhere", lines)?;
    let outside = site.beside("outside");
    fs::rename(site.path(&format!("elsewhere/{inside}")), &outside)?;
    let link = site.name();
    symlink(&outside, site.path(&format!("cgi-bin/{link}")))?;
    let server = bench.start()?;
    let missing = format!("/cgi-bin/{}", site.name());
    for (target, status) in [
        (private.as_str(), 403),
        (&missing, 404),
        (&format!("/cgi-bin/{link}"), 404),
        ("/cgi-bin/../../outside", 404),
        ("/cgi-bin/%2e%2e/%2e%2e/outside", 404),
        ("/cgi-bin/..%2f..%2foutside", 404),
        (&format!("/cgi-bin/{}", outside.display()), 404),
    ] {
        server.get(target)?.must_have_status(status)?;
    }
    let ran = site.beside("outside.ran").exists()
        || site.path(&format!("{}.ran", &private[1..])).exists();
    must(!ran, "no program that was started", "one has left a file")
}

fn a_hanging_program_is_ended(bench: &Bench) -> Outcome {
    let lines = "echo $$ > \"$0.pid\"\nexec sleep 1000\n";
    let target = add_program(bench, lines)?;
    let server = bench.start_with(Start::impatient())?;
    let mut client = server.connect()?;
    client.send(&get(&target));
    let answer = client.answer()?;
    let right = matches!(answer.status, 500 | 502 | 504);
    answer.must(right, "status 504, or 502 or 500")?;
    let pid = fs::read_to_string(bench.site.path(&format!("{}.pid", &target[1..])))?;
    let pid = pid.trim().parse().unwrap_or(i32::MAX);
    // A zombie can be sent signals still.
    let gone = wait_until(LATEST, || {
        Ok(kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
    })?;
    must(gone, "no process left of the program", format!("{pid}"))?;
    server.get("/")?.must_serve(&bench.site.index)
}
