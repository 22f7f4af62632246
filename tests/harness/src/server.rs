//! A running server: started, watched, and killed whatever happens.

use crate::cleanup::ProcessGroup;
use crate::client::{Client, get};
use crate::context::{CHECK_TIMEOUT, RESPONSE_TIMEOUT, START_TIMEOUT, wait_for};
use crate::error::{CheckError, CheckResult, FailureKind, ensure};
use crate::process::{self, Process, Signal};
use crate::program::{CapturedOutput, Program};
use crate::response::Response;
use crate::site::Site;
use crate::tcp;
use crate::text::readable;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of a server's standard output are read.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// How many clients of a crowd connect before the backlog is looked at: half a common backlog.
const CROWD_STEP: usize = 64;

/// How long a client of a crowd may take to connect. When the server accepts nobody and its
/// backlog is full, it takes longer.
const CROWD_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// A client that takes longer than this to connect has found the backlog full: TCP tries again after
/// a second.
const FULL_BACKLOG_DELAY: Duration = Duration::from_millis(500);

/// How long a server may take to accept the next client from its backlog, if it accepts any.
const BACKLOG_TIMEOUT: Duration = Duration::from_millis(50);

/// How long after its announcement a server may take until it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a whole crowd may take to connect.
const CROWD_TIMEOUT: Duration = Duration::from_secs(12);

/// How long a process that has ended a connection may take to exit.
const EXIT_TIMEOUT: Duration = Duration::from_millis(200);

