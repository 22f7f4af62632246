//! A running server: started, watched, and killed whatever happens.

use crate::cleanup::ProcessGroup;
use crate::client::{Client, get};
use crate::context::{CHECK_TIMEOUT, RESPONSE_TIMEOUT, START_TIMEOUT, wait_for};
use crate::error::{CheckError, CheckResult, ensure};
use crate::process::{self, Signal};
use crate::program::{CapturedOutput, Program};
use crate::response::Response;
use crate::site::Site;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of a server's standard output are read.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// How many clients of a crowd connect before the backlog is looked at: half a common backlog.
const CROWD_STEP: usize = 64;

/// How long a client of a crowd may take to connect. When the server accepts nobody and its
/// backlog is full, it takes longer.
const CROWD_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// The options that a server is started with.
pub struct Start {
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--timeout`, in seconds. The default is longer than any check.
    pub timeout: u32,
    /// `--verbose`.
    pub verbose: bool,
}

impl Default for Start {
    fn default() -> Start {
        Start {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            timeout: 60,
            verbose: false,
        }
    }
}

impl Start {
    /// With `--timeout 1`.
    pub fn with_short_timeout() -> Start {
        Start {
            timeout: 1,
            ..Start::default()
        }
    }
}

/// A running server. It is killed, with all its children, when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `None` only while it is being dropped.
    group: Option<ProcessGroup>,
    pub address: SocketAddr,
    /// The line that announced the address.
    pub announcement: String,
    secret: Arc<[u8]>,
    /// When its clients stop waiting for anything.
    deadline: Instant,
    lines: Mutex<Receiver<String>>,
    log: CapturedOutput,
}

impl Server {
    /// Starts a program and waits for its announcement. From then on its clients have
    /// [`CHECK_TIMEOUT`] in all. Its standard error goes to `log`.
    pub fn start(
        program: &Program,
        site: &Site,
        start: Start,
        log: CapturedOutput,
    ) -> CheckResult<Server> {
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
        log.capture(child.stderr.take());
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
        server.read_announcement()?;
        server.deadline = Instant::now() + CHECK_TIMEOUT;
        Ok(server)
    }

    /// Waits for the line `Serving DIR at http://ADDR:PORT/` and takes the address from it.
    fn read_announcement(&mut self) -> CheckResult {
        let expected = "the line `Serving DIR at http://ADDR:PORT/` on standard output";
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        let line = match lines.recv_timeout(START_TIMEOUT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let received = format!("nothing within {START_TIMEOUT:?}");
                return Err(CheckError::failed(expected, received));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait_for_exit(RESPONSE_TIMEOUT)?;
                let how = status.map_or("it closed its output".to_string(), |s| s.to_string());
                let received = format!("{how}\n{}", self.log_text());
                return Err(CheckError::failed(expected, received));
            }
        };
        let received = format!("the line `{line}`");
        let address = line
            .strip_prefix("Serving ")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|rest| rest.rsplit_once(" at http://"))
            .and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            return Err(CheckError::failed(expected, received));
        };
        let requested = self.address;
        if requested.port() != 0 && address != requested {
            let expected = format!("a server at {requested}, as `--listen` says");
            return Err(CheckError::failed(expected, received));
        }
        self.announcement = line;
        self.address = address;
        Ok(())
    }

    /// The lines after the announcement that have come so far.
    pub fn further_lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.try_iter().collect()
    }

    /// The process id of the program that was started.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What the server has written to standard error so far.
    pub fn log(&self) -> Vec<u8> {
        self.log.snapshot()
    }

    /// The same as text.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&self.log()).into_owned()
    }

    /// Waits for a line on standard error that contains all these parts.
    pub fn wait_for_log_line(&self, parts: &[&str]) -> CheckResult<Option<String>> {
        wait_for(RESPONSE_TIMEOUT, || {
            let log = self.log_text();
            let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
            Ok(log.lines().find(has_all).map(str::to_string))
        })
    }

    /// Sends a signal to the server itself.
    pub fn signal(&self, signal: Signal) {
        process::kill(self.pid(), signal);
    }

    /// Waits until the server exits; `None` if it is still running after `limit`.
    pub fn wait_for_exit(&mut self, limit: Duration) -> CheckResult<Option<ExitStatus>> {
        let child = &mut self.child;
        wait_for(limit, || Ok(child.try_wait()?))
    }

    /// Connects a client.
    pub fn connect(&self) -> CheckResult<Client> {
        self.connect_within(RESPONSE_TIMEOUT)
    }

    fn connect_within(&self, limit: Duration) -> CheckResult<Client> {
        Client::connect(self.address, limit, Arc::clone(&self.secret), self.deadline)
    }

    /// Connects that many clients, which send nothing.
    pub fn connect_many(&self, count: usize) -> CheckResult<Vec<Client>> {
        (0..count).map(|_| self.connect()).collect()
    }

    /// Connects up to `most` clients, which send nothing: as many as the server and its backlog
    /// have room for.
    pub fn connect_crowd(&self, most: usize) -> Vec<Client> {
        let mut crowd = Vec::new();
        while crowd.len() < most
            && let Ok(client) = self.connect_within(CROWD_CONNECT_TIMEOUT)
        {
            crowd.push(client);
            if crowd.len() % CROWD_STEP == 0 {
                self.wait_for_backlog();
            }
        }
        crowd
    }

    /// Waits while the server accepts clients from its backlog. A client that finds the backlog
    /// full tries again only after a second. Where /proc is missing, nothing is waited for.
    fn wait_for_backlog(&self) {
        let mut before = usize::MAX;
        while let Ok(waiting) = process::backlog(self.address.port())
            && waiting > 0
            && waiting < before
        {
            before = waiting;
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Fails if a thread or a child of the server has panicked. To its client that looks like any
    /// other close; only the log shows it.
    pub fn ensure_no_panic(&self) -> CheckResult {
        let log = self.log_text();
        let panic = log.lines().find(|line| line.contains("panicked at"));
        ensure(
            panic.is_none(),
            "a log without a panic",
            panic.unwrap_or_default(),
        )
    }

    /// Sends these bytes on a new connection and reads the response.
    pub fn exchange(&self, request: &[u8]) -> CheckResult<Response> {
        let mut client = self.connect()?;
        client.send(request);
        client.response()
    }

    /// Sends a GET request for a target and reads the response.
    pub fn get(&self, target: &str) -> CheckResult<Response> {
        self.exchange(&get(target))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child is reaped after its group has been killed: until then no other process can
        // get its id.
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// The lines of a stream, as they arrive.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let Some(stream) = stream else {
        return receiver;
    };
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut limited = stream.by_ref().take(OUTPUT_LIMIT);
        let mut line = Vec::new();
        while let Ok(1..) = limited.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
        // The rest is discarded, so that the writer never blocks.
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    receiver
}
