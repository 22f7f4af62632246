//! Mounts: which application answers below which prefix of the request path.
//!
//! The server knows nothing of an application but how to reach it. Look at how few ways there are:
//! start a program, speak with one that is running, or keep some running.

use crate::worker::Pool;
use anyhow::{Context, bail};
use clap::{Args, value_parser};
use socket2::SockAddr;
use std::env;
use std::ffi::OsString;
use std::net::ToSocketAddrs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The command line of the gateway.
#[derive(Args)]
pub struct Gateway {
    /// Start a program for each request below PREFIX (CGI). If PATH is a folder, PREFIX/NAME starts
    /// the program NAME in it.
    #[arg(long, value_name = "PREFIX=PATH", value_parser = cgi)]
    pub cgi: Vec<Mount>,

    /// Send requests to a FastCGI application that is running, at `unix:PATH` or HOST:PORT.
    #[arg(long, value_name = "PREFIX=ADDRESS", value_parser = fastcgi)]
    pub fastcgi: Vec<Mount>,

    /// Keep workers running that speak FastCGI on descriptor 0.
    #[arg(long, value_name = "PREFIX=COMMAND", value_parser = spawn)]
    pub spawn: Vec<Mount>,

    /// Keep workers running for a Python application (WSGI).
    #[arg(long, value_name = "PREFIX=MODULE:CALLABLE", value_parser = wsgi)]
    pub wsgi: Vec<Mount>,

    /// How many workers to keep running for each --spawn and --wsgi.
    #[arg(long, value_name = "N", default_value = "2", value_parser = value_parser!(u8).range(1..=64))]
    pub workers: u8,

    /// A variable for all applications.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,

    /// How long an application may stay silent.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = value_parser!(u64).range(1..=86_400))]
    pub app_timeout: u64,

    /// The longest content that is accepted for an application.
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    pub max_content: u64,
}

/// An application, and the prefix below which it answers.
#[derive(Clone)]
pub struct Mount {
    /// Without a slash at the end: empty for the whole server.
    pub prefix: String,
    pub application: Application,
}

/// How to reach an application.
#[derive(Clone)]
pub enum Application {
    /// A program, or a folder of programs.
    Program(PathBuf),
    /// An address on which it listens.
    Running(SockAddr),
    Workers(Arc<Pool>),
}

impl Gateway {
    /// The application for a path. For the file system, `//` and `/./` are a slash too. What is below a
    /// mount only that way is no file for clients: it may be the source of an application.
    pub fn find(&self, path: &str) -> Option<&Mount> {
        let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        let plain: String = names.map(|name| format!("/{name}")).collect();
        let other = || path.starts_with('/').then(|| self.longest(&plain))?;
        self.longest(path).or_else(other)
    }

    /// The mount with the longest prefix of a path.
    fn longest(&self, path: &str) -> Option<&Mount> {
        let is_below = |mount: &&Mount| {
            let rest = path.strip_prefix(&mount.prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.mounts().filter(is_below);
        found.max_by_key(|mount| mount.prefix.len())
    }

    /// Checks what is mounted, and starts the workers.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let prefixes: Vec<&str> = self.mounts().map(|mount| &*mount.prefix).collect();
        for (index, prefix) in prefixes.iter().enumerate() {
            if prefixes[..index].contains(prefix) {
                bail!("Cannot mount two applications at `{prefix}/`. Choose another prefix");
            }
        }
        for mount in &mut self.cgi {
            if let Application::Program(path) = &mut mount.application {
                let shown = path.display().to_string();
                *path = path.canonicalize().with_context(|| {
                    format!("Cannot run `{shown}`. Choose a program or a folder with `--cgi`")
                })?;
                if path.is_file() && !is_executable(path) {
                    bail!("Cannot run `{shown}`. Make it executable: chmod +x {shown}");
                }
            }
        }
        let timeout = self.app_timeout();
        for mount in self.mounts() {
            if let Application::Workers(pool) = &mount.application {
                pool.start(self.workers, self.environment(), timeout)?;
            }
        }
        Ok(())
    }

    fn mounts(&self) -> impl Iterator<Item = &Mount> {
        let lists = [&self.cgi, &self.fastcgi, &self.spawn, &self.wsgi];
        lists.into_iter().flatten()
    }

    /// What a process that we start finds in its environment: nothing of the server's own but PATH.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let path = env::var_os("PATH").map(|path| ("PATH".into(), path));
        let own = self
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        path.into_iter().chain(own).collect()
    }

