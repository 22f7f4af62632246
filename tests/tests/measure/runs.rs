//! Real servers and a real generator, for moments.

use assert_cmd::Command;
use lab::measure::Machine;
use lab::measure::speed::generator::{self, Kind};
use lab::measure::speed::run::{Run, SCHEMA, What};
use lab::measure::speed::server::{Contender, Origin};
use lab::measure::speed::{self, Plan, picture, table};
use lab::program::Program;
use lab::site::Site;
use lab::{system, workspace};
use libtest_mimic::Failed;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn plan() -> Plan {
    Plan {
        clients: vec![1, 8],
        rounds: 2,
        time: Duration::from_millis(100),
        keep_alive: false,
        idle: 8,
        large: None,
        patience: Duration::ZERO,
    }
}

fn run(plan: &Plan, contenders: &[Contender]) -> Run {
    let generator = generator::find(Some(Kind::Ab), false).unwrap();
    let machine = Machine::here();
    speed::measure(plan, contenders, &generator, machine, None, &|_| ()).unwrap()
}

/// This program as a server, with that fault.
fn mortal(fault: &str) -> Contender {
    let mut program = Program::new(env::current_exe().unwrap());
    program.arguments = vec![format!("server:{fault}").into()];
    Contender::contract(fault, Origin::Own, program)
}

fn stages(numbers: &[u8]) -> Vec<Contender> {
    let binaries = workspace::build_stages().unwrap();
    let contender = |number: &u8| {
        let program = Program::new(&binaries[usize::from(*number) - 1]);
        let name = workspace::stage(*number).name;
        Contender::contract(name, Origin::Stage(*number), program)
    };
    numbers.iter().map(contender).collect()
}

/// What of the text a terminal shows.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

pub fn stages_are_measured() -> Result<(), Failed> {
    let plan = Plan {
        large: Some(1 << 28),
        ..plan()
    };
    let run = run(&plan, &stages(&[1, 2, 3]));
    assert!(run.went_well(), "{:#?}", run.incidents);
    let turns: Vec<Vec<usize>> = { run.servers.iter() }
        .map(|server| {
            let rounds = server.cells.iter().flat_map(|cell| &cell.rounds);
            rounds.map(|round| round.turn).collect()
        })
        .collect();
    assert!(turns.iter().all(|turns| turns.len() == 4), "{turns:?}");
    assert!(
        { turns.iter() }.all(|turns| turns.contains(&1)),
        "{turns:?}"
    );
    for server in &run.servers {
        assert!(server.version.as_ref().unwrap().starts_with(&server.name));
        for round in server.cells.iter().flat_map(|cell| &cell.rounds) {
            assert!(round.answered > 0 && round.errors == 0, "{round:?}");
            assert!(round.p50 <= round.p99, "{round:?}");
            let rate = round.answered as f64 / round.seconds;
            assert!((round.rate - rate).abs() < 0.001, "{round:?}");
            assert_eq!(round.processor.is_some(), cfg!(target_os = "linux"));
        }
    }
    let text = plain(&table::all(&run));
    assert!(
        text.lines().take(20).all(|line| line.len() <= 100),
        "{text}"
    );
    assert!(text.contains("stage2_multiprocess") && text.contains("Rounds differ by"));
    assert!(picture::throughput(&run)?.is_some());
    if cfg!(target_os = "linux") {
        memory_is_that_of_the_architecture(&run);
    }
    Ok(())
}

fn memory_is_that_of_the_architecture(run: &Run) {
    let last = |number: usize| {
        let memory = run.servers[number - 1].memory.as_ref().unwrap();
        memory.idle.last().unwrap()
    };
    assert_eq!((last(1).connections, last(1).accepted), (8, 1));
    assert_eq!((last(2).accepted, last(2).processes), (8, 9));
    assert_eq!((last(3).accepted, last(3).processes), (8, 1));
    assert!(last(3).threads >= 9);
    assert!(run.servers.iter().all(|server| {
        let memory = server.memory.as_ref().unwrap();
        memory.at_rest() > 100_000 && memory.idle.iter().all(|idle| idle.open == idle.connections)
    }));
    let each = |number: usize| {
        let memory = run.servers[number - 1].memory.as_ref().unwrap();
        memory.per_connection().unwrap()
    };
    assert!(each(2) > each(3), "{} {}", each(2), each(3));
    for server in &run.servers {
        let large = server.large.as_ref().unwrap();
        let more = large.large_peak.abs_diff(large.small_peak);
        assert!(
            large.small_peak > 100_000 && more < large.large_file / 32,
            "{large:?}"
        );
    }
}

pub fn a_server_that_dies_is_told() -> Result<(), Failed> {
    let plan = Plan {
        rounds: 1,
        ..plan()
    };
    let run = run(&plan, &[stages(&[1]).remove(0), mortal("dies")]);
    assert!(!run.went_well());
    // It is started again for each number of clients.
    let died: Vec<_> = { run.incidents.iter() }
        .filter(|incident| incident.what == What::Died)
        .collect();
    assert_eq!(
        (died.len(), run.incidents.len()),
        (2, 2),
        "{:#?}",
        run.incidents
    );
    for incident in died {
        assert_eq!(incident.server, "dies");
        assert!(incident.detail.contains("exit status: 7"), "{incident:?}");
        assert!(
            incident.detail.contains("nothing is for ever"),
            "{incident:?}"
        );
    }
    assert!(run.cell(&run.servers[0], 8).is_ok());
    assert_eq!(run.cell(&run.servers[1], 8).unwrap_err(), Some(What::Died));
    let text = plain(&table::all(&run));
    let row = text.lines().find(|line| line.starts_with("dies")).unwrap();
    assert!(row.contains("died") && !row.contains("0.00"), "{text}");
    let told = "dies, 8 clients: died: exit status: 7; its last lines:\n    nothing is for ever";
    assert!(text.contains(told), "{text}");
    Ok(())
}

