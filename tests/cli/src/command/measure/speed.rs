//! `cargo lab measure`: speed and memory of servers, side by side.

use super::{note, waterfall};
use crate::program;
use crate::progress::bar;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use harness::program::Program;
use harness::workspace::{self, STAGES, Stage};
use harness::{cleanup, process};
use measure::speed::generator::{self, Kind};
use measure::speed::peer::{PEERS, Peer, Tuning};
use measure::speed::results::Run;
use measure::speed::server::{Origin, ServerSpec};
use measure::speed::{self, CLIENTS, IDLE, KEPT_CLIENTS, Plan, plot, table};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use suite::run::raise_descriptor_limit;

/// How many descriptors this process needs while it holds idle connections, in addition to those.
/// Servers have the same limit, and need no more.
const OWN_DESCRIPTORS: usize = 100;

#[derive(Args)]
#[group(skip)]
pub struct Options {
    /// Stages by number, packages of this workspace (my_stage2), or nginx, lighttpd, busybox,
    /// python3 [default: stages 1 to 4 and 6, and those of these four that are installed].
    #[arg(value_name = "SERVER", value_parser = parse_server)]
    servers: Vec<Wanted>,

    /// Measure this program too; may be given several times. Its own arguments follow after `--`.
    #[arg(long = "server", value_name = "PROGRAM")]
    programs: Vec<PathBuf>,

    /// Take about two minutes after the build: fewer rounds, with 8 and 64 clients only.
    #[arg(long)]
    quick: bool,

    /// How often everything is measured; the tables show medians [default: 5, quick: 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Measure only connections that stay open, not a new one for each request.
    #[arg(long)]
    keep_alive: bool,

    /// Compare stage 6 and nginx without a log of the requests, each with one event loop.
    #[arg(long)]
    no_log: bool,

    /// Compare stage 6 and nginx with this many event loops; nginx calls them workers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    loops: Option<u16>,

    /// The load generator [default: ab, if installed].
    #[arg(long, value_name = "NAME")]
    generator: Option<Kind>,

    /// Arguments for the programs, passed before the lab's own options.
    #[arg(last = true, requires = "programs")]
    arguments: Vec<OsString>,
}

impl Options {
    fn tuning(&self) -> Tuning {
        Tuning {
            no_log: self.no_log,
            loops: self.loops.or(self.no_log.then_some(1)),
        }
    }
}

/// A server on the command line.
#[derive(Clone)]
enum Wanted {
    Package(String, Origin),
    Program(String, Program),
    Peer(Peer),
}

impl Wanted {
    fn name(&self) -> &str {
        match self {
            Wanted::Package(name, _) | Wanted::Program(name, _) => name,
            Wanted::Peer(peer) => peer.name,
        }
    }

    /// Whether it logs requests, and how many event loops it has, can be set. A program has these
    /// options among its own arguments.
    fn is_tunable(&self) -> bool {
        match self {
            Wanted::Package(name, _) => workspace::stage_of(name).is_some_and(|it| it.number == 6),
            Wanted::Program(..) => true,
            Wanted::Peer(peer) => peer.name == "nginx",
        }
    }
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
    let wanted = select(options)?;
    let generator = generator::find(options.generator)?;
    let (folder, machine) = super::prepare(output)?;
    let plans = plans(options)?;
    process::adopt_orphans();
    let (servers, stages) = build(wanted, options.tuning())?;
    note(&format!("load generator: {}", generator.kind.name()));
    let site = speed::site()?;
    let mut is_clean = true;
    for plan in plans {
        let bar = bar(plan.steps(servers.len()));
        let progress = |step: &str| {
            // The children that a killed server has left.
            cleanup::kill_orphans();
            bar.inc(1);
            bar.set_message(step.to_string());
        };
        let machine = machine.clone();
        let mut run = speed::measure(&plan, &servers, &site, &generator, machine, &progress);
        bar.finish_and_clear();
        if !options.keep_alive {
            run.drop_closing();
        }
        is_clean &= run.is_clean();
        show(&run, &folder)?;
    }
    if !stages.is_empty() {
        waterfall::run(&stages, machine, &folder)?;
    }
    cleanup::kill_orphans();
    Ok(ExitCode::from(u8::from(!is_clean)))
}

