//! `cargo lab measure process`: where the time of a process of stage 2 goes.

use super::note;
use crate::progress::bar;
use clap::Args;
use harness::cleanup::ScratchDir;
use harness::site::Site;
use harness::style::{BOLD, DIM, paint};
use measure::process::{self, Build, PACKAGE, Run, Staircase, plot, steps, time_text};
use std::path::Path;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// How often each program is started.
    #[arg(long, value_name = "N", default_value = "400", value_parser = clap::value_parser!(u16).range(10..=2000))]
    starts: u16,
}

pub fn measure(options: &Options, output: Option<&Path>) -> Result<ExitCode, String> {
    let (folder, machine) = super::prepare(output)?;
    let failed = |error| format!("Cannot create a folder: {error}");
    let programs = ScratchDir::new().map_err(failed)?;
    let site = Site::new(fastrand::Rng::new(), None).map_err(failed)?;
    let (mut stages, mut steps) = (Vec::new(), Vec::new());
    for build in Build::ALL {
        note(&format!(
            "building {PACKAGE} in release, {} ...",
            build.name()
        ));
        let stage = super::copy(&steps::build_stage(build)?)?;
        steps.extend(steps::steps(build, &stage.path, &site, programs.path())?);
        stages.push(stage);
    }
    let starts = usize::from(options.starts);
    let bar = bar(starts);
    bar.set_message("starting programs");
    let run = process::measure(&steps, starts, machine, || bar.inc(1))?;
    bar.finish_and_clear();
    show(&run);
    let picture = ("process.svg".to_string(), plot::draw(&run.builds));
    super::write_files(&folder, vec![picture], "process.json", &run)?;
    Ok(ExitCode::SUCCESS)
}

fn show(run: &Run) {
    run.builds.iter().for_each(show_build);
    let text = format!(
        "\nMedians of {} starts. ±: half of the range of ten parts of the run.",
        run.starts
    );
    anstream::println!("{}", paint(DIM, text));
}

fn show_build(staircase: &Staircase) {
    let heading = format!("Where the time goes: {}", staircase.build.name());
    anstream::println!("\n{}", paint(BOLD, heading));
    let head = format!(
        "{:<25} {:>8} {:>8} {:>6} {:>9}  {}",
        "phase", "takes", "±", "share", "total", "measured with"
    );
    anstream::println!("{}", paint(DIM, head));
    for cost in staircase.costs() {
        // A number without a sign if it is zero.
        let share = (cost.time() / staircase.total() * 100.0).round() as i32;
        anstream::println!(
            "{:<25} {:>8} {:>8} {share:>4} % {:>9}  {}",
            cost.step.phase,
            time_text(cost.time()),
            time_text(cost.noise),
            time_text(cost.step.median),
            paint(DIM, &cost.step.program)
        );
    }
}
