//! Runs the commands of a document in order, as its reader would.

use super::code;
use super::output::{Mismatch, Values, compare};
use super::shell::Shell;
use harness::process::Signal;
use harness::workspace;
use lab::book::console::{self, Action, Step};
use lab::book::document::Document;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long a step may take. Builds take longest.
const LIMIT: Duration = Duration::from_secs(300);

/// How long a running program may take to print something, once there is a problem.
const LIMIT_AFTER_PROBLEM: Duration = Duration::from_secs(30);

/// How long a program may take to exit after Ctrl-C.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// How long something that a command looks for may take to appear, and how often to look.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How many problems are reported. What follows from one of them may be many.
const MAX_PROBLEMS: usize = 10;

/// Runs a document in a clone of this workspace. Returns what differs.
pub fn run(document: &Document) -> Vec<String> {
    let mut blocks = document.blocks.iter();
    if !blocks.any(|block| block.language == "console") {
        return Vec::new();
    }
    let folder = workspace::root().join("target/documents/http-lab");
    clone_workspace(&folder);
    run_in(document, &folder, LIMIT)
}

/// Runs a document in that folder. No step takes longer than `limit`.
pub fn run_in(document: &Document, folder: &Path, limit: Duration) -> Vec<String> {
    let mut reader = Reader {
        document,
        folder: folder.to_path_buf(),
        limit,
        values: Values::default(),
        shells: BTreeMap::new(),
        problems: Vec::new(),
    };
    reader.read();
    reader.problems
}

/// A reader, with some terminals open.
struct Reader<'a> {
    document: &'a Document,
    folder: PathBuf,
    limit: Duration,
    values: Values,
    /// What is running in each terminal.
    shells: BTreeMap<&'a str, Shell>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let document = self.document;
        for (index, block) in document.blocks.iter().enumerate() {
            if block.language == "diff" && code::is_edit(block) {
                let outcome = code::make_edit(document, block, &self.folder);
                self.problems.extend(outcome.err());
            }
            if block.language != "console" {
                continue;
            }
            let terminal = block.terminal.as_str();
            let mut following = document.blocks[index + 1..].iter();
            let next = following.find(|it| it.language == "console" && it.terminal == terminal);
            for step in console::steps(block, next) {
                let outcome = self.take_step(terminal, &step);
                self.problems.extend(outcome.err());
                if self.problems.len() >= MAX_PROBLEMS {
                    return;
                }
            }
        }
    }

    fn take_step(&mut self, terminal: &'a str, step: &Step<'a>) -> Result<(), String> {
        let document = self.document;
        let at = |problem: &str| document.at(step.line, problem);
        let mut shell = match &step.action {
            Action::Run(command) => self.start(command),
            _ => self
                .shells
                .remove(terminal)
                .ok_or_else(|| at("nothing is running in this terminal"))?,
        };
        let was_running = shell.is_running();
        match &step.action {
            Action::Type(line) => shell
                .type_line(&self.values.fill_in(line))
                .map_err(|error| at(&format!("cannot type into it: {error}")))?,
            Action::Interrupt => {
                // What it has printed until now is not shown.
                shell.discard_all();
                shell.signal(Signal::INT);
            }
            Action::Run(_) | Action::Watch => {}
        }
        let mut outcome = self.expect_output(&mut shell, step);
        if step.action == Action::Interrupt
            && outcome.is_ok()
            && !shell.was_interrupted(was_running)
        {
            outcome = Err(document.at(step.line, "this had exited before ^C"));
        }
        let deadline = Instant::now() + self.limit.min(LOOK_LIMIT);
        while let Action::Run(command) = &step.action
            && only_looks(command)
            && outcome.is_err()
            && Instant::now() < deadline
        {
            thread::sleep(LOOK_INTERVAL);
            shell = self.start(command);
            outcome = self.expect_output(&mut shell, step);
        }
        if outcome.is_err() {
            shell.discard_all();
        }
        if step.keeps_running {
            self.shells.insert(terminal, shell);
        }
        outcome
    }

    fn start(&self, command: &str) -> Shell {
        Shell::start(&self.values.fill_in(command), &self.folder).unwrap()
    }

    /// Waits until everything has been printed that the step shows.
    fn expect_output(&mut self, shell: &mut Shell, step: &Step) -> Result<(), String> {
        let document = self.document;
        let limit = match step.action {
            Action::Interrupt => EXIT_LIMIT,
            Action::Run(_) if !step.keeps_running => LIMIT,
            _ if !self.problems.is_empty() => LIMIT_AFTER_PROBLEM,
            _ => LIMIT,
        };
        let (count, values) = shell.wait_for(limit.min(self.limit), |output, has_ended| {
            let mut lines: Vec<&str> = output.lines().collect();
            let mut outcome = compare(&step.expected, &lines, !step.keeps_running, &self.values);
            if lists_processes(&step.action) {
                for _ in 1..lines.len() {
                    lines.rotate_left(1);
                    let rotated = compare(&step.expected, &lines, true, &self.values);
                    outcome = rotated.or(outcome);
                }
            }
            match outcome {
                Ok(matched) if has_ended || step.keeps_running => Ok(matched),
                Ok(_) => Err(document.at(step.line, "this doesn't exit")),
                Err(mismatch) => Err(describe(document, step, mismatch, output)),
            }
        })?;
        self.values = values;
        shell.discard_lines(count);
        Ok(())
    }
}

/// Whether a command lists processes. It sorts them by their ids, which begin again at the lowest
/// free one: a process that was started later may come first.
fn lists_processes(action: &Action) -> bool {
    matches!(action, Action::Run(command) if command.starts_with("ps "))
}

/// Whether a command only looks at processes. What it looks for may happen a moment later; a
/// reader types more slowly.
fn only_looks(command: &str) -> bool {
    command.starts_with("ps ") || command.starts_with("ls ")
}

/// Describes where the output of a step differs.
fn describe(document: &Document, step: &Step, mismatch: Mismatch, output: &str) -> String {
    let show =
        |line: Option<String>| line.map_or("nothing more".into(), |line| format!("`{line}`"));
    let (expected, received) = (show(mismatch.expected), show(mismatch.received));
    let problem = format!("expected: {expected}\nreceived: {received}\nall output:\n{output}");
    let line = step.line + mismatch.matched + usize::from(step.action != Action::Watch);
    document.at(line, format!("the output differs\n{problem}"))
}

/// Makes the current folder a clone of the workspace as it is now, without what a student has
/// written. Unchanged files keep their time, so that Cargo doesn't build them again. Of an earlier
/// run, only the build is left.
const CLONE: &str = "
set -e
export GIT_DIR=$PWD/.git
rm -rf .git
git init --quiet
(
    cd \"$WORKSPACE\"
    git add --all . ':!my_*' ':!scratch*'
    git -c user.name=lab -c user.email=lab@localhost commit --quiet --message='The lab'
)
git update-index -q --refresh || true
git reset --quiet --hard
git clean --quiet -dffx --exclude=/target/debug
";

fn clone_workspace(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", CLONE]).current_dir(folder);
    // Neither variables nor the settings of this user.
    shell.env_clear().env("WORKSPACE", workspace::root());
    shell.env("PATH", env::var_os("PATH").unwrap_or_default());
    crate::run(&mut shell);
}
