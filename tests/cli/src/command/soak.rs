//! `cargo lab soak`: runs the suites many times on a busy machine. Every verdict must be the same
//! each time. An interrupted run resumes.

use crate::fingerprint;
use crate::grading::Grading;
use crate::program;
use crate::progress;
use crate::report::Status;
use clap::Args;
use harness::program::Program;
use harness::style::{BOLD, DIM, GREEN, RED, paint};
use harness::workspace::{self, STAGES};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::hint;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use suite::explain::Details;
use suite::run;

/// How long all faults, or all exercises, may take on a busy machine.
const TESTS_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

#[derive(Args)]
pub struct Options {
    /// Run only the suite of this stage, 1 to 6.
    #[arg(value_parser = super::stage_number)]
    stage: Option<u8>,

    /// How many times to run each suite, on the stage and on the server without a fault.
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// How many threads keep the processors busy [default: one for each processor].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=256))]
    busy: Option<u16>,

    /// Then run every check against every fault, those of stages 5 and 6 too, and all exercises, once.
    #[arg(long)]
    all: bool,

    /// Forget the runs of a soak that was interrupted.
    #[arg(long)]
    restart: bool,
}

/// A program under a suite.
struct Server {
    name: String,
    stage: u8,
    program: Program,
}

/// Something to run.
enum Task<'a> {
    /// A suite, in that run.
    Suite(u32, &'a Server),
    /// Those of the suite's own tests that have this in their names.
    Tests(&'static str),
}

/// A task that has been run, as a line in the file from which an interrupted soak resumes.
#[derive(Deserialize, Serialize)]
struct Finished {
    /// Changes with the number of busy threads, and with what is run.
    soak: String,
    task: String,
    /// How each check that did not pass ended, in a line.
    failures: Vec<String>,
    /// How many checks ran twice, because the machine was too busy.
    repeated: usize,
}

/// Runs the suites. The exit code is 0 only if every verdict was right every time.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    run::prepare()?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let busy = options.busy.map_or(processors, usize::from);
    let servers = servers(options.stage)?;
    let mut tasks = Vec::new();
    for run in 1..=options.runs {
        tasks.extend(servers.iter().map(|server| Task::Suite(run, server)));
    }
    if options.all {
        tasks.extend(["faults", "exercises", "changed_stages"].map(Task::Tests));
    }
    let path = path().map_err(|error| format!("Cannot create the target folder: {error}"))?;
    if options.restart {
        let _ = fs::remove_file(&path);
    }
    let soak = identity(busy, &servers)?;
    let earlier = read_finished(&path, &soak);
    let started = Instant::now();
    let stop = AtomicBool::new(false);
    let finished = thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let finished = run_tasks(&tasks, earlier, &soak, &path);
        stop.store(true, Ordering::Relaxed);
        finished
    })?;
    let _ = fs::remove_file(&path);
    Ok(report(&finished, busy, started.elapsed()))
}

/// Where finished tasks are recorded.
fn path() -> io::Result<PathBuf> {
    let target = workspace::root().join("target");
    fs::create_dir_all(&target)?;
    Ok(target.join("soak.jsonl"))
}

/// The stages, and for each of them the server without a fault, if it imitates that stage.
fn servers(only: Option<u8>) -> Result<Vec<Server>, String> {
    let faulty = program::build("faulty")?;
    let mut servers = Vec::new();
    for stage in &STAGES {
        let number = stage.number;
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let mut programs = vec![(stage.name.to_string(), program::build(stage.name)?)];
        if number <= faulty::LAST_STAGE {
            let mut server = faulty.clone();
            server.arguments = vec!["--stage".into(), number.to_string().into()];
            let without_fault = format!("stage {number} of the server without a fault");
            programs.push((without_fault, server));
        }
        let programs = programs.into_iter();
        servers.extend(programs.map(|(name, program)| Server {
            name,
            stage: number,
            program,
        }));
    }
    Ok(servers)
}

/// Tells this soak from others, with other options or programs.
fn identity(busy: usize, servers: &[Server]) -> Result<String, String> {
    let lab = env::current_exe().map_err(|error| format!("Cannot find this program: {error}"))?;
    let suite = workspace::root().join("tests");
    let programs = servers.iter().map(|server| server.program.path.as_path());
    let paths: Vec<&Path> = programs.chain([suite.as_path(), lab.as_path()]).collect();
    let fingerprint = fingerprint::of(&paths);
    let fingerprint = fingerprint.map_err(|error| format!("Cannot read the suite: {error}"))?;
    Ok(format!("{fingerprint:016x}, {busy} busy threads"))
}

