//! Builds a submission without anything that could influence the grade, and without what it must not
//! read.
//!
//! Cargo runs as the current user: the manifest, the dependencies and the suite are the instructor's,
//! and a source can't make Cargo do anything. The compiler runs as the user that servers run as, in a
//! folder of its own ([`Isolation`]). The dependencies are built once, before the time of any
//! submission runs; each submission gets links to them. A submission's own `build` runs isolated in the
//! same way.

use super::Sources;
use super::isolation::{GID, IS_SUBMISSION, Isolation, UID};
use crate::program::Problem;
use crate::{file, language, program};
use harness::account::Account;
use harness::cleanup::{self, ScratchDir};
use harness::program::{Program, inherited};
use harness::workspace::{self, stage};
use std::env;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use suite::translation::text;
use toml::{Table, Value};
use walkdir::WalkDir;

/// How many bytes the sources of a submission may have.
const SOURCES_LIMIT: u64 = 16 * 1024 * 1024;

/// How long it may take to build the dependencies, which no submission has to wait for.
const DEPENDENCIES_LIMIT: Duration = Duration::from_secs(1800);

/// The environment of Cargo and the compiler, which a source can read (`env!`). Others may hold
/// secrets.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SDKROOT",
    "DEVELOPER_DIR",
];

/// Builds submissions for a stage.
pub struct Builder {
    stage: u8,
    limit: Duration,
    isolation: Isolation,
    /// The users that it builds as.
    users: Vec<Account>,
    /// Prepared by the first build.
    tools: OnceLock<Result<Tools, String>>,
}

/// What all builds use.
struct Tools {
    /// It has the wrapper, and a compiler if the users can't run the installed one.
    folder: ScratchDir,
    rustc: PathBuf,
    /// The target folder with the dependencies.
    target: PathBuf,
}

impl Builder {
    /// A builder that gives each submission a time limit.
    pub fn new(stage: u8, limit: Duration, users: Vec<Account>) -> Builder {
        Builder {
            stage,
            limit,
            isolation: Isolation::detect(users.first().copied()),
            users,
            tools: OnceLock::new(),
        }
    }

    /// What isn't isolated here, a line for each.
    pub fn gaps(&self) -> &[String] {
        &self.isolation.gaps
    }

    /// Builds sources as the stage, offline, as a user. An error of the sources includes the
    /// compiler's messages.
    pub fn build(&self, sources: &Sources, user: Option<Account>) -> Result<Program, Problem> {
        let tools = self.tools.get_or_init(|| self.prepare());
        let tools = tools
            .as_ref()
            .map_err(|error| Problem::Lab(error.clone()))?;
        let io_error = |error| Problem::Lab(format!("Cannot prepare the build: {error}"));
        // Only its owner can enter a temporary folder.
        let scratch = ScratchDir::new().map_err(io_error)?;
        let folder = |name: &str| scratch.path().join(name);
        write_manifests(self.stage, scratch.path()).map_err(Problem::Lab)?;
        copy_sources(sources, &folder("submission/src")).map_err(Problem::Submission)?;
        link_dependencies(&tools.target, &folder("target")).map_err(io_error)?;
        fs::create_dir(folder("tmp")).map_err(io_error)?;
        let mut cargo = tools.cargo(scratch.path(), &folder("target"));
        cargo.env(IS_SUBMISSION, "1").env("TMPDIR", folder("tmp"));
        if let Some(user) = user {
            give_folders(scratch.path(), user).map_err(io_error)?;
            cargo.env(UID, user.uid.to_string());
            cargo.env(GID, user.gid.to_string());
        }
        let output = program::run_build(&mut cargo, self.limit)?;
        let binary = self.binary(&output)?;
        // Its folder goes away now.
        let copy = Program::copy_of(&binary);
        copy.map_err(|error| Problem::Lab(format!("Cannot copy the program: {error}")))
    }

