//! The workspace: its stages, where they lie, and their binaries.

use cargo_metadata::{Artifact, ArtifactProfile, Message};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A stage of the ladder.
pub struct Stage {
    pub number: u8,
    /// Its package, its folder and its binary.
    pub name: &'static str,
    /// Its one new idea, in a line.
    pub idea: &'static str,
    /// The port that it listens on when it is not told otherwise.
    pub port: u16,
}

/// The stages, in order.
pub const STAGES: [Stage; 4] = [
    Stage {
        number: 1,
        name: "stage1_single",
        idea: "one client at a time",
        port: 7788,
    },
    Stage {
        number: 2,
        name: "stage2_multiprocess",
        idea: "a process for each connection",
        port: 8888,
    },
    Stage {
        number: 3,
        name: "stage3_threads",
        idea: "a thread for each connection",
        port: 8000,
    },
    Stage {
        number: 4,
        name: "stage4_builder",
        idea: "a ResponseBuilder, types and permissions",
        port: 9001,
    },
];

/// The stage of that number, from 1 on.
pub fn stage(number: u8) -> &'static Stage {
    &STAGES[usize::from(number) - 1]
}

/// The stage that a package is: one of the lab's own, or a student's `my_stageN`.
pub fn stage_of(package: &str) -> Option<&'static Stage> {
    STAGES
        .iter()
        .find(|stage| stage.name == package || own_name(stage.number) == package)
}

/// The package in which a student writes that stage.
pub fn own_name(number: u8) -> String {
    format!("my_stage{number}")
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // What Cargo says as it runs us is so even if the folder was moved since we were built.
        let now = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let above = |package: PathBuf| package.parent().map(Path::to_path_buf);
        let is_root = |root: &PathBuf| root.join("tests/src/workspace.rs").is_file();
        let now = now.and_then(above).filter(is_root);
        now.or_else(|| above(built)).unwrap_or_default()
    })
}

/// Where a stage is at home: the lab's own, or with `own` the student's.
pub fn folder(stage: &Stage, own: bool) -> PathBuf {
    match own {
        true => root().join(own_name(stage.number)),
        false => root().join(stage.name),
    }
}

/// The package that a command means by a stage: the student's own where there is one, unless
/// the original is asked for. With it, whether it is the student's.
pub fn chosen(stage: &Stage, original: bool) -> (String, bool) {
    match !original && folder(stage, true).is_dir() {
        true => (own_name(stage.number), true),
        false => (stage.name.to_string(), false),
    }
}

/// Cargo, at work in the workspace.
fn cargo() -> Command {
    // Cargo says where it is when it runs us; else the one of the path will do.
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    cargo
}

/// Builds the stages, and tells where Cargo says that it has put their binaries, in the
/// order of [`STAGES`]. To look for them in the target folder could find an older build.
///
/// It builds what `cargo test` builds, and so builds nothing anew while that runs: other
/// features would give other binaries, put into the place of those under test.
pub fn build_stages() -> Result<Vec<PathBuf>, String> {
    let mut cargo = cargo();
    cargo.args(["test", "--workspace", "--no-run"]);
    let binaries = build(cargo)?;
    let names = STAGES.iter().map(|stage| stage.name);
    let found: Option<Vec<PathBuf>> = names.map(|name| binaries.get(name).cloned()).collect();
    found.ok_or_else(|| "cargo did not build all stages".to_string())
}

/// Builds one package, in release where that is asked for, and tells where its binary is.
pub fn build_package(name: &str, release: bool) -> Result<PathBuf, String> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", name]);
    if release {
        cargo.arg("--release");
    }
    binary_of(cargo, name, release)
}

/// Builds one package in release for a target of Rust's, libc within it, and tells where its
/// binary is. With a target named, Cargo builds what runs meanwhile (build scripts) as always.
/// It has a folder of its own: nothing built otherwise is built anew.
pub fn build_static(name: &str, target: &str) -> Result<PathBuf, String> {
    let folder = env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let mut cargo = cargo();
    cargo
        .args(["build", "--quiet", "--release", "--package", name])
        .args(["--target", target, "--target-dir"])
        .arg(folder.join("static"))
        // This one would have the last word over the other.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    binary_of(cargo, name, true)
}

