//! Programs as processes: what they get of the server, what becomes of their standard error, and
//! how they end.

use super::ensure_alive;
use super::gateway::{
    STAGE_5, TEXT, add_script, ensure_ends, ensure_line, start_cgi, start_cgi_with, time_out,
};
use super::processes::most;
use crate::check::Check;
use harness::client::get;
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckResult, FailureKind, ensure};
use harness::server::Start;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;

pub const CHECKS: &[Check] = &[
    Check {
        id: "program-environment",
        must: "give a program its own folder, PATH, the --env variables and those of the request; no others",
        why: "RFC 3875, 7.2. The server's environment may hold secrets, or change what a program does.",
        hint: "Begin with an empty environment, and start the program in the folder of its file.",
        run: program_environment,
        ..STAGE_5
    },
    Check {
        id: "program-descriptors",
        must: "give a program the descriptors 0, 1 and 2, and no others, not even inherited ones",
        why: "A program that holds the socket of a client or the listener can keep it open.",
        hint: "Descriptors are closed on exec(2) if they have the flag FD_CLOEXEC. Who started the server may \
               have left others open.",
        linux_only: true,
        run: program_descriptors,
        ..STAGE_5
    },
    Check {
        id: "standard-error-is-logged",
        must: "log a program's standard error to its end, with control characters escaped",
        why: "CWE-117: it shows why a program failed, and may hold what a client sent.",
        hint: "Read it while the program runs.",
        run: standard_error_is_logged,
        ..STAGE_5
    },
    Check {
        id: "standard-error-is-bounded",
        must: "respond while a program floods its standard error, and log at most 1 MiB of it",
        why: "A pipe that nobody reads stops the program, and a log without a limit fills the disk.",
        hint: "Read and discard what is too much.",
        about: &[FailureKind::TooSlow],
        run: standard_error_is_bounded,
        ..STAGE_5
    },
    Check {
        id: "open-standard-output",
        must: "end a response when the program has exited, even if its child holds standard output",
        why: "A service that a program starts would keep the client waiting forever.",
        hint: "Wait for the output and for the exit at the same time.",
        about: &[FailureKind::TooSlow],
        run: open_standard_output,
        ..STAGE_5
    },
    Check {
        id: "client-leaves-program",
        must: "kill a program with all of its group when its client has left, and reap it",
        why: "Nobody wants its response, and others could use the processor.",
        hint: "Look at the connection while you wait for the program.",
        slow: true,
        linux_only: true,
        run: client_leaves_program,
        ..STAGE_5
    },
    Check {
        id: "program-timeout",
        must: "respond with 504 after --app-timeout, kill the program with its group, and reap it",
        why: "RFC 9110, 15.6.5. A few requests would be enough to fill the process table.",
        hint: "Start it in a process group of its own.",
        weight: 2,
        slow: true,
        linux_only: true,
        run: program_timeout,
        ..STAGE_5
    },
    Check {
        id: "programs-are-bounded",
        must: "run at most 256 programs at once, and answer further requests later",
        why: "CWE-770: a process is what a request costs most. Anybody could fill the process table.",
        hint: "If the thread that serves a client waits for its program, the limit on threads is enough.",
        slow: true,
        crowd: true,
        run: programs_are_bounded,
        ..STAGE_5
    },
];

/// Lines of a script that starts a child, notes both process ids, and never ends.
const HANG: &str = "sleep 100 &\necho \"$$ $!\" > \"$0.ids\"\nwait\n";

