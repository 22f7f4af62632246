//! Builds programs that are made from the stages by a patch, as workspaces of their own.

use harness::cleanup;
use harness::program::Program;
use harness::workspace;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use suite::patch::Sources;
use toml::Table;

/// A change that makes a program wrong.
#[derive(Deserialize)]
pub struct Fault {
    /// The name of a file in `src/`.
    pub file: String,
    /// What is replaced. The file contains it once.
    find: String,
    replace: String,
    /// The checks that fail.
    pub fails: BTreeSet<String>,
}

impl Fault {
    /// The program with this fault.
    pub fn apply(&self, mut sources: Sources) -> Sources {
        let Fault { file, find, .. } = self;
        let text = sources.get_mut(&format!("src/{file}")).unwrap();
        let count = text.matches(find).count();
        assert_eq!(count, 1, "{file} must contain this once: {find}");
        *text = text.replacen(find, &self.replace, 1);
        sources
    }
}

/// A workspace below the target folder.
pub struct Workspace {
    folder: PathBuf,
    members: Vec<String>,
}

impl Workspace {
    pub fn new(name: &str) -> Workspace {
        Workspace {
            folder: workspace::root().join("target").join(name),
            members: Vec::new(),
        }
    }

    /// Adds a package with these sources. It gets another name, and does without the suite.
    pub fn add(&mut self, package: &str, sources: &Sources) {
        let folder = self.folder.join(package);
        for (name, text) in sources {
            if name == "Cargo.toml" {
                let mut manifest: Table = toml::from_str(text).unwrap();
                manifest.remove("test");
                let dependencies = manifest["dev-dependencies"].as_table_mut().unwrap();
                dependencies.remove("suite");
                manifest["package"]["name"] = package.into();
                write_if_changed(&folder.join(name), &manifest.to_string());
            } else {
                write_if_changed(&folder.join(name), text);
            }
        }
        self.members.push(package.to_string());
    }

    /// Writes the manifest and the lock file, from those of the lab. Packages that were not added
    /// are removed.
    pub fn finish(&self) {
        let mut manifest: Table = toml::from_str(&read(&lab_file("Cargo.toml"))).unwrap();
        let table = manifest["workspace"].as_table_mut().unwrap();
        table.insert("members".into(), self.members.clone().into());
        table.remove("default-members");
        // Paths would lead nowhere there.
        let dependencies = table["dependencies"].as_table_mut().unwrap();
        dependencies.retain(|_, dependency| dependency.get("path").is_none());
        // Each is built once: faster without debug information, and without preparing the next build.
        let profile: Table =
            toml::from_str("dev = { debug = false, incremental = false }").unwrap();
        manifest.insert("profile".into(), profile.into());
        write_if_changed(&self.folder.join("Cargo.toml"), &manifest.to_string());
        // Cargo adds the members to the lock file.
        for name in ["Cargo.lock", "clippy.toml"] {
            write_if_changed(&self.folder.join(name), &read(&lab_file(name)));
        }
    }

    /// Cargo, to be run on this workspace. All share a target folder of their own: other features
    /// of their dependencies would replace the binaries of the stages.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(&self.folder)
            .args([command, "--quiet"])
            .env("CARGO_TARGET_DIR", lab_file("target/exercises/target"))
            .env("CARGO_NET_OFFLINE", "true")
            // A fault may leave something unused.
            .env("RUSTFLAGS", "-Awarnings")
            .stderr(Stdio::inherit());
        cargo
    }

    /// Builds all packages. Returns their programs by name.
    pub fn build(&self) -> BTreeMap<String, Program> {
        let mut cargo = self.cargo("build");
        cargo.args(["--workspace", "--message-format=json-render-diagnostics"]);
        let output = cleanup::run(&mut cargo).unwrap();
        assert!(output.status.success(), "see the compiler's messages above");
        let binaries = workspace::binaries(output.stdout.as_slice()).into_iter();
        binaries
            .map(|binary| (binary.name, Program::new(binary.path)))
            .collect()
    }
}

fn lab_file(name: &str) -> PathBuf {
    workspace::root().join(name)
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file unless it already has this content, so that Cargo builds only what has changed.
fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
