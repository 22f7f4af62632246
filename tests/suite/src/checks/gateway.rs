//! Applications behind the server: what their checks have in common.
//!
//! Programs are shell scripts, and FastCGI workers and WSGI applications are small Python programs.
//! They are in folders next to the document root. What a script leaves for the check to see, and
//! what it waits for, are files with its own name and an ending.

use crate::check::{Check, DEFAULTS, PREREQUISITE};
use harness::context::{RESPONSE_TIMEOUT, TestContext, wait_for, wait_until};
use harness::error::{CheckError, CheckResult, ensure};
use harness::process;
use harness::program::on_path;
use harness::response::Response;
use harness::server::{Server, Start};
use std::fs;
use std::path::{Path, PathBuf};

/// What the checks of stage 5 have in common, for `..STAGE_5`.
pub const STAGE_5: Check = Check {
    stages: 5..=5,
    needs: &[PREREQUISITE, "cgi-program-responds"],
    // The requests are for applications that only the check has.
    replayable: false,
    ..DEFAULTS
};

/// The line of a script that writes a head.
pub const TEXT: &str = "printf 'Content-Type: text/plain\\n\\n'\n";

/// A shell script.
pub struct Script {
    pub path: PathBuf,
    /// Its request target, if the folder of programs is mounted at `/cgi`.
    pub target: String,
}

impl Script {
    /// The file with its name and this ending.
    pub fn file(&self, ending: &str) -> PathBuf {
        PathBuf::from(format!("{}.{ending}", self.path.display()))
    }

    /// Waits until it has written the file with this ending, and returns the numbers in it.
    pub fn numbers(&self, ending: &str) -> CheckResult<Vec<i32>> {
        numbers(&self.file(ending))
    }

    /// Lets it continue if it waits for the file with this ending.
    pub fn allow(&self, ending: &str) -> CheckResult {
        Ok(fs::write(self.file(ending), "")?)
    }

    pub fn has_file(&self, ending: &str) -> bool {
        self.file(ending).exists()
    }
}

/// Waits until an application has written a file of numbers, in one line, and returns them.
pub fn numbers(path: &Path) -> CheckResult<Vec<i32>> {
    let found = wait_for(RESPONSE_TIMEOUT, || Ok(read_numbers(path)))?;
    found.ok_or_else(|| {
        let received = format!("it had not begun after {RESPONSE_TIMEOUT:?}");
        CheckError::failed("an application at work", received)
    })
}

fn read_numbers(path: &Path) -> Option<Vec<i32>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let is_complete = text.ends_with('\n');
    is_complete.then(|| text.split_whitespace().flat_map(str::parse).collect())
}

/// Requests a target whose application writes a file of numbers and then hangs. Fails unless the
/// response is 504. On a busy machine, the time may be up before it has written them: then it gets
/// another request.
pub fn time_out(server: &Server, target: &str, path: &Path) -> CheckResult<Vec<i32>> {
    let found = wait_for(RESPONSE_TIMEOUT, || {
        server.get(target)?.ensure_status(504)?;
        Ok(read_numbers(path))
    })?;
    found.map_or_else(|| numbers(path), Ok)
}

/// Lines of a script that wait for the file with this ending.
pub fn until(ending: &str) -> String {
    format!("while [ ! -e \"$0.{ending}\" ]; do sleep 0.02; done\n")
}

/// Adds a script to the folder of programs.
pub fn add_script(ctx: &TestContext, lines: &str) -> CheckResult<Script> {
    let name = ctx.site.name();
    let text = format!("#!/bin/sh\n{lines}");
    let path = ctx
        .site
        .add_executable(&format!("programs/{name}"), &text)?;
    let target = format!("/cgi/{name}");
    Ok(Script { path, target })
}

/// Starts the server with these options, and with the folder of programs at `/cgi`.
pub fn start_cgi(ctx: &TestContext, options: &[&str]) -> CheckResult<Server> {
    start_cgi_with(ctx, Start::default(), options)
}

pub fn start_cgi_with(ctx: &TestContext, start: Start, options: &[&str]) -> CheckResult<Server> {
    let mount = format!("/cgi={}", ctx.site.outside("programs").display());
    start_with(ctx, start, &[&["--cgi", &mount], options].concat())
}

/// Starts the server with these options.
pub fn start_with(ctx: &TestContext, start: Start, options: &[&str]) -> CheckResult<Server> {
    let arguments = options.iter().map(Into::into).collect();
    ctx.start_with(Start { arguments, ..start })
}

/// Fails on a machine without Python.
pub fn require_python() -> CheckResult {
    let reason = || CheckError::Broken("there is no python3 in PATH".to_string());
    on_path("python3").map(drop).ok_or_else(reason)
}

/// Fails unless the content has this line.
pub fn ensure_line(response: &Response, line: &str) -> CheckResult {
    let text = String::from_utf8_lossy(&response.content);
    let is_there = text.lines().any(|found| found == line);
    response.ensure(is_there, format!("the line `{line}`"))
}

/// Fails unless no line of the content begins like this.
pub fn ensure_no_line(response: &Response, start: &str) -> CheckResult {
    let text = String::from_utf8_lossy(&response.content);
    let is_there = text.lines().any(|found| found.starts_with(start));
    response.ensure(!is_there, format!("no line that begins with `{start}`"))
}

/// Fails unless a process ends, and nobody who should have reaped it leaves it as a zombie. An orphan
/// is not the server's to reap.
pub fn ensure_ends(server: &Server, pid: i32) -> CheckResult {
    let has_ended = || match process::process(pid)? {
        Some(process) => Ok(process.is_zombie() && process.parent != server.pid()),
        None => Ok(true),
    };
    let has_ended = wait_until(RESPONSE_TIMEOUT, has_ended)?;
    let received = format!("process {pid} still exists");
    ensure(
        has_ended,
        "the end of everything that the application started",
        received,
    )
}