pub fn a_wrong_answer_has_no_figure() -> Result<(), Failed> {
    let run = run(&plan(), &[mortal("lies")]);
    let [incident] = &run.incidents[..] else {
        return Err(format!("{:#?}", run.incidents).into());
    };
    assert_eq!((incident.what, incident.clients), (What::WrongAnswer, None));
    assert!(incident.detail.contains("4096"), "{incident:?}");
    assert!(
        run.servers[0]
            .cells
            .iter()
            .all(|cell| cell.rounds.is_empty())
    );
    assert!(!run.went_well() && picture::throughput(&run)?.is_none());
    let text = plain(&table::all(&run));
    assert_eq!(
        text.matches("wrong answer").count(),
        1 + 2 * 2 + 1,
        "{text}"
    );
    Ok(())
}

pub fn errors_under_load_are_counted() -> Result<(), Failed> {
    let run = run(&plan(), &[mortal("cuts")]);
    assert!(run.incidents.is_empty(), "{:#?}", run.incidents);
    let rounds = || run.servers[0].cells.iter().flat_map(|cell| &cell.rounds);
    assert!(
        rounds().any(|round| round.answered > 0),
        "{:#?}",
        run.servers
    );
    for round in rounds() {
        // A third, and a little of chance where a round ends. If the very first is cut, `ab`
        // judges all others by it, and none is taken for right.
        let share = round.errors as f64 / (round.answered + round.errors) as f64;
        assert!(round.errors > 0, "{round:?}");
        assert!(
            round.answered == 0 || (share - 1.0 / 3.0).abs() < 0.05,
            "{round:?}"
        );
    }
    assert!(!run.went_well());
    Ok(())
}

pub fn a_kept_connection_is_noticed() -> Result<(), Failed> {
    let site = Site::new(fastrand::Rng::new(), None)?;
    for (contender, keeps) in [(mortal("keeps"), true), (stages(&[4]).remove(0), false)] {
        let running = contender.start(&site)?;
        for kind in [Kind::Ab, Kind::Hey] {
            assert_eq!(running.keeps_connections(&site.page, kind), keeps);
        }
    }
    Ok(())
}

/// The command.
fn lab(arguments: &[&str]) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.env("CARGO_MANIFEST_DIR", workspace::root().join("tests"));
    lab.arg("measure").args(arguments);
    lab
}

pub fn wrong_usage_is_told() -> Result<(), Failed> {
    for wrong in [
        &["5"][..],
        &["apache"],
        &["tests"],
        &["../x"],
        &["--rounds", "0"],
    ] {
        lab(wrong).assert().code(2);
    }
    lab(&["apache"]).assert().stderr(contains("nginx"));
    let help = contains("--quick")
        .and(contains("--keep-alive"))
        .and(contains("waterfall"));
    lab(&["--help"]).assert().success().stdout(help);
    Ok(())
}

pub fn what_is_missing_is_named() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut nothing = lab(&["1"]);
    let install = contains("apt-get install apache2-utils").and(contains("hey"));
    nothing
        .env("PATH", folder.path())
        .assert()
        .code(3)
        .stderr(install);
    let ab = folder.path().join("ab");
    fs::write(&ab, "#!/bin/sh\n")?;
    fs::set_permissions(&ab, Permissions::from_mode(0o755))?;
    let mut no_hey = lab(&["1", "--generator", "hey"]);
    let words = contains("--generator hey").and(contains("apt-get install hey"));
    no_hey
        .env("PATH", folder.path())
        .assert()
        .code(3)
        .stderr(words);
    let mut no_peer = lab(&["busybox"]);
    let install = contains("apt-get install busybox");
    no_peer
        .env("PATH", folder.path())
        .assert()
        .code(3)
        .stderr(install);
    Ok(())
}

pub fn the_command_measures() -> Result<(), Failed> {
    system::adopt_orphans();
    let folder = tempfile::tempdir()?;
    let mut quick = lab(&["1", "--quick", "--rounds", "1", "--output"]);
    let quick = quick.arg(folder.path()).assert().code(0);
    let said = String::from_utf8_lossy(&quick.get_output().stdout).into_owned();
    assert!(
        said.contains("stage1_single") && !said.contains('\u{1b}'),
        "{said}"
    );
    let json = |name: &str| fs::read_to_string(folder.path().join(name));
    let run: Run = serde_json::from_str(&json("speed.json")?)?;
    assert_eq!(run.schema, SCHEMA);
    assert!(run.servers.len() == 1 && run.servers[0].cells.len() == 4);
    assert_eq!(run.generator.kind, Kind::Ab);
    assert!(json("waterfall.json")?.contains("stage1_single"));
    let mut files = vec!["throughput.svg", "waterfall-1.svg"];
    if cfg!(target_os = "linux") {
        files.push("memory.svg");
    }
    for name in files {
        assert!(
            said.contains(name) && is_drawn(&folder.path().join(name)),
            "{name}"
        );
    }
    Ok(())
}

fn is_drawn(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.starts_with("<svg"))
}
