//! A program under test, and how it is started.
//!
//! The program may be anybody's. So it sees little of the harness's environment, leads a process
//! group of its own, and is killed with everything it started, whatever happens.

use crate::account::Account;
use crate::cleanup::{self, ProcessGroup, ScratchDir};
use crate::error::{CheckError, CheckResult, FailureKind};
use crate::process;
use crate::quota;
use rustix::fs::Mode;
use rustix::io::Errno;
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variables that a program sees. Others may hold secrets: a course's access
/// token, or the seed of this run.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "JAVA_HOME",
];

/// These variables of our own environment, as far as they are set.
pub fn inherited(names: &[&'static str]) -> impl Iterator<Item = (&'static str, OsString)> {
    let value = |name: &&'static str| Some((*name, env::var_os(name)?));
    names.iter().filter_map(value)
}

/// How many bytes of each output stream are kept.
const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// The same, for people.
pub const OUTPUT_LIMIT_TEXT: &str = "4 MiB";

/// Finds a program in `PATH`, as a shell would.
pub fn on_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|folder| folder.join(&name));
    candidates.find(|candidate| candidate.is_file())
}

/// A program that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    /// Arguments that come before the options of the contract.
    pub arguments: Vec<OsString>,
    /// The user that it runs as; `None` for the current user.
    pub user: Option<Account>,
    /// The folder that it is started in, if its path is absolute; `None` for the current one.
    pub folder: Option<PathBuf>,
    /// Where it keeps temporary files: it may be killed before it can remove them. `None` for the
    /// system's folder.
    pub temporary_folder: Option<PathBuf>,
    /// Keeps a temporary folder until its last user is gone.
    _folder: Option<Arc<ScratchDir>>,
}

impl Program {
    /// A program that runs as the current user.
    pub fn new(path: impl Into<PathBuf>) -> Program {
        Program {
            path: path.into(),
            arguments: Vec::new(),
            user: None,
            folder: None,
            temporary_folder: None,
            _folder: None,
        }
    }

    /// The same program, started by another command, to which its path and arguments are added.
    pub fn started_by(&self, command: &[&str]) -> Program {
        let own = [self.path.clone().into_os_string()];
        let mut words = command.iter().map(OsString::from).chain(own);
        Program {
            path: words.next().unwrap_or_default().into(),
            arguments: words.chain(self.arguments.clone()).collect(),
            ..self.clone()
        }
    }

    /// The same program without the rights of root, which no limit on processes binds. The error says
    /// why that is impossible.
    pub fn without_root(&self) -> Result<Program, String> {
        if self.user.is_some() || !rustix::process::geteuid().is_root() {
            return Ok(self.clone());
        }
        let for_others = |(path, bits): (&Path, u32)| {
            let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
            mode.is_ok_and(|mode| mode & bits == bits)
        };
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folders = path.ancestors().skip(1).map(|folder| (folder, 0o001));
        if !folders.chain([(&*path, 0o005)]).all(for_others) {
            let shown = path.display();
            return Err(format!(
                "limits on processes don't bind root, and nobody else may execute {shown}"
            ));
        }
        Ok(Program {
            user: Some(Account::NOBODY),
            ..self.clone()
        })
    }

    /// A copy of a program in a temporary folder, so that a rebuild doesn't change it.
    pub fn copy_of(binary: &Path) -> io::Result<Program> {
        let folder = ScratchDir::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let name = binary.file_name().unwrap_or(binary.as_os_str());
        let copy = folder.path().join(name);
        cleanup::without_starting_processes(|| fs::copy(binary, &copy))?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        Ok(Program::new(copy).keeping(folder))
    }

    /// The same program, which keeps a temporary folder until its last user is gone.
    pub fn keeping(self, folder: ScratchDir) -> Program {
        Program {
            _folder: Some(Arc::new(folder)),
            ..self
        }
    }

    /// The command that starts it, without the options of the contract. Its output is piped.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear();
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.envs(inherited(&ENVIRONMENT));
        command.envs(self.temporary_folder.iter().map(|path| ("TMPDIR", path)));
        // Keeps panic messages short.
        command.env("RUST_BACKTRACE", "0");
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it with these options in its own process group. A program that the system can't
    /// execute is a failure of the program.
    pub fn start(&self, options: &[OsString]) -> CheckResult<(Child, ProcessGroup)> {
        quota::ensure_not_exceeded()?;
        let mut command = self.command();
        command.args(options);
        let (reader, writer) = io::pipe()?;
        if self.user.is_some() {
            // Some programs open /dev/stderr, and another user may not open a pipe of this one.
            rustix::fs::fchmod(&writer, Mode::from_raw_mode(0o666)).map_err(io::Error::from)?;
        }
        command.stderr(writer);
        let started = ProcessGroup::start(&mut command);
        let (mut child, group) = started.map_err(|error| self.start_error(&error))?;
        child.stderr = Some(OwnedFd::from(reader).into());
        process::limit(child.id().cast_signed(), self.user);
        Ok((child, group))
    }

    fn start_error(&self, error: &io::Error) -> CheckError {
        let received = format!("{} can't be started: {error}", self.path.display());
        let hint = match Errno::from_io_error(error) {
            Some(Errno::NOEXEC) => "; a script needs a first line such as #!/bin/sh",
            Some(Errno::NOENT) => "; the file, or the interpreter in its first line, is missing",
            Some(Errno::ACCESS) => "",
            _ => return CheckError::Broken(received),
        };
        let (kind, expected) = (FailureKind::NotStarted, "an executable program");
        CheckError::of_kind(kind, b"", expected, received + hint)
    }

    /// Runs it with these options until it exits, or kills it after `limit`.
    pub fn run(&self, options: &[&str], limit: Duration) -> CheckResult<Output> {
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        let (mut child, group) = self.start(&options)?;
        let (stdout, stderr) = (CapturedOutput::default(), CapturedOutput::default());
        stdout.capture(child.stdout.take());
        stderr.capture(child.stderr.take());
        let deadline = Instant::now() + limit;
        while child.try_wait()?.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        // A process that it left behind would keep the output streams open.
        drop(group);
        Ok(Output {
            status: child.wait()?,
            stdout: stdout.finish(),
            stderr: stderr.finish(),
        })
    }
}

/// What a program has written to a stream so far, up to a limit.
#[derive(Clone, Debug, Default)]
pub struct CapturedOutput(Arc<Mutex<Captured>>);

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    /// Whether there was more than the limit.
    is_cut: bool,
    is_open: bool,
}

impl CapturedOutput {
    /// Reads a stream to its end in a thread. Everything beyond the limit is discarded, so that
    /// the writer never blocks.
    pub fn capture(&self, stream: Option<impl Read + Send + 'static>) {
        let Some(mut stream) = stream else { return };
        self.lock().is_open = true;
        let captured = self.clone();
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                let mut captured = captured.lock();
                let left = OUTPUT_LIMIT.saturating_sub(captured.bytes.len());
                captured.bytes.extend_from_slice(&chunk[..length.min(left)]);
                captured.is_cut |= length > left;
            }
            captured.lock().is_open = false;
        });
    }

    /// What has been captured so far.
    pub fn snapshot(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Whether the program has written more than is kept.
    pub fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    /// Everything that a program has written, once it has exited. Another process may still hold
    /// the stream open; this doesn't wait for it longer than a second.
    pub fn finish(&self) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.lock().is_open && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        self.snapshot()
    }

    fn lock(&self) -> MutexGuard<'_, Captured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
