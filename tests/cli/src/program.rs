//! Programs to grade, named on the command line or built, and commands that build or grade them.

use crate::language;
use harness::cleanup::{self, ProcessGroup};
use harness::context::wait_until;
use harness::program::{CapturedOutput, Program, on_path};
use harness::{process, quota, workspace};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use suite::translation::fill;

/// How long a command may take to clean up when it is asked to end.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How many characters of a compiler's messages are shown.
const MESSAGES_LIMIT: usize = 4000;

/// Why there is no program to grade.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// Its author is to blame.
    Submission(String),
    /// It took too long, perhaps because the machine was busy.
    TimedOut(String),
    /// Its author isn't to blame.
    Lab(String),
}

impl Problem {
    /// What to say about it.
    pub fn into_text(self) -> String {
        match self {
            Problem::Submission(text) | Problem::TimedOut(text) | Problem::Lab(text) => text,
        }
    }
}

/// The program at that path, which must be an executable file. A bare name is looked up in `PATH`,
/// as a shell would do it.
pub fn named(path: &Path, arguments: &[OsString]) -> Result<Program, String> {
    let shown = path.display();
    let is_bare = path.components().count() == 1 && !path.exists();
    let found = if is_bare { on_path(path) } else { None };
    let path = found.as_deref().unwrap_or(path).canonicalize();
    let metadata = path.and_then(|path| Ok((path.metadata()?, path)));
    let (metadata, path) = metadata.map_err(|error| {
        fill(
            "There is no program `{path}`: {error}. Give its path, or a name in PATH.",
            &[("path", &shown), ("error", &error)],
        )
    })?;
    if !metadata.is_file() {
        return Err(fill(
            "`{path}` is not a file. Name a program.",
            &[("path", &shown)],
        ));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(fill(
            "`{path}` is not executable. Make it executable: chmod +x {path}",
            &[("path", &shown)],
        ));
    }
    let mut program = Program::new(path);
    program.arguments = arguments.iter().map(absolute).collect();
    Ok(program)
}

/// An argument that names a file, such as the script of an interpreter, as an absolute path: some checks
/// start the program in another folder.
fn absolute(argument: &OsString) -> OsString {
    let path = Path::new(argument);
    let absolute = path::absolute(path).ok().filter(|_| path.is_file());
    absolute.map_or_else(|| argument.clone(), PathBuf::into_os_string)
}

/// Builds a package of the workspace. The program is a copy, which the next build doesn't change.
pub fn build(package: &str) -> Result<Program, String> {
    let folder = workspace::root().join(package);
    if language::is_used_in(&folder) {
        return language::program(&folder);
    }
    let binary = workspace::build_package(package, false)?;
    Program::copy_of(&binary).map_err(|error| format!("Cannot copy {}: {error}", binary.display()))
}

/// Runs a command, which cleans up after itself. After `limit` it is asked to end, and then killed
/// with everything that it started. Also returns whether it ended in time.
pub fn run_within(command: &mut Command, limit: Duration) -> io::Result<(Output, bool)> {
    run_until(command, limit, |_| false)
}

/// Runs the command that builds a program, as [`run_within`] does, with the bounds of [`quota`] on
/// what all its processes use.
pub fn run_build(command: &mut Command, limit: Duration) -> Result<Output, Problem> {
    // What it detaches becomes ours, and ends with it.
    process::adopt_orphans();
    let mut next_look = Instant::now();
    let mut excess = None;
    let exceeds = |pid| {
        if next_look <= Instant::now() {
            next_look = Instant::now() + quota::INTERVAL;
            cleanup::kill_orphans();
            excess = quota::excess_of(pid);
        }
        excess.is_some()
    };
    let ran = run_until(command, limit, exceeds);
    cleanup::kill_orphans();
    let (output, in_time) =
        ran.map_err(|error| Problem::Lab(format!("Cannot run the build: {error}")))?;
    if let Some(excess) = excess {
        let error = fill("It doesn't build: {excess}.", &[("excess", &excess)]);
        return Err(Problem::Submission(error));
    }
    if !in_time {
        let limit = limit.as_secs();
        let error = fill("It doesn't build within {limit} s.", &[("limit", &limit)]);
        return Err(Problem::TimedOut(error));
    }
    Ok(output)
}

/// Runs a command until it ends, `limit` has passed, or `must_stop` returns true for its process id. In
/// that case it gets no time to clean up.
fn run_until(
    command: &mut Command,
    limit: Duration,
    mut must_stop: impl FnMut(i32) -> bool,
) -> io::Result<(Output, bool)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, group) = ProcessGroup::start(command)?;
    group.mark_as_grader();
    let (stdout, stderr) = (CapturedOutput::default(), CapturedOutput::default());
    stdout.capture(child.stdout.take());
    stderr.capture(child.stderr.take());
    let pid = child.id().cast_signed();
    let ends = || Ok(cleanup::has_exited(&child) || must_stop(pid));
    let in_time = wait_until(limit, ends).unwrap_or(false);
    if !in_time {
        group.terminate();
        let _ = wait_until(CLEANUP_TIMEOUT, || Ok(cleanup::has_exited(&child)));
    }
    // A process that it left behind would keep the output streams open.
    drop(group);
    let output = Output {
        status: child.wait()?,
        stdout: stdout.finish(),
        stderr: stderr.finish(),
    };
    Ok((output, in_time))
}

/// The first of a compiler's messages.
pub fn cut_messages(messages: &str) -> String {
    match messages.char_indices().nth(MESSAGES_LIMIT) {
        None => messages.to_string(),
        Some((end, _)) => format!(
            "{}\n[cut here: the messages have {} characters]",
            &messages[..end],
            messages.chars().count()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_can_be_started_in_any_folder() {
        // Tests run in the folder of their package.
        let arguments = ["Cargo.toml", "--file", "none", "src"].map(OsString::from);
        let program = named(Path::new("../install"), &arguments).unwrap();
        assert!(program.path.is_absolute(), "{program:?}");
        let [file, rest @ ..] = &*program.arguments else {
            panic!("{program:?}");
        };
        assert!(Path::new(file).is_absolute(), "{program:?}");
        assert_eq!(rest, &arguments[1..]);
    }

    #[test]
    fn messages_that_were_cut_say_so() {
        assert_eq!(cut_messages("short"), "short");
        let long = cut_messages(&"ä".repeat(5000));
        let text = long.trim_start_matches('ä');
        assert_eq!(text, "\n[cut here: the messages have 5000 characters]");
    }
}