    /// Runs the `build` in a copy of a folder, as a user, isolated as the compiler is. Returns the
    /// `server` in the copy.
    pub fn build_folder(&self, folder: &Path, user: Option<Account>) -> Result<Program, Problem> {
        if let Some(error) = &self.isolation.error {
            return Err(Problem::Lab(error.clone()));
        }
        let io_error = |error| Problem::Lab(format!("Cannot prepare the build: {error}"));
        let scratch = ScratchDir::new().map_err(io_error)?;
        super::share(scratch.path(), user).map_err(io_error)?;
        let [copy, home, wrapper] = ["copy", "home", "wrapper"].map(|it| scratch.path().join(it));
        let sources = Sources {
            folder: folder.to_path_buf(),
            submission: folder.to_path_buf(),
        };
        cleanup::without_starting_processes(|| copy_sources(&sources, &copy))
            .map_err(Problem::Submission)?;
        fs::create_dir(&home).map_err(io_error)?;
        write_script(&wrapper, &self.isolation.wrapper()).map_err(io_error)?;
        let mut command = Command::new(&wrapper);
        // With a relative path, it could reach files in a folder that it has no right to enter.
        command.env_clear().current_dir(&copy);
        if let Some(user) = user {
            give(&copy, user)
                .and_then(|()| give(&home, user))
                .map_err(io_error)?;
            command.env(UID, user.uid.to_string());
            command.env(GID, user.gid.to_string());
        }
        command
            .arg(copy.join("build"))
            .envs(inherited(&ENVIRONMENT))
            .env(IS_SUBMISSION, "1")
            // Compilers keep caches there.
            .envs([("HOME", &home), ("TMPDIR", &home)]);
        let output = program::run_build(&mut command, self.limit)?;
        language::ensure_built(&output).map_err(Problem::Submission)?;
        let program = program::named(&copy.join("server"), &[]).map_err(Problem::Submission)?;
        Ok(program.keeping(scratch))
    }

    /// The program that Cargo has built.
    fn binary(&self, output: &Output) -> Result<PathBuf, Problem> {
        if let Some(signal) = output.status.signal() {
            let error = format!("Signal {signal} ended the build.");
            return Err(Problem::Lab(error));
        }
        if !output.status.success() {
            let messages = program::cut_messages(&String::from_utf8_lossy(&output.stderr));
            let error = format!("{}\n{messages}", text("It doesn't build."));
            return Err(Problem::Submission(error));
        }
        let name = stage(self.stage).name;
        let mut binaries = workspace::binaries(output.stdout.as_slice()).into_iter();
        let binary = binaries.find(|binary| binary.name == name);
        let error = "It doesn't build: Cargo made no program.".to_string();
        binary
            .map(|binary| binary.path)
            .ok_or(Problem::Submission(error))
    }

    /// Prepares what all builds use, and builds the dependencies.
    fn prepare(&self) -> Result<Tools, String> {
        if let Some(error) = &self.isolation.error {
            return Err(error.clone());
        }
        let io_error = |error| format!("Cannot prepare the builds: {error}");
        let folder = ScratchDir::new().map_err(io_error)?;
        set_mode(folder.path(), 0o755).map_err(io_error)?;
        let wrapper = folder.path().join("wrapper");
        write_script(&wrapper, &self.isolation.wrapper()).map_err(io_error)?;
        let rustc = compiler(&self.users, &folder.path().join("rust"))?;
        let place = workspace::root().join("target/submissions");
        let place = place.join(format!("stage{}", self.stage));
        let tools = Tools {
            folder,
            rustc,
            target: place.join("target"),
        };
        let workspace_folder = place.join("workspace");
        let sources = workspace_folder.join("submission/src");
        fs::create_dir_all(&sources).map_err(io_error)?;
        write_manifests(self.stage, &workspace_folder)?;
        write_if_changed(&sources.join("main.rs"), "fn main() {}\n")?;
        let mut cargo = tools.cargo(&workspace_folder, &tools.target);
        let output = program::run_within(&mut cargo, DEPENDENCIES_LIMIT);
        let (output, in_time) = output.map_err(io_error)?;
        if !in_time || !output.status.success() {
            let messages = program::cut_messages(&String::from_utf8_lossy(&output.stderr));
            return Err(format!(
                "The dependencies don't build offline. Build this workspace once before.\n{messages}"
            ));
        }
        Ok(tools)
    }
}

