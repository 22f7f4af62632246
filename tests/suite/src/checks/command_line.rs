//! The command line: options, start-up errors, the announcement, and the log.

use super::ensure_alive;
use crate::check::{ANNOUNCEMENT, Check, DEFAULTS};
use assert_cmd::assert::OutputAssertExt;
use harness::client::{get, request};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_until};
use harness::error::{CheckError, CheckResult, FailureKind, ensure};
use harness::process::Signal;
use harness::server::Start;
use harness::tcp;
use harness::text::readable;
use predicates::prelude::{Predicate, PredicateBooleanExt};
use predicates::str::{contains, is_empty};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Check {
        id: "help-lists-options",
        must: "exit 0 on `--help` and list --listen, --root, --timeout and --verbose",
        why: "Nobody should have to read the source to start a server.",
        hint: "Print the help to standard output and exit with 0.",
        needs: &[],
        run: help_lists_options,
        ..DEFAULTS
    },
    Check {
        id: "version-flag",
        must: "exit 0 on `--version` and print a version",
        why: "A bug report must be able to name the version.",
        hint: "Print the name and the version to standard output and exit with 0.",
        needs: &[],
        run: version_flag,
        ..DEFAULTS
    },
    Check {
        id: "usage-error-exits-2",
        must: "exit 2 on an unknown option or an invalid value (`--timeout 0` too), and name it",
        why: "By convention, exit code 2 means a usage error.",
        hint: "Check every value before you open anything. Write the error to standard error.",
        needs: &[],
        run: usage_error_exits_2,
        ..DEFAULTS
    },
    Check {
        id: "missing-root-error",
        must: "exit 1 if the document root doesn't exist, with one line that names it and `--root`",
        why: "A server without its files could only ever send 404.",
        hint: "Look for the folder before you listen, and print its path as it was given.",
        needs: &[],
        run: missing_root_error,
        ..DEFAULTS
    },
    Check {
        id: "file-as-root-error",
        must: "exit 1 if the document root is a file, with one line that names it and `--root`",
        why: "A path may exist without being a folder.",
        hint: "Check that the root is a folder, not only that it exists.",
        needs: &[],
        run: file_as_root_error,
        ..DEFAULTS
    },
    Check {
        id: "address-in-use-error",
        must: "exit 1 if the address is in use, with one line that names it and `--listen`",
        why: "This is the most common start-up error: the last server is still running.",
        hint: "Listen where `--listen` says. bind(2) fails with EADDRINUSE: another port fixes it.",
        needs: &[],
        run: address_in_use_error,
        ..DEFAULTS
    },
    Check {
        id: ANNOUNCEMENT,
        must: "print one line, `Serving DIR at http://ADDR:PORT/`, within 15 s, once it accepts clients",
        why: "A program that starts the server waits for this line and reads the port from it.",
        hint: "Listen where `--listen` says. Then print the line, with the actual port, and flush it.",
        about: &[FailureKind::NotListening],
        needs: &[],
        run: announces_when_ready,
        ..DEFAULTS
    },
    Check {
        id: "restarts-immediately",
        must: "exit within 5 s on SIGTERM and SIGINT, and be able to use the same port again at once",
        why: "Without SO_REUSEADDR, connections in TIME-WAIT block the port for a minute (socket(7)).",
        hint: "Set the option for address reuse before you bind.",
        about: &[FailureKind::NotStarted],
        run: restarts_immediately,
        ..DEFAULTS
    },
    Check {
        id: "logs-each-request",
        must: "log each request to standard error: client, method, target, status code, bytes sent",
        why: "When something goes wrong, the log is the only evidence.",
        hint: "Write the line in one piece, after you have sent the response.",
        run: logs_each_request,
        ..DEFAULTS
    },
    Check {
        id: "verbose-shows-head",
        must: "log the request head with `--verbose`, without control bytes",
        why: "A client must not be able to send escape sequences to your terminal.",
        hint: "Escape every byte that isn't printable, in the target too.",
        run: verbose_shows_head,
        ..DEFAULTS
    },
];

/// How long the program may take to exit by itself.
pub const EXIT_TIMEOUT: Duration = RESPONSE_TIMEOUT.saturating_mul(2);

/// How the program exited, and what it printed.
struct Exit {
    arguments: String,
    output: Output,
}

/// Runs the program with these arguments. If it doesn't exit, it is killed.
fn run(ctx: &TestContext, arguments: &[&str]) -> CheckResult<Exit> {
    Ok(Exit {
        arguments: arguments.join(" "),
        output: ctx.program.run(arguments, EXIT_TIMEOUT)?,
    })
}

/// How a program ended that had to exit by itself.
pub fn exit_text(status: ExitStatus) -> String {
    if status.signal() == Some(9) {
        format!("{status}: it was still running after {EXIT_TIMEOUT:?}")
    } else {
        status.to_string()
    }
}

