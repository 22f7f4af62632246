//! The command line: options, start-up errors, the line that announces the server, the log.

use crate::bench::{Bench, PATIENCE, wait_until};
use crate::check::{COMMON, Check, Outcome, Trouble, must};
use crate::server::Start;
use crate::wire::get;
use assert_cmd::assert::Assert;
use nix::sys::signal::Signal;
use predicates::Predicate;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::str::from_utf8;
use std::sync::atomic::{AtomicU16, Ordering};

pub const CHECKS: &[Check] = &[
    Check {
        id: "help-names-every-option",
        must: "`--help` exits 0 and names --listen, --root, --timeout and --verbose",
        why: "Nobody should have to read the source to start a server.",
        hint: "Print the help to standard output, and exit with 0.",
        needs: &[],
        run: help_names_every_option,
        ..COMMON
    },
    Check {
        id: "version-is-told",
        must: "`--version` exits 0 and prints a version",
        why: "Whoever reports a fault must be able to say of what.",
        hint: "Print name and version to standard output, and exit with 0.",
        needs: &[],
        run: version_is_told,
        ..COMMON
    },
    Check {
        id: "wrong-usage-exits-2",
        must: "an option that is unknown or malformed exits 2, and names what is wrong",
        why: "By convention 2 says: the call was wrong, not the world.",
        hint: "Look at every value before anything is opened; write the error to standard error.",
        needs: &[],
        run: wrong_usage_exits_2,
        ..COMMON
    },
    Check {
        id: "missing-root-is-named",
        must: "a document root that does not exist exits 1 with a line that names it",
        why: "A server without its files would only ever answer 404.",
        hint: "Look for the folder before you listen, and say its path as it was given.",
        needs: &[],
        run: missing_root_is_named,
        ..COMMON
    },
    Check {
        id: "file-as-root-is-named",
        must: "a document root that is a file exits 1 with a line that names it",
        why: "A path that exists is not yet a folder.",
        hint: "Ask whether the root is a folder, not only whether it is there.",
        needs: &[],
        run: file_as_root_is_named,
        ..COMMON
    },
    Check {
        id: "address-in-use-is-named",
        must: "an address in use exits 1 with a line that names it and `--listen`",
        why: "The commonest start-up error there is: the last server still runs.",
        hint: "bind(2) fails with EADDRINUSE; the way out is another port.",
        needs: &[],
        run: address_in_use_is_named,
        ..COMMON
    },
    Check {
        id: "announces-when-ready",
        must: "it prints the one line `Serving DIR at http://ADDR:PORT/` once it can accept",
        why: "Whoever starts a server by program waits for this line, and reads the port in it.",
        hint: "Print the real port, not 0, and flush: a pipe is not a terminal.",
        needs: &[],
        run: announces_when_ready,
        ..COMMON
    },
    Check {
        id: "restarts-at-once",
        must: "it ends on SIGTERM, and another can listen on the same port at once",
        why: "Fading connections hold the port for a minute without SO_REUSEADDR (socket(7)).",
        hint: "Set the option for address reuse before you bind.",
        run: restarts_at_once,
        ..COMMON
    },
    Check {
        id: "logs-each-request",
        must: "standard error gets a line for each request: who asked, method, target, status, bytes sent",
        why: "When something is wrong, the log is the only witness.",
        hint: "Write the line when the answer has been sent, in one piece.",
        run: logs_each_request,
        ..COMMON
    },
    Check {
        id: "verbose-shows-the-head",
        must: "with `--verbose` the log shows the request head, without control bytes",
        why: "A client that sends escape sequences must not reach into your terminal.",
        hint: "Escape every byte that is not printable, those of the target too.",
        run: verbose_shows_the_head,
        ..COMMON
    },
];

/// Runs the program to its end with these arguments; a program that does not end is ended.
fn run(bench: &Bench, arguments: &[&str]) -> Result<Output, Trouble> {
    bench.program.run(arguments, 2 * PATIENCE)
}

