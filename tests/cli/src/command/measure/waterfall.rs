//! `cargo lab measure waterfall`: which clients wait for a stalled one, stage by stage.

use crate::progress::bar;
use harness::program::Program;
use harness::style::{BOLD, paint};
use harness::workspace::Stage;
use measure::Machine;
use measure::waterfall::{self, Run, plot};
use std::path::Path;
use std::process::ExitCode;

/// The `--timeout` of each server, in seconds.
const TIMEOUT: u32 = 2;

pub fn measure(output: Option<&Path>) -> Result<ExitCode, String> {
    let (folder, machine) = super::prepare(output)?;
    let mut stages = Vec::new();
    for stage in measure::default_stages() {
        stages.push((stage, super::build(stage.name)?));
    }
    let run = run(&stages, machine, &folder)?;
    for stage in &run.stages {
        let heading = format!("Stage {}: {}", stage.stage, stage.idea);
        anstream::println!("\n{}\n{}", paint(BOLD, heading), stage.sentence());
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures these stages and writes the pictures and the figures.
pub fn run(stages: &[(&Stage, Program)], machine: Machine, folder: &Path) -> Result<Run, String> {
    let bar = bar(stages.len());
    let progress = |stage: &str| {
        bar.inc(1);
        bar.set_message(stage.to_string());
    };
    let run = waterfall::measure(stages, TIMEOUT, machine, progress)?;
    bar.finish_and_clear();
    super::write_files(folder, plot::draw_all(&run), "waterfall.json", &run)?;
    Ok(run)
}
