//! A terminal of the reader's: it runs one command at a time, and keeps what that prints.

use lab::ending::Group;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to part, when nobody waits for it any more.
const PARTING: Duration = Duration::from_secs(5);

/// What a program has printed so far, and whether it can print more.
#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    ended: bool,
}

/// A command that runs.
pub struct Running {
    child: Child,
    /// Ends the whole group when it goes.
    group: Option<Group>,
    printed: Arc<(Mutex<Printed>, Condvar)>,
}

impl Running {
    /// Starts a shell with that command, in a group of its own.
    pub fn start(command: &str, folder: &Path, target: &Path) -> io::Result<Running> {
        let (reader, writer) = io::pipe()?;
        let mut shell = Command::new("sh");
        // What Cargo said to us is not what it says to a reader's shell.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_") && name != "CARGO_HOME" || name.starts_with("LAB_") {
                shell.env_remove(name.as_ref());
            }
        }
        shell
            .args(["-c", command])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let (child, group) = Group::start(&mut shell)?;
        // The shell holds the pipe's other end; as long as it is open, more may come.
        drop(shell);
        let printed = Arc::new((Mutex::new(Printed::default()), Condvar::new()));
        let kept = Arc::clone(&printed);
        thread::spawn(move || keep(reader, &kept));
        Ok(Running {
            child,
            group: Some(group),
            printed,
        })
    }

    /// Waits until `enough` says so of what was printed, and whether that is all, or until the
    /// time is over; gives its last word.
    pub fn wait_for<T>(
        &self,
        limit: Duration,
        mut enough: impl FnMut(&str, bool) -> Result<T, String>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + limit;
        let (lock, changed) = &*self.printed;
        let mut printed = lock.lock().unwrap();
        loop {
            let text = String::from_utf8_lossy(&printed.bytes).replace('\r', "");
            let outcome = enough(&text, printed.ended);
            let left = deadline.saturating_duration_since(Instant::now());
            if outcome.is_ok() || printed.ended || left.is_zero() {
                return outcome;
            }
            printed = changed.wait_timeout(printed, left).unwrap().0;
        }
    }

    /// Forgets that many first lines: they were read.
    pub fn take_lines(&self, count: usize) {
        let mut printed = self.printed.0.lock().unwrap();
        let ends = printed.bytes.iter().enumerate();
        let ends = ends.filter(|(_, byte)| **byte == b'\n');
        let end = match count {
            0 => 0,
            _ => ends
                .map(|(at, _)| at + 1)
                .nth(count - 1)
                .unwrap_or(printed.bytes.len()),
        };
        printed.bytes.drain(..end);
    }

    /// Forgets all that it has printed.
    pub fn take_all(&self) {
        self.printed.0.lock().unwrap().bytes.clear();
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{line}")
    }

    /// Presses Ctrl-C: all of the group get the signal.
    pub fn interrupt(&self) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        // It may have ended already.
        let _ = killpg(group, Signal::SIGINT);
    }

    /// Whether Ctrl-C was what ended it. It can print no more, so this does not wait long.
    pub fn was_interrupted(&mut self) -> bool {
        let status = self.child.wait().ok();
        status.and_then(|status| status.signal()) == Some(Signal::SIGINT as i32)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        // The lab ends what it has started itself, if it may.
        let _ = killpg(group, Signal::SIGTERM);
        let _ = self.wait_for(PARTING, |_, ended| match ended {
            true => Ok(()),
            false => Err(String::new()),
        });
        self.group = None;
        // It has just been killed, so this does not wait long.
        let _ = self.child.wait();
    }
}

/// Keeps what comes until the last writer is gone.
fn keep(mut reader: PipeReader, printed: &(Mutex<Printed>, Condvar)) {
    let mut part = [0; 4096];
    loop {
        let length = reader.read(&mut part).unwrap_or(0);
        let mut kept = printed.0.lock().unwrap();
        kept.bytes.extend_from_slice(&part[..length]);
        kept.ended = length == 0;
        printed.1.notify_all();
        if length == 0 {
            return;
        }
    }
}