fn program_environment(ctx: &TestContext) -> CheckResult {
    const OF_REQUEST: [&str; 19] = [
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "DOCUMENT_ROOT",
        "GATEWAY_INTERFACE",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "QUERY_STRING",
        "REDIRECT_STATUS",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_PORT",
        "REQUEST_METHOD",
        "REQUEST_SCHEME",
        "REQUEST_URI",
        "SCRIPT_FILENAME",
        "SCRIPT_NAME",
        "SERVER_SOFTWARE",
        "AUTH_TYPE",
        "REMOTE_USER",
    ];
    // The shell itself sets PWD, and some shells a few more.
    const OF_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];
    let script = add_script(ctx, &format!("{TEXT}exec env\n"))?;
    let (name, value) = (ctx.site.name(), ctx.site.name());
    let options = [format!("{name}=a={value}"), format!("OTHER={value}")];
    let server = start_cgi(ctx, &["--env", &options[0], "--env", &options[1]])?;
    let response = server.get(&script.target)?;
    response.ensure_status(200)?;
    for option in &options {
        ensure_line(&response, option)?;
    }
    let text = String::from_utf8_lossy(&response.content);
    let mut names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    response.ensure(names.remove("PATH"), "the variable PATH")?;
    names.retain(|found| {
        let is_known = OF_REQUEST.contains(found) || OF_SHELL.contains(found);
        !is_known && !found.starts_with("HTTP_") && !found.starts_with("SERVER_")
    });
    names.retain(|found| *found != name && *found != "OTHER");
    let received = names.into_iter().collect::<Vec<&str>>().join(", ");
    ensure(received.is_empty(), "no other variables", received)?;
    ensure_own_folder(ctx)
}

fn ensure_own_folder(ctx: &TestContext) -> CheckResult {
    let script = add_script(ctx, &format!("{TEXT}pwd -P\n"))?;
    let mount = format!("/{}={}", ctx.site.name(), script.path.display());
    let server = start_cgi(ctx, &["--cgi", &mount])?;
    let folder = format!("{}\n", ctx.site.outside("programs").display());
    for target in [&script.target, mount.split('=').next().unwrap_or_default()] {
        server.get(target)?.ensure_serves(folder.as_bytes())?;
    }
    Ok(())
}

fn program_descriptors(ctx: &TestContext) -> CheckResult {
    // ls(1) itself opens the folder that it lists.
    let script = add_script(ctx, &format!("{TEXT}exec ls /proc/self/fd\n"))?;
    // A shell passes on what it has open.
    let start = Start {
        started_by: &["/bin/sh", "-c", "exec 7</dev/null; exec \"$0\" \"$@\""],
        ..Start::default()
    };
    let server = start_cgi_with(ctx, start, &[])?;
    let mut others = server.connect_many(4)?;
    for client in &mut others {
        client.send(b"GET");
    }
    let response = server.get(&script.target)?;
    response.ensure_status(200)?;
    let count = String::from_utf8_lossy(&response.content).lines().count();
    response.ensure(count == 4, "four descriptors, one of them of ls(1)")
}

fn standard_error_is_logged(ctx: &TestContext) -> CheckResult {
    let words = [(); 4].map(|()| ctx.site.name());
    let [first, second, third, fourth] = &words;
    let lines = format!("printf '{first} \\033[31mred\\n{second}' >&2\n{TEXT}printf text\n");
    let script = add_script(ctx, &lines)?;
    let lines = format!("{TEXT}printf text\nexec >&-\nsleep 0.2\necho {third} >&2\n");
    let late = add_script(ctx, &lines)?;
    // It is more than one read of a pipe gets.
    let lines = format!("{TEXT}printf text\n(yes | head -c 9000; echo {fourth}) >&2\n");
    let long = add_script(ctx, &lines)?;
    let server = start_cgi(ctx, &[])?;
    for script in [script, late, long] {
        server.get(&script.target)?.ensure_serves(b"text")?;
    }
    for word in words {
        let line = server.wait_for_log_line(&[&word])?;
        ensure(
            line.is_some(),
            format!("a log line with `{word}`"),
            server.log_text(),
        )?;
    }
    let is_escaped = !server.log().contains(&0x1b);
    ensure(
        is_escaped,
        "a log without escape sequences",
        server.log_text().escape_debug().to_string(),
    )
}

