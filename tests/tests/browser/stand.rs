//! The stand of these tests: the site, the four stages that serve it, and one browser, which
//! sees each stage at the address that a student types.

use crate::chromium::Chromium;
use lab::program::{Kept, Program};
use lab::server::{Server, Start};
use lab::site::Site;
use lab::workspace::{self, STAGES, Stage};
use libtest_mimic::Failed;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use walkdir::WalkDir;

/// A file of the site that is not meant for everybody; what it says.
pub const PRIVATE: (&str, &str) = ("diary.txt", "my diary\n");

/// The address of a server that breaks off its answers to `/cut` and `/gone`, and is stage 4
/// otherwise.
pub const BROKEN: &str = "http://127.0.0.1:9002";

/// The site, the stages that serve it, and the browser.
pub struct Stand {
    // In the order in which they are to end.
    pub chromium: Chromium,
    servers: Vec<Server>,
    _site: Mutex<Site>,
}

impl Stand {
    /// Starts all of it, with the browser of that path.
    pub fn new(chromium: &Path) -> Result<Stand, Failed> {
        let site = site()?;
        let mut servers = Vec::new();
        for binary in workspace::build_stages()? {
            let server = Server::start(
                &Program::new(binary),
                &site,
                Start::default(),
                Kept::default(),
            );
            servers.push(server.map_err(|trouble| format!("{trouble:?}"))?);
        }
        let broken = relay(servers[3].address)?;
        let addresses = servers.iter().map(|server| server.address).chain([broken]);
        let known = STAGES.iter().map(|stage| stage.port).chain([9002]);
        // The browser believes that the stages listen where they always do. Nothing else is
        // to be found, so that nothing leaves this machine.
        let rules: Vec<String> = known
            .zip(addresses)
            .map(|(port, address)| format!("MAP 127.0.0.1:{port} {address}"))
            .chain(["MAP * ~NOTFOUND".to_string()])
            .collect();
        Ok(Stand {
            chromium: Chromium::start(chromium, &rules.join(", "))?,
            servers,
            _site: Mutex::new(site),
        })
    }

    /// Where that stage really listens.
    pub fn address(&self, stage: &Stage) -> SocketAddr {
        self.servers[usize::from(stage.number) - 1].address
    }
}

/// The address under which a student finds a target of a stage.
pub fn address(stage: &Stage, target: &str) -> String {
    format!("http://127.0.0.1:{}{target}", stage.port)
}

/// The folder of the site itself.
fn html() -> PathBuf {
    workspace::root().join("html")
}

/// The names of all pages of the site.
pub fn pages() -> io::Result<Vec<String>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(html())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".html") {
            pages.push(name);
        }
    }
    pages.sort();
    Ok(pages)
}

/// A copy of the site, with a private file besides.
fn site() -> Result<Site, Failed> {
    let site = Site::new(fastrand::Rng::with_seed(0), None)?;
    for entry in WalkDir::new(html()) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(html())?;
            site.add(&name.to_string_lossy(), &fs::read(entry.path())?)?;
        }
    }
    site.add(PRIVATE.0, PRIVATE.1.as_bytes())?;
    site.set_mode(PRIVATE.0, 0o640)?;
    Ok(site)
}

/// A server that hands on to another what it is asked, but for two targets.
fn relay(upstream: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || hand_on(client, upstream));
        }
    });
    Ok(address)
}

fn hand_on(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    match head.split(' ').nth(1) {
        Some("/gone") => Ok(()),
        Some("/cut") => {
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
        }
        _ => {
            let mut server = TcpStream::connect(upstream)?;
            server.write_all(head.as_bytes())?;
            io::copy(&mut server, &mut client).map(|_| ())
        }
    }
}