/// The options that a server is started with.
pub struct Start {
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--timeout`, in seconds. The default is longer than any check.
    pub timeout: u32,
    /// `--verbose`.
    pub verbose: bool,
    /// Whether nobody reads its standard error until [`Server::read_log`].
    pub log_is_unread: bool,
    /// Further options, such as those of the gateway.
    pub arguments: Vec<OsString>,
    /// The folder that it is started in; `None` for the current one.
    pub folder: Option<PathBuf>,
    /// The command that starts it, if there is one.
    pub started_by: &'static [&'static str],
}

impl Default for Start {
    fn default() -> Start {
        Start {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            timeout: 60,
            verbose: false,
            log_is_unread: false,
            arguments: Vec::new(),
            folder: None,
            started_by: &[],
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

/// What a server and its clients share.
#[derive(Debug)]
pub struct ServerState {
    child: Mutex<Child>,
    log: CapturedOutput,
    /// What no response may contain.
    pub secret: Vec<u8>,
    /// What the last two clients have sent.
    last_sent: Mutex<Vec<Vec<u8>>>,
    /// The lines that the program has printed to standard output.
    lines: Mutex<Receiver<String>>,
    keeps_open: AtomicBool,
    /// When its clients stop waiting for anything.
    deadline: OnceLock<Instant>,
}

impl ServerState {
    /// How long clients may still wait. Fails if they have waited too long already.
    pub fn time_left(&self) -> CheckResult<Duration> {
        let Some(deadline) = self.deadline.get() else {
            return Ok(CHECK_TIMEOUT);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let expected = "responses without delay";
            let received = "the server was slow every time, so the check gave up";
            let sent = lock(&self.last_sent).last().cloned().unwrap_or_default();
            let kind = FailureKind::TooSlow;
            return Err(CheckError::of_kind(kind, &sent, expected, received));
        }
        Ok(left)
    }

    /// Whether it has sent a response without a length and kept the connection open.
    pub fn keeps_open(&self) -> bool {
        self.keeps_open.load(Ordering::Relaxed)
    }

    /// Notes that it does so.
    pub fn set_keeps_open(&self) {
        self.keeps_open.store(true, Ordering::Relaxed);
    }

    /// Notes that a new client has connected.
    pub fn add_client(&self) {
        let mut last_sent = lock(&self.last_sent);
        if last_sent.len() > 1 {
            last_sent.remove(0);
        }
        last_sent.push(Vec::new());
    }

    /// Notes what the last client has sent so far.
    pub fn set_last_sent(&self, bytes: &[u8]) {
        if let Some(last) = lock(&self.last_sent).last_mut() {
            *last = bytes.to_vec();
        }
    }

    /// The lines after the announcement that have come so far.
    fn further_lines(&self) -> Vec<String> {
        lock(&self.lines).try_iter().collect()
    }

    /// The failure of a server that has announced another one since the last look, after these
    /// bytes: a child that doesn't know that it is one.
    pub fn started_again_error(&self, sent: &[u8]) -> Option<CheckError> {
        let mut lines = self.further_lines().into_iter();
        let line = lines.find(|line| announced_address(line).is_some())?;
        let (kind, expected) = (FailureKind::StartedAgain, "one server, and a response");
        let received = format!("no response, but another line `{line}`");
        Some(CheckError::of_kind(kind, sent, expected, received))
    }

    /// Waits until the program exits; `None` if it is still running after `limit`.
    fn wait_for_exit(&self, limit: Duration) -> CheckResult<Option<ExitStatus>> {
        wait_for(limit, || Ok(lock(&self.child).try_wait()?))
    }

    /// The failure of a server that has exited after these bytes, or after what the last client
    /// sent; `None` if it is still running.
    pub fn exit_error(&self, sent: Option<&[u8]>) -> Option<CheckError> {
        // A client may notice the end of its connection before the process is gone.
        let status = self.wait_for_exit(EXIT_TIMEOUT).ok()??;
        // The end of its log may not have arrived yet.
        self.log.finish();
        let last_sent = lock(&self.last_sent).clone();
        let mut received = format!("the server has exited: {status}");
        if sent.is_some()
            && let [before, _] = last_sent.as_slice()
        {
            // A client may have waited in the backlog while the one before ended the server.
            let before = readable(before);
            let before = if before.is_empty() {
                "    nothing"
            } else {
                before.trim_end()
            };
            received += &format!("\n    The client before this one had sent:\n{before}");
        }
        let last = last_sent.last().map_or(b"".as_slice(), Vec::as_slice);
        let sent = sent.unwrap_or(last);
        let expected = "a server that keeps running";
        let kind = FailureKind::Exited;
        Some(CheckError::of_kind(kind, sent, expected, received))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. It is killed, with all its children, when this value is dropped.
#[derive(Debug)]
pub struct Server {
    state: Arc<ServerState>,
    /// `None` only while it is being dropped.
    group: Option<ProcessGroup>,
    /// The process that was started, which leads the group.
    leader: i32,
    /// The process that listens.
    listener: OnceLock<i32>,
    /// Its standard error, if nobody reads that yet.
    unread_log: Mutex<Option<ChildStderr>>,
    pub address: SocketAddr,
    /// The line that announced the address, and when it came.
    pub announcement: String,
    announced: Instant,
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
        options.extend(start.arguments);
        let mut program = program.started_by(start.started_by);
        program.folder = start.folder;
        program.temporary_folder = Some(site.outside(""));
        let (mut child, group) = program.start(&options)?;
        let lines = lines(child.stdout.take());
        let mut unread_log = child.stderr.take();
        if !start.log_is_unread {
            log.capture(unread_log.take());
        }
        let leader = child.id().cast_signed();
        let mut server = Server {
            state: Arc::new(ServerState {
                child: Mutex::new(child),
                log,
                secret: site.secret.content.clone(),
                last_sent: Mutex::default(),
                lines: Mutex::new(lines),
                keeps_open: AtomicBool::new(false),
                deadline: OnceLock::new(),
            }),
            group: Some(group),
            leader,
            listener: OnceLock::new(),
            unread_log: Mutex::new(unread_log),
            address: start.listen,
            announcement: String::new(),
            announced: Instant::now(),
        };
        server.read_announcement(&site.root())?;
        let _ = server.state.deadline.set(Instant::now() + CHECK_TIMEOUT);
        Ok(server)
    }

    /// Waits for the line that announces the address.
    fn read_announcement(&mut self, root: &Path) -> CheckResult {
        let expected =
            "the line `Serving DIR at http://ADDR:PORT/` with the actual port on standard output";
        let failure =
            |kind, received: String| Err(CheckError::of_kind(kind, b"", expected, received));
        let next = lock(&self.state.lines).recv_timeout(START_TIMEOUT);
        let line = match next {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let received = format!("nothing within {START_TIMEOUT:?}");
                return failure(FailureKind::NotAnnounced, received);
            }
            Err(RecvTimeoutError::Disconnected) => {
                let Some(status) = self.wait_for_exit(RESPONSE_TIMEOUT)? else {
                    let received = "it closed its standard output".to_string();
                    return failure(FailureKind::NotAnnounced, received);
                };
                return failure(FailureKind::NotStarted, format!("it exited: {status}"));
            }
        };
        // The document root has a random name, and verdicts shouldn't depend on it.
        let shown = line.replace(&*root.to_string_lossy(), "DIR");
        let received = format!("the line `{shown}`");
        let Some(address) = announced_address(&line) else {
            return failure(FailureKind::NotAnnounced, received);
        };
        let requested = self.address;
        if requested.port() != 0 && address != requested {
            let expected = format!("a server at {requested}, as `--listen` says");
            let kind = FailureKind::WrongAddress;
            return Err(CheckError::of_kind(kind, b"", expected, received));
        }
        self.announcement = line;
        self.announced = Instant::now();
        self.address = address;
        Ok(())
    }

    /// The lines after the announcement that have come so far.
    pub fn further_lines(&self) -> Vec<String> {
        self.state.further_lines()
    }

    /// The id of the process that listens. That is the one that was started, or a child of it if a
    /// script started the server without `exec`.
    pub fn pid(&self) -> i32 {
        let found = || self.find_listener().ok().flatten().unwrap_or(self.leader);
        *self.listener.get_or_init(found)
    }

    fn find_listener(&self) -> CheckResult<Option<i32>> {
        let Some(listener) = tcp::listener(self.address)? else {
            return Ok(None);
        };
        let mut owners = Vec::new();
        for member in process::group(self.leader)? {
            if process::sockets(member.pid)?.contains(&listener.inode) {
                owners.push(member);
            }
        }
        // Children may hold the listener, too.
        let is_owner = |pid: i32| owners.iter().any(|owner| owner.pid == pid);
        let first = owners.iter().find(|owner| !is_owner(owner.parent));
        Ok(first.map(|owner| owner.pid))
    }

    /// The server's children: the processes of its group, except the one that listens and those
    /// that started it.
    pub fn children(&self) -> CheckResult<Vec<Process>> {
        let mut members = process::group(self.leader)?;
        let mut pid = self.pid();
        while let Some(place) = members.iter().position(|member| member.pid == pid) {
            pid = members.swap_remove(place).parent;
        }
        members.retain(|member| member.pid != self.leader);
        Ok(members)
    }

    /// From now on, its standard error is read.
    pub fn read_log(&self) {
        self.state.log.capture(lock(&self.unread_log).take());
    }

    /// What the server has written to standard error so far.
    pub fn log(&self) -> Vec<u8> {
        self.state.log.snapshot()
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
    pub fn wait_for_exit(&self, limit: Duration) -> CheckResult<Option<ExitStatus>> {
        self.state.wait_for_exit(limit)
    }

    /// Connects a client. A server that announces its address a moment too early gets a little
    /// time: only the check of the announcement is about that.
    pub fn connect(&self) -> CheckResult<Client> {
        loop {
            match self.connect_within(RESPONSE_TIMEOUT) {
                Err(CheckError::Failed(evidence))
                    if evidence.kind == FailureKind::NotListening
                        && self.announced.elapsed() < LISTEN_TIMEOUT =>
                {
                    thread::sleep(Duration::from_millis(10));
                }
                result => return result,
            }
        }
    }

    /// Connects a client that accepts only little at a time.
    pub fn connect_small(&self) -> CheckResult<Client> {
        Client::connect_small(self.address, Arc::clone(&self.state))
    }

    /// Connects a client whose system buffers about that many bytes of what it doesn't read.
    pub fn connect_with_buffer(&self, size: usize) -> CheckResult<Client> {
        Client::connect_with_buffer(size, self.address, Arc::clone(&self.state))
    }

    /// Connects a client at once.
    pub fn connect_immediately(&self) -> CheckResult<Client> {
        self.connect_within(RESPONSE_TIMEOUT)
    }

    fn connect_within(&self, limit: Duration) -> CheckResult<Client> {
        Client::connect(self.address, limit, Some(Arc::clone(&self.state)))
    }

    /// Connects that many clients, which send nothing.
    pub fn connect_many(&self, count: usize) -> CheckResult<Vec<Client>> {
        let mut is_full = false;
        let connect = |_| {
            let start = Instant::now();
            let client = self.connect()?;
            is_full |= start.elapsed() > FULL_BACKLOG_DELAY;
            if is_full {
                self.wait_for_backlog();
            }
            Ok(client)
        };
        (0..count).map(connect).collect()
    }

    /// Connects up to `most` clients, which send nothing, until the server and its backlog accept no
    /// more. Fails if that takes longer than `CROWD_TIMEOUT`.
    pub fn connect_crowd(&self, most: usize) -> CheckResult<Vec<Client>> {
        let start = Instant::now();
        let mut crowd = Vec::new();
        let mut step = CROWD_STEP;
        while crowd.len() < most {
            if start.elapsed() > CROWD_TIMEOUT {
                let expected =
                    format!("{most} clients, or a full backlog, within {CROWD_TIMEOUT:?}");
                let received = format!("{} clients", crowd.len());
                let kind = FailureKind::TooSlow;
                return Err(CheckError::of_kind(kind, b"", expected, received));
            }
            let before = Instant::now();
            let Ok(client) = self.connect_within(CROWD_CONNECT_TIMEOUT) else {
                break;
            };
            crowd.push(client);
            if before.elapsed() > FULL_BACKLOG_DELAY {
                step = 1;
            }
            if crowd.len() % step == 0 {
                self.wait_for_backlog();
            }
        }
        Ok(crowd)
    }

    /// Waits while the server accepts clients from its backlog. A client that finds the backlog
    /// full tries again only after a second. Where /proc is missing, nothing is waited for.
    fn wait_for_backlog(&self) {
        let mut before = usize::MAX;
        let mut progress = Instant::now();
        while let Ok(Some(listener)) = tcp::listener(self.address)
            && listener.receive_queue > 0
            && progress.elapsed() < BACKLOG_TIMEOUT
        {
            if listener.receive_queue < before {
                before = listener.receive_queue;
                progress = Instant::now();
            }
            thread::sleep(Duration::from_millis(1));
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
        let _ = lock(&self.state.child).wait();
    }
}

/// The address in the line `Serving DIR at http://ADDR:PORT/`. The other words are for
/// `announces-when-ready`.
fn announced_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.rsplit_once("http://")?;
    let address = rest.split(['/', ' ']).next()?;
    let address: SocketAddr = address.parse().ok()?;
    (address.port() != 0).then_some(address)
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
