//! The workspace: its stages, where they lie, and their binaries.

use cargo_metadata::Message;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A stage of the ladder.
pub struct Stage {
    pub number: u8,
    /// Its package, its folder and its binary.
    pub name: &'static str,
    /// The port that it listens on when it is not told otherwise.
    pub port: u16,
}

/// The stages, in order.
pub const STAGES: [Stage; 4] = [
    Stage {
        number: 1,
        name: "stage1_single",
        port: 7788,
    },
    Stage {
        number: 2,
        name: "stage2_multiprocess",
        port: 8888,
    },
    Stage {
        number: 3,
        name: "stage3_threads",
        port: 8000,
    },
    Stage {
        number: 4,
        name: "stage4_builder",
        port: 9001,
    },
];

/// The stage of that number, from 1 on.
pub fn stage(number: u8) -> &'static Stage {
    &STAGES[usize::from(number) - 1]
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Builds the stages, and tells where Cargo says that it has put their binaries, in the
/// order of [`STAGES`]. To look for them in the target folder could find an older build.
///
/// It builds what `cargo test` builds, and so builds nothing anew while that runs: other
/// features would give other binaries, put into the place of those under test.
pub fn build_stages() -> Result<Vec<PathBuf>, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root())
        .args(["test", "--workspace", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let cargo = cargo.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut cargo = cargo
        .spawn()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let output = cargo.stdout.take().ok_or("cargo has no output")?;
    let mut binaries: Vec<Option<PathBuf>> = vec![None; STAGES.len()];
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Ok(Message::CompilerArtifact(artifact)) = message
            && !artifact.profile.test
        {
            let place = STAGES
                .iter()
                .position(|stage| stage.name == artifact.target.name);
            if let (Some(place), Some(binary)) = (place, artifact.executable) {
                binaries[place] = Some(binary.into_std_path_buf());
            }
        }
    }
    let status = cargo
        .wait()
        .map_err(|error| format!("cannot wait for cargo: {error}"))?;
    match binaries.into_iter().collect::<Option<Vec<_>>>() {
        Some(binaries) if status.success() => Ok(binaries),
        _ => Err(format!("cargo did not build all stages: {status}")),
    }
}