impl Tools {
    /// Cargo, to build the workspace in a folder.
    fn cargo(&self, workspace_folder: &Path, target: &Path) -> Command {
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(workspace_folder)
            .args(["build", "--quiet", "--offline"])
            .arg("--message-format=json-render-diagnostics")
            .env_clear()
            .envs(inherited(&ENVIRONMENT))
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0")
            .env("RUSTC", &self.rustc)
            // A wrapper of the instructor, such as a cache, would run as another user.
            .env("RUSTC_WRAPPER", "")
            .env(
                "RUSTC_WORKSPACE_WRAPPER",
                self.folder.path().join("wrapper"),
            );
        cargo
    }
}

/// The compiler, where all users can run it: where it is installed, or else a copy of it.
fn compiler(users: &[Account], copy: &Path) -> Result<PathBuf, String> {
    let installed = sysroot()?;
    let rustc = installed.join("bin/rustc");
    let runs_as = |rustc: &Path, user: &Account| {
        let mut command = Command::new(rustc);
        command.arg("--version").uid(user.uid).gid(user.gid);
        command.current_dir("/").stdin(Stdio::null());
        // An orphan would be killed with those of a submission that is being graded.
        let output = cleanup::without_starting_processes(|| command.output());
        output.is_ok_and(|output| output.status.success())
    };
    if users.iter().all(|user| runs_as(&rustc, user)) {
        return Ok(rustc);
    }
    // Often it is below root's home folder, which is closed to others.
    let linked = link_folder(&installed.join("lib"), &copy.join("lib"), |_| true);
    let copied = linked.and_then(|()| {
        fs::create_dir_all(copy.join("bin"))?;
        link(&rustc, &copy.join("bin/rustc"))
    });
    copied.map_err(|error| format!("Cannot copy the compiler: {error}"))?;
    let rustc = copy.join("bin/rustc");
    if users.iter().all(|user| runs_as(&rustc, user)) {
        return Ok(rustc);
    }
    Err(
        "The users of --user can't run the compiler, not even a copy in the temporary folder."
            .into(),
    )
}

/// Where the compiler that builds this workspace is installed.
fn sysroot() -> Result<PathBuf, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--print", "sysroot"])
        .current_dir(workspace::root());
    let output = cleanup::without_starting_processes(|| command.output());
    let output = output.map_err(|error| format!("Cannot run rustc: {error}"))?;
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(path.trim_end()))
}

/// Copies the sources, except hidden files. A link is followed if it leads to a file of the submission.
fn copy_sources(sources: &Sources, to: &Path) -> Result<(), String> {
    let mut size = 0;
    let entries = WalkDir::new(&sources.folder).follow_links(true).into_iter();
    for entry in entries.filter_entry(|entry| !file::is_hidden(entry)) {
        let entry = entry.map_err(|error| format!("Cannot read the sources: {error}"))?;
        let name = entry.path().strip_prefix(&sources.folder);
        let name = name.unwrap_or(entry.path());
        let shown = name.display();
        if entry.path_is_symlink() && !sources.contains(entry.path()) {
            return Err(format!(
                "`{shown}` in the sources is a link to a file outside of the submission."
            ));
        }
        let copied = if entry.file_type().is_dir() {
            fs::create_dir_all(to.join(name))
        } else if entry.file_type().is_file() {
            size += entry.metadata().map_or(0, |metadata| metadata.len());
            if size > SOURCES_LIMIT {
                let limit = SOURCES_LIMIT / (1024 * 1024);
                return Err(format!("The sources are larger than {limit} MiB."));
            }
            copy_content(entry.path(), &to.join(name))
        } else {
            return Err(format!(
                "`{shown}` in the sources is neither a file nor a folder. Remove it."
            ));
        };
        copied.map_err(|error| format!("Cannot copy {shown}: {error}"))?;
    }
    Ok(())
}

/// Copies a file, for all users to read, whatever its permissions are.
fn copy_content(from: &Path, to: &Path) -> io::Result<()> {
    let mut original = File::open(from)?;
    io::copy(&mut original, &mut File::create(to)?)?;
    let is_executable = original.metadata()?.permissions().mode() & 0o111 != 0;
    set_mode(to, if is_executable { 0o755 } else { 0o644 })
}

