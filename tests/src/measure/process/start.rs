//! One start of a step's program: from before it begins until its end is known, and whether it
//! has done what its step is about.

use super::Step;
use crate::ending::{self, Group};
use crate::wire::Answer;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may run that should end at once, and how often we look.
const LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(250);

/// The program that runs now, and since when. Whatever runs for too long is ended.
#[derive(Default)]
pub struct Running(Mutex<Option<(Group, Instant)>>);

impl Running {
    fn set(&self, group: Option<Group>) {
        let group = group.map(|group| (group, Instant::now()));
        // The one before goes only when the lock is free again: to end it may take a moment.
        let before = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *running, group)
        };
        drop(before);
    }

    /// Does something while somebody looks after the programs that it starts.
    pub fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (at_work, done) = mpsc::channel::<()>();
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(LOOK) {
                    let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                    running.take_if(|(_, since)| since.elapsed() > LIMIT);
                }
            });
            let outcome = work();
            drop(at_work);
            outcome
        })
    }
}

impl Step {
    /// Starts the program once, as a client would have it started, and waits for its end: how
    /// long that took. The client's side is done before, and looked at afterwards.
    pub fn start(
        &self,
        listener: &TcpListener,
        running: &Running,
        stderr: Stdio,
    ) -> Result<Duration, String> {
        let sockets = { self.request.as_ref() }.map(|request| client(listener, request));
        let sockets = sockets.transpose().map_err(|error| self.wrong(error))?;
        let (client, socket) = sockets.unzip();
        let mut command = Command::new(&self.program);
        // Where Cargo tells the linker to look for libraries is nothing that a server sees.
        command.args(&self.arguments).env_clear();
        command.stdin(socket.map_or_else(Stdio::null, |socket| OwnedFd::from(socket).into()));
        command.stdout(Stdio::null()).stderr(stderr);
        let begin = Instant::now();
        let (mut child, group) = Group::start(&mut command).map_err(|error| self.wrong(error))?;
        running.set(Some(group));
        ending::wait_for_end(&child);
        let time = begin.elapsed();
        // Its group goes before anybody has asked how it ended: until then its id is its own.
        running.set(None);
        let status = child.wait().map_err(|error| self.wrong(error))?;
        // Our copy of its socket: only without it does the client see the end.
        drop(command);
        self.must_have_ended_well(status, time)?;
        client.map_or(Ok(()), |client| self.must_have_answered(client))?;
        Ok(time)
    }

    /// Starts it once without looking at the clock. If it is not as it should be, what it has
    /// to say for itself is told.
    pub fn rehearse(&self, listener: &TcpListener, running: &Running) -> Result<(), String> {
        let mut said = tempfile::tempfile().map_err(|error| self.wrong(error))?;
        let stderr = said.try_clone().map_err(|error| self.wrong(error))?;
        self.start(listener, running, stderr.into())
            .map_err(|message| {
                let mut words = Vec::new();
                let _ = io::Seek::rewind(&mut said);
                let _ = said.take(2000).read_to_end(&mut words);
                let words = words.escape_ascii().to_string().replace("\\n", "\n");
                format!("{message}\n{words}").trim_end().to_string()
            })?;
        Ok(())
    }

    fn must_have_ended_well(&self, status: ExitStatus, time: Duration) -> Result<(), String> {
        match status.success() {
            true => Ok(()),
            false if time >= LIMIT => Err(self.wrong(format!("still runs after {LIMIT:?}"))),
            false => Err(self.wrong(status)),
        }
    }

    /// Looks at all that has come for the client.
    fn must_have_answered(&self, mut client: TcpStream) -> Result<(), String> {
        let mut raw = Vec::new();
        // The program has ended, so that everything is there.
        let read = client.read_to_end(&mut raw);
        read.map_err(|error| self.wrong(error))?;
        let request = self.request.as_deref().unwrap_or(b"");
        let answer = Answer::parse(request, &raw);
        let status = answer.as_ref().map(|answer| answer.status);
        let expected = self.answer.as_ref().map(|answer| answer.status);
        if status != expected || answer.is_none() != raw.is_empty() {
            let words = |status: Option<u16>| status.map_or("none".to_string(), |s| s.to_string());
            let (expected, status) = (words(expected), words(status));
            return Err(self.wrong(format!("expected the answer {expected}, received {status}")));
        }
        let content = self
            .answer
            .as_ref()
            .and_then(|answer| answer.content.as_ref());
        if let (Some(content), Some(answer)) = (content, answer) {
            let must = answer.must_serve(content);
            must.map_err(|_| self.wrong("it does not serve the page as it is"))?;
        }
        Ok(())
    }

    pub fn wrong(&self, what: impl std::fmt::Display) -> String {
        let (step, program) = (self.part.step(), self.program.display());
        format!("The step \"{step}\" was not measured: {program}: {what}")
    }
}

/// A client that has said all and only listens, and the server's socket for it.
fn client(listener: &TcpListener, request: &[u8]) -> io::Result<(TcpStream, TcpStream)> {
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (socket, _) = listener.accept()?;
    client.write_all(request)?;
    client.shutdown(Shutdown::Write)?;
    // Whoever holds the connection open beyond the program's end shall not hold us up.
    client.set_read_timeout(Some(LIMIT))?;
    Ok((client, socket))
}
