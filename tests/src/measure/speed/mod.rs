//! Speed: the servers side by side, each driven by the same generator, in rounds that
//! interleave, so that what the machine does meanwhile meets all of them alike.
//!
//! - [`server`] is how one is started and looked after, [`peer`] which others there may be.
//! - [`generator`] is what drives them; [`kernel`] is what the system knows of them.
//! - [`round`] is one measurement; [`memory`] is what they take while nothing happens.
//! - [`run`] is what comes of it, [`table`] and [`picture`] show it.

pub mod generator;
pub mod kernel;
pub mod memory;
mod notes;
pub mod peer;
pub mod picture;
pub mod round;
pub mod run;
pub mod server;
pub mod table;

use crate::measure::Machine;
use crate::site::{File, Site};
use generator::Generator;
use memory::Large;
use round::Setting;
use run::{Cell, Incident, Round, Run, SCHEMA, Server, What};
use server::{Contender, Origin};
use std::time::{Duration, Instant};

/// How many clients ask at once.
pub const CLIENTS: [u32; 4] = [1, 8, 64, 256];
/// The number that the table tells most of.
pub const MAIN: u32 = 8;

/// The page that is asked for, in bytes.
pub const PAGE: usize = 4096;

/// Of the ports for connections that go out, so much may one round take at most.
const PORTS_PART: u64 = 2;

/// How, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    pub clients: Vec<u32>,
    pub rounds: u32,
    /// How long a round of one server and number of clients takes.
    pub time: Duration,
    /// Connections are used again.
    pub keep_alive: bool,
    /// How many silent connections are opened for the memory that they take.
    pub idle: usize,
    /// The size of the large file in bytes, if the stages are to serve one.
    pub large: Option<u64>,
    /// How long ports that closed connections occupy are waited for.
    pub patience: Duration,
}

/// What a run tells on its way.
pub enum Step {
    /// The next of its steps, which has just begun.
    Next(String),
    /// What that step waits for.
    Waits(String),
}

/// To whom it is told.
pub type Tell<'a> = &'a dyn Fn(Step);

/// How many steps a run has of which it tells.
pub fn steps(plan: &Plan, servers: usize) -> usize {
    servers * (1 + plan.clients.len() * plan.rounds as usize)
}

/// Measures. It tells of each step before it is made.
pub fn measure(
    plan: &Plan,
    contenders: &[Contender],
    generator: &Generator,
    machine: Machine,
    busy: Option<f64>,
    tell: Tell,
) -> Result<Run, String> {
    let began = Instant::now();
    let site = Site::new(fastrand::Rng::new(), None);
    let site = site.map_err(|error| format!("cannot make a document root: {error}"))?;
    let page = page(&site).map_err(|error| format!("cannot make a page: {error}"))?;
    let setting = Setting {
        plan,
        site: &site,
        page: &page,
        generator,
        requests: kernel::ports() / PORTS_PART,
    };
    let mut run = Run {
        schema: SCHEMA.to_string(),
        started: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        took: 0.0,
        machine,
        busy,
        generator: generator.clone(),
        keep_alive: plan.keep_alive,
        rounds: plan.rounds,
        seconds: plan.time.as_secs_f64(),
        requests: setting.requests,
        page: PAGE,
        servers: Vec::new(),
        incidents: Vec::new(),
    };
    for contender in contenders {
        tell(Step::Next(format!("{}: memory", contender.name)));
        let server = look_at(contender, &setting, &mut run.incidents);
        run.servers.push(server);
    }
    setting.wait_for_ports(tell);
    in_rounds(&setting, contenders, &mut run, tell);
    run.took = began.elapsed().as_secs_f64();
    Ok(run)
}

/// The page, of letters, at a random name.
fn page(site: &Site) -> std::io::Result<File> {
    let letters = |byte: u8| b'a' + byte % 26;
    let content: Vec<u8> = site.bytes(PAGE).into_iter().map(letters).collect();
    site.add(&format!("{}.html", site.name()), &content)
}

/// What is to be known of a server before any round, its memory for one. One that does not
/// serve at all is not tried again.
fn look_at(contender: &Contender, setting: &Setting, incidents: &mut Vec<Incident>) -> Server {
    let plan = setting.plan;
    let cell = |clients: &u32| Cell {
        clients: *clients,
        rounds: Vec::new(),
    };
    let mut server = Server {
        name: contender.name.clone(),
        origin: contender.origin,
        version: contender.version.clone(),
        closes: false,
        cells: plan.clients.iter().map(cell).collect(),
        memory: None,
        large: None,
    };
    match setting.started(contender) {
        Ok(running) => {
            let keeps = || running.keeps_connections(setting.page, setting.generator.kind);
            server.closes = plan.keep_alive && !keeps();
            server.memory = memory::measure(&running, plan.idle);
        }
        Err((what, detail)) => {
            incidents.push(Incident {
                server: contender.name.clone(),
                clients: None,
                round: None,
                what,
                detail,
            });
            return server;
        }
    }
    if let (Origin::Stage(_), Some(size)) = (contender.origin, plan.large) {
        server.large = Large::measure(contender, setting.site, size);
    }
    server
}

/// All rounds. Whoever is first in one is not so in the next.
fn in_rounds(setting: &Setting, contenders: &[Contender], run: &mut Run, tell: Tell) {
    let plan = setting.plan;
    let unfit: Vec<String> = { run.incidents.iter() }
        .map(|incident| incident.server.clone())
        .collect();
    let mut shift = 0;
    for round in 1..=plan.rounds {
        for (at, clients) in plan.clients.iter().enumerate() {
            shift += 1;
            for turn in 0..contenders.len() {
                let which = (turn + shift) % contenders.len();
                let (contender, server) = (&contenders[which], &mut run.servers[which]);
                let of = format!("round {round} of {}", plan.rounds);
                let clients_of = people(*clients);
                tell(Step::Next(format!(
                    "{}: {clients_of}, {of}",
                    contender.name
                )));
                // One round that hangs costs more than all others.
                let hung = |incident: &Incident| {
                    let of = (incident.server.as_str(), incident.clients, incident.what);
                    of == (contender.name.as_str(), Some(*clients), What::GeneratorHung)
                };
                let hung = run.incidents.iter().any(hung);
                if server.closes || hung || unfit.contains(&contender.name) {
                    continue;
                }
                match setting.round(contender, *clients) {
                    Ok(measured) => server.cells[at].rounds.push(Round {
                        round,
                        turn: turn + 1,
                        ..measured
                    }),
                    Err((what, detail)) => {
                        run.incidents.push(Incident {
                            server: contender.name.clone(),
                            clients: Some(*clients),
                            round: Some(round),
                            what,
                            detail,
                        });
                        setting.wait_for_ports(tell);
                    }
                }
            }
        }
    }
}

/// A number of clients, in words.
pub fn people(clients: u32) -> String {
    match clients {
        1 => "1 client".to_string(),
        _ => format!("{clients} clients"),
    }
}
