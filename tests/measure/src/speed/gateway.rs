//! Applications behind stage 5, and the same ones behind a server of this system.
//!
//! Each application sends the requested file of the document root, so that all responses are those
//! of a server without an application.

use crate::plot::{AMBER, Bar, BarChart, GREY, Series};
use crate::speed::MAIN_LEVEL;
use crate::speed::peer::{AddOptions, Peer, Setting, configure_lighttpd, configure_nginx};
use crate::speed::results::{Level, Run};
use crate::speed::server::{Origin, ServerSpec};
use crate::thousands;
use harness::program::Program;
use harness::site::Site;
use harness::style::{BOLD, DIM, paint};
use harness::workspace::{self, stage};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::process::Command;

/// A Python application, as `page.py` in the document root, in which it runs.
const PAGE_PY: &str = r#"
def application(environ, start_response):
    with open("." + (environ.get("PATH_INFO") or environ["SCRIPT_NAME"]), "rb") as file:
        content = file.read()
    fields = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(content)))]
    start_response("200 OK", fields)
    return [content]
"#;

/// The same application, as a CGI program.
const PROGRAM: &str = r#"#!/usr/bin/env python3
from wsgiref.handlers import CGIHandler
from page import application
CGIHandler().run(application)
"#;

/// A CGI program that starts faster. lighttpd takes the file for the script, stage 5 for what
/// follows the script.
const SCRIPT: &str = r#"#!/bin/sh
printf 'Content-Type: application/octet-stream\n\n'
exec cat "${PATH_TRANSLATED:-$SCRIPT_FILENAME}"
"#;

/// Starts two workers that share a socket in the document root, and then the server.
const WORKERS: &str = r#"
import os, socket, subprocess, sys
if os.path.exists("workers"):
    os.unlink("workers")
listener = socket.socket(socket.AF_UNIX)
listener.bind("workers")
listener.listen(128)
with open(sys.argv[1]) as file:
    command = [sys.executable, "-c", file.read(), "page:application"]
for _ in range(2):
    subprocess.Popen(command, stdin=listener)
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// Servers that do the same work.
pub struct Group {
    pub name: &'static str,
    pub servers: Vec<ServerSpec>,
    /// How to install the server that is missing.
    pub missing: Option<String>,
}

/// What was measured of a group. `gateway.json` is a list of these.
#[derive(Deserialize, Serialize)]
pub struct GroupResult {
    pub name: String,
    #[serde(flatten)]
    pub run: Run,
}

/// Adds the applications to a site.
pub fn add_applications(site: &Site) -> io::Result<()> {
    site.add("page.py", PAGE_PY.as_bytes())?;
    for (name, text) in [("script", SCRIPT), ("program", PROGRAM)] {
        site.add(name, text.as_bytes())?;
        site.set_mode(name, 0o755)?;
    }
    Ok(())
}

const LIGHTTPD: Peer = Peer {
    name: "lighttpd",
    install: "apt-get install lighttpd, or brew install lighttpd",
    add_options: |command, setting| lighttpd(command, setting, "script"),
};

/// A server that is compared with stage 5: the name of the group, the options of the stage, and the
/// server.
const PEERS: [(&str, AddOptions, Peer); 4] = [
    (
        "WSGI, two workers",
        stage_wsgi,
        Peer {
            name: "gunicorn",
            install: "pip install gunicorn",
            add_options: gunicorn,
        },
    ),
    (
        "FastCGI, same workers",
        stage_fastcgi,
        Peer {
            name: "nginx",
            install: "apt-get install nginx-light, or brew install nginx",
            add_options: nginx,
        },
    ),
    (
        "CGI, a shell script",
        |command, setting| stage_cgi(command, setting, "script"),
        LIGHTTPD,
    ),
    (
        "CGI, a Python program",
        |command, setting| stage_cgi(command, setting, "program"),
        Peer {
            add_options: |command, setting| lighttpd(command, setting, "program"),
            ..LIGHTTPD
        },
    ),
];

/// What is compared. Stage 5 is the first server of each group.
pub fn groups(stage_4: &Program, stage_5: &Program) -> Vec<Group> {
    let spec = |number: u8, program: &Program| {
        ServerSpec::contract(stage(number).name, Origin::Stage(number), program.clone())
    };
    let mut groups = vec![Group {
        name: "a file",
        servers: vec![spec(5, stage_5), spec(4, stage_4)],
        missing: None,
    }];
    groups.extend(PEERS.map(|(name, own, peer)| {
        let mut servers = vec![spec(5, stage_5).with_options(own)];
        servers.extend(ServerSpec::peer(peer));
        let is_missing = servers.len() == 1;
        Group {
            name,
            servers,
            missing: is_missing
                .then(|| format!("{} is not installed: {}", peer.name, peer.install)),
        }
    }));
    groups
}

