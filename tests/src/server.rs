//! A server under test: started, watched, and ended whatever happens.

use crate::bench::{CHECK_LIMIT, PATIENCE, STARTING, wait_for};
use crate::check::{Outcome, Trouble, must};
use crate::ending::Group;
use crate::program::{Kept, Program, collect};
use crate::site::Site;
use crate::system;
use crate::wire::{Answer, Client, get};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much of a server's standard output is read, in bytes.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// So many clients of a crowd come at once: half of a usual backlog.
const GROUP: usize = 64;

/// How a server is started.
pub struct Start {
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--timeout`, in seconds. The default outlasts every check: nobody is cut off.
    pub timeout: u32,
    /// `--verbose`.
    pub verbose: bool,
}

impl Default for Start {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Start {
            listen,
            timeout: 60,
            verbose: false,
        }
    }
}

impl Start {
    /// With `--timeout 1`.
    pub fn impatient() -> Self {
        Start {
            timeout: 1,
            ..Start::default()
        }
    }
}

/// A running server. It ends, with all its children, when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `None` once it has been ended, in `drop`.
    group: Option<Group>,
    pub address: SocketAddr,
    /// The line that said so.
    pub announcement: String,
    secret: Arc<[u8]>,
    /// When its clients stop waiting for anything.
    deadline: Instant,
    lines: Mutex<Receiver<String>>,
    /// What it has written to standard error so far.
    log: Kept,
}

impl Server {
    /// Starts a program and waits until it says that it serves. From then on its clients have
    /// [`CHECK_LIMIT`] in all.
    pub fn start(
        program: &Program,
        site: &Site,
        start: Start,
        log: Kept,
    ) -> Result<Server, Trouble> {
        let mut options: Vec<OsString> = vec![
            "--listen".into(),
            start.listen.to_string().into(),
            "--root".into(),
            site.root().into(),
            "--timeout".into(),
            start.timeout.to_string().into(),
        ];
        if start.verbose {
            options.push("--verbose".into());
        }
        let (mut child, group) = program.start(&options)?;
        let lines = lines(child.stdout.take());
        collect(child.stderr.take(), &log);
        let mut server = Server {
            child,
            group: Some(group),
            address: start.listen,
            announcement: String::new(),
            secret: site.secret.content.clone().into(),
            deadline: Instant::now(),
            lines: Mutex::new(lines),
            log,
        };
        server.address = server.announced()?;
        server.deadline = Instant::now() + CHECK_LIMIT;
        Ok(server)
    }

    /// Waits for the line `Serving DIR at http://ADDR:PORT/` and takes the address from it.
    fn announced(&mut self) -> Result<SocketAddr, Trouble> {
        let expected = "the line `Serving DIR at http://ADDR:PORT/` on standard output";
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        let line = match lines.recv_timeout(STARTING) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(Trouble::failed(
                    expected,
                    format!("nothing within {STARTING:?}"),
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.ended(PATIENCE)?;
                let how = status.map_or("it closed its output".to_string(), |s| s.to_string());
                let log = String::from_utf8_lossy(&self.log()).into_owned();
                return Err(Trouble::failed(expected, format!("{how}\n{log}")));
            }
        };
        let address = line
            .strip_prefix("Serving ")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|rest| rest.rsplit_once(" at http://"))
            .and_then(|(_, address)| address.parse().ok());
        let address: SocketAddr =
            address.ok_or_else(|| Trouble::failed(expected, format!("the line `{line}`")))?;
        let asked = self.address;
        if asked.port() != 0 && address != asked {
            let expected = format!("a server at {asked}, as `--listen` says");
            return Err(Trouble::failed(expected, format!("the line `{line}`")));
        }
        self.announcement = line;
        Ok(address)
    }

    /// The lines that came to standard output after the first, without waiting.
    pub fn further_lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_iter()
            .collect()
    }

    /// The process id of the server itself.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What the server has written to standard error so far.
    pub fn log(&self) -> Vec<u8> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line on standard error that has all these parts.
    pub fn logged(&self, parts: &[&str]) -> Result<Option<String>, Trouble> {
        wait_for(PATIENCE, || {
            let log = String::from_utf8_lossy(&self.log()).into_owned();
            let found = log
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            Ok(found.map(str::to_string))
        })
    }

    /// Tells the server to end, as Ctrl-C (SIGINT) or `kill` (SIGTERM) would.
    pub fn tell(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Waits for the server's end; `None` if it still runs after that time.
    pub fn ended(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Trouble> {
        let child = &mut self.child;
        wait_for(limit, || Ok(child.try_wait()?))
    }

    /// Connects a client.
    pub fn connect(&self) -> Result<Client, Trouble> {
        Client::connect(self.address, Arc::clone(&self.secret), self.deadline)
    }

    /// Connects that many clients, which say nothing.
    pub fn connect_many(&self, count: usize) -> Result<Vec<Client>, Trouble> {
        (0..count).map(|_| self.connect()).collect()
    }

    /// Connects clients, which say nothing: that many, or as many as there is room for. Where
    /// the server accepts no more and its backlog is full, connecting takes too long.
    pub fn connect_crowd(&self, most: usize) -> Vec<Client> {
        let limit = Duration::from_millis(1500);
        let connect =
            || Client::connect_within(limit, self.address, self.secret.clone(), self.deadline);
        let mut crowd = Vec::new();
        while crowd.len() < most
            && let Ok(client) = connect()
        {
            crowd.push(client);
            if crowd.len() % GROUP == 0 {
                self.let_in();
            }
        }
        crowd
    }

    /// Waits as long as the server takes clients in. One that finds the backlog full comes
    /// again only after a second; where nobody can see the backlog, that is so.
    fn let_in(&self) {
        let mut before = usize::MAX;
        while let Ok(waiting) = system::backlog(self.address.port())
            && waiting > 0
            && waiting < before
        {
            before = waiting;
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Fails if a thread or a child of the server has panicked. To its client that looks like
    /// any other close: only the log tells.
    pub fn must_not_have_panicked(&self) -> Outcome {
        let log = String::from_utf8_lossy(&self.log()).into_owned();
        let panic = log.lines().find(|line| line.contains("panicked at"));
        must(
            panic.is_none(),
            "a log without a panic",
            panic.unwrap_or_default(),
        )
    }

    /// Sends these bytes on a new connection and reads the answer.
    pub fn ask(&self, request: &[u8]) -> Result<Answer, Trouble> {
        let mut client = self.connect()?;
        client.send(request);
        client.answer()
    }

    /// Asks for a request target.
    pub fn get(&self, target: &str) -> Result<Answer, Trouble> {
        self.ask(&get(target))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process is waited for only after its group was killed: until then its id
        // cannot belong to anybody else.
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// Hands on each line of a stream as it comes.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stream) = stream {
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut kept = stream.by_ref().take(OUTPUT_LIMIT);
            let mut line = Vec::new();
            while let Ok(1..) = kept.read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
            // What comes after is thrown away, so that the writer is never held up.
            let _ = io::copy(&mut stream, &mut io::sink());
        });
    }
    receiver
}