/// Holds an end of the program against an exit code, and its output against a predicate.
fn must_exit(
    arguments: &[&str],
    output: &Output,
    code: i32,
    stream: &[u8],
    wanted: &str,
    holds: &impl Predicate<str>,
) -> Outcome {
    let text = from_utf8(stream).unwrap_or("(no UTF-8)");
    must(
        Assert::new(output.clone()).try_code(code).is_ok()
            && holds.eval(text)
            && !text.contains("panicked"),
        format!("`{}` exits {code} and prints {wanted}", arguments.join(" ")),
        format!(
            "{}{}\n{}{}",
            output.status,
            match output.status.signal() {
                Some(9) => format!(": it still ran after {:?}", 2 * PATIENCE),
                _ => String::new(),
            },
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    )
}

fn help_names_every_option(bench: &Bench) -> Outcome {
    let output = run(bench, &["--help"])?;
    for option in ["--listen", "--root", "--timeout", "--verbose"] {
        must_exit(
            &["--help"],
            &output,
            0,
            &output.stdout,
            &format!("`{option}`"),
            &contains(option),
        )?;
    }
    Ok(())
}

fn version_is_told(bench: &Bench) -> Outcome {
    let output = run(bench, &["--version"])?;
    must_exit(
        &["--version"],
        &output,
        0,
        &output.stdout,
        "a version",
        &contains("."),
    )
}

fn wrong_usage_exits_2(bench: &Bench) -> Outcome {
    for (arguments, named) in [
        (["--no-such-option", "1"], "--no-such-option"),
        (["--listen", "nowhere"], "nowhere"),
        (["--listen", "127.0.0.1:99999"], "127.0.0.1:99999"),
        (["--timeout", "soon"], "soon"),
        (["--timeout", "0"], "0"),
    ] {
        let output = run(bench, &arguments)?;
        must_exit(
            &arguments,
            &output,
            2,
            &output.stderr,
            &format!("`{named}` on standard error"),
            &contains(named),
        )?;
        must_exit(
            &arguments,
            &output,
            2,
            &output.stdout,
            "nothing on standard output",
            &is_empty(),
        )?;
    }
    Ok(())
}

/// A start that cannot succeed: exit 1, and one line that names the thing.
fn must_refuse(bench: &Bench, arguments: &[&str], named: &[&str]) -> Outcome {
    let output = run(bench, arguments)?;
    for name in named {
        must_exit(
            arguments,
            &output,
            1,
            &output.stderr,
            &format!("`{name}` on standard error"),
            &contains(*name),
        )?;
    }
    let one_line = contains("\n")
        .count(1)
        .and(contains("RUST_BACKTRACE").not());
    must_exit(
        arguments,
        &output,
        1,
        &output.stderr,
        "one line on standard error",
        &one_line,
    )
}

fn missing_root_is_named(bench: &Bench) -> Outcome {
    let root = bench.site.beside(&bench.site.name()).display().to_string();
    must_refuse(
        bench,
        &["--listen", "127.0.0.1:0", "--root", &root],
        &[&root, "--root"],
    )
}

fn file_as_root_is_named(bench: &Bench) -> Outcome {
    let root = bench.site.path(&bench.site.page.name).display().to_string();
    must_refuse(
        bench,
        &["--listen", "127.0.0.1:0", "--root", &root],
        &[&root, "--root"],
    )
}

fn address_in_use_is_named(bench: &Bench) -> Outcome {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let address = taken.local_addr()?.to_string();
    let root = bench.site.root().display().to_string();
    must_refuse(
        bench,
        &["--listen", &address, "--root", &root],
        &[&address, "--listen"],
    )
}

fn announces_when_ready(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    must(server.address.port() != 0, "the real port", "port 0")?;
    server.get("/")?.must_serve(&bench.site.index)?;
    let root = bench.site.root().display().to_string();
    let named = server.announcement.contains(&format!("Serving {root} at "));
    must(
        named,
        format!("`Serving {root} at` in the line"),
        &server.announcement,
    )?;
    let further = server.further_lines();
    must(
        further.is_empty(),
        "one line on standard output",
        further.join("\n"),
    )
}

fn restarts_at_once(bench: &Bench) -> Outcome {
    let listen = own_address();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = bench.start_with(Start {
            listen,
            ..Start::default()
        })?;
        // The server closes first, so that the connection fades on its side.
        server.get("/")?.must_serve(&bench.site.index)?;
        server.tell(signal);
        let ended = server.ended(PATIENCE)?.is_some();
        must(
            ended,
            format!("its end on {signal}"),
            format!("it still runs after {PATIENCE:?}"),
        )?;
        // What it has started ends with its group, which may take a moment.
        drop(server);
        wait_until(PATIENCE, || Ok(TcpStream::connect(listen).is_err()))?;
    }
    Ok(())
}