impl Exit {
    /// Fails unless the program exited with this code, without a panic, and `stream`, one of its
    /// output streams, is as expected.
    fn ensure(
        &self,
        code: i32,
        stream: &[u8],
        expected: &str,
        predicate: &impl Predicate<str>,
    ) -> CheckResult {
        let Output {
            status,
            stdout,
            stderr,
        } = &self.output;
        let printed = String::from_utf8_lossy(&[stdout.as_slice(), stderr].concat()).into_owned();
        let ended = exit_text(*status);
        let exited = self.output.clone().assert().try_code(code).is_ok();
        let is_expected = predicate.eval(&String::from_utf8_lossy(stream));
        ensure(
            exited && is_expected && !printed.contains("panicked"),
            format!(
                "`{}` exits with {code} and prints {expected}",
                self.arguments
            ),
            format!("{ended}\n{}", readable(printed.as_bytes())).trim_end(),
        )
    }

    /// Fails unless it exited with this code and standard output is as expected.
    fn ensure_stdout(
        &self,
        code: i32,
        expected: &str,
        predicate: &impl Predicate<str>,
    ) -> CheckResult {
        self.ensure(code, &self.output.stdout, expected, predicate)
    }

    /// Fails unless it exited with this code and standard error contains this text.
    fn ensure_error(&self, code: i32, text: &str) -> CheckResult {
        let expected = format!("`{text}` on standard error");
        self.ensure(code, &self.output.stderr, &expected, &contains(text))
    }
}

fn help_lists_options(ctx: &TestContext) -> CheckResult {
    ensure_help_lists(ctx, &["--listen", "--root", "--timeout", "--verbose"])
}

/// Fails unless the help of the program names these options.
pub fn ensure_help_lists(ctx: &TestContext, options: &[&str]) -> CheckResult {
    let exit = run(ctx, &["--help"])?;
    options
        .iter()
        .try_for_each(|option| exit.ensure_stdout(0, &format!("`{option}`"), &contains(*option)))
}

fn version_flag(ctx: &TestContext) -> CheckResult {
    let exit = run(ctx, &["--version"])?;
    exit.ensure_stdout(0, "a version", &contains("."))
}

fn usage_error_exits_2(ctx: &TestContext) -> CheckResult {
    for (arguments, named) in [
        (["--no-such-option", "1"], "--no-such-option"),
        (["--listen", "nowhere"], "nowhere"),
        (["--listen", "127.0.0.1:99999"], "127.0.0.1:99999"),
        (["--timeout", "soon"], "soon"),
        (["--timeout", "0"], "0"),
    ] {
        let exit = run(ctx, &arguments)?;
        exit.ensure_error(2, named)?;
        exit.ensure_stdout(2, "nothing on standard output", &is_empty())?;
    }
    Ok(())
}

/// Fails unless the program refuses to start: it exits with 1 and prints one line, which names
/// what is wrong.
fn ensure_start_error(
    ctx: &TestContext,
    listen: &str,
    root: &Path,
    named: [&str; 2],
) -> CheckResult {
    let root = root.display().to_string();
    let exit = run(ctx, &["--listen", listen, "--root", &root])?;
    for name in named {
        exit.ensure_error(1, name)?;
    }
    let is_one_line = contains("\n")
        .count(1)
        .and(contains("RUST_BACKTRACE").not());
    let expected = "one line on standard error";
    exit.ensure(1, &exit.output.stderr, expected, &is_one_line)
}

fn ensure_root_error(ctx: &TestContext, root: &Path) -> CheckResult {
    let named = root.display().to_string();
    ensure_start_error(ctx, "127.0.0.1:0", root, [&named, "--root"])
}

fn missing_root_error(ctx: &TestContext) -> CheckResult {
    ensure_root_error(ctx, &ctx.site.outside(&ctx.site.name()))
}

fn file_as_root_error(ctx: &TestContext) -> CheckResult {
    ensure_root_error(ctx, &ctx.site.path(&ctx.site.page.name))
}

fn address_in_use_error(ctx: &TestContext) -> CheckResult {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?.to_string();
    ensure_start_error(ctx, &address, &ctx.site.root(), [&address, "--listen"])
}

