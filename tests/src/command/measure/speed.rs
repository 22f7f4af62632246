//! `cargo lab measure`: how fast the servers are, side by side.

use super::waterfall;
use crate::command::grade::bar;
use crate::ending;
use crate::measure::Machine;
use crate::measure::speed::generator::{self, Generator, Kind};
use crate::measure::speed::peer::{PEERS, Peer};
use crate::measure::speed::run::Run;
use crate::measure::speed::server::{Contender, Origin};
use crate::measure::speed::{self, CLIENTS, Plan, Step, kernel, picture, table};
use crate::paint::{DIM, YELLOW, paint};
use crate::program::{Program, on_path};
use crate::suite;
use crate::system;
use crate::workspace::{self, STAGES, Stage};
use clap::Args;
use indicatif::ProgressStyle;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// From this share of its time on, a machine has other things to do.
const BUSY: f64 = 0.1;

#[derive(Args)]
#[group(skip)]
pub struct Options {
    /// Only these: stages by number, packages of this workspace (my_stage2), and peers: nginx,
    /// lighttpd, busybox, python3. Else all stages, and all peers that are here.
    #[arg(value_name = "SERVER", value_parser = wanted)]
    servers: Vec<Wanted>,

    /// Under a minute, besides building: fewer and shorter rounds, no 1 GiB file.
    #[arg(long)]
    quick: bool,

    /// How often everything is measured; what is shown are medians [default: 5, quick: 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// How long a round of one server and one number of clients takes, in seconds [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: Option<u32>,

    /// Use connections again, instead of a new one for each request.
    #[arg(long)]
    keep_alive: bool,

    /// Which load generator; else the best that is here: ab, but with --keep-alive hey.
    #[arg(long, value_name = "NAME")]
    generator: Option<Kind>,

    /// The folder for pictures and figures; it is made if need be [default: target/measure].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// A server that is asked for.
#[derive(Clone)]
enum Wanted {
    Stage(u8),
    Package(String),
    Peer(Peer),
}

/// Takes a stage's number, a peer's name, or that of a package.
fn wanted(text: &str) -> Result<Wanted, String> {
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            1..=4 => Ok(Wanted::Stage(number as u8)),
            _ => Err(format!("{number} is not in 1..=4")),
        };
    }
    if let Some(peer) = PEERS.into_iter().find(|peer| peer.name() == text) {
        return Ok(Wanted::Peer(peer));
    }
    if let Some(stage) = STAGES.iter().find(|stage| stage.name == text) {
        return Ok(Wanted::Stage(stage.number));
    }
    // A package lies in a folder of its name; its name has no slash, nor dots.
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let manifest = workspace::root().join(text).join("Cargo.toml");
    match text.chars().all(plain) && text != "tests" && manifest.is_file() {
        true => Ok(Wanted::Package(text.to_string())),
        false => {
            let peers = PEERS.map(Peer::name).join(", ");
            Err(format!(
                "it is neither a stage, 1 to 4, nor a package of this workspace, nor one of {peers}"
            ))
        }
    }
}