/// Runs Cargo to build a package, and tells where its binary is. What is called a release must
/// be one: else what is measured would be the want of optimisation.
fn binary_of(cargo: Command, name: &str, release: bool) -> Result<PathBuf, String> {
    let found = build_all(cargo)?
        .into_iter()
        .find(|artifact| artifact.target.name == name);
    let artifact = found.ok_or_else(|| format!("the package `{name}` has no binary `{name}`"))?;
    match unlike_release(&artifact.profile).filter(|_| release) {
        Some(why) => Err(format!(
            "`cargo build --release` builds {name} {why}: see `[profile.release]` in Cargo.toml, \
             and the variables CARGO_PROFILE_RELEASE_…"
        )),
        None => executable(artifact).ok_or_else(|| format!("`{name}` is no program")),
    }
}

/// What a profile has of a debug build, if anything.
fn unlike_release(profile: &ArtifactProfile) -> Option<&'static str> {
    match (profile.opt_level.as_str(), profile.debug_assertions) {
        ("0", _) => Some("without optimisation"),
        (_, true) => Some("with debug assertions"),
        _ => None,
    }
}

/// Runs Cargo to build, and collects the binaries that it made, by name.
fn build(cargo: Command) -> Result<BTreeMap<String, PathBuf>, String> {
    Ok(by_name(build_all(cargo)?))
}

/// Runs Cargo to build, and collects the programs that it made. What the compiler says goes to
/// standard error.
fn build_all(mut cargo: Command) -> Result<Vec<Artifact>, String> {
    cargo.arg("--message-format=json-render-diagnostics");
    let mut cargo = cargo
        .spawn()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let output = cargo.stdout.take().ok_or("cargo has no output")?;
    let artifacts = artifacts(output);
    let status = cargo
        .wait()
        .map_err(|error| format!("cannot wait for cargo: {error}"))?;
    match status.success() {
        true => Ok(artifacts),
        false => Err("it does not build; the compiler's words stand above".to_string()),
    }
}

/// The binaries of which Cargo's messages tell, by name.
pub fn binaries(messages: impl Read) -> BTreeMap<String, PathBuf> {
    by_name(artifacts(messages))
}

fn by_name(artifacts: Vec<Artifact>) -> BTreeMap<String, PathBuf> {
    let named = |artifact: Artifact| Some((artifact.target.name.clone(), executable(artifact)?));
    artifacts.into_iter().filter_map(named).collect()
}

fn executable(artifact: Artifact) -> Option<PathBuf> {
    artifact.executable.map(|path| path.into_std_path_buf())
}

/// The programs of which Cargo's messages tell, but for those that are tests.
fn artifacts(messages: impl Read) -> Vec<Artifact> {
    let messages = Message::parse_stream(BufReader::new(messages));
    let made = messages.filter_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) => Some(artifact),
        _ => None,
    });
    made.filter(|artifact| !artifact.profile.test && artifact.executable.is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Cargo says of a program that it has built.
    fn message(opt_level: &str, debug_assertions: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"path+file:///x#0.1.0","manifest_path":"/x/Cargo.toml","target":{{"kind":["bin"],"crate_types":["bin"],"name":"x","src_path":"/x/src/main.rs","edition":"2024","doc":true,"doctest":false,"test":true}},"profile":{{"opt_level":"{opt_level}","debuginfo":0,"debug_assertions":{debug_assertions},"overflow_checks":false,"test":false}},"features":[],"filenames":["/x/target/release/x"],"executable":"/x/target/release/x","fresh":true}}"#
        )
    }

    #[test]
    fn a_release_that_is_none_is_noticed() {
        let why = |opt_level, debug_assertions| {
            let artifacts = artifacts(message(opt_level, debug_assertions).as_bytes());
            unlike_release(&artifacts[0].profile)
        };
        assert_eq!(why("3", false), None);
        assert_eq!(why("s", false), None);
        assert_eq!(why("0", false), Some("without optimisation"));
        assert_eq!(why("3", true), Some("with debug assertions"));
    }
}
