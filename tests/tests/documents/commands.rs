//! Runs the commands of a document in order, as its reader would.

use crate::console::{self, Action, Step};
use crate::document::{Block, Document};
use crate::pattern::{Compared, Numbers, compare};
use crate::quotes;
use crate::terminal::Running;
use lab::program::on_path;
use lab::workspace::{self, STAGES};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use walkdir::WalkDir;

/// How long something may take that a document shows. Builds are the longest.
const LIMIT: Duration = Duration::from_secs(300);

/// How long to wait for what may never come, where all that has drifted is shown.
const SHOW_LIMIT: Duration = Duration::from_secs(30);

/// How long a program may take to end when it is told to.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How long something may take to be there when a command looks for it, and how often we look.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the commands need of the system.
const PROGRAMS: [&str; 6] = ["cc", "curl", "git", "nc", "ps", "strace"];

/// Why the commands cannot be run here.
pub fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("some of them need Linux".to_string());
    }
    if let Some(name) = PROGRAMS.iter().find(|name| on_path(name).is_none()) {
        return Some(format!("`{name}` is not installed"));
    }
    // Containers may forbid to look into other processes (ptrace(2)).
    let mut strace = Command::new("strace");
    let traced = strace.args(["-c", "true"]).output();
    if !traced.is_ok_and(|output| output.status.success()) {
        return Some("`strace` is not permitted to trace".to_string());
    }
    let in_use = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_err();
    let port = STAGES.iter().map(|stage| stage.port).find(in_use)?;
    Some(format!("another program listens on port {port}"))
}

/// The reader: at home in a copy of the workspace, with some terminals open.
struct Reader<'a> {
    document: &'a Document,
    home: PathBuf,
    target: PathBuf,
    limit: Duration,
    numbers: Numbers,
    terminals: BTreeMap<&'a str, Running>,
    /// Whether to go on behind what has drifted, and what has until now.
    show_all: bool,
    drifted: Vec<String>,
}

/// Where what is built goes: not into the copy, which would build all of it anew.
fn target() -> PathBuf {
    workspace::root().join("target/packages")
}

/// Runs a document in a copy of this workspace. The error names the line that drifted.
pub fn run(document: &Document) -> Result<(), String> {
    let home = workspace::root().join("target/documents/http-lab");
    copy_workspace(&home)
        .and_then(|()| lead_to_binaries(&home))
        .map_err(|error| format!("{}: {error}", home.display()))?;
    run_in(document, &home, LIMIT)
}

