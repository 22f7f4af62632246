//! The programs of a staircase: how to build them, what to send them, and what to expect.

use super::{Build, PACKAGE};
use harness::program::on_path;
use harness::site::Site;
use harness::workspace;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NOTHING_C: &str = include_str!("programs/nothing.c");
const EMPTY_C: &str = "int main(void) { return 0; }\n";
const EMPTY_RUST: &str = "fn main() {}\n";

const INSTALL_CC: &str = "Install a C compiler and a static libc: apt-get install gcc libc6-dev \
     (Debian), dnf install gcc glibc-static (Fedora).";

/// What makes a Rust program static.
const STATIC: &str = "-C target-feature=+crt-static";

/// The size of the page, in bytes.
const PAGE: usize = 4096;

/// The length of a request target that makes the request line too long.
const LONG_TARGET: usize = 8001;

/// The phase after which the program's own work starts.
pub const RUST: &str = "start of Rust";

/// A program to be started.
#[derive(Clone, Debug)]
pub struct Step {
    pub build: Build,
    /// What this program does in addition to the one before.
    pub phase: &'static str,
    /// The program in words.
    pub program: &'static str,
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// What its client sends; `None` if it has no client.
    pub request: Option<Vec<u8>>,
    /// The status code that the client must receive; `None` for no response.
    pub status: Option<u16>,
    /// The content that it must receive, if that matters.
    pub content: Option<Vec<u8>>,
}

impl Step {
    fn new(build: Build, phase: &'static str, program: &'static str, path: PathBuf) -> Step {
        Step {
            build,
            phase,
            program,
            path,
            arguments: Vec::new(),
            request: None,
            status: None,
            content: None,
        }
    }
}

/// Builds the package in release, linked in this way.
pub fn build_stage(build: Build) -> Result<PathBuf, String> {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
        return Err(
            "`measure process` needs static programs, so it runs on Linux with glibc".into(),
        );
    }
    if build == Build::Dynamic {
        return workspace::build_package(PACKAGE, true);
    }
    // With a target, build scripts and procedural macros are still linked dynamically.
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--quiet", "--release"])
        .args(["--package", PACKAGE, "--target", &target])
        // It would override RUSTFLAGS.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", STATIC);
    workspace::build_binary(cargo, PACKAGE, true)
}

/// The steps of a build, from the lowest to the highest. The small programs are compiled into
/// `folder`; `stage` is the package's program, and `site` what it serves.
pub fn steps(build: Build, stage: &Path, site: &Site, folder: &Path) -> Result<Vec<Step>, String> {
    let small = |phase: &'static str, program, command: &str, source| {
        let name = phase.replace(|it: char| !it.is_alphanumeric(), "_");
        let path = folder.join(format!("{build:?}_{name}"));
        compile(command, source, &path)?;
        Ok::<Step, String>(Step::new(build, phase, program, path))
    };
    let mut steps = vec![
        small(
            "kernel: start, exec, exit",
            "a program without libc that only exits",
            "cc -O2 -nostdlib -static -x c",
            NOTHING_C,
        )?,
        small(
            "start of libc",
            "an empty C program, linked statically",
            "cc -O2 -static -x c",
            EMPTY_C,
        )?,
    ];
    // The options of the release profile.
    let mut rust = "rustc --edition 2024 -C opt-level=3 -C codegen-units=1 -C lto=fat".to_string();
    if build == Build::Dynamic {
        let program = "an empty C program, linked dynamically";
        steps.push(small("dynamic linker", program, "cc -O2 -x c", EMPTY_C)?);
    } else {
        rust += &format!(" {STATIC}");
    }
    steps.push(small(RUST, "an empty Rust program", &rust, EMPTY_RUST)?);
    steps.extend(stage_steps(build, stage, site)?);
    Ok(steps)
}

/// The steps of the package's program, which is started as its parent would start it.
pub fn stage_steps(build: Build, path: &Path, site: &Site) -> Result<Vec<Step>, String> {
    let page = site.add(&format!("{}.html", site.name()), &site.bytes(PAGE));
    let page = page.map_err(|error| format!("Cannot write a page: {error}"))?;
    let (target, long_target) = (page.target(), "x".repeat(LONG_TARGET));
    let step = |phase, program, request: String, status| Step {
        arguments: vec!["--child".into(), "--root".into(), site.root().into()],
        request: Some(request.into_bytes()),
        status,
        content: (status == Some(200)).then(|| page.content.clone()),
        ..Step::new(build, phase, program, path.to_path_buf())
    };
    Ok(vec![
        step(
            "server: options, root",
            "stage 2 with a client that sends nothing",
            String::new(),
            None,
        ),
        step(
            "client: read, respond",
            "a request line that is too long: 414, no regex",
            format!("GET /{long_target} HTTP/1.1\r\n\r\n"),
            Some(414),
        ),
        step(
            "regex: build, match",
            "an unsupported version: 505, after the regex",
            format!("GET {target} HTTP/2.0\r\n\r\n"),
            Some(505),
        ),
        step(
            "file: find, read, send",
            "a page of 4 KiB: 200",
            format!("GET {target} HTTP/1.1\r\n\r\n"),
            Some(200),
        ),
    ])
}

/// Compiles a small program with this command. The error says what to install.
fn compile(command: &str, source: &str, program: &Path) -> Result<(), String> {
    let file = program.with_extension("source");
    let written = fs::write(&file, source);
    written.map_err(|error| format!("Cannot write {}: {error}", file.display()))?;
    let (compiler, options) = command.split_once(' ').unwrap_or((command, ""));
    let path = on_path(compiler).ok_or_else(|| format!("`{compiler}` is missing. {INSTALL_CC}"))?;
    let output = Command::new(path)
        .args(options.split(' '))
        .args([&file, Path::new("-o"), program])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("Cannot run `{compiler}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{command}` fails. {INSTALL_CC}\n{message}"))
}