/// Writes the instructor's manifests: the workspace with one member, and the stage without its tests.
fn write_manifests(number: u8, workspace_folder: &Path) -> Result<(), String> {
    let root = workspace::root();
    let mut outer = read_manifest(&root.join("Cargo.toml"))?;
    if let Some(Value::Table(workspace)) = outer.get_mut("workspace") {
        workspace.insert("members".into(), vec!["submission"].into());
        workspace.remove("default-members");
        // The crates of the suite don't exist there.
        if let Some(Value::Table(dependencies)) = workspace.get_mut("dependencies") {
            dependencies.retain(|_, dependency| dependency.get("path").is_none());
        }
    }
    if let Some(Value::Table(profiles)) = outer.get_mut("profile") {
        profiles.remove("dev");
    }
    let stage_folder = workspace::folder(stage(number), false);
    let mut inner = read_manifest(&stage_folder.join("Cargo.toml"))?;
    inner.remove("dev-dependencies");
    inner.remove("test");
    let package = workspace_folder.join("submission");
    fs::create_dir_all(&package)
        .map_err(|error| format!("Cannot create {}: {error}", package.display()))?;
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    write_if_changed(&workspace_folder.join("Cargo.toml"), &outer.to_string())?;
    write_if_changed(&workspace_folder.join("Cargo.lock"), &lock)?;
    write_if_changed(&package.join("Cargo.toml"), &inner.to_string())
}

fn read_manifest(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("Cannot read {}: {error}", path.display()))?;
    let table = text.parse();
    table.map_err(|error| format!("Cannot parse {}: {error}", path.display()))
}

/// Writes a file, unless it has that content: another run may be building it.
fn write_if_changed(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    file::write_atomically(path, text)
}

/// Makes a target folder in which the dependencies are built already.
fn link_dependencies(from: &Path, to: &Path) -> io::Result<()> {
    let is_dependency = |name: &str| !name.starts_with("stage");
    for folder in [".fingerprint", "build", "deps"] {
        let (from, to) = (
            from.join("debug").join(folder),
            to.join("debug").join(folder),
        );
        if from.is_dir() {
            link_folder(&from, &to, is_dependency)?;
        }
    }
    // What Cargo has asked the compiler, which saves time. Cargo writes to it, so it is no link.
    let _ = fs::copy(from.join(".rustc_info.json"), to.join(".rustc_info.json"));
    Ok(())
}

/// Links the files of a folder with these names, and everything in its folders with these names.
fn link_folder(from: &Path, to: &Path, has_name: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = WalkDir::new(from).into_iter();
    for entry in entries.filter_entry(|entry| has_name(&entry.file_name().to_string_lossy())) {
        let entry = entry?;
        let name = entry.path().strip_prefix(from).unwrap_or(entry.path());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to.join(name))?;
            set_mode(&to.join(name), 0o755)?;
        } else {
            link(entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Makes a file available at another path, to all users. On another file system it is copied.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    let mode = fs::metadata(from)?.permissions().mode();
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        // Cargo compares the times.
        File::options()
            .write(true)
            .open(to)?
            .set_modified(fs::metadata(from)?.modified()?)?;
    }
    let for_all = mode | 0o444 | (mode & 0o100) >> 2 | (mode & 0o100) >> 1;
    if for_all == mode {
        return Ok(());
    }
    // The folder above the original stays as closed as it was.
    set_mode(to, for_all)
}

fn write_script(path: &Path, text: &str) -> io::Result<()> {
    // Nobody could execute a program that is open for writing.
    cleanup::without_starting_processes(|| fs::write(path, text))?;
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Gives a user a folder with everything in it.
fn give(folder: &Path, user: Account) -> io::Result<()> {
    // Once a folder is the user's, so is what happens in it: its content comes first.
    for entry in WalkDir::new(folder).contents_first(true) {
        user.give(entry?.path())?;
    }
    Ok(())
}

/// Gives a user all folders of a build. The files stay ours: many are links.
fn give_folders(folder: &Path, user: Account) -> io::Result<()> {
    for entry in WalkDir::new(folder).contents_first(true) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            user.give(entry.path())?;
        }
    }
    Ok(())
}
