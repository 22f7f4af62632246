//! Workers: processes that an application runs in. They are started once, and serve many requests.
//!
//! A worker may crash, hang, or be killed, and no other request may notice. Look at who waits for
//! what: a request waits for an idle worker, and a thread for each worker waits for its end, to start
//! the next.

use crate::client::{Client, TICK, poll};
use crate::error_log::ErrorLog;
use crate::fastcgi::{self, Socket};
use crate::{cgi, log, mount, supervisor};
use anyhow::{Context, bail};
use socket2::SockAddr;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait before a worker is replaced. It doubles while workers end at once.
const MIN_DELAY: Duration = Duration::from_millis(10);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The workers of one application.
pub struct Pool {
    command: Vec<OsString>,
    /// Whether a worker says when it is ready.
    is_wsgi: bool,
    settings: OnceLock<Settings>,
    state: Mutex<State>,
    changed: Condvar,
}

struct Settings {
    environment: Vec<(OsString, OsString)>,
    /// Where the sockets are. Nobody else can reach them there.
    folder: PathBuf,
    timeout: Duration,
}

struct State {
    idle: VecDeque<Worker>,
    /// When a worker last became idle.
    last_idle: Instant,
    /// Why the last worker ended.
    failure: Option<String>,
    started: u64,
}

/// A worker that waits for a request.
pub struct Worker {
    supervisor: Arc<Mutex<Child>>,
    pub address: SockAddr,
    /// The connection to it, if it has been kept open.
    pub socket: Option<Socket>,
}

impl Worker {
    /// Ends a worker that can't be used any more. It is replaced.
    pub fn kill(self) {
        let mut supervisor = self.supervisor.lock().unwrap();
        // Once its end has been seen, its id may belong to another process.
        if matches!(supervisor.try_wait(), Ok(None)) {
            cgi::kill_group(&supervisor);
        }
    }
}

impl Pool {
    /// A pool whose workers run this command.
    pub fn new(command: Vec<OsString>, is_wsgi: bool) -> Arc<Self> {
        Arc::new(Pool {
            command,
            is_wsgi,
            settings: OnceLock::new(),
            state: Mutex::new(State {
                idle: VecDeque::new(),
                last_idle: Instant::now(),
                failure: None,
                started: 0,
            }),
            changed: Condvar::new(),
        })
    }

    /// A pool whose workers call a Python application, given as MODULE:CALLABLE.
    pub fn wsgi(application: &str) -> Arc<Self> {
        let command = ["python3", "-c", include_str!("wsgi.py"), application];
        Pool::new(command.map(OsString::from).to_vec(), true)
    }

    /// Starts this many workers, and waits until they are ready.
    pub fn start(
        self: &Arc<Self>,
        count: u8,
        environment: Vec<(OsString, OsString)>,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let program = Path::new(self.command.first().context("the command is empty")?);
        if !is_found(program, &environment) {
            let shown = program.display();
            bail!(
                "Cannot start `{shown}`: there is no such program. Install it, or check its path and PATH"
            );
        }
        let folder = tempfile::Builder::new().prefix("stage5-").tempdir();
        let folder = folder.context("Cannot create a folder for sockets")?;
        // The path of a socket is limited to about 100 bytes (unix(7)).
        SockAddr::unix(folder.path().join(u32::MAX.to_string())).with_context(|| {
            let shown = folder.path().display();
            format!("Cannot listen in {shown}. Set TMPDIR to a folder with a shorter path")
        })?;
        self.settings.get_or_init(|| Settings {
            environment,
            folder: folder.path().to_path_buf(),
            timeout,
        });
        for _ in 0..count {
            let pool = Arc::clone(self);
            thread::Builder::new().spawn(move || pool.keep_running())?;
        }
        let mut state = self.lock();
        let deadline = Instant::now() + timeout;
        while state.idle.len() < usize::from(count) {
            if let Some(failure) = &state.failure {
                bail!("Cannot start `{}`: {failure}", self.name());
            }
            if Instant::now() > deadline {
                bail!(
                    "`{}` isn't ready after {timeout:?}. Allow more with `--app-timeout`",
                    self.name()
                );
            }
            state = self.wait(state);
        }
        // From now on the supervisors remove it.
        let _ = folder.keep();
        Ok(())
    }

    /// Waits for an idle worker.
    pub fn take(&self, client: &mut Client) -> io::Result<Worker> {
        let timeout = self.settings().timeout;
        let mut state = self.lock();
        let start = Instant::now();
        loop {
            if let Some(worker) = state.idle.pop_front() {
                return Ok(worker);
            }
            if client.has_left() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            // As long as others are served, it is worth waiting.
            if state.last_idle.max(start).elapsed() > timeout {
                return Err(ErrorKind::ResourceBusy.into());
            }
            state = self.wait(state);
        }
    }

