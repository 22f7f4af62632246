//! `cargo lab measure waterfall`: who waits for whom, stage by stage.

use crate::command::grade::bar;
use crate::command::stage_number;
use crate::ending;
use crate::measure::Machine;
use crate::measure::waterfall::{self, Run, Visit, Waterfall, picture};
use crate::paint::{BOLD, DIM, MAGENTA, paint};
use crate::program::Program;
use crate::suite;
use crate::workspace::{STAGES, Stage};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

#[derive(Args)]
pub struct Options {
    /// Only these stages; else all four.
    #[arg(value_parser = stage_number())]
    stages: Vec<u8>,

    /// The folder for pictures and figures; it is made if need be.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// How long the server waits for the stalled client, in seconds: its `--timeout`.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..=60))]
    timeout: u32,
}

/// Measures, and draws a picture a stage.
pub fn waterfall(options: &Options) -> Result<ExitCode, String> {
    let wanted =
        |stage: &&Stage| options.stages.is_empty() || options.stages.contains(&stage.number);
    let stages: Vec<&Stage> = STAGES.iter().filter(wanted).collect();
    let folder = super::output_folder(options.output.as_deref())?;
    suite::prepare()?;
    let machine = super::machine();
    let build = |stage: &&Stage| super::built(stage.name);
    let programs = stages.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    let run = run(options.timeout, machine, &stages, &programs)?;
    ending::sweep();
    run.stages.iter().for_each(show);
    anstream::println!();
    super::write_down(&folder, pictures(&run)?, "waterfall.json", &run)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures these stages.
pub fn run(
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

/// The pictures of a run, by file name, all with the same axis.
pub fn pictures(run: &Run) -> Result<Vec<(String, String)>, String> {
    let span = picture::span(&run.stages);
    let draw = |stage: &Waterfall| {
        let name = format!("waterfall-{}.svg", stage.stage);
        Ok((name, picture::draw(stage, span)?))
    };
    run.stages.iter().map(draw).collect()
}