    pub fn app_timeout(&self) -> Duration {
        Duration::from_secs(self.app_timeout)
    }
}

/// Whether anybody may execute the file.
pub fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn cgi(text: &str) -> anyhow::Result<Mount> {
    mount(text, |path| Ok(Application::Program(path.into())))
}

fn fastcgi(text: &str) -> anyhow::Result<Mount> {
    mount(text, |address| {
        let address = match address.strip_prefix("unix:") {
            Some(path) => SockAddr::unix(path).context("the path of a socket is too long")?,
            None => {
                let mut found = address.to_socket_addrs()?;
                found.next().context("no such host")?.into()
            }
        };
        Ok(Application::Running(address))
    })
}

fn spawn(text: &str) -> anyhow::Result<Mount> {
    mount(text, |command| {
        let words = command.split_whitespace().map(OsString::from);
        Ok(Application::Workers(Pool::new(words.collect(), false)))
    })
}

fn wsgi(text: &str) -> anyhow::Result<Mount> {
    mount(text, |application| {
        let parts = application.split_once(':');
        if parts.is_none_or(|(module, callable)| module.is_empty() || callable.is_empty()) {
            bail!("name a module and what to call in it, as in `hello:application`");
        }
        Ok(Application::Workers(Pool::wsgi(application)))
    })
}

/// Parses PREFIX=VALUE.
fn mount(
    text: &str,
    application: impl Fn(&str) -> anyhow::Result<Application>,
) -> anyhow::Result<Mount> {
    let (prefix, value) = text.split_once('=').context("write it as PREFIX=VALUE")?;
    if !prefix.starts_with('/') || value.is_empty() {
        bail!("a prefix begins with a slash, and a value follows, as in `/app=VALUE`");
    }
    Ok(Mount {
        prefix: prefix.trim_end_matches('/').to_string(),
        application: application(value)?,
    })
}

/// Parses NAME=VALUE.
fn variable(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once('=').context("write it as NAME=VALUE")?;
    if name.is_empty() {
        bail!("the name is empty");
    }
    Ok((name.to_string(), value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        gateway: Gateway,
    }

    fn gateway(options: &[&str]) -> Result<Gateway, clap::Error> {
        let options = [&["test"], options].concat();
        Options::try_parse_from(options).map(|options| options.gateway)
    }

    #[test]
    fn longest_prefix_wins() {
        let mounts = [
            "--cgi",
            "/=a",
            "--cgi",
            "/b=b",
            "--wsgi",
            "/b/c/=m:c",
            "--spawn",
            "/b/cd=x",
        ];
        let gateway = gateway(&mounts).unwrap();
        for (path, prefix) in [
            ("/", ""),
            ("/a", ""),
            ("/b", "/b"),
            ("/b/", "/b"),
            ("/bc", ""),
            ("/b/c", "/b/c"),
            ("/b/c/d", "/b/c"),
            ("/b/cd/e", "/b/cd"),
        ] {
            assert_eq!(gateway.find(path).unwrap().prefix, prefix, "{path}");
        }
        assert!(gateway.find("*").is_none());
    }

    #[test]
    fn path_has_one_spelling() {
        let gateway = gateway(&["--cgi", "/b/c=a"]).unwrap();
        for path in ["/b/c", "//b/c/d", "/./b//c", "/b/./c/"] {
            assert!(gateway.find(path).is_some(), "{path}");
        }
        for path in ["/b", "/b/cd", "//", "/", "*"] {
            assert!(gateway.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn malformed_mounts_are_refused() {
        for options in [
            ["--cgi", "a=b"],
            ["--cgi", "/a"],
            ["--cgi", "/a="],
            ["--wsgi", "/a=module"],
            ["--wsgi", "/a=:callable"],
            ["--fastcgi", "/a=no-port"],
            ["--workers", "0"],
            ["--env", "NAME"],
            ["--env", "=VALUE"],
            ["--app-timeout", "0"],
        ] {
            assert!(gateway(&options).is_err(), "{options:?}");
        }
        let long = format!("/a=unix:/{}", "x".repeat(200));
        let error = gateway(&["--fastcgi", &long]).err().unwrap();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn prefix_belongs_to_one_application() {
        let mut gateway = gateway(&["--cgi", "/a=/bin/true", "--wsgi", "/a/=m:c"]).unwrap();
        let error = gateway.start().unwrap_err().to_string();
        assert!(error.contains("two applications at `/a/`"), "{error}");
    }
}
