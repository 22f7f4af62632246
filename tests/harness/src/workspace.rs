//! The workspace: its stages, their folders, and their binaries.

use crate::cleanup;
use serde_json::Value;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A stage of the ladder.
pub struct Stage {
    pub number: u8,
    /// The stage that it changes; `None` for the first. Stages 5 and 6 both build on stage 4.
    pub base: Option<u8>,
    /// The name of its package, its folder and its binary.
    pub name: &'static str,
    /// Its one new idea, in a line.
    pub idea: &'static str,
    /// The port that it listens on by default.
    pub port: u16,
}

/// The stages, in order.
pub const STAGES: [Stage; 6] = [
    Stage {
        number: 1,
        base: None,
        name: "stage1_single",
        idea: "one client at a time",
        port: 7788,
    },
    Stage {
        number: 2,
        base: Some(1),
        name: "stage2_multiprocess",
        idea: "a process for each connection",
        port: 8888,
    },
    Stage {
        number: 3,
        base: Some(2),
        name: "stage3_threads",
        idea: "a thread for each connection",
        port: 8000,
    },
    Stage {
        number: 4,
        base: Some(3),
        name: "stage4_builder",
        idea: "a ResponseBuilder, types and permissions",
        port: 9001,
    },
    Stage {
        number: 5,
        base: Some(4),
        name: "stage5_gateway",
        idea: "applications behind the server: CGI, FastCGI and WSGI",
        port: 8001,
    },
    Stage {
        number: 6,
        base: Some(4),
        name: "stage6_events",
        idea: "one thread for all clients, on connections that stay open",
        port: 9002,
    },
];

/// The error that students meet most often.
pub const BUILD_FAILED: &str = "the build failed; see the compiler's messages above";

/// The stage with that number, from 1 on.
pub fn stage(number: u8) -> &'static Stage {
    &STAGES[usize::from(number) - 1]
}

/// Each stage that changes another one, after that one.
pub fn pairs() -> impl Iterator<Item = (&'static Stage, &'static Stage)> {
    let pair = |new: &'static Stage| Some((stage(new.base?), new));
    STAGES.iter().filter_map(pair)
}

/// The stage that a package implements: one of the lab's own, or a student's `my_stageN`.
pub fn stage_of(package: &str) -> Option<&'static Stage> {
    STAGES
        .iter()
        .find(|stage| stage.name == package || own_name(stage.number) == package)
}

/// The package in which a student writes that stage.
pub fn own_name(number: u8) -> String {
    format!("my_stage{number}")
}

/// The root folder of the workspace.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // Cargo's variable is right even if the folder was moved after the build.
        let now = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root_of = |package: PathBuf| {
            let mut folders = package.ancestors();
            let root = folders.find(|folder| folder.join("tests/stage.rs").is_file());
            root.map(Path::to_path_buf)
        };
        now.and_then(root_of)
            .or_else(|| root_of(built))
            .unwrap_or_default()
    })
}

/// The folder of a stage: the lab's own, or the student's.
pub fn folder(stage: &Stage, own: bool) -> PathBuf {
    if own {
        root().join(own_name(stage.number))
    } else {
        root().join(stage.name)
    }
}

/// The package that a command uses for a stage: the student's own if there is one, unless the
/// original is asked for. Also returns whether it is the student's.
pub fn select_package(stage: &Stage, original: bool) -> (String, bool) {
    if !original && folder(stage, true).is_dir() {
        (own_name(stage.number), true)
    } else {
        (stage.name.to_string(), false)
    }
}

/// A program that Cargo has built.
pub struct Binary {
    pub name: String,
    pub path: PathBuf,
    opt_level: String,
    debug_assertions: bool,
}

impl Binary {
    /// Why this isn't a release build, if it isn't. Figures measured with it would be wrong.
    fn release_error(&self) -> Option<&'static str> {
        match (self.opt_level.as_str(), self.debug_assertions) {
            ("0", _) => Some("without optimization"),
            (_, true) => Some("with debug assertions"),
            _ => None,
        }
    }
}

/// Cargo, to be run in the workspace.
pub fn cargo() -> Command {
    // Cargo says where it is when it runs us; otherwise the one in PATH is used.
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(root()).stdin(Stdio::null());
    cargo
}

