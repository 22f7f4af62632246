//! Web servers of this system that the stages are compared with.
//!
//! All serve the same folder on one port, in the foreground, and log each request, as the stages
//! do. They may hold as many connections as are opened. Everything else is as installed.

use crate::speed::IDLE;
use harness::program::on_path;
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where and how a server runs.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub port: u16,
    pub root: &'a Path,
    /// The folder for its other files.
    pub folder: &'a Path,
    pub tuning: Tuning,
}

/// What differs from how a server usually runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tuning {
    /// Whether it logs no requests.
    pub no_log: bool,
    /// How many event loops it has; `None` for its default.
    pub loops: Option<u16>,
}

/// Adds the options that make a program serve a root on a port.
pub type AddOptions = fn(&mut Command, Setting) -> io::Result<()>;

/// A web server of this system.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The name of its program, also on the command line.
    pub name: &'static str,
    /// How to install it on Debian and on macOS.
    pub install: &'static str,
    pub add_options: AddOptions,
}

pub const PEERS: [Peer; 4] = [
    Peer {
        name: "nginx",
        install: "apt-get install nginx-light, or brew install nginx",
        add_options: nginx,
    },
    Peer {
        name: "lighttpd",
        install: "apt-get install lighttpd, or brew install lighttpd",
        add_options: lighttpd,
    },
    Peer {
        name: "busybox",
        install: "apt-get install busybox; there is none for macOS",
        add_options: busybox,
    },
    Peer {
        name: "python3",
        install: "apt-get install python3, or brew install python",
        add_options: python,
    },
];

impl Peer {
    /// Its program, if it is installed.
    pub fn find(&self) -> Option<PathBuf> {
        // These folders are often missing from the PATH of ordinary users.
        let system = ["/usr/sbin", "/usr/local/sbin"].map(|it| Path::new(it).join(self.name));
        on_path(self.name).or_else(|| system.into_iter().find(|path| path.is_file()))
    }
}

fn nginx(command: &mut Command, setting: Setting) -> io::Result<()> {
    let root = format!("root {};", setting.root.display());
    configure_nginx(command, setting, &root)
}

/// With one worker per processor, unless a number of loops is given. `directives` say where the
/// content comes from.
pub fn configure_nginx(
    command: &mut Command,
    setting: Setting,
    directives: &str,
) -> io::Result<()> {
    let (port, tuning) = (setting.port, setting.tuning);
    let config = setting.folder.join("config");
    let folder = setting.folder.display();
    // Started by root, its workers would otherwise run as a user who may not read our folders.
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};"))
        .join(" ");
    let workers = tuning.loops.map_or("auto".to_string(), |it| it.to_string());
    let log = if tuning.no_log {
        "off".to_string()
    } else {
        format!("{folder}/access")
    };
    // One worker may have to hold all connections, and a few descriptors more.
    let connections = IDLE[IDLE.len() - 1] + 100;
    let text = format!(
        "{user} worker_processes {workers}; pid {folder}/pid; error_log stderr;
        events {{ worker_connections {connections}; }}
        http {{
            sendfile on; access_log {log}; keepalive_requests 1000000; {temporary}
            server {{ listen 127.0.0.1:{port}; {directives} }}
        }}\n"
    );
    command
        .args(["-e", "stderr", "-g", "daemon off;", "-c"])
        .arg(&config);
    fs::write(config, text)
}

fn lighttpd(command: &mut Command, setting: Setting) -> io::Result<()> {
    configure_lighttpd(command, setting, "")
}

/// `lines` are further lines of its configuration.
pub fn configure_lighttpd(command: &mut Command, setting: Setting, lines: &str) -> io::Result<()> {
    let port = setting.port;
    let config = setting.folder.join("config");
    let (root, folder) = (setting.root.display(), setting.folder.display());
    // By default, it would lower this limit, and use a third of the descriptors for connections.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(65_536);
    let connections = IDLE[IDLE.len() - 1];
    let text = format!(
        "server.bind = \"127.0.0.1\"
        server.port = {port}
        server.document-root = \"{root}\"
        server.modules = (\"mod_accesslog\")
        accesslog.filename = \"{folder}/access\"
        server.max-keep-alive-requests = 1000000
        server.max-fds = {descriptors}
        server.max-connections = {connections}
        {lines}\n"
    );
    command.args(["-D", "-f"]).arg(&config);
    fs::write(config, text)
}

fn busybox(command: &mut Command, setting: Setting) -> io::Result<()> {
    let listen = format!("127.0.0.1:{}", setting.port);
    command
        .args(["httpd", "-f", "-v", "-p", &listen, "-h"])
        .arg(setting.root);
    Ok(())
}

fn python(command: &mut Command, setting: Setting) -> io::Result<()> {
    let port = setting.port.to_string();
    command.args(["-m", "http.server", &port, "--bind", "127.0.0.1"]);
    command.arg("--directory").arg(setting.root);
    Ok(())
}
