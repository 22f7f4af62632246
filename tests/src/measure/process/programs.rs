//! The programs of a staircase: where they come from, and how each is started.

use super::{Expected, Part, Staircase, Step};
use crate::program::on_path;
use crate::site::Site;
use crate::workspace;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package whose processes are measured: it starts one for each client.
pub const PACKAGE: &str = "stage2_multiprocess";

const NOTHING_C: &str = include_str!("programs/nothing.c");
const EMPTY_C: &str = include_str!("programs/empty.c");
const EMPTY_RS: &str = include_str!("programs/empty.rs");

/// How big the page is that is asked for, in bytes.
const PAGE: usize = 4096;

/// So long a request line is too long.
const TOO_LONG: usize = 8001;

/// How to get what is missing.
const GET_CC: &str = "apt-get install gcc libc6-dev (Debian), xcode-select --install (macOS)";
const GET_STATIC_LIBC: &str =
    "apt-get install libc6-dev (Debian), dnf install glibc-static (Fedora)";
const GET_MUSL_GCC: &str = "apt-get install musl-tools (Debian)";

/// How programs find libc: it is the same for all of a staircase.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// As usual: the dynamic linker brings libc in at the start.
    Dynamic,
    /// The same libc, within the executable.
    Static,
    /// Another libc, musl, within the executable.
    Musl,
}

impl Build {
    pub const ALL: [Build; 3] = [Build::Dynamic, Build::Static, Build::Musl];

    pub fn words(self) -> &'static str {
        match self {
            Build::Dynamic => "as usual, libc shared",
            Build::Static => "static",
            Build::Musl => "static, with musl",
        }
    }

    /// What a process built so spends its time with.
    pub fn parts(self) -> &'static [Part] {
        const LINKED_ALREADY: [Part; 7] = [
            Part::Kernel,
            Part::Libc,
            Part::Rust,
            Part::Stage,
            Part::Answer,
            Part::Regex,
            Part::File,
        ];
        match self {
            Build::Dynamic => &Part::ALL,
            Build::Static | Build::Musl => &LINKED_ALREADY,
        }
    }

    /// Rust's name for the system to build for; `None`: the one that we run on, as always.
    /// The error says why there are no such programs here.
    pub fn target(self) -> Result<Option<String>, String> {
        let host = host()?;
        match (self, host.strip_suffix("-gnu")) {
            (Build::Dynamic, _) => Ok(None),
            (Build::Static, Some(_)) => Ok(Some(host)),
            (Build::Static, None) => Err(format!("it is for Linux with glibc, not for {host}")),
            (Build::Musl, Some(system)) if system.ends_with("-linux") => {
                let target = format!("{system}-musl");
                match is_installed(&target) {
                    true => Ok(Some(target)),
                    false => Err(format!("rustup target add {target}")),
                }
            }
            (Build::Musl, _) => Err(format!("it is for Linux with glibc, not for {host}")),
        }
    }

    /// Builds stage 2 in release, libc found in this way. The error says why it is not there.
    pub fn stage(self) -> Result<PathBuf, String> {
        match self.target()? {
            None => workspace::build_package(PACKAGE, true),
            Some(target) => workspace::build_static(PACKAGE, &target),
        }
    }

    /// Makes the staircase of this build, as far as its programs can be had: the small ones
    /// are compiled into the folder, `stage` is stage 2 or why it is not there, and `site`
    /// what it serves.
    pub fn staircase(
        self,
        stage: Result<&Path, String>,
        site: &Site,
        folder: &Path,
    ) -> Result<Staircase, String> {
        let (mut steps, mut missing) = (Vec::new(), Vec::new());
        let is_small = |part: &&Part| **part < Part::Stage;
        for part in self.parts().iter().filter(is_small).copied() {
            match self.small(part, folder) {
                Ok(program) => steps.push(Step::alone(part, program)),
                Err(why) => missing.push((part, why)),
            }
        }
        match stage {
            Ok(stage) => steps.extend(stage_steps(stage, site)?),
            Err(why) => missing.extend(STAGE_PARTS.map(|part| (part, why.clone()))),
        }
        Ok(Staircase {
            build: self,
            steps,
            missing,
        })
    }

    /// Compiles the small program for a part.
    fn small(self, part: Part, folder: &Path) -> Result<PathBuf, String> {
        let name = format!("{self:?}-{part:?}").to_lowercase();
        let (place, source) = (folder.join(&name), folder.join(format!("{name}.source")));
        let compile = |text: &str, compiler: &str, arguments: &[&str], way_out: &str| {
            let written = fs::write(&source, text);
            written.map_err(|error| format!("{}: {error}", source.display()))?;
            compile(compiler, arguments, &source, &place, way_out)
        };
        let c = ["-O2", "-x", "c"];
        let linux = cfg!(target_os = "linux");
        match (part, self) {
            (Part::Kernel, _) if linux => {
                let arguments = [&c[..], &["-nostdlib", "-static"]].concat();
                compile(NOTHING_C, "cc", &arguments, GET_CC)?;
            }
            (Part::Libc, Build::Musl) => {
                let arguments = [&c[..], &["-static"]].concat();
                compile(EMPTY_C, "musl-gcc", &arguments, GET_MUSL_GCC)?;
            }
            (Part::Libc, _) if linux => {
                let arguments = [&c[..], &["-static"]].concat();
                compile(EMPTY_C, "cc", &arguments, GET_STATIC_LIBC)?;
            }
            (Part::Kernel | Part::Libc, _) => {
                let system = std::env::consts::OS;
                return Err(format!(
                    "a static program in C is for Linux, not for {system}"
                ));
            }
            (Part::Linker, _) => compile(EMPTY_C, "cc", &c, GET_CC)?,
            _ => {
                let target = self.target()?;
                let arguments = rust(target.as_deref());
                compile(EMPTY_RS, "rustc", &arguments, "see what it says")?;
            }
        }
        Ok(place)
    }
}

