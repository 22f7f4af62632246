//! The program under test: how it is started, as whom, and with what at hand.
//!
//! It may be anybody's: so it sees little of the harness's environment, leads a process group
//! of its own, and is ended, with all that it has started, whatever happens.

use crate::check::Trouble;
use crate::ending::{self, Folder, Group};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User};
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a program sees of our environment. The rest may hold what is not its business: the
/// token of a course's automation, or the seed of this run.
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

/// How much of what a program writes is kept, in bytes.
const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// Where a program of that name lies in PATH, as a shell would find it.
pub fn on_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|folder| folder.join(&name));
    places.find(|place| place.is_file())
}

/// A program to be started.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    /// What stands before the options of the contract.
    pub arguments: Vec<OsString>,
    /// The user that it runs as; `None`: ours.
    pub user: Option<Account>,
    /// Where it lies, if that goes with its last use: nobody reads it, it is only held.
    _home: Option<Arc<Folder>>,
}

/// A user of this system: user id and group id.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// Looks a user up by name, for programs to run as. Only root may start them so.
    pub fn named(name: &str) -> Result<Account, String> {
        if !Uid::effective().is_root() {
            return Err(format!(
                "Only root can run servers as another user. Leave out `--user {name}`."
            ));
        }
        match User::from_name(name) {
            Ok(Some(user)) if user.uid.is_root() => Err(format!(
                "`--user {name}` is root, which shuts nobody out. Name another user."
            )),
            Ok(Some(user)) => Ok(Account {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            }),
            Ok(None) => Err(format!(
                "There is no user `{name}`. Make one: useradd --no-create-home {name}"
            )),
            Err(error) => Err(format!("Cannot look up the user `{name}`: {error}")),
        }
    }

    /// Gives a file or folder to this user.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(nix::unistd::chown(path, Some(uid), Some(gid))?)
    }
}

impl Program {
    /// A program that is started by us, as us.
    pub fn new(path: impl Into<PathBuf>) -> Program {
        Program {
            path: path.into(),
            arguments: Vec::new(),
            user: None,
            _home: None,
        }
    }

    /// A copy of a program, in a folder that goes with its last use: what is built anew
    /// meanwhile does not change it.
    pub fn copy_of(binary: &Path) -> io::Result<Program> {
        let folder = Folder::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let copy = folder
            .path()
            .join(binary.file_name().unwrap_or(binary.as_os_str()));
        ending::while_nothing_starts(|| fs::copy(binary, &copy))?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        Ok(Program {
            _home: Some(Arc::new(folder)),
            ..Program::new(copy)
        })
    }

    /// The command that starts it, with nothing but what stands in front of its options; what
    /// it writes goes into pipes.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear();
        let kept = |name: &&str| env::var_os(name).map(|value| (name.to_string(), value));
        command.envs(ENVIRONMENT.iter().filter_map(kept));
        // A panic is told in three lines.
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

    /// Starts it with these options, in a process group of its own.
    /// What the system refuses to start is the program's fault.
    pub fn start(&self, options: &[OsString]) -> Result<(Child, Group), Trouble> {
        let mut command = self.command();
        command.args(options);
        let started = Group::start(&mut command);
        let (child, group) = started.map_err(|error| self.not_started(&error))?;
        crate::system::limit(child.id() as i32, self.user);
        Ok((child, group))
    }

    fn not_started(&self, error: &io::Error) -> Trouble {
        let refusal = format!("{} cannot be started: {error}", self.path.display());
        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOEXEC => {
                let hint = "a script needs a first line such as #!/bin/sh";
                Trouble::failed("a program", format!("{refusal}; {hint}"))
            }
            Errno::ENOENT => {
                let hint = "there is no such file, or what its first line names is not there";
                Trouble::failed("a program", format!("{refusal}; {hint}"))
            }
            Errno::EACCES => Trouble::failed("a program", refusal),
            _ => Trouble::Broken(refusal),
        }
    }

    /// Starts it with these options and waits for its end, at most for `limit`; then it is
    /// killed. What it writes is kept up to a bound.
    pub fn run(&self, options: &[&str], limit: Duration) -> Result<Output, Trouble> {
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        let (mut child, group) = self.start(&options)?;
        let (stdout, stderr) = (Kept::default(), Kept::default());
        collect(child.stdout.take(), &stdout);
        collect(child.stderr.take(), &stderr);
        let deadline = Instant::now() + limit;
        while child.try_wait()?.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        // What it has left behind holds its output open: that ends here as well.
        drop(group);
        let status = child.wait()?;
        let mut output = Output {
            status,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        output.stdout = settled(&stdout);
        output.stderr = settled(&stderr);
        Ok(output)
    }
}

/// What a program has written so far.
pub type Kept = Arc<Mutex<Vec<u8>>>;

/// All that a writer which has ended has left to be collected. Some process of its may keep
/// the stream open still: nobody waits for that.
pub fn settled(kept: &Kept) -> Vec<u8> {
    let patience = Instant::now() + Duration::from_secs(1);
    while Arc::strong_count(kept) > 1 && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Collects what comes out of a stream, up to the limit; what comes after is thrown away,
/// so that the writer is never held up. The last to hold `kept` is the caller, when the
/// stream has ended.
pub fn collect(stream: Option<impl Read + Send + 'static>, kept: &Kept) {
    if let Some(mut stream) = stream {
        let kept = Arc::clone(kept);
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = OUTPUT_LIMIT.saturating_sub(kept.len());
                kept.extend_from_slice(&chunk[..length.min(room)]);
            }
        });
    }
}
