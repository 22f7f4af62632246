//! Programs to grade, named on the command line or built, and commands that build or grade them.

use crate::language;
use harness::cleanup::{self, ProcessGroup};
use harness::context::wait_until;
use harness::program::{CapturedOutput, Program, on_path};
use harness::workspace;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// How long a command may take to clean up when it is asked to end.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The program at that path, which must be an executable file. A bare name is looked up in `PATH`,
/// as a shell would do it.
pub fn named(path: &Path, arguments: &[OsString]) -> Result<Program, String> {
    let shown = path.display();
    let is_bare = path.components().count() == 1 && !path.exists();
    let found = if is_bare { on_path(path) } else { None };
    let path = found.as_deref().unwrap_or(path).canonicalize();
    let metadata = path.and_then(|path| Ok((path.metadata()?, path)));
    let (metadata, path) = metadata.map_err(|error| {
        format!("There is no program `{shown}`: {error}. Give its path, or a name in PATH.")
    })?;
    if !metadata.is_file() {
        return Err(format!("`{shown}` is not a file. Name a program."));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "`{shown}` is not executable. Make it executable: chmod +x {shown}"
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
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, group) = ProcessGroup::start(command)?;
    group.mark_as_grader();
    let (stdout, stderr) = (CapturedOutput::default(), CapturedOutput::default());
    stdout.capture(child.stdout.take());
    stderr.capture(child.stderr.take());
    let exits_within = |limit| wait_until(limit, || Ok(cleanup::has_exited(&child)));
    let in_time = exits_within(limit).unwrap_or(false);
    if !in_time {
        group.terminate();
        let _ = exits_within(CLEANUP_TIMEOUT);
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
}