/// The options for Rust's compiler, as the workspace's release profile has them.
fn rust(target: Option<&str>) -> Vec<&str> {
    let profile = "--edition 2024 -C opt-level=3 -C codegen-units=1 -C lto=fat";
    let mut options: Vec<&str> = profile.split(' ').collect();
    if let Some(target) = target {
        options.extend(["-C", STATIC, "--target", target]);
    }
    options
}

/// What makes a Rust program static.
const STATIC: &str = "target-feature=+crt-static";

/// Compiles a small program. The error names what is missing, and how to get it.
fn compile(
    compiler: &str,
    arguments: &[&str],
    source: &Path,
    place: &Path,
    way_out: &str,
) -> Result<(), String> {
    let Some(program) = on_path(compiler) else {
        return Err(format!("`{compiler}` is not installed: {way_out}"));
    };
    let output = Command::new(program)
        .args(arguments)
        .arg("-o")
        .args([place, source])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    let first = words.lines().find(|line| line.contains("error"));
    let first = first.or(words.lines().next()).unwrap_or_default();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("`{compiler}` says: {first}; {way_out}")),
    }
}

impl Step {
    /// A program that nobody talks to.
    fn alone(part: Part, program: PathBuf) -> Step {
        Step {
            part,
            program,
            arguments: Vec::new(),
            request: None,
            answer: None,
        }
    }
}

/// The parts that stage 2 shows, by clients who want more and more of it.
const STAGE_PARTS: [Part; 4] = [Part::Stage, Part::Answer, Part::Regex, Part::File];

/// How stage 2 is started for each of its parts, as its parent starts it, and what must come
/// of it.
pub fn stage_steps(program: &Path, site: &Site) -> Result<Vec<Step>, String> {
    let page = site.add(&format!("{}.html", site.name()), &site.bytes(PAGE));
    let page = page.map_err(|error| format!("Cannot write a page: {error}"))?;
    let refusal = |status| {
        let content = None;
        Some(Expected { status, content })
    };
    let line = |version| format!("GET {} HTTP/{version}\r\n\r\n", page.target());
    let talk = |part| match part {
        Part::Answer => (format!("GET / {}\r\n", "x".repeat(TOO_LONG)), refusal(414)),
        Part::Regex => (line("2.0"), refusal(505)),
        Part::File => {
            let content = Some(page.content.clone());
            let status = 200;
            (line("1.1"), Some(Expected { status, content }))
        }
        _ => (String::new(), None),
    };
    let step = |part| {
        let (request, answer) = talk(part);
        let mut step = Step::alone(part, program.to_path_buf());
        step.arguments = ["--child", "--root"].map(OsString::from).to_vec();
        step.arguments.push(site.root().into());
        step.request = Some(request.into_bytes());
        step.answer = answer;
        step
    };
    Ok(STAGE_PARTS.map(step).to_vec())
}

/// Rust's compiler, asked about itself.
fn rustc(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("rustc")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}

/// Rust's name for the system that we run on.
fn host() -> Result<String, String> {
    let version = rustc(&["-vV"])?;
    let host = { version.lines() }.find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_string)
        .ok_or_else(|| "rustc does not say for what it builds".to_string())
}

/// Whether Rust's own library is there for that system.
fn is_installed(target: &str) -> bool {
    let Ok(folder) = rustc(&["--print", "target-libdir", "--target", target]) else {
        return false;
    };
    fs::read_dir(folder.trim()).is_ok_and(|mut files| files.next().is_some())
}
