//! A server that is measured: one of the lab's, a student's, or a peer; and how it runs.

use crate::bench::STARTING;
use crate::ending::{self, Folder, Group};
use crate::measure::speed::generator::Kind;
use crate::measure::speed::peer::{Peer, Place};
use crate::program::Program;
use crate::site::{File as Page, Site};
use memchr::memmem;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to tell its version.
pub const TELLING: Duration = Duration::from_secs(10);

/// How long an answer may take while nobody else asks.
const ANSWERING: Duration = Duration::from_secs(10);

/// More bytes than any right answer here has.
const MOST_ANSWER: usize = 256 * 1024;

/// More children than any server here has.
const MOST_CHILDREN: usize = 2000;

/// How much of the end of a log is looked at, in bytes, and how many lines are told.
const END: u64 = 4096;
const LINES: usize = 3;

/// Whose a server is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// One of the lab's stages: its number.
    Stage(u8),
    /// Another package of this workspace: a student's.
    Own,
    Peer,
}

/// A server as it is started.
#[derive(Clone, Debug)]
pub struct Contender {
    pub name: String,
    pub origin: Origin,
    pub version: Option<String>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// With the options of the contract.
    Contract(Program),
    Peer(Peer, PathBuf),
}

impl Contender {
    /// A program that keeps the contract.
    pub fn contract(name: &str, origin: Origin, program: Program) -> Contender {
        Contender {
            name: name.to_string(),
            origin,
            version: version(&program, &["--version"]),
            way: Way::Contract(program),
        }
    }

    /// A peer, which lies there.
    pub fn peer(peer: Peer, path: PathBuf) -> Contender {
        Contender {
            name: peer.name().to_string(),
            origin: Origin::Peer,
            version: peer.version(&path),
            way: Way::Peer(peer, path),
        }
    }

    /// Starts it on a free port, and waits until it can be connected to. The error says why
    /// it does not run.
    pub fn start(&self, site: &Site) -> Result<Running, String> {
        self.start_on(site)
            .map_err(|error| plain(&error.to_string()))
    }

    fn start_on(&self, site: &Site) -> io::Result<Running> {
        let folder = Folder::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let root = &site.root();
        let place = Place {
            port,
            root,
            folder: folder.path(),
        };
        let mut command = match &self.way {
            Way::Contract(program) => {
                let mut command = program.command();
                // It holds on to clients that say nothing, to be looked at.
                command.args([
                    "--listen",
                    &address.to_string(),
                    "--timeout",
                    "60",
                    "--root",
                ]);
                command.arg(root);
                command
            }
            Way::Peer(peer, path) => peer.program(path, &place)?.command(),
        };
        // Into a file: what is read from a pipe takes a processor from the server.
        let log = folder.path().join("log");
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let (child, group) = Group::start(&mut command)?;
        let mut running = Running {
            child,
            group: Some(group),
            address,
            log,
            folder,
        };
        running.must_listen()?;
        Ok(running)
    }
}

/// A running server. It ends, with all its processes, when this value is dropped.
pub struct Running {
    child: Child,
    /// `None` once it has been ended, in `drop`.
    group: Option<Group>,
    pub address: SocketAddr,
    log: PathBuf,
    /// What it needs lies here, and what is made while it is measured.
    pub folder: Folder,
}

