//! A server to be measured, and how it runs.

use crate::speed::generator::Kind;
use crate::speed::peer::{AddOptions, Peer, Setting, Tuning};
use harness::cleanup::{self, ProcessGroup, ScratchDir};
use harness::client::Client;
use harness::context::{RESPONSE_TIMEOUT, START_TIMEOUT, wait_for};
use harness::error::{CheckError, CheckResult};
use harness::program::Program;
use harness::response::Response;
use harness::site::Site;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How many lines of a log are reported.
const LOG_LINES: usize = 3;

/// Where a server comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A stage of the lab, by its number.
    Stage(u8),
    /// Another program with the contract's options, such as a student's.
    Own,
    /// A web server of this system.
    Peer,
}

/// A server to be measured.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    pub name: String,
    pub origin: Origin,
    program: Program,
    /// `None` for the options of the contract.
    add_options: Option<AddOptions>,
}

impl ServerSpec {
    /// A program with the options of the contract.
    pub fn contract(name: &str, origin: Origin, program: Program) -> ServerSpec {
        ServerSpec {
            name: name.to_string(),
            origin,
            program,
            add_options: None,
        }
    }

    /// The same program, with other options than those of the contract.
    pub fn with_options(self, add_options: AddOptions) -> ServerSpec {
        ServerSpec {
            add_options: Some(add_options),
            ..self
        }
    }

    /// A web server of this system; `None` if it isn't installed.
    pub fn peer(peer: Peer) -> Option<ServerSpec> {
        Some(ServerSpec {
            name: peer.name.to_string(),
            origin: Origin::Peer,
            program: Program::new(peer.find()?),
            add_options: Some(peer.add_options),
        })
    }

    /// Starts it on a free port and waits until it accepts connections. The error says why it
    /// doesn't.
    pub fn start(&self, site: &Site, tuning: Tuning) -> Result<RunningServer, String> {
        let mut server = self
            .spawn(site, tuning)
            .map_err(|error| error.to_string())?;
        let started = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            if let Some(status) = server.exit_status(Duration::from_millis(5)) {
                return Err(format!("it exited: {status}\n{}", server.log_tail()));
            }
            if started.elapsed() > START_TIMEOUT {
                let log = server.log_tail();
                return Err(format!("it isn't listening after {START_TIMEOUT:?}\n{log}"));
            }
        }
        Ok(server)
    }

    fn spawn(&self, site: &Site, tuning: Tuning) -> io::Result<RunningServer> {
        let folder = ScratchDir::new()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = self.command(Setting {
            port: address.port(),
            root: &site.root(),
            folder: folder.path(),
            tuning,
        })?;
        command.env("TMPDIR", folder.path());
        // A file: reading from a pipe would take processor time from the server.
        let log = folder.path().join("log");
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let (child, group) = ProcessGroup::start(&mut command)?;
        Ok(RunningServer {
            child,
            group: Some(group),
            address,
            log,
            folder,
        })
    }

    fn command(&self, setting: Setting) -> io::Result<Command> {
        let mut command = self.program.command();
        if let Some(add_options) = self.add_options {
            add_options(&mut command, setting)?;
        } else {
            let address = format!("127.0.0.1:{}", setting.port);
            // It must keep idle clients while its memory is measured.
            command.args(["--timeout", "60", "--listen", &address]);
            command.arg("--root").arg(setting.root);
        }
        Ok(command)
    }
}

/// A running server. It is killed, with all its processes, when this value is dropped.
pub struct RunningServer {
    child: Child,
    /// `None` once it has exited.
    group: Option<ProcessGroup>,
    pub address: SocketAddr,
    log: PathBuf,
    /// For files that are needed while it runs.
    pub folder: ScratchDir,
}

impl RunningServer {
    /// The id of the process that was started.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits until the server exits; `None` if it is still running after `limit`.
    pub fn exit_status(&mut self, limit: Duration) -> Option<ExitStatus> {
        let exited = || Ok(cleanup::has_exited(&self.child).then_some(()));
        wait_for(limit, exited).ok()??;
        // Its other processes are killed before its id is free.
        drop(self.group.take());
        self.child.wait().ok()
    }

    /// The last lines that it has written.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&log))
    }

    fn connect(&self) -> CheckResult<Client> {
        Client::connect(self.address, RESPONSE_TIMEOUT, None)
    }

    fn request(&self, site: &Site, generator: Kind, connection: &str) -> Vec<u8> {
        let (target, protocol) = (site.page.target(), generator.protocol());
        let fields = format!("Host: {}\r\nConnection: {connection}\r\n", self.address);
        format!("GET {target} {protocol}\r\n{fields}\r\n").into_bytes()
    }

    /// Requests the page as the load generator does; the response must be correct, and the
    /// connection must end.
    pub fn ensure_serves_page(&self, site: &Site, generator: Kind) -> CheckResult {
        let mut client = self.connect()?;
        let request = self.request(site, generator, "close");
        client.send(&request);
        let raw = client.ensure_ends_within(RESPONSE_TIMEOUT)?;
        let response = Response::parse(&request, &raw);
        let response = response.ok_or_else(|| CheckError::failed("a response", "none"))?;
        response.ensure_serves(&site.page.content)
    }

    /// Requests the page twice on one connection.
    pub fn ensure_keeps_connections(&self, site: &Site, generator: Kind) -> CheckResult {
        let mut client = self.connect()?;
        for _ in 0..2 {
            client.send(&self.request(site, generator, "keep-alive"));
            client.response()?.ensure_serves(&site.page.content)?;
        }
        Ok(())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        // The child is reaped after its group has been killed: until then no other process can
        // get its id.
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// The last lines of a text that aren't empty.
pub fn last_lines(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    // A terminal would obey control characters.
    last.replace(|it: char| it.is_control() && it != '\n', " ")
}
