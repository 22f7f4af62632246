//! A terminal of the reader: it runs a command and collects its output.

use harness::cleanup::ProcessGroup;
use harness::process::Signal;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to clean up after SIGTERM.
const CLEANUP_LIMIT: Duration = Duration::from_secs(5);

/// A shell that runs a command. It is killed, with everything it started, when this value is
/// dropped.
pub struct Shell {
    child: Child,
    /// `None` only while it is being dropped.
    group: Option<ProcessGroup>,
    chunks: Receiver<Vec<u8>>,
    /// What has been printed and not yet discarded.
    output: Vec<u8>,
    /// Whether nothing more can be printed.
    has_ended: bool,
}

impl Shell {
    /// Starts a command in that folder.
    pub fn start(command: &str, folder: &Path) -> io::Result<Shell> {
        let (mut reader, writer) = io::pipe()?;
        let mut shell = Command::new("sh");
        // A reader's shell has no variables of this test.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let ours = ["CARGO_", "GIT_", "LAB_"];
            let is_ours = ours.iter().any(|start| name.starts_with(start));
            if is_ours && name != "CARGO_HOME" {
                shell.env_remove(name.as_ref());
            }
        }
        shell
            .args(["-c", command])
            .current_dir(folder)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let (child, group) = ProcessGroup::start(&mut shell)?;
        // The command holds the other end of the pipe. While that is open, more may come.
        drop(shell);
        let (sender, chunks) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut chunk)
                && sender.send(chunk[..length].to_vec()).is_ok()
            {}
        });
        Ok(Shell {
            child,
            group: Some(group),
            chunks,
            output: Vec::new(),
            has_ended: false,
        })
    }

    /// Passes on the output, and whether that is all of it, until the closure succeeds. When there
    /// can be no more output, or the time is up, its last error is returned.
    pub fn wait_for<T>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut(&str, bool) -> Result<T, String>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + limit;
        loop {
            let text = String::from_utf8_lossy(&self.output).replace('\r', "");
            let outcome = look(&text, self.has_ended);
            let left = deadline.saturating_duration_since(Instant::now());
            if outcome.is_ok() || self.has_ended || left.is_zero() {
                return outcome;
            }
            match self.chunks.recv_timeout(left) {
                Ok(chunk) => self.output.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => self.has_ended = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Discards the first lines of the output.
    pub fn discard_lines(&mut self, count: usize) {
        let lines = self.output.split_inclusive(|byte| *byte == b'\n');
        let length: usize = lines.take(count).map(<[u8]>::len).sum();
        self.output.drain(..length);
    }

    /// Discards everything that has been printed so far.
    pub fn discard_all(&mut self) {
        self.output.clear();
        while self.chunks.try_recv().is_ok() {}
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{line}")
    }

    /// Sends a signal to the command and everything it started, as a terminal does for Ctrl-C.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.signal(signal);
        }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether Ctrl-C ended it: by the signal, or, if it was running until then, in an orderly way.
    /// Since it prints nothing more, this doesn't wait long.
    pub fn was_interrupted(&mut self, was_running: bool) -> bool {
        let status = self.child.wait().ok();
        status.is_some_and(|status| {
            status.signal() == Some(Signal::INT.as_raw()) || was_running && status.success()
        })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The lab itself ends what it has started, if it gets the time.
        self.signal(Signal::TERM);
        let _ = self.wait_for(CLEANUP_LIMIT, |_, has_ended| {
            has_ended.then_some(()).ok_or(String::new())
        });
        self.group = None;
        // It has just been killed, so this doesn't wait long.
        let _ = self.child.wait();
    }
}