impl Running {
    fn must_listen(&mut self) -> io::Result<()> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                let words = format!("it ended at once: {status}\n{}", self.last_lines());
                return Err(io::Error::other(words));
            }
            if TcpStream::connect_timeout(&self.address, ANSWERING).is_ok() {
                return Ok(());
            }
            if since.elapsed() > STARTING {
                let words = format!("nobody listens after {STARTING:?}\n{}", self.last_lines());
                return Err(io::Error::other(words));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process that leads all others of it.
    pub fn leader(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it ended, if it has. What it has left behind ends then as well.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if !ending::has_ended(&self.child) {
            return None;
        }
        // Only then is it waited for, and its id free for others.
        drop(self.group.take());
        self.child.wait().ok()
    }

    /// The same, of one that may be about to end.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            let ended = self.ended();
            if ended.is_some() || since.elapsed() >= limit {
                return ended;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last lines of its log.
    pub fn last_lines(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
            let mut end = Vec::new();
            file.take(END).read_to_end(&mut end)?;
            Ok(end)
        };
        let end = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&end);
        let lines: Vec<&str> = text.lines().collect();
        plain(&lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }

    /// Asks for a page as a generator does, and says what is wrong with the answer.
    pub fn must_serve(&self, page: &Page, generator: Kind) -> Result<(), String> {
        let mut stream = self.connect().map_err(|error| error.to_string())?;
        let head = format!("GET {} {}\r\n", page.target(), generator.speaks());
        let request = format!("{head}Host: {}\r\nConnection: close\r\n\r\n", self.address);
        let mut answer = Vec::new();
        let asked = { stream.write_all(request.as_bytes()) }
            .and_then(|()| read_to(&mut stream, &mut answer, |_| false));
        let line = answer.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
        let line = plain(&String::from_utf8_lossy(line));
        if let Err(error) = asked {
            return Err(format!("no whole answer, {error}: {line}"));
        }
        let content = memmem::find(&answer, b"\r\n\r\n").map(|end| &answer[end + 4..]);
        let Some(content) = content else {
            return Err(format!("no answer: {line}"));
        };
        if line.split_whitespace().nth(1) != Some("200") {
            return Err(line);
        }
        match content == page.content {
            true => Ok(()),
            false => Err(format!(
                "{} bytes of content that are not the {} of the page",
                content.len(),
                page.content.len()
            )),
        }
    }

    /// Whether it answers a second request on a connection.
    pub fn keeps_connections(&self, page: &Page, generator: Kind) -> bool {
        let ask = |stream: &mut TcpStream| -> io::Result<bool> {
            let head = format!("GET {} {}\r\n", page.target(), generator.speaks());
            let request = format!(
                "{head}Host: {}\r\nConnection: Keep-Alive\r\n\r\n",
                self.address
            );
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            let whole = |answer: &[u8]| answer.ends_with(&page.content);
            read_to(stream, &mut answer, whole)?;
            Ok(whole(&answer))
        };
        let twice = || -> io::Result<bool> {
            let mut stream = self.connect()?;
            Ok(ask(&mut stream)? && ask(&mut stream)?)
        };
        twice().unwrap_or(false)
    }

    /// Connects a client, whose reads and writes have their bounds.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWERING)?;
        stream.set_read_timeout(Some(ANSWERING))?;
        stream.set_write_timeout(Some(ANSWERING))?;
        Ok(stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process is waited for only after its group was killed: until then its id cannot
        // belong to anybody else.
        drop(self.group.take());
        let _ = self.child.wait();
        // Its children are ours by adoption: thousands of zombies would slow down each look at
        // all processes.
        let group = Pid::from_raw(-self.leader());
        for _ in 0..MOST_CHILDREN {
            match waitpid(group, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(1)),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

/// Reads until it is enough, the connection ends, or more has come than any page here has. All
/// of it has its bound, and not each read alone.
fn read_to(
    stream: &mut TcpStream,
    answer: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let end = Instant::now() + ANSWERING;
    let mut part = [0; 8192];
    while !enough(answer) && answer.len() < MOST_ANSWER {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    Ok(())
}

/// The first line that a program writes when it is started like that.
pub fn version(program: &Program, arguments: &[&str]) -> Option<String> {
    let output = program.run(arguments, TELLING).ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(plain(line.trim()))
}

/// A text without what a terminal would obey.
pub fn plain(text: &str) -> String {
    let text = text.trim_end();
    text.replace(
        |character: char| character.is_control() && character != '\n',
        " ",
    )
}