fn announces_when_ready(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let mut client = server.connect_immediately()?;
    client.send(&get(&ctx.site.page.target()));
    // Whether it responds is for `named-file`.
    if let Err(CheckError::Broken(reason)) = client.response() {
        return Err(CheckError::Broken(reason));
    }
    // Whoever names one address doesn't want to be reached at all of them.
    if let Ok(Some(socket)) = tcp::listener(server.address) {
        let expected = format!("a server that listens on {} only", server.address);
        let is_only = socket.address == server.address.ip();
        ensure(is_only, expected, socket.address.to_string())?;
    }
    let (root, address) = (ctx.site.root(), server.address);
    let line = format!("Serving {} at http://{address}/", root.display());
    let is_exact = server.announcement == line;
    ensure(is_exact, format!("the line `{line}`"), &server.announcement)?;
    let further = server.further_lines();
    let received = further.join("\n");
    ensure(further.is_empty(), "one line on standard output", received)?;
    // Port 0 means a free port for each server.
    ctx.start().map(drop)
}

fn restarts_immediately(ctx: &TestContext) -> CheckResult {
    let listen = reserved_address();
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let server = ctx.start_with(Start {
            listen,
            ..Start::default()
        })?;
        // The server closes first, so the connection stays in TIME-WAIT on its side.
        ensure_alive(ctx, &server)?;
        server.signal(signal);
        let has_exited = server.wait_for_exit(RESPONSE_TIMEOUT)?.is_some();
        let received = format!("it is still running after {RESPONSE_TIMEOUT:?}");
        ensure(has_exited, format!("an exit on {name}"), received)?;
        // Its children are killed with their group, which may take a moment.
        drop(server);
        wait_until(RESPONSE_TIMEOUT, || Ok(TcpStream::connect(listen).is_err()))?;
    }
    Ok(())
}

/// An address that nothing else takes while a check uses it more than once. On Linux, each
/// process has its own loopback address. Each call has another port, below the range from which
/// systems assign ports.
fn reserved_address() -> SocketAddr {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id();
    let call = CALLS.fetch_add(1, Ordering::Relaxed) % 1000;
    if cfg!(target_os = "linux") {
        let [_, a, b, c] = process.to_be_bytes();
        return SocketAddr::from(([127, a, b, c], 20_000 + call));
    }
    let port = 20_000 + (process % 100) as u16 * 100 + call % 100;
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn logs_each_request(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    // So long that one write can't send it, and that no other number in the log is the same.
    let content = ctx.site.bytes(200_000 + ctx.site.below(100_000));
    let name = format!("{}.html", ctx.site.name());
    let file = ctx.site.add(&name, &content)?;
    let missing = format!("/{}", ctx.site.name());
    for (target, status) in [(file.target(), "200"), (missing, "404")] {
        let response = server.get(&target)?;
        // Whether the head counts is left open.
        let sizes = [&response.raw, &response.content].map(|bytes| bytes.len().to_string());
        let is_complete = |line: &str| {
            // Only whole words count: the client's port may contain the same digits.
            let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            let parts = ["127.0.0.1", "GET", &target];
            parts.iter().all(|part| line.contains(part))
                && words.contains(&status)
                && sizes.iter().any(|size| words.contains(&size.as_str()))
        };
        // A server may log more about a request than this line.
        let is_logged = wait_until(RESPONSE_TIMEOUT, || {
            Ok(server.log_text().lines().any(is_complete))
        })?;
        let expected = format!(
            "a line on standard error with 127.0.0.1 (the client), GET, {target}, {status} and \
             {} (the bytes sent)",
            sizes[0]
        );
        ensure(is_logged, expected, server.log_text())?;
    }
    Ok(())
}

fn verbose_shows_head(ctx: &TestContext) -> CheckResult {
    let server = ctx.start_with(Start {
        verbose: true,
        ..Start::default()
    })?;
    let name = ctx.site.name();
    let field = format!("X-Lab: {name}");
    let head = request("GET", &ctx.site.page.target(), &format!("{field}\r\n"));
    let response = server.exchange(&head)?;
    response.ensure_serves(&ctx.site.page.content)?;
    let is_shown = server.wait_for_log_line(&["X-Lab", &name])?.is_some();
    let expected = format!("the field `{field}` in the log");
    ensure(is_shown, expected, "no such line")?;
    // Whether this is refused or served, it must not reach the terminal unescaped.
    let escape = format!("GET /{name}\x1b[31m HTTP/1.1\r\nHost: a\r\nX-Lab: \x1b[2J\x07\r\n\r\n");
    server.exchange(escape.as_bytes())?;
    let is_shown = server.wait_for_log_line(&[&name, "[31m"])?.is_some();
    ensure(is_shown, "the second request in the log", "no such line")?;
    // The line with the status code comes last. A server without it fails `logs-each-request`.
    let names_client = |line: &&str| line.contains("127.0.0.1");
    wait_until(RESPONSE_TIMEOUT, || {
        Ok(server.log_text().lines().filter(names_client).count() >= 2)
    })?;
    let log = server.log();
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\n\t".contains(byte);
    let is_clean = !log.iter().any(is_control);
    let received = log.escape_ascii().to_string();
    ensure(is_clean, "a log without control bytes", received)
}