/// Runs a document in that folder. `limit` is for all that it waits for.
pub fn run_in(document: &Document, home: &Path, limit: Duration) -> Result<(), String> {
    let mut reader = Reader {
        document,
        home: home.to_path_buf(),
        target: target(),
        limit,
        numbers: Numbers::default(),
        terminals: BTreeMap::new(),
        show_all: std::env::var("LAB_DOCUMENTS").is_ok_and(|value| value == "show"),
        drifted: Vec::new(),
    };
    reader.read()
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), String> {
        let blocks = &self.document.blocks;
        for (place, block) in blocks.iter().enumerate() {
            match block.language() {
                "console" => {
                    let terminal = console::terminal(block);
                    let follows = |next: &&Block| {
                        next.language() == "console" && console::terminal(next) == terminal
                    };
                    let next = blocks[place + 1..].iter().find(follows);
                    for step in console::steps(block, next) {
                        self.do_step(terminal, step)?;
                    }
                }
                "diff" if quotes::is_edit(block) => {
                    quotes::make_edit(self.document, block, &self.home)?;
                }
                _ => {}
            }
        }
        match self.terminals.keys().next() {
            _ if !self.drifted.is_empty() => Err(self.drifted.join("\n")),
            None => Ok(()),
            Some(name) => Err(format!(
                "{}: at the end something still runs in terminal `{name}`: show its ^C",
                self.document.name
            )),
        }
    }

    fn do_step(&mut self, terminal: &'a str, step: Step<'a>) -> Result<(), String> {
        let document = self.document;
        let at = |what: String| document.at(step.line, what);
        let running = self.terminals.remove(terminal);
        let mut running = match (&step.action, running) {
            (Action::Run(_), Some(_)) => {
                return Err(at("the terminal is busy: something runs there".to_string()));
            }
            (Action::Run(command), None) => self.begin(command).map_err(at)?,
            (_, None) => return Err(at("nothing runs in this terminal".to_string())),
            (Action::Look, Some(running)) => running,
            (Action::Type(line), Some(mut running)) => {
                let typed = running.type_line(&self.numbers.fill_in(line));
                typed.map_err(|error| at(format!("cannot type into it: {error}")))?;
                running
            }
            (Action::Interrupt, Some(running)) => {
                // What it has printed until now, the reader has seen.
                running.take_all();
                running.interrupt();
                running
            }
        };
        let mut outcome = self.look(&mut running, &step);
        if let Action::Run(command) = &step.action
            && only_looks(command)
        {
            let deadline = Instant::now() + self.limit.min(LOOK_LIMIT);
            while outcome.is_err() && Instant::now() < deadline {
                thread::sleep(LOOK_AGAIN);
                running = self.begin(command).map_err(at)?;
                outcome = self.look(&mut running, &step);
            }
        }
        match outcome {
            Err(drifted) if self.show_all => {
                running.take_all();
                self.drifted.push(drifted);
            }
            outcome => outcome?,
        }
        if step.runs_on {
            self.terminals.insert(terminal, running);
        }
        Ok(())
    }

    /// Starts a command, with the reader's own numbers in it.
    fn begin(&self, command: &str) -> Result<Running, String> {
        let command = self.numbers.fill_in(command);
        Running::start(&command, &self.home, &self.target)
            .map_err(|error| format!("cannot run `{command}`: {error}"))
    }

    /// Waits until what is expected was printed.
    fn look(&mut self, running: &mut Running, step: &Step) -> Result<(), String> {
        let (document, numbers) = (self.document, &mut self.numbers);
        let limit = match step.action {
            Action::Interrupt => self.limit.min(END_LIMIT),
            _ if self.show_all && step.runs_on => SHOW_LIMIT,
            _ => self.limit,
        };
        let taken = running.wait_for(limit, |text, ended| {
            let lines: Vec<&str> = text.lines().collect();
            let all_is_there = ended || step.runs_on;
            let mut learned = numbers.clone();
            match compare(&step.expected, &lines, !step.runs_on, &mut learned) {
                Compared::Agree(taken) if all_is_there => {
                    *numbers = learned;
                    Ok(taken)
                }
                Compared::Agree(_) => Err(document.at(step.line, "this does not end")),
                Compared::Differ { found, seen } => Err(drifted(document, step, found, seen, text)),
            }
        })?;
        running.take_lines(taken);
        let document = self.document;
        match step.action {
            Action::Interrupt if !running.was_interrupted() => {
                Err(document.at(step.line, "this had ended by itself, before ^C"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the command only looks at processes: what it looks for may come about a moment later,
/// which for a reader passes while typing.
fn only_looks(command: &str) -> bool {
    command.starts_with("ps ") || command.starts_with("ls ")
}

/// Says which line was expected and what came instead.
fn drifted(
    document: &Document,
    step: &Step,
    found: usize,
    seen: Option<String>,
    text: &str,
) -> String {
    let line = step.line + found + usize::from(step.action != Action::Look);
    let expected = step.expected.get(found);
    let expected = expected.map_or("nothing more".to_string(), |line| format!("`{line}`"));
    let seen = seen.map_or("nothing".to_string(), |line| format!("`{line}`"));
    document.at(
        line,
        format!(
            "this has drifted.\nexpected: {expected}\nseen: {seen}\nall that was printed:\n{text}"
        ),
    )
}

/// Makes the copy like this workspace, with nothing of an earlier run. Files that are the same
/// keep their time, so that Cargo need not build them again.
fn copy_workspace(home: &Path) -> Result<(), String> {
    let root = workspace::root();
    let of_the_lab = |name: &str| {
        !matches!(name, "target" | ".git")
            && !name.starts_with("my_")
            && !name.starts_with("scratch")
    };
    let mut wanted = BTreeMap::new();
    let walk = WalkDir::new(root).into_iter().filter_entry(|entry| {
        entry.depth() != 1 || of_the_lab(&entry.file_name().to_string_lossy())
    });
    for entry in walk {
        let entry = entry.map_err(|error| error.to_string())?;
        if !entry.file_type().is_dir() {
            let name = entry
                .path()
                .strip_prefix(root)
                .map_err(|error| error.to_string())?;
            wanted.insert(name.to_path_buf(), entry.path().to_path_buf());
        }
    }
    fs::create_dir_all(home).map_err(|error| error.to_string())?;
    for entry in WalkDir::new(home).contents_first(true) {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry
            .path()
            .strip_prefix(home)
            .map_err(|error| error.to_string())?;
        if entry.file_type().is_dir() {
            // Only those that are empty now go.
            let _ = fs::remove_dir(entry.path());
        } else if !wanted.contains_key(name) {
            fs::remove_file(entry.path()).map_err(|error| error.to_string())?;
        }
    }
    for (name, source) in wanted {
        let place = home.join(&name);
        let bytes = fs::read(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        if fs::read(&place).is_ok_and(|there| there == bytes) {
            continue;
        }
        let folder = place.parent().unwrap_or(home);
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        fs::copy(&source, &place).map_err(|error| error.to_string())?;
    }
    begin_history(home)
}

/// For a reader, what was built lies in `target/debug`.
fn lead_to_binaries(home: &Path) -> Result<(), String> {
    let place = home.join("target");
    let led = fs::create_dir_all(&place)
        .and_then(|()| std::os::unix::fs::symlink(target().join("debug"), place.join("debug")));
    led.map_err(|error| error.to_string())
}

/// Readers have a clone: `git restore` takes back what an experiment has changed.
fn begin_history(home: &Path) -> Result<(), String> {
    let name = ["-c", "user.name=lab", "-c", "user.email=lab@localhost"];
    for arguments in [
        vec!["init", "--quiet"],
        vec!["add", "--all"],
        [&name[..], &["commit", "--quiet", "--message", "The lab"]].concat(),
    ] {
        let mut git = Command::new("git");
        let output = git
            .args(&arguments)
            .current_dir(home)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(format!("git {arguments:?}: {words}"));
        }
    }
    Ok(())
}
