//! `cargo lab measure`: runs what [`crate::measure`] knows to measure, and writes down what came
//! of it: figures as JSON, pictures as SVG, and a table for the terminal.

mod process;
mod speed;
mod waterfall;

use crate::measure::{self, Machine};
use crate::paint::{DIM, YELLOW, paint};
use crate::program::Program;
use crate::report::write_whole;
use crate::workspace;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    kind: Option<Kind>,
    #[command(flatten)]
    speed: speed::Options,
}

/// What else can be measured.
#[derive(Subcommand)]
enum Kind {
    /// Who waits for whom: eight clients, one of them stalled. A picture a stage.
    Waterfall(waterfall::Options),
    /// Where the time of one process of stage 2 goes: kernel, libc, linker, Rust, regex, file.
    Process(process::Options),
}

/// Measures what is asked for.
pub fn measure(options: &Options) -> Result<ExitCode, String> {
    match &options.kind {
        None => speed::speed(&options.speed),
        Some(Kind::Waterfall(options)) => waterfall::waterfall(options),
        Some(Kind::Process(options)) => process::process(options),
    }
}

/// The folder for what comes of it: the one asked for, or one beside what is built. It is made
/// sure of before any time is spent.
fn output_folder(wanted: Option<&Path>) -> Result<PathBuf, String> {
    let default = || workspace::root().join("target/measure");
    let folder = wanted.map_or_else(default, Path::to_path_buf);
    let made = fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
    match made {
        Ok(_) => Ok(folder),
        Err(error) => Err(format!("Cannot write into {}: {error}", folder.display())),
    }
}

/// Looks at the machine before anything is built, which keeps it busy as well; warns if it
/// has other things to do.
fn machine() -> Machine {
    let machine = Machine::here();
    if let Some(warning) = machine.warning() {
        anstream::eprintln!("{}", paint(YELLOW, warning));
    }
    machine
}

/// Builds a package as it is measured, in release, and says so: it takes its time.
fn built(package: &str) -> Result<Program, String> {
    let words = format!("building {package} in release ...");
    anstream::eprintln!("{}", paint(DIM, words));
    measure::program(package)
}

/// Writes pictures, and the figures that they were made from under `name`, into the folder,
/// and says where they are.
fn write_down(
    folder: &Path,
    mut files: Vec<(String, String)>,
    name: &str,
    figures: &impl Serialize,
) -> Result<(), String> {
    let figures = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
    files.push((name.to_string(), figures + "\n"));
    for (name, content) in files {
        let path = folder.join(name);
        write_whole(&path, content.as_bytes())
            .map_err(|error| format!("Cannot write {}: {error}", path.display()))?;
        anstream::println!("{}", path.display());
    }
    Ok(())
}