fn standard_error_is_bounded(ctx: &TestContext) -> CheckResult {
    const MAX: usize = 1024 * 1024;
    let word = ctx.site.name();
    let flood = format!("yes {word} | head -c 3000000 >&2\n{TEXT}printf text\n");
    let lines = add_script(ctx, &flood)?;
    let one_line = add_script(
        ctx,
        &format!("head -c 3000000 /dev/zero >&2\n{TEXT}printf text\n"),
    )?;
    let calm = add_script(ctx, &format!("echo calm-{word} >&2\n{TEXT}"))?;
    let server = start_cgi(ctx, &[])?;
    for script in [lines, one_line] {
        server.get(&script.target)?.ensure_serves(b"text")?;
    }
    server.get(&calm.target)?.ensure_status(200)?;
    let line = server.wait_for_log_line(&[&format!("calm-{word}")])?;
    ensure(line.is_some(), "the log of the next program", "nothing")?;
    let length = server.log().len();
    ensure(
        length <= MAX,
        format!("a log of at most {MAX} bytes"),
        format!("{length} bytes"),
    )
}

fn open_standard_output(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let script = add_script(ctx, &format!("{TEXT}sleep 100 &\nprintf {word}\n"))?;
    let server = start_cgi(ctx, &["--app-timeout", "100"])?;
    for version in ["1.1", "1.0"] {
        let request = format!("GET {} HTTP/{version}\r\nHost: a\r\n\r\n", script.target);
        server
            .exchange(request.as_bytes())?
            .ensure_serves(word.as_bytes())?;
    }
    Ok(())
}

fn client_leaves_program(ctx: &TestContext) -> CheckResult {
    let silent = add_script(ctx, HANG)?;
    let begun = add_script(ctx, &format!("{TEXT}printf text\n{HANG}"))?;
    let server = start_cgi_with(ctx, Start::with_short_timeout(), &["--app-timeout", "100"])?;
    for script in [silent, begun] {
        let mut client = server.connect()?;
        client.send(&get(&script.target));
        let ids = script.numbers("ids")?;
        drop(client);
        for id in ids {
            ensure_ends(&server, id)?;
        }
    }
    Ok(())
}

fn program_timeout(ctx: &TestContext) -> CheckResult {
    let word = ctx.site.name();
    let hanging = add_script(ctx, HANG)?;
    let deaf = add_script(ctx, &format!("trap '' TERM INT HUP\n{HANG}"))?;
    let good = add_script(ctx, &format!("{TEXT}printf {word}\n"))?;
    let server = start_cgi(ctx, &["--app-timeout", "1"])?;
    for script in [hanging, deaf] {
        for id in time_out(&server, &script.target, &script.file("ids"))? {
            ensure_ends(&server, id)?;
        }
    }
    let has_children = || Ok(server.children()?.is_empty());
    let is_alone = wait_until(RESPONSE_TIMEOUT, has_children)?;
    ensure(
        is_alone,
        "no process that was left behind",
        format!("{:?}", server.children()?),
    )?;
    server.get(&good.target)?.ensure_serves(word.as_bytes())
}

fn programs_are_bounded(ctx: &TestContext) -> CheckResult {
    const MAX: usize = 256;
    const MORE: usize = 44;
    let fifo = ctx.site.name();
    ctx.site.add_fifo(&fifo)?;
    let path = ctx.site.path(&fifo);
    // Each waits for a line, which the check writes when all have been counted.
    let lines = format!(
        "echo >> \"$0.started\"\nread -r line < {}\n{TEXT}",
        path.display()
    );
    let script = add_script(ctx, &lines)?;
    // With both ends open, nobody waits for the other.
    let mut fifo = OpenOptions::new().read(true).write(true).open(path)?;
    let server = start_cgi(ctx, &["--app-timeout", "100"])?;
    let mut clients = server.connect_crowd(MAX + MORE)?;
    for client in &mut clients {
        client.send(&get(&script.target));
    }
    let count = || Ok(fs::read(script.file("started")).map_or(0, |lines| lines.len()));
    let programs = most(MAX, count)?;
    let expected = format!("at most {MAX} programs");
    ensure(
        (1..=MAX).contains(&programs),
        expected,
        programs.to_string(),
    )?;
    fifo.write_all(&vec![b'\n'; clients.len()])?;
    for client in &mut clients {
        client.response()?.ensure_status(200)?;
    }
    ensure_alive(ctx, &server)
}
