//! `cargo lab measure`: runs the measurements of [`measure`], prints a table, and writes the
//! figures as JSON and pictures as SVG.

mod gateway;
mod process;
mod speed;
mod waterfall;

use crate::file::write_atomically;
use clap::{Args, Subcommand};
use harness::program::Program;
use harness::style::{DIM, YELLOW, paint};
use harness::workspace;
use measure::Machine;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use suite::run;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    kind: Option<Kind>,
    #[command(flatten)]
    speed: speed::Options,

    /// The folder for pictures and figures [default: target/measure].
    #[arg(long, value_name = "DIR", global = true)]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Kind {
    /// Show which clients wait for a stalled one, with a picture for each stage.
    Waterfall,
    /// Compare applications behind stage 5 with the same behind gunicorn, nginx and lighttpd.
    Gateway(gateway::Options),
    /// Show where the time of a process of stage 2 goes: kernel, libc, linker, Rust, regex, file.
    Process(process::Options),
}

pub fn measure(options: &Options) -> Result<ExitCode, String> {
    let output = options.output.as_deref();
    match &options.kind {
        None => speed::measure(&options.speed, output),
        Some(Kind::Waterfall) => waterfall::measure(output),
        Some(Kind::Gateway(options)) => gateway::measure(options, output),
        Some(Kind::Process(options)) => process::measure(options, output),
    }
}

/// Prepares a measurement: checks the folder for its files, and looks at the machine before a
/// build keeps it busy.
fn prepare(output: Option<&Path>) -> Result<(PathBuf, Machine), String> {
    let default = || workspace::root().join("target/measure");
    let folder = output.map_or_else(default, Path::to_path_buf);
    let writable = fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
    writable.map_err(|error| format!("Cannot write to {}: {error}", folder.display()))?;
    run::prepare()?;
    let machine = Machine::current();
    if let Some(warning) = machine.warning() {
        anstream::eprintln!("{}", paint(YELLOW, warning));
    }
    Ok((folder, machine))
}

/// Builds a package in release.
fn build(package: &str) -> Result<Program, String> {
    note(&format!("building {package} in release ..."));
    copy(&workspace::build_package(package, true)?)
}

/// A copy of a program, which a later build doesn't change.
fn copy(binary: &Path) -> Result<Program, String> {
    let copy = Program::copy_of(binary);
    copy.map_err(|error| format!("Cannot copy {}: {error}", binary.display()))
}

fn note(text: &str) {
    anstream::eprintln!("{}", paint(DIM, text));
}

/// Writes pictures, and the figures that they show, and prints where they are.
fn write_files(
    folder: &Path,
    pictures: Vec<(String, String)>,
    json: &str,
    figures: &impl Serialize,
) -> Result<(), String> {
    let figures = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
    let json = (json.to_string(), figures + "\n");
    anstream::println!();
    for (name, content) in pictures.into_iter().chain([json]) {
        let path = folder.join(name);
        write_atomically(&path, content)?;
        anstream::println!("{}", path.display());
    }
    Ok(())
}
