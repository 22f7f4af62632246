//! Web servers of this system that the stages are compared with.
//!
//! All serve the same folder on one port, in the foreground, and log each request, as the stages
//! do. Everything else is as installed.

use harness::program::on_path;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adds the options that make a program serve a root on a port. Its other files go to a folder.
pub type AddOptions = fn(&mut Command, port: u16, root: &Path, folder: &Path) -> io::Result<()>;

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

fn nginx(command: &mut Command, port: u16, root: &Path, folder: &Path) -> io::Result<()> {
    configure_nginx(command, port, folder, &format!("root {};", root.display()))
}

/// With one worker per processor. `directives` say where the content comes from.
pub fn configure_nginx(
    command: &mut Command,
    port: u16,
    folder: &Path,
    directives: &str,
) -> io::Result<()> {
    let config = folder.join("config");
    let folder = folder.display();
    // Started by root, its workers would otherwise run as a user who may not read our folders.
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};"))
        .join(" ");
    let text = format!(
        "{user} worker_processes auto; pid {folder}/pid; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{
            sendfile on; access_log {folder}/access; keepalive_requests 1000000; {temporary}
            server {{ listen 127.0.0.1:{port}; {directives} }}
        }}\n"
    );
    command
        .args(["-e", "stderr", "-g", "daemon off;", "-c"])
        .arg(&config);
    fs::write(config, text)
}

fn lighttpd(command: &mut Command, port: u16, root: &Path, folder: &Path) -> io::Result<()> {
    configure_lighttpd(command, port, root, folder, "")
}

/// `settings` are further lines of its configuration.
pub fn configure_lighttpd(
    command: &mut Command,
    port: u16,
    root: &Path,
    folder: &Path,
    settings: &str,
) -> io::Result<()> {
    let config = folder.join("config");
    let (root, folder) = (root.display(), folder.display());
    let text = format!(
        "server.bind = \"127.0.0.1\"
        server.port = {port}
        server.document-root = \"{root}\"
        server.modules = (\"mod_accesslog\")
        accesslog.filename = \"{folder}/access\"
        server.max-keep-alive-requests = 1000000
        {settings}\n"
    );
    command.args(["-D", "-f"]).arg(&config);
    fs::write(config, text)
}

fn busybox(command: &mut Command, port: u16, root: &Path, _: &Path) -> io::Result<()> {
    let listen = format!("127.0.0.1:{port}");
    command
        .args(["httpd", "-f", "-v", "-p", &listen, "-h"])
        .arg(root);
    Ok(())
}

fn python(command: &mut Command, port: u16, root: &Path, _: &Path) -> io::Result<()> {
    let port = port.to_string();
    command.args(["-m", "http.server", &port, "--bind", "127.0.0.1"]);
    command.arg("--directory").arg(root);
    Ok(())
}
