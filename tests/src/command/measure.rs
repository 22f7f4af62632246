//! `cargo lab measure`: runs what [`crate::measure`] knows to measure, and writes down what came
//! of it: figures as JSON, pictures as SVG, and a table for the terminal.

use super::grade::bar;
use crate::ending;
use crate::measure::waterfall::{self, Run, Visit, Waterfall};
use crate::measure::{self, Machine, picture};
use crate::paint::{BOLD, DIM, MAGENTA, YELLOW, paint};
use crate::program::Program;
use crate::report::write_whole;
use crate::suite;
use crate::workspace::{self, STAGES, Stage};
use clap::{Args, Subcommand};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// What can be measured.
#[derive(Subcommand)]
pub enum Kind {
    /// Who waits for whom: eight clients, one of them stalled. A picture a stage.
    Waterfall(Options),
}

#[derive(Args)]
pub struct Options {
    /// Only these stages; else all four.
    #[arg(value_parser = super::stage_number())]
    stages: Vec<u8>,

    /// The folder for pictures and figures; it is made if need be.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// How long the server waits for the stalled client, in seconds: its `--timeout`.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..=60))]
    timeout: u32,
}

/// Measures what is asked for.
pub fn measure(kind: &Kind) -> Result<ExitCode, String> {
    match kind {
        Kind::Waterfall(options) => waterfall(options),
    }
}

fn waterfall(options: &Options) -> Result<ExitCode, String> {
    let wanted =
        |stage: &&Stage| options.stages.is_empty() || options.stages.contains(&stage.number);
    let stages: Vec<&Stage> = STAGES.iter().filter(wanted).collect();
    let default = || workspace::root().join("target/measure");
    let folder = options.output.clone().unwrap_or_else(default);
    make_folder(&folder)?;
    suite::prepare()?;
    // Before anything is built: that keeps a machine busy as well.
    let machine = Machine::here();
    if let Some(warning) = machine.warning() {
        anstream::eprintln!("{}", paint(YELLOW, warning));
    }
    let programs = programs(&stages)?;
    let run = run(options.timeout, machine, &stages, &programs)?;
    ending::sweep();
    run.stages.iter().for_each(show);
    write_down(&run, &folder)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes sure of the folder before any time is spent.
fn make_folder(folder: &Path) -> Result<(), String> {
    let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    made.map(drop)
        .map_err(|error| format!("Cannot write into {}: {error}", folder.display()))
}

fn programs(stages: &[&Stage]) -> Result<Vec<Program>, String> {
    let build = |stage: &&Stage| {
        let words = format!("building {} in release ...", stage.name);
        anstream::eprintln!("{}", paint(DIM, words));
        measure::program(stage)
    };
    stages.iter().map(build).collect()
}

fn run(
    timeout: u32,
    machine: Machine,
    stages: &[&Stage],
    programs: &[Program],
) -> Result<Run, String> {
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let bar = bar(stages.len() * waterfall::CLIENTS as usize);
    let measured: Result<Vec<Waterfall>, String> = stages
        .iter()
        .zip(programs)
        .map(|(stage, program)| {
            bar.set_message(stage.name);
            waterfall::measure(stage, program, timeout, || bar.inc(1))
        })
        .collect();
    bar.finish_and_clear();
    Ok(Run {
        schema: waterfall::SCHEMA.to_string(),
        started,
        machine,
        step: waterfall::STEP.as_secs_f64() * 1000.0,
        second_half: waterfall::SECOND_HALF.as_secs_f64() * 1000.0,
        timeout,
        stages: measured?,
    })
}

/// Shows a stage's figures as a table.
fn show(stage: &Waterfall) {
    let heading = format!("Stage {}: {}", stage.stage, stage.idea);
    anstream::println!("\n{}", paint(BOLD, heading));
    let head = format!(
        "{:>6} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "client", "came", "connected", "written", "first byte", "ended"
    );
    anstream::println!("{}  {}", paint(DIM, head), paint(DIM, "(ms)"));
    for visit in &stage.clients {
        anstream::println!("{}", line(visit));
    }
    anstream::println!("{}", stage.sentence());
}

fn line(visit: &Visit) -> String {
    let number = |time: f64| format!("{time:.1}");
    let text = format!(
        "{:>6} {:>10} {:>10} {:>10} {:>10} {:>10}",
        visit.client,
        number(visit.came),
        number(visit.connected),
        number(visit.written),
        visit.first_byte.map_or("-".to_string(), number),
        number(visit.ended)
    );
    match visit.stalled {
        true => paint(MAGENTA, text + "  stalled"),
        false => text,
    }
}

/// Writes the pictures, and the figures that they were made from.
fn write_down(run: &Run, folder: &Path) -> Result<(), String> {
    let span = picture::span(&run.stages);
    let mut files = Vec::new();
    for stage in &run.stages {
        let name = format!("waterfall-{}.svg", stage.stage);
        files.push((name, picture::draw(stage, span)?));
    }
    let figures = serde_json::to_string_pretty(run).map_err(|error| error.to_string())?;
    files.push(("waterfall.json".to_string(), figures + "\n"));
    anstream::println!();
    for (name, content) in files {
        let path = folder.join(name);
        write_whole(&path, content.as_bytes())
            .map_err(|error| format!("Cannot write {}: {error}", path.display()))?;
        anstream::println!("{}", path.display());
    }
    Ok(())
}