/// An address that nobody else takes while a check uses it more than once: each process has
/// a loopback address of its own where the system has more than one, and each call another
/// port, below those that systems give out by themselves.
fn own_address() -> SocketAddr {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id();
    let call = CALLS.fetch_add(1, Ordering::Relaxed) % 1000;
    match process.to_be_bytes() {
        [_, a, b, c] if cfg!(target_os = "linux") => {
            SocketAddr::from(([127, a, b, c], 20_000 + call))
        }
        _ => SocketAddr::from((
            [127, 0, 0, 1],
            20_000 + (process % 100) as u16 * 100 + call % 100,
        )),
    }
}

fn logs_each_request(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    // So long that it does not go out at once, and that no other number is the same.
    let content = bench.site.bytes(200_000 + bench.site.below(100_000));
    let name = format!("{}.html", bench.site.name());
    let there = bench.site.add(&name, &content)?.target();
    let missing = format!("/{}", bench.site.name());
    for (target, status) in [(&there, "200"), (&missing, "404")] {
        let answer = server.get(target)?;
        // Some count the head as well, and some do not.
        let sizes = [&answer.raw, &answer.content].map(|bytes| bytes.len().to_string());
        let tells_all = |line: &str| {
            // Whole words: the client's port may hold the same digits.
            let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            let parts = ["127.0.0.1", "GET", target.as_str()];
            parts.iter().all(|part| line.contains(part))
                && words.contains(&status)
                && sizes.iter().any(|size| words.contains(&size.as_str()))
        };
        // Any line will do: a server may say more of a request than this one.
        let told = wait_until(PATIENCE, || {
            Ok(String::from_utf8_lossy(&server.log())
                .lines()
                .any(tells_all))
        })?;
        let expected = format!(
            "a line on standard error with 127.0.0.1 (who asked), GET, {target}, {status} and {} (bytes sent)",
            sizes[0]
        );
        must(told, expected, String::from_utf8_lossy(&server.log()))?;
    }
    Ok(())
}

fn verbose_shows_the_head(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start {
        verbose: true,
        ..Start::default()
    })?;
    let name = bench.site.name();
    let mut request = get(&bench.site.page.target());
    request.truncate(request.len() - 2);
    request.extend_from_slice(format!("X-Lab: {name}\r\n\r\n").as_bytes());
    server.ask(&request)?.must_serve(&bench.site.page.content)?;
    let shown = server.logged(&["X-Lab", &name])?;
    must(
        shown.is_some(),
        format!("the field `X-Lab: {name}` in the log"),
        "no such line",
    )?;
    // Whether this is refused or served, it must not reach the terminal as it is.
    let escape = format!("GET /{name}\x1b[31m HTTP/1.1\r\nHost: a\r\nX-Lab: \x1b[2J\x07\r\n\r\n");
    server.ask(escape.as_bytes())?;
    must(
        server.logged(&[&name, "[31m"])?.is_some(),
        "the second request in the log",
        "none",
    )?;
    // The line that tells how it was answered comes last. No verdict hangs on it.
    let is_told = |log: &str| {
        log.lines()
            .filter(|line| line.contains("127.0.0.1"))
            .count()
            >= 2
    };
    wait_until(PATIENCE, || {
        Ok(is_told(&String::from_utf8_lossy(&server.log())))
    })?;
    let log = server.log();
    let control = |byte: &u8| byte.is_ascii_control() && !b"\n\t".contains(byte);
    let received = format!("{}", log.escape_ascii());
    must(
        !log.iter().any(control),
        "a log without control bytes",
        received,
    )
}