    /// Makes a worker available.
    pub fn give_back(&self, worker: Worker) {
        let mut state = self.lock();
        state.idle.push_back(worker);
        state.last_idle = Instant::now();
        drop(state);
        self.changed.notify_one();
    }

    /// Starts a worker whenever there is none, forever.
    fn keep_running(&self) {
        let mut delay = MIN_DELAY;
        loop {
            let start = Instant::now();
            let failure = self.run().unwrap_or_else(|error| error.to_string());
            self.lock().failure = Some(failure);
            self.changed.notify_all();
            delay = if start.elapsed() > MAX_DELAY {
                MIN_DELAY
            } else {
                MAX_DELAY.min(2 * delay)
            };
            thread::sleep(delay);
            log::line(&format!("{}: a worker ended, and is replaced", self.name()));
        }
    }

    /// Starts a worker, and makes it available. Returns why it ended.
    fn run(&self) -> io::Result<String> {
        let (mut supervisor, address) = self.start_worker()?;
        let mut errors = supervisor.stderr.take();
        let supervisor = Arc::new(Mutex::new(supervisor));
        let mut log = ErrorLog::new(self.name());
        let mut worker = Some(Worker {
            supervisor: Arc::clone(&supervisor),
            address: address.clone(),
            socket: None,
        });
        if self.is_wsgi
            && let Some(worker) = &mut worker
        {
            // It answers when it has imported the application.
            let asked = fastcgi::ask_for_values(&worker.address);
            let asked = asked.inspect_err(|_| cgi::kill_group(&supervisor.lock().unwrap()));
            worker.socket = asked.ok();
        }
        // The supervisor never closes its standard error: it ends when everybody who had it is gone.
        while errors.is_some() {
            let socket = worker.as_ref().and_then(|worker| worker.socket.as_ref());
            let fds = [errors.as_ref().map(AsFd::as_fd), socket.map(AsFd::as_fd)];
            let ready = poll(&fds, TICK)?;
            if ready[0] {
                log.copy_from(&mut errors);
            }
            let is_ready = match worker.as_mut().and_then(|worker| worker.socket.as_mut()) {
                Some(socket) => ready[1] && fastcgi::read_record(socket).is_ok(),
                None => !self.is_wsgi,
            };
            if is_ready && let Some(worker) = worker.take() {
                self.give_back(worker);
            }
            // A process that has left the group may hold it open. What was written has been read by then.
            if !ready[0] && supervisor.lock().unwrap().try_wait()?.is_some() {
                break;
            }
        }
        // If the supervisor was killed, the worker is still running.
        cgi::kill_group(&supervisor.lock().unwrap());
        supervisor.lock().unwrap().wait()?;
        let is_other = |worker: &Worker| !Arc::ptr_eq(&worker.supervisor, &supervisor);
        self.lock().idle.retain(is_other);
        // Nobody listens there any more.
        let _ = address.as_pathname().map(fs::remove_file);
        Ok(log.last_line())
    }

    /// Starts a supervisor that starts a worker, which has a listening socket of its own.
    fn start_worker(&self) -> io::Result<(Child, SockAddr)> {
        let settings = self.settings();
        let mut state = self.lock();
        state.started += 1;
        let path = settings.folder.join(state.started.to_string());
        drop(state);
        let listener = UnixListener::bind(&path)?;
        // When a build has replaced the file, only this link still leads to the running program.
        let program = std::env::current_exe()?.canonicalize();
        let supervisor = Command::new(program.unwrap_or("/proc/self/exe".into()))
            .arg(supervisor::OPTION)
            .arg(&settings.folder)
            .args(&self.command)
            .env_clear()
            .envs(
                settings
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(listener))
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok((supervisor, SockAddr::unix(path)?))
    }

    /// The application or the program, for messages.
    fn name(&self) -> String {
        let name = if self.is_wsgi {
            self.command.last()
        } else {
            self.command.first()
        };
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn settings(&self) -> &Settings {
        self.settings.get().expect("workers are started first")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have changed.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let result = self.changed.wait_timeout(state, TICK);
        result.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Whether there is such a program: a path, or a name in PATH, which `--env` may have changed.
fn is_found(program: &Path, environment: &[(OsString, OsString)]) -> bool {
    if program.components().count() > 1 {
        return mount::is_executable(program);
    }
    let path = environment.iter().rfind(|(name, _)| name == "PATH");
    path.is_some_and(|(_, path)| {
        std::env::split_paths(path).any(|folder| mount::is_executable(&folder.join(program)))
    })
}