/// Runs the tasks that no earlier soak has finished. Returns all finished ones.
fn run_tasks(
    tasks: &[Task],
    earlier: Vec<Finished>,
    soak: &str,
    path: &Path,
) -> Result<Vec<Finished>, String> {
    let bar = progress::bar(tasks.len());
    let mut finished = Vec::new();
    let mut earlier: BTreeMap<String, Finished> = earlier
        .into_iter()
        .map(|it| (it.task.clone(), it))
        .collect();
    if !earlier.is_empty() {
        let text = format!("Resuming after {} finished tasks.", earlier.len());
        anstream::println!("{}", paint(DIM, text));
    }
    for task in tasks {
        let name = task.name();
        bar.set_message(name.clone());
        if let Some(task) = earlier.remove(&name) {
            finished.push(task);
        } else {
            let (failures, repeated) = task.run(&bar)?;
            finished.push(Finished {
                soak: soak.to_string(),
                task: name,
                failures,
                repeated,
            });
            append(path, &finished[finished.len() - 1])?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(finished)
}

/// What an earlier soak has finished, if it had the same options and programs.
fn read_finished(path: &Path, soak: &str) -> Vec<Finished> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be incomplete.
    let lines = text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    let finished: Vec<Finished> = lines.collect();
    if finished.iter().all(|finished| finished.soak == soak) {
        return finished;
    }
    let _ = fs::remove_file(path);
    Vec::new()
}

fn append(path: &Path, finished: &Finished) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", serde_json::to_string(finished)?)
    };
    write().map_err(|error| format!("Cannot write {}: {error}", path.display()))
}

impl Task<'_> {
    fn name(&self) -> String {
        match self {
            Task::Suite(run, server) => format!("run {run}, {}", server.name),
            Task::Tests(part) => format!("all {part}"),
        }
    }

    /// Returns how each check that did not pass ended, and how many checks ran twice.
    fn run(&self, bar: &ProgressBar) -> Result<(Vec<String>, usize), String> {
        match self {
            Task::Suite(_, server) => self.run_suite(server, bar),
            Task::Tests(part) => Ok((run_tests(part, bar)?, 0)),
        }
    }

    fn run_suite(
        &self,
        server: &Server,
        bar: &ProgressBar,
    ) -> Result<(Vec<String>, usize), String> {
        let (stage, seed) = (server.stage, run::seed()?);
        let grading = Grading::of_stage(stage, server.name.clone(), seed, Details::Full);
        let report = grading.run(server.program.clone(), &ProgressBar::hidden());
        let mut failures = Vec::new();
        for check in &report.checks {
            if matches!(check.status, Status::Passed | Status::NotRun) {
                continue;
            }
            let (id, status) = (&check.id, check.status.name());
            let failure = format!("{}: {id} {status}, seed {seed}", self.name());
            bar.suspend(|| anstream::println!("{}\n{}", paint(BOLD, &failure), check.output));
            failures.push(failure);
        }
        let repeated = report.checks.iter().filter(|it| it.first_attempt.is_some());
        Ok((failures, repeated.count()))
    }
}

/// Runs some of the suite's own tests, the long ones too.
fn run_tests(part: &str, bar: &ProgressBar) -> Result<Vec<String>, String> {
    let mut cargo = workspace::cargo();
    let arguments = [
        "test",
        "--quiet",
        "-p",
        "suite",
        "--test",
        "integration",
        part,
    ];
    cargo.args(arguments).env("LAB_CI", "1");
    let ran = program::run_within(&mut cargo, TESTS_TIMEOUT);
    let (output, in_time) = ran.map_err(|error| format!("Cannot run cargo test: {error}"))?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    bar.suspend(|| anstream::println!("{text}"));
    let reason = if in_time {
        "failed"
    } else {
        "didn't end in time"
    };
    Ok(vec![format!("all {part}: {reason}")])
}

fn report(finished: &[Finished], busy: usize, duration: Duration) -> ExitCode {
    let (count, seconds) = (finished.len(), duration.as_secs());
    let repeated: usize = finished.iter().map(|finished| finished.repeated).sum();
    anstream::println!(
        "Finished {count} tasks next to {busy} busy threads, the last of them in {seconds} s. \
         {repeated} checks ran twice, because the machine was too busy."
    );
    let failures: Vec<&String> = finished.iter().flat_map(|it| &it.failures).collect();
    if failures.is_empty() {
        anstream::println!("{}", paint(GREEN, "Every verdict was right every time."));
        return ExitCode::SUCCESS;
    }
    for failure in failures {
        anstream::println!("{}", paint(RED, failure));
    }
    ExitCode::FAILURE
}