/// Measures, shows a table, and draws.
pub fn speed(options: &Options) -> Result<ExitCode, String> {
    let generator = generator::find(options.generator, options.keep_alive)?;
    let wanted = at_hand(&options.servers)?;
    if on_path("wrk").is_some() {
        say(
            "wrk is no choice: it takes answers without a length for errors, and leaves connecting \
             out of its times",
        );
    }
    if options.quick {
        say("--quick leaves out what a file of 1 GiB takes of memory");
    }
    let (name, reason) = (generator.kind.name(), &generator.reason);
    say(&format!("the load comes from {name}: {reason}"));
    let folder = super::output_folder(options.output.as_deref())?;
    suite::prepare()?;
    system::adopt_orphans();
    let machine = super::machine();
    let servers = { wanted.iter() }
        .map(ready)
        .collect::<Result<Vec<Ready>, _>>()?;
    let contenders: Vec<Contender> = servers.iter().map(|of| of.contender.clone()).collect();
    let run = run(&plan(options), &contenders, &generator, &machine)?;
    anstream::print!("{}\n", table::all(&run));
    write_down(&folder, &run)?;
    wait_for_whom(&folder, machine, &servers, options.quick)?;
    ending::sweep();
    Ok(match run.went_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn say(words: &str) {
    anstream::eprintln!("{}", paint(DIM, words));
}

fn plan(options: &Options) -> Plan {
    let quick = options.quick;
    let seconds = options
        .seconds
        .map(|seconds| Duration::from_secs(seconds.into()));
    let short = Duration::from_millis(if quick { 200 } else { 1000 });
    Plan {
        clients: CLIENTS.to_vec(),
        rounds: options.rounds.unwrap_or(if quick { 2 } else { 5 }),
        time: seconds.unwrap_or(short),
        keep_alive: options.keep_alive,
        idle: 100,
        large: (!quick).then_some(1 << 30),
        patience: Duration::from_secs(if quick { 10 } else { 60 }),
    }
}

/// Those that were named, of which peers must be here; else all stages, and the peers that are
/// here, with a word how to get each of the others.
fn at_hand(named: &[Wanted]) -> Result<Vec<Wanted>, String> {
    let missing = |peer: Peer| format!("There is no {}: {}.", peer.name(), peer.install());
    let lacks = |wanted: &Wanted| match wanted {
        Wanted::Peer(peer) if peer.find().is_none() => Some(*peer),
        _ => None,
    };
    if let Some(peer) = named.iter().find_map(lacks) {
        return Err(missing(peer));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let (lacking, here): (Vec<Wanted>, Vec<Wanted>) = { (1..=4).map(Wanted::Stage) }
        .chain(PEERS.map(Wanted::Peer))
        .partition(|wanted| lacks(wanted).is_some());
    for peer in lacking.iter().filter_map(lacks) {
        say(&missing(peer));
    }
    Ok(here)
}

/// A server, ready to be started.
struct Ready {
    contender: Contender,
    /// If it is one of the lab's: the stage, and its program.
    stage: Option<(&'static Stage, Program)>,
}

/// Builds what is to be built.
fn ready(wanted: &Wanted) -> Result<Ready, String> {
    let own = |name: &str, origin| -> Result<(Contender, Program), String> {
        let program = super::built(name)?;
        Ok((Contender::contract(name, origin, program.clone()), program))
    };
    let (contender, stage) = match wanted {
        Wanted::Stage(number) => {
            let stage = workspace::stage(*number);
            let (contender, program) = own(stage.name, Origin::Stage(*number))?;
            (contender, Some((stage, program)))
        }
        Wanted::Package(name) => (own(name, Origin::Own)?.0, None),
        Wanted::Peer(peer) => {
            let path = peer.find().ok_or("it was here a moment ago")?;
            (Contender::peer(*peer, path), None)
        }
    };
    Ok(Ready { contender, stage })
}

/// The load that the system tells is a mean of the last minute. This looks at the machine as it
/// is once all is built, warns, and returns which share of its time it is at work.
fn busy() -> Option<f64> {
    let share = kernel::busy(Duration::from_millis(500));
    if let Some(busy) = share.filter(|share| *share > BUSY) {
        let words = format!(
            "The processors are at work for {:.0} % of the time, before anything is measured. \
             Measure again when the machine is at rest.",
            busy * 100.0
        );
        anstream::eprintln!("{}", paint(YELLOW, words));
    }
    share
}

fn run(
    plan: &Plan,
    contenders: &[Contender],
    generator: &Generator,
    machine: &Machine,
) -> Result<Run, String> {
    let busy = busy();
    let style = "{bar:30.cyan/dim} {pos} of {len}, {eta} left  {wide_msg}";
    let bar = bar(speed::steps(plan, contenders.len()));
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let tell = |step: Step| match step {
        Step::Next(words) => {
            bar.inc(1);
            bar.set_message(words);
        }
        Step::Waits(words) => bar.set_message(words),
    };
    let run = speed::measure(plan, contenders, generator, machine.clone(), busy, &tell);
    bar.finish_and_clear();
    ending::sweep();
    run
}

/// Writes pictures and figures. A picture of an earlier run that this one has no figures for
/// does not stay beside them.
fn write_down(folder: &Path, run: &Run) -> Result<(), String> {
    let mut files = Vec::new();
    for (name, drawn) in [
        ("throughput.svg", picture::throughput(run)?),
        ("memory.svg", picture::memory(run)?),
    ] {
        match drawn {
            Some(drawn) => files.push((name.to_string(), drawn)),
            None => {
                let _ = fs::remove_file(folder.join(name));
            }
        }
    }
    super::write_down(folder, files, "speed.json", run)
}

/// The waterfall of the stages, as `measure waterfall` draws it.
fn wait_for_whom(
    folder: &Path,
    machine: Machine,
    servers: &[Ready],
    quick: bool,
) -> Result<(), String> {
    let stages = servers.iter().filter_map(|of| of.stage.clone());
    let (stages, programs): (Vec<&Stage>, Vec<Program>) = stages.unzip();
    if stages.is_empty() {
        return Ok(());
    }
    let timeout = if quick { 1 } else { 2 };
    let run = waterfall::run(timeout, machine, &stages, &programs)?;
    super::write_down(folder, waterfall::pictures(&run)?, "waterfall.json", &run)
}