/// Builds the stages and returns their binaries, in the order of [`STAGES`]. Cargo is asked
/// where they are, since the target folder may also hold an older build.
pub fn build_stages() -> Result<Vec<PathBuf>, String> {
    let mut cargo = cargo();
    // The same command as in the README, so that nothing is built twice.
    cargo.args(["test", "--quiet", "--no-run"]);
    let mut binaries = build(cargo)?;
    let mut paths = Vec::new();
    for stage in &STAGES {
        let place = binaries.iter().position(|binary| binary.name == stage.name);
        let place = place.ok_or_else(|| format!("cargo did not build {}", stage.name))?;
        paths.push(binaries.swap_remove(place).path);
    }
    Ok(paths)
}

/// Builds one package and returns its binary.
pub fn build_package(name: &str, release: bool) -> Result<PathBuf, String> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", name]);
    if release {
        cargo.arg("--release");
    }
    build_binary(cargo, name, release)
}

/// Runs Cargo and returns the binary with that name. With `release`, it must be optimized.
pub fn build_binary(cargo: Command, name: &str, release: bool) -> Result<PathBuf, String> {
    let binaries = build(cargo)?;
    let binary = binaries.into_iter().find(|binary| binary.name == name);
    let binary = binary.ok_or_else(|| format!("the package `{name}` has no binary `{name}`"))?;
    match binary.release_error() {
        Some(error) if release => Err(format!(
            "`cargo build --release` builds {name} {error}: see `[profile.release]` in \
             Cargo.toml, and the variables CARGO_PROFILE_RELEASE_*"
        )),
        _ => Ok(binary.path),
    }
}

/// Runs Cargo and returns the programs that it has built. The compiler's messages go to standard
/// error.
fn build(mut cargo: Command) -> Result<Vec<Binary>, String> {
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let cargo = cleanup::without_starting_processes(|| cargo.spawn());
    let mut cargo = cargo.map_err(|error| format!("cannot start cargo: {error}"))?;
    let output = cargo.stdout.take().ok_or("cargo has no output")?;
    let binaries = binaries(output);
    let status = cargo.wait();
    let status = status.map_err(|error| format!("cannot wait for cargo: {error}"))?;
    if status.success() {
        return Ok(binaries);
    }
    Err(BUILD_FAILED.to_string())
}

/// The programs, other than tests, in the messages of `cargo --message-format=json`.
pub fn binaries(messages: impl Read) -> Vec<Binary> {
    let lines = BufReader::new(messages).lines().map_while(Result::ok);
    lines.filter_map(|line| binary(&line)).collect()
}

fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let profile = &message["profile"];
    // Only a program has an executable, and only a test has been built as one.
    if profile["test"] != Value::Bool(false) {
        return None;
    }
    Some(Binary {
        name: message["target"]["name"].as_str()?.to_string(),
        path: message["executable"].as_str()?.into(),
        opt_level: profile["opt_level"].as_str()?.to_string(),
        debug_assertions: profile["debug_assertions"].as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(opt_level: &str, debug_assertions: bool, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","target":{{"kind":["bin"],"name":"x"}},"profile":{{"opt_level":"{opt_level}","debug_assertions":{debug_assertions},"test":{test}}},"executable":"/x/target/release/x"}}"#
        )
    }

    #[test]
    fn debug_build_is_not_a_release() {
        let error = |opt_level, debug_assertions| {
            let message = message(opt_level, debug_assertions, false);
            binary(&message).unwrap().release_error()
        };
        assert_eq!(error("3", false), None);
        assert_eq!(error("s", false), None);
        assert_eq!(error("0", false), Some("without optimization"));
        assert_eq!(error("3", true), Some("with debug assertions"));
    }

    #[test]
    fn tests_and_libraries_are_not_binaries() {
        let library = message("3", false, false).replace(r#""/x/target/release/x""#, "null");
        let messages = [
            message("3", false, true),
            library,
            message("3", false, false),
        ];
        let binaries = binaries(messages.join("\n").as_bytes());
        let paths: Vec<&Path> = binaries
            .iter()
            .map(|binary| binary.path.as_path())
            .collect();
        assert_eq!(paths, [Path::new("/x/target/release/x")]);
    }
}
