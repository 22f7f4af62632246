//! Peers: web servers that a machine may have besides the stages, and how each is started so
//! that it does what the stages do.
//!
//! All serve the same folder, on one port of the loopback interface, in the foreground, and
//! write a line per request into a file, as the stages must, except where they cannot. For the
//! rest they are as they come.

use crate::measure::speed::server::version;
use crate::program::{Program, on_path};
use nix::unistd::Uid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A kind of web server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    Nginx,
    Lighttpd,
    Busybox,
    Python,
}

pub const PEERS: [Peer; 4] = [Peer::Nginx, Peer::Lighttpd, Peer::Busybox, Peer::Python];

/// Where a server is to be started.
pub struct Place<'a> {
    pub port: u16,
    /// The document root.
    pub root: &'a Path,
    /// For all else that it needs; it goes when the server has ended.
    pub folder: &'a Path,
}

impl Peer {
    /// As it is called here, and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Nginx => "nginx",
            Peer::Lighttpd => "lighttpd",
            Peer::Busybox => "busybox",
            Peer::Python => "python3",
        }
    }

    /// How to get it, on Debian and on macOS.
    pub fn install(self) -> &'static str {
        match self {
            Peer::Nginx => "apt-get install nginx-light, or brew install nginx",
            Peer::Lighttpd => "apt-get install lighttpd, or brew install lighttpd",
            Peer::Busybox => "apt-get install busybox; there is none for macOS",
            Peer::Python => "apt-get install python3, or brew install python",
        }
    }

    /// Where its program lies. Some are for administrators, and not in everybody's PATH.
    pub fn find(self) -> Option<PathBuf> {
        let hidden = || {
            let folders = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"];
            let mut places = folders.map(|folder| Path::new(folder).join(self.name()));
            places.iter_mut().find(|place| place.is_file()).cloned()
        };
        let found = match self {
            Peer::Nginx | Peer::Lighttpd => on_path(self.name()).or_else(hidden),
            Peer::Busybox | Peer::Python => on_path(self.name()),
        }?;
        // A busybox may have been built without its web server.
        let able = self != Peer::Busybox || {
            let said = version(&Program::new(&found), &["httpd", "--help"]);
            said.is_some_and(|line| line.starts_with("BusyBox"))
        };
        able.then_some(found)
    }

    /// What it says of its version.
    pub fn version(self, path: &Path) -> Option<String> {
        let arguments: &[&str] = match self {
            Peer::Nginx | Peer::Lighttpd => &["-v"],
            Peer::Busybox => &[],
            Peer::Python => &["--version"],
        };
        version(&Program::new(path), arguments)
    }

    /// The program with its arguments, and the files that it needs beside it.
    pub fn program(self, path: &Path, place: &Place) -> io::Result<Program> {
        let Place { port, root, folder } = *place;
        let mut program = Program::new(path);
        let conf = folder.join("conf");
        let text = |path: &Path| path.display().to_string();
        let arguments: Vec<String> = match self {
            Peer::Nginx => {
                fs::write(&conf, nginx(path, place))?;
                let words = ["-p", &text(folder), "-c", &text(&conf), "-e", "stderr"];
                let words = words.map(str::to_string).to_vec();
                [words, vec!["-g".to_string(), "daemon off;".to_string()]].concat()
            }
            Peer::Lighttpd => {
                fs::write(&conf, lighttpd(place))?;
                vec!["-D".to_string(), "-f".to_string(), text(&conf)]
            }
            Peer::Busybox => {
                let listen = format!("127.0.0.1:{port}");
                let words = ["httpd", "-f", "-v", "-p", &listen, "-h", &text(root)];
                words.map(str::to_string).to_vec()
            }
            Peer::Python => {
                let port = port.to_string();
                let (bind, root) = ("127.0.0.1", text(root));
                let module = [
                    "-m",
                    "http.server",
                    "--bind",
                    bind,
                    "--directory",
                    &root,
                    &port,
                ];
                module.map(str::to_string).to_vec()
            }
        };
        program.arguments = arguments.into_iter().map(Into::into).collect();
        Ok(program)
    }
}

/// nginx with as many workers as there are processors.
fn nginx(path: &Path, place: &Place) -> String {
    let folder = place.folder.display();
    // Whoever is root starts workers that are somebody else, who may not read our folders.
    let user = match Uid::effective().is_root() {
        true => "user root;\n",
        false => "",
    };
    // What it was built without has no setting.
    let built = Program::new(path).run(&["-V"], super::server::TELLING);
    let built = built.map_or(Vec::new(), |output| output.stderr);
    let built = String::from_utf8_lossy(&built);
    let names = ["proxy", "fastcgi", "uwsgi", "scgi"];
    let names = names
        .iter()
        .filter(|name| !built.contains(&format!("--without-http_{name}_module")));
    let temporary: String = { names }
        .map(|name| format!("  {name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "{user}worker_processes auto;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{\n  worker_connections 1024;\n}}\n\
         http {{\n  sendfile on;\n  access_log {folder}/access;\n  keepalive_requests 1000000;\n  \
         client_body_temp_path {folder}/body;\n{temporary}  \
         server {{\n    listen 127.0.0.1:{};\n    root {};\n  }}\n}}\n",
        place.port,
        place.root.display()
    )
}

fn lighttpd(place: &Place) -> String {
    format!(
        "server.bind = \"127.0.0.1\"\nserver.port = {}\nserver.document-root = \"{}\"\n\
         server.modules = (\"mod_accesslog\")\naccesslog.filename = \"{}/access\"\n\
         server.max-keep-alive-requests = 1000000\n",
        place.port,
        place.root.display(),
        place.folder.display()
    )
}
