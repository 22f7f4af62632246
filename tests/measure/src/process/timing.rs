//! Starts a program once: how long it runs, and whether it does what its step is about.

use super::steps::Step;
use harness::cleanup::{self, ProcessGroup};
use harness::context::wait_until;
use harness::program::CapturedOutput;
use harness::response::Response;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may run, and how long to wait for its response.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Step {
    /// Starts the program and waits until it exits. Returns how long that took. Its client has
    /// sent everything before, and reads the response afterwards.
    pub fn measure(&self, listener: &TcpListener) -> Result<Duration, String> {
        self.start(listener, Stdio::null(), |child| {
            cleanup::wait_for_exit(child);
            Ok(())
        })
    }

    /// Starts the program once to load it from the disk, and to see whether it works. The error
    /// includes what it has written to standard error.
    pub fn rehearse(&self, listener: &TcpListener) -> Result<Duration, String> {
        let log = CapturedOutput::default();
        let outcome = self.start(listener, Stdio::piped(), |child| {
            log.capture(child.stderr.take());
            let message = format!("it is still running after {TIMEOUT:?}");
            match wait_until(TIMEOUT, || Ok(cleanup::has_exited(child))) {
                Ok(true) => Ok(()),
                _ => Err(io::Error::other(message)),
            }
        });
        let log = String::from_utf8_lossy(&log.finish()).into_owned();
        outcome.map_err(|error| format!("{error}\n{log}").trim_end().to_string())
    }

    /// Starts the program, waits, and checks what it has done.
    fn start(
        &self,
        listener: &TcpListener,
        stderr: Stdio,
        wait: impl FnOnce(&mut Child) -> io::Result<()>,
    ) -> Result<Duration, String> {
        let run = || -> io::Result<_> {
            let (mut command, client) = self.command(listener)?;
            command.stderr(stderr);
            let started = Instant::now();
            let (mut child, group) = ProcessGroup::start(&mut command)?;
            let waited = wait(&mut child);
            let time = started.elapsed();
            drop(group);
            let status = child.wait()?;
            waited?;
            if !status.success() {
                return Err(io::Error::other(status.to_string()));
            }
            // The command has a copy of the server's socket: the client wouldn't see the end.
            drop(command);
            let mut raw = Vec::new();
            client.map_or(Ok(0), |mut client| client.read_to_end(&mut raw))?;
            Ok((time, raw))
        };
        let outcome = run().map_err(|error| error.to_string());
        let outcome = outcome.and_then(|(time, raw)| self.check(&raw).map(|()| time));
        outcome.map_err(|error| {
            let (step, path) = (self.program, self.path.display());
            format!("The step \"{step}\" was not measured: {path}: {error}")
        })
    }

    /// The command, with the server's socket as standard input, and the client.
    fn command(&self, listener: &TcpListener) -> io::Result<(Command, Option<TcpStream>)> {
        let mut command = Command::new(&self.path);
        // Cargo's variables tell the dynamic linker where to look for libraries.
        command.args(&self.arguments).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let Some(request) = &self.request else {
            return Ok((command, None));
        };
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (socket, _) = listener.accept()?;
        client.write_all(request)?;
        client.shutdown(Shutdown::Write)?;
        client.set_read_timeout(Some(TIMEOUT))?;
        command.stdin(OwnedFd::from(socket));
        Ok((command, Some(client)))
    }

    /// Checks what the client has received.
    fn check(&self, raw: &[u8]) -> Result<(), String> {
        let response = Response::parse(self.request.as_deref().unwrap_or_default(), raw);
        let status = response.as_ref().map(|response| response.status);
        if status != self.status || response.is_none() != raw.is_empty() {
            let name = |status: Option<u16>| match status {
                Some(status) => format!("status {status}"),
                None => "no response".to_string(),
            };
            let (expected, received) = (name(self.status), name(status));
            return Err(format!("expected {expected}, received {received}"));
        }
        match (&self.content, response) {
            (Some(content), Some(it)) if it.content != *content => Err("wrong content".to_string()),
            _ => Ok(()),
        }
    }
}
