//! `cargo lab measure`: speed and memory of servers, side by side.

use super::{note, waterfall};
use crate::progress::bar;
use clap::Args;
use harness::program::Program;
use harness::workspace::{self, STAGES, Stage};
use harness::{cleanup, process};
use measure::speed::generator::{self, Kind};
use measure::speed::peer::{PEERS, Peer};
use measure::speed::server::{Origin, ServerSpec};
use measure::speed::{self, CLIENTS, Plan, plot, table};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

#[derive(Args)]
#[group(skip)]
pub struct Options {
    /// Stages by number, packages of this workspace (my_stage2), or nginx, lighttpd, busybox,
    /// python3 [default: stages 1 to 4, and those of these four that are installed].
    #[arg(value_name = "SERVER", value_parser = parse_server)]
    servers: Vec<Wanted>,

    /// Take about a minute after the build: fewer rounds, with 8 and 64 clients only.
    #[arg(long)]
    quick: bool,

    /// How often everything is measured; the tables show medians [default: 5, quick: 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Keep connections open, instead of a new one for each request.
    #[arg(long)]
    keep_alive: bool,

    /// The load generator [default: ab, with --keep-alive hey, if installed].
    #[arg(long, value_name = "NAME")]
    generator: Option<Kind>,
}

/// A server on the command line.
#[derive(Clone)]
enum Wanted {
    Package(String, Origin),
    Peer(Peer),
}

fn lab_stage(stage: &Stage) -> Wanted {
    Wanted::Package(stage.name.to_string(), Origin::Stage(stage.number))
}

fn parse_server(text: &str) -> Result<Wanted, String> {
    let is_stage = |stage: &&Stage| stage.name == text || stage.number.to_string() == text;
    if let Some(stage) = STAGES.iter().find(is_stage) {
        return Ok(lab_stage(stage));
    }
    if let Some(peer) = PEERS.into_iter().find(|peer| peer.name == text) {
        return Ok(Wanted::Peer(peer));
    }
    let is_path = text.contains(['/', '.']);
    if !is_path && workspace::root().join(text).join("src/main.rs").is_file() {
        return Ok(Wanted::Package(text.to_string(), Origin::Own));
    }
    let peers = PEERS.map(|peer| peer.name).join(", ");
    Err(format!(
        "it is not a stage, 1 to {}, nor a package of this workspace, nor one of {peers}",
        STAGES.len()
    ))
}

pub fn measure(options: &Options, output: Option<&Path>) -> Result<ExitCode, String> {
    let generator = generator::find(options.generator, options.keep_alive)?;
    let wanted = select(&options.servers)?;
    let (folder, machine) = super::prepare(output)?;
    process::adopt_orphans();
    let (servers, stages) = build(wanted)?;
    let plan = plan(options);
    let bar = bar(plan.steps(servers.len()));
    let progress = |step: &str| {
        // The children that a killed server has left.
        cleanup::kill_orphans();
        bar.inc(1);
        bar.set_message(step.to_string());
    };
    note(&format!("load generator: {}", generator.kind.name()));
    let site = speed::site()?;
    let run = speed::measure(
        &plan,
        &servers,
        &site,
        &generator,
        machine.clone(),
        &progress,
    );
    bar.finish_and_clear();
    anstream::print!("{}", table::all(&run));
    let mut pictures = Vec::new();
    for (name, picture) in [
        ("throughput.svg", plot::throughput(&run)),
        ("memory.svg", plot::memory(&run)),
    ] {
        // A picture of an earlier run must not stay next to these figures.
        let _ = fs::remove_file(folder.join(name));
        pictures.extend(picture.map(|picture| (name.to_string(), picture)));
    }
    super::write_files(&folder, pictures, "speed.json", &run)?;
    if !stages.is_empty() {
        waterfall::run(&stages, machine, &folder)?;
    }
    cleanup::kill_orphans();
    Ok(ExitCode::from(u8::from(!run.is_clean())))
}

type Stages = Vec<(&'static Stage, Program)>;

/// Builds the servers; also returns the stages among them, and their programs.
fn build(wanted: Vec<Wanted>) -> Result<(Vec<ServerSpec>, Stages), String> {
    let (mut servers, mut stages) = (Vec::new(), Vec::new());
    for server in wanted {
        match server {
            Wanted::Peer(peer) => servers.extend(ServerSpec::peer(peer)),
            Wanted::Package(name, origin) => {
                let program = super::build(&name)?;
                servers.push(ServerSpec::contract(&name, origin, program.clone()));
                if let Origin::Stage(number) = origin {
                    stages.push((workspace::stage(number), program));
                }
            }
        }
    }
    Ok((servers, stages))
}

fn plan(options: &Options) -> Plan {
    let (rounds, clients) = if options.quick {
        (2, vec![8, 64])
    } else {
        (5, CLIENTS.to_vec())
    };
    Plan {
        clients,
        rounds: options.rounds.unwrap_or(rounds),
        keep_alive: options.keep_alive,
    }
}

/// The servers that are named, which must be installed, or else all that are. Notes how to
/// install the others.
fn select(named: &[Wanted]) -> Result<Vec<Wanted>, String> {
    let missing = |wanted: &Wanted| match wanted {
        Wanted::Peer(it) if it.find().is_none() => {
            Some(format!("{} is not installed: {}", it.name, it.install))
        }
        _ => None,
    };
    if !named.is_empty() {
        return named
            .iter()
            .find_map(missing)
            .map_or(Ok(named.to_vec()), Err);
    }
    let all = measure::default_stages().iter().map(lab_stage);
    let mut all: Vec<Wanted> = all.chain(PEERS.map(Wanted::Peer)).collect();
    all.retain(|wanted| missing(wanted).map(|message| note(&message)).is_none());
    Ok(all)
}