/// The rate of each server at the only level, and how many times faster stage 5 is.
pub fn table(results: &[GroupResult]) -> String {
    let mut text = String::new();
    for GroupResult { name, run } in results {
        text += &format!("\n{}\n", paint(BOLD, name));
        let mut first = None;
        for server in &run.servers {
            let rate = server.level(MAIN_LEVEL).map(Level::rate);
            let figure = rate.map_or("failed".to_string(), thousands);
            let ratio = first
                .zip(rate)
                .map(|(first, rate): (f64, f64)| first / rate);
            let ratio = ratio.map_or(String::new(), |ratio| format!("stage 5 / it: {ratio:.2}"));
            text += &format!(
                "  {:16} {figure:>8}/s  {}\n",
                server.name,
                paint(DIM, ratio)
            );
            first = first.or(rate);
        }
    }
    text
}

/// The picture of the processor time that a request takes, in all processes; `None` where the
/// system doesn't report it.
pub fn picture(results: &[GroupResult]) -> Option<String> {
    let times = |index: usize| {
        let times = results.iter().enumerate().filter_map(move |(row, result)| {
            let level = result.run.servers.get(index)?.level(MAIN_LEVEL)?;
            Some((row, level.median(|round| round.processor_time)? / 1000.0))
        });
        times.collect::<Vec<(usize, f64)>>()
    };
    let both = [("stage 5", AMBER, 0.33), ("the other server", GREY, 0.67)];
    let both = both.into_iter().zip([times(0), times(1)]);
    let mut end = 0.0_f64;
    let mut description = "Milliseconds of processor time for one request.".to_string();
    let mut series = Vec::new();
    for ((name, color, y), times) in both {
        for (row, time) in &times {
            end = end.max(*time);
            description += &format!(" {}, {name}: {time:.1}.", results[*row].name);
        }
        let bar = |(row, time): (usize, f64)| Bar {
            y: row as f64 + y,
            start: 0.0,
            end: time,
            text: time_text(time),
        };
        series.push(Series {
            color,
            name,
            height: 0.3,
            bars: times.into_iter().map(bar).collect(),
        });
    }
    let chart = BarChart {
        id: "gateway",
        title: "Processor time for one request",
        description: &description,
        rows: results.iter().map(|result| result.name.clone()).collect(),
        row_height: 96,
        end,
        time_text,
        series,
    };
    (end > 0.0).then(|| chart.draw())
}

/// A time in milliseconds, for people.
pub fn time_text(milliseconds: f64) -> String {
    match milliseconds {
        0.0 => "0 ms".to_string(),
        10.0.. => format!("{milliseconds:.0} ms"),
        _ => format!("{milliseconds:.1} ms"),
    }
}

fn stage_options(command: &mut Command, setting: Setting) {
    command.arg(format!("--listen=127.0.0.1:{}", setting.port));
    command.arg("--root").arg(setting.root);
    command.current_dir(setting.root);
}

fn stage_wsgi(command: &mut Command, setting: Setting) -> io::Result<()> {
    stage_options(command, setting);
    command.args(["--workers", "2", "--wsgi", "/=page:application"]);
    Ok(())
}

fn stage_fastcgi(command: &mut Command, setting: Setting) -> io::Result<()> {
    start_workers_first(command, setting.root);
    stage_options(command, setting);
    command.args(["--fastcgi", "/=unix:workers"]);
    Ok(())
}

fn stage_cgi(command: &mut Command, setting: Setting, program: &str) -> io::Result<()> {
    stage_options(command, setting);
    command.args(["--cgi", &format!("/={program}")]);
    Ok(())
}

fn gunicorn(command: &mut Command, setting: Setting) -> io::Result<()> {
    let address = format!("127.0.0.1:{}", setting.port);
    command.args(["--workers", "2", "--bind", &address]);
    command
        .arg("--access-logfile")
        .arg(setting.folder.join("access"));
    command.arg("page:application").current_dir(setting.root);
    Ok(())
}

fn nginx(command: &mut Command, setting: Setting) -> io::Result<()> {
    start_workers_first(command, setting.root);
    let parameters = [
        ("REQUEST_METHOD", "$request_method"),
        ("SCRIPT_NAME", "\"\""),
        ("PATH_INFO", "$uri"),
        ("QUERY_STRING", "$query_string"),
        ("SERVER_NAME", "$server_addr"),
        ("SERVER_PORT", "$server_port"),
        ("SERVER_PROTOCOL", "$server_protocol"),
    ];
    let parameters = parameters.map(|(name, value)| format!("fastcgi_param {name} {value};"));
    let pass = format!("fastcgi_pass unix:{}/workers;", setting.root.display());
    let directives = format!("location / {{ {pass} {} }}", parameters.join(" "));
    configure_nginx(command, setting, &directives)
}

fn lighttpd(command: &mut Command, setting: Setting, program: &str) -> io::Result<()> {
    let lines = format!(
        "server.modules += (\"mod_cgi\")
        cgi.assign = (\"\" => \"{}\")",
        setting.root.join(program).display()
    );
    configure_lighttpd(command, setting, &lines)
}

/// Makes a command start the workers before the server.
fn start_workers_first(command: &mut Command, root: &Path) {
    let server = command.get_program().to_owned();
    let worker = workspace::folder(stage(5), false).join("src/wsgi.py");
    let mut first = Command::new("python3");
    first.args(["-c", WORKERS]).arg(worker);
    first.arg(server).current_dir(root);
    *command = first;
}