/// Prints a run and writes its figures and pictures.
fn show(run: &Run, folder: &Path) -> Result<(), String> {
    let (json, picture) = if run.keep_alive {
        ("kept.json", "kept.svg")
    } else {
        ("speed.json", "throughput.svg")
    };
    let mut pictures = vec![(picture, plot::throughput(run))];
    if !run.keep_alive {
        pictures.push(("memory.svg", plot::memory(run)));
    }
    // What shows an earlier run must not stay next to these figures.
    for name in pictures.iter().map(|(name, _)| *name).chain([json]) {
        let _ = fs::remove_file(folder.join(name));
    }
    if run.servers.is_empty() {
        return Ok(());
    }
    anstream::print!("{}", table::all(run));
    let pictures = pictures.into_iter();
    let pictures = pictures.filter_map(|(name, picture)| Some((name.to_string(), picture?)));
    super::write_files(folder, pictures.collect(), json, run)
}

type Stages = Vec<(&'static Stage, Program)>;

/// Builds the servers; also returns the stages among them, and their programs.
fn build(wanted: Vec<Wanted>, tuning: Tuning) -> Result<(Vec<ServerSpec>, Stages), String> {
    let (mut servers, mut stages) = (Vec::new(), Vec::new());
    for server in wanted {
        let is_tunable = server.is_tunable();
        match server {
            Wanted::Peer(peer) => servers.extend(ServerSpec::peer(peer)),
            Wanted::Program(name, program) => {
                servers.push(ServerSpec::contract(&name, Origin::Own, program));
            }
            Wanted::Package(name, origin) => {
                let program = super::build(&name)?;
                if let Origin::Stage(number) = origin {
                    stages.push((workspace::stage(number), program.clone()));
                }
                let mut tuned = program;
                if is_tunable {
                    tuned
                        .arguments
                        .extend(tuning.no_log.then(|| "--quiet".into()));
                    let loops = tuning.loops.map(|loops| format!("--loops={loops}").into());
                    tuned.arguments.extend(loops);
                }
                servers.push(ServerSpec::contract(&name, origin, tuned));
            }
        }
    }
    Ok((servers, stages))
}

/// What to measure: with a new connection for each request, and with connections that are kept.
fn plans(options: &Options) -> Result<Vec<Plan>, String> {
    let quick = options.quick;
    let clients = |all: &[u32]| if quick { vec![8, 64] } else { all.to_vec() };
    let idle = if quick { &IDLE[..3] } else { &IDLE };
    let close = Plan {
        clients: clients(&CLIENTS),
        rounds: options.rounds.unwrap_or(if quick { 2 } else { 5 }),
        keep_alive: false,
        idle: affordable(idle)?,
        tuning: options.tuning(),
    };
    let keep = Plan {
        clients: clients(&KEPT_CLIENTS),
        keep_alive: true,
        // Memory is measured once.
        idle: Vec::new(),
        ..close.clone()
    };
    let mut plans = vec![close, keep];
    plans.retain(|plan| plan.keep_alive || !options.keep_alive);
    Ok(plans)
}

/// These numbers of idle connections, as far as the system's limit on descriptors allows them.
fn affordable(idle: &[usize]) -> Result<Vec<usize>, String> {
    let most = idle.last().copied().unwrap_or_default();
    let limit = raise_descriptor_limit((most + OWN_DESCRIPTORS) as u64)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let possible = limit.saturating_sub(OWN_DESCRIPTORS);
    if possible < most {
        note(&format!(
            "{possible} idle connections instead of {most}: the limit on descriptors is {limit} (ulimit -Hn)"
        ));
    }
    let mut idle: Vec<usize> = idle.iter().map(|count| *count.min(&possible)).collect();
    idle.dedup();
    Ok(idle)
}

/// The servers that are named, which must be installed, or else all that are. Notes how to
/// install the others.
fn select(options: &Options) -> Result<Vec<Wanted>, String> {
    let missing = |wanted: &Wanted| match wanted {
        Wanted::Peer(it) if it.find().is_none() => {
            Some(format!("{} is not installed: {}", it.name, it.install))
        }
        _ => None,
    };
    let is_possible =
        |wanted: &Wanted| options.tuning() == Tuning::default() || wanted.is_tunable();
    let mut named = options.servers.clone();
    for path in &options.programs {
        let program = program::named(path, &options.arguments)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        named.push(Wanted::Program(name.into_owned(), program));
    }
    if let Some(other) = named.iter().find(|wanted| !is_possible(wanted)) {
        let name = other.name();
        let message = format!("--no-log and --loops are for stage 6 and nginx, not for {name}");
        let kind = ErrorKind::ArgumentConflict;
        crate::command::Options::command()
            .error(kind, message)
            .exit()
    }
    if !named.is_empty() {
        return named.iter().find_map(missing).map_or(Ok(named), Err);
    }
    let all = measure::default_stages().map(lab_stage);
    let mut all: Vec<Wanted> = all.chain(PEERS.map(Wanted::Peer)).collect();
    all.retain(is_possible);
    all.retain(|wanted| missing(wanted).map(|message| note(&message)).is_none());
    Ok(all)
}
