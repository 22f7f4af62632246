//! `cargo lab measure process`: where the time of one process of stage 2 goes.

use crate::command::grade::bar;
use crate::ending::{self, Folder};
use crate::measure::process::programs::{Build, PACKAGE};
use crate::measure::process::{self, Process, Run, Staircase, picture, shown};
use crate::paint::{BOLD, DIM, YELLOW, paint};
use crate::program::Program;
use crate::site::Site;
use crate::suite;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// How often each program is started by `--quick`.
const QUICK: usize = 60;

#[derive(Args)]
pub struct Options {
    /// How often each program is started.
    #[arg(long, value_name = "N", default_value = "400", value_parser = clap::value_parser!(u16).range(10..=2000))]
    starts: u16,

    /// Less sure, but done in some seconds.
    #[arg(long, conflicts_with = "starts")]
    quick: bool,

    /// The folder for the picture and the figures; it is made if need be.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Measures every way to build, and draws them side by side.
pub fn process(options: &Options) -> Result<ExitCode, String> {
    let folder = super::output_folder(options.output.as_deref())?;
    suite::prepare()?;
    let machine = super::machine();
    let workshop = Folder::new().map_err(|error| format!("Cannot make a folder: {error}"))?;
    let site = Site::new(fastrand::Rng::new(), None)
        .map_err(|error| format!("Cannot make a document root: {error}"))?;
    let (mut staircases, mut programs, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for build in Build::ALL {
        let program = stage(build);
        let stage = program.as_ref().map(|program| program.path.as_path());
        let staircase = build.staircase(stage.map_err(Clone::clone), &site, workshop.path())?;
        missing.extend(reasons(&staircase));
        staircases.push(staircase);
        programs.push(program);
    }
    let starts = match options.quick {
        true => QUICK,
        false => options.starts.into(),
    };
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let rounds = bar(starts);
    rounds.set_message(PACKAGE);
    let builds = process::measure(&staircases, starts, || rounds.inc(1));
    rounds.finish_and_clear();
    let run = Run {
        schema: process::SCHEMA.to_string(),
        started,
        machine,
        starts,
        builds: builds?,
        missing,
    };
    ending::sweep();
    show(&run);
    let picture = ("process.svg".to_string(), picture::draw(&run.builds)?);
    anstream::println!();
    super::write_down(&folder, vec![picture], "process.json", &run)?;
    Ok(ExitCode::SUCCESS)
}

/// Stage 2, built that way, as a copy that nobody changes meanwhile; or why there is none.
fn stage(build: Build) -> Result<Program, String> {
    if build == Build::Dynamic {
        return super::built(PACKAGE);
    }
    build.target()?;
    let words = format!("building {PACKAGE} in release, {} ...", build.words());
    anstream::eprintln!("{}", paint(DIM, words));
    let binary = build.stage()?;
    Program::copy_of(&binary).map_err(|error| format!("{}: {error}", binary.display()))
}

/// What is not measured of a way to build, each reason once.
fn reasons(staircase: &Staircase) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for (part, why) in &staircase.missing {
        match reasons.iter_mut().find(|(other, _)| other == why) {
            Some((_, parts)) => parts.push(part.words()),
            None => reasons.push((why.clone(), vec![part.words()])),
        }
    }
    let build = staircase.build.words();
    let line = |(why, parts): (String, Vec<&str>)| match parts[..] {
        [only] => format!("{build}, {only}: {why}"),
        [first, .., last] => format!("{build}, from {first} to {last}: {why}"),
        [] => why,
    };
    reasons.into_iter().map(line).collect()
}

/// Shows the figures as a table for each way to build.
fn show(run: &Run) {
    run.builds.iter().for_each(table);
    let words = format!(
        "\nMedians of {} starts each. ±: half of how far they lie apart in ten tenths of the run.",
        run.starts
    );
    anstream::println!("{}", paint(DIM, words));
    for line in &run.missing {
        anstream::println!("{}", paint(YELLOW, format!("Not measured: {line}")));
    }
    if let Some(warning) = run.machine.warning() {
        anstream::println!("{}", paint(YELLOW, warning));
    }
}

fn table(process: &Process) {
    if process.costs.is_empty() {
        return;
    }
    let heading = format!("Where the time goes: built {}", process.build.words());
    anstream::println!("\n{}", paint(BOLD, heading));
    let head = format!(
        "{:<26} {:>8} {:>8} {:>6} {:>9}  {}",
        "part", "takes", "±", "share", "in all", "measured with"
    );
    anstream::println!("{}", paint(DIM, head));
    let whole = process.whole();
    let rows = process
        .costs
        .iter()
        .zip(process.prices())
        .zip(process.noise());
    for ((cost, price), noise) in rows {
        let parts: Vec<&str> = cost.adds.iter().map(|part| part.words()).collect();
        // No zero with a sign.
        let share = format!("{} %", (price / whole * 100.0).round() as i32);
        anstream::println!(
            "{:<26} {:>8} {:>8} {share:>6} {:>9}  {}",
            parts.join(" + "),
            shown(price),
            shown(noise),
            shown(cost.median),
            paint(DIM, cost.part.step())
        );
    }
}
