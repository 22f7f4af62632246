//! CGI: a program for each request (RFC 3875). Its environment says what is asked for, its standard
//! input is the content, and its standard output is the response.
//!
//! Any program in any language will do, and none of them can be trusted. Look at what it gets from the
//! server: three descriptors, and nothing else. And look at how it ends, whatever it does.

use crate::client::{Client, poll};
use crate::error_log::ErrorLog;
use crate::gateway::Call;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, Error, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long to wait between two looks at whether a program has exited.
const EXIT_TICK: Duration = Duration::from_millis(2);

/// A program that runs for a request. To read from it is to read its standard output.
pub struct Program {
    child: Child,
    output: ChildStdout,
    /// `None` when it has been closed.
    errors: Option<ChildStderr>,
    log: ErrorLog,
    client: Client,
    timeout: Duration,
    has_written: bool,
    has_ended: bool,
}

/// Starts a program.
pub fn start(
    path: &Path,
    environment: Vec<(OsString, OsString)>,
    call: Call,
) -> io::Result<Program> {
    let variables = call.variables.into_iter();
    let variables = variables.map(|(name, value)| (name, OsString::from_vec(value)));
    let mut child = Command::new(path)
        .env_clear()
        .envs(environment)
        .envs(variables)
        .current_dir(path.parent().unwrap_or(Path::new("/")))
        // A file, not a pipe, so it doesn't matter how much of it the program reads, and when.
        .stdin(call.content.into_file()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // With its own group, whatever it starts can be ended together with it.
        .process_group(0)
        .spawn()?;
    let (output, errors) = child
        .stdout
        .take()
        .zip(child.stderr.take())
        .ok_or(io::ErrorKind::Other)?;
    Ok(Program {
        child,
        output,
        errors: Some(errors),
        log: ErrorLog::new(call.name),
        client: call.client,
        timeout: call.timeout,
        has_written: false,
        has_ended: false,
    })
}

impl Read for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = Instant::now() + self.timeout;
        while !self.has_ended && !buffer.is_empty() {
            // Asked first: if it has exited by now, the wait reports all that it has written.
            let has_exited = self.child.try_wait()?.is_some();
            let output = self.output.as_fd();
            let fds = [Some(output), self.errors.as_ref().map(AsFd::as_fd)];
            let ready = self.client.wait(&fds, deadline)?;
            if ready[1] {
                self.log.copy_from(&mut self.errors);
            }
            if ready[0] {
                match self.output.read(buffer)? {
                    0 => self.end()?,
                    length => {
                        self.has_written = true;
                        return Ok(length);
                    }
                }
            } else if !ready[1] && has_exited {
                // Some process that it has started holds its standard output open.
                self.end()?;
            }
        }
        Ok(0)
    }
}

impl Program {
    /// What was written so far is all there is. A program that was killed had more to say.
    fn end(&mut self) -> io::Result<()> {
        self.has_ended = true;
        let status = self.exit_status(Instant::now() + 50 * EXIT_TICK)?;
        match status.and_then(|status| status.signal()) {
            Some(signal) => Err(Error::other(format!("ended by signal {signal}"))),
            None => Ok(()),
        }
    }

    /// Waits for its exit until then. It may still write why it fails, and a full pipe would stop it.
    fn exit_status(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            let status = self.child.try_wait()?;
            let limit = if status.is_some() {
                Duration::ZERO
            } else {
                EXIT_TICK
            };
            let has_more = poll(&[self.errors.as_ref().map(AsFd::as_fd)], limit)?[0];
            if has_more {
                self.log.copy_from(&mut self.errors);
            }
            if (status.is_some() && !has_more) || Instant::now() >= deadline {
                return Ok(status);
            }
        }
    }
}

impl Drop for Program {
    /// Ends a program that hangs, with its whole group, and leaves no zombie. What a program leaves running
    /// when it exits, such as a service, goes on.
    fn drop(&mut self) {
        // It may work on after its response.
        let limit = if self.has_ended && self.has_written {
            self.timeout
        } else {
            Duration::ZERO
        };
        if !matches!(self.exit_status(Instant::now() + limit), Ok(Some(_))) {
            kill_group(&self.child);
        }
        let _ = self.child.wait();
    }
}

/// Ends a process with all that belongs to its group.
pub fn kill_group(child: &Child) {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
