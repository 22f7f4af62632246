//! Servers that are measured for a moment, and servers that must not get a figure.

use crate::{faulty, script};
use harness::cleanup::ScratchDir;
use harness::program::Program;
use harness::workspace::{self, stage};
use measure::Machine;
use measure::speed::generator::{Generator, Kind};
use measure::speed::peer::{PEERS, Tuning};
use measure::speed::results::{FailureKind, Run};
use measure::speed::server::{Origin, ServerSpec};
use measure::speed::{self, Plan, plot, table, usage};

/// What becomes of a connection after a response.
const CLOSE: bool = false;
const KEEP_ALIVE: bool = true;

fn measure(servers: &[ServerSpec], keep_alive: bool) -> Run {
    let plan = Plan {
        clients: vec![1, 8],
        rounds: 2,
        keep_alive,
        idle: vec![0, 50, 100],
        tuning: Tuning::default(),
    };
    // The servers of some tests fail before it is needed.
    let ab = Generator {
        kind: Kind::Ab,
        path: "ab".into(),
    };
    let site = speed::site().unwrap();
    speed::measure(&plan, servers, &site, &ab, Machine::current(), &|_| ())
}

fn server(name: &str, program: Program) -> ServerSpec {
    ServerSpec::contract(name, Origin::Own, program)
}

fn tables(run: &Run) -> String {
    anstream::adapter::strip_str(&table::all(run)).to_string()
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs ab: LAB_CI=1 runs it")]
fn stages_are_measured_in_rotation() {
    let binaries = workspace::build_stages().unwrap();
    let spec = |number: u8| {
        let program = Program::new(&binaries[usize::from(number) - 1]);
        ServerSpec::contract(stage(number).name, Origin::Stage(number), program)
    };
    let run = measure(&[1, 2, 3].map(spec), CLOSE);
    assert!(run.is_clean(), "{:#?}", run.failures());
    for server in &run.servers {
        let rounds: Vec<_> = server.levels.iter().flat_map(|it| &it.rounds).collect();
        assert_eq!(rounds.len(), 4);
        assert!(rounds.iter().any(|round| round.position == 1));
        for round in rounds {
            let load = &round.load;
            assert!(load.responses > 0 && load.errors == 0, "{round:?}");
            assert!(load.p50 <= load.p99, "{round:?}");
            assert_eq!(round.processor_time.is_some(), cfg!(target_os = "linux"));
        }
    }
    let text = tables(&run);
    let widths = text.lines().take(25).map(|line| line.chars().count());
    assert!(widths.max() <= Some(100), "{text}");
    assert!(text.contains("Medians of 2 rounds"), "{text}");
    if cfg!(target_os = "linux") {
        ensure_memory_fits_stages(&run);
    }
}

/// Stage 1 accepts one client, stage 2 starts a process for each, and stage 3 a thread.
fn ensure_memory_fits_stages(run: &Run) {
    let memory: Vec<_> = run.servers.iter().flat_map(|it| &it.memory).collect();
    let held = memory.iter().map(|it| it.idle.last().unwrap().held);
    assert!(held.eq([1, 100, 100]));
    assert!(memory.iter().all(|it| it.at_rest() > 100_000));
    let added: Vec<f64> = memory.iter().flat_map(|it| it.per_connection()).collect();
    assert!(added[1] > 50_000.0 && added[1] > added[2], "{added:?}");
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs ab: LAB_CI=1 runs it")]
fn server_that_dies_gets_no_figure() {
    let folder = ScratchDir::new().unwrap();
    let faulty = workspace::build_package("faulty", false).unwrap();
    // It dies during the measurement, after 150 requests.
    let lines = format!(
        "log=$(mktemp -p {})\n'{}' --stage 3 \"$@\" 2>$log &\nserver=$!\n\
         tail -n +1 -f $log | sed 150q >/dev/null\nkill -9 $server\n\
         echo out of memory >&2\nexit 7\n",
        folder.path().display(),
        faulty.display()
    );
    let dies = server("dies", Program::new(script(folder.path(), &lines)));
    let run = measure(&[dies, server("works", Program::new(faulty))], CLOSE);
    assert_eq!((run.failures().len(), run.levels().len()), (2, 2));
    for (server, _, failure) in run.failures() {
        let failed = (server.name.as_str(), failure.kind);
        assert_eq!(failed, ("dies", FailureKind::Died));
        assert!(failure.detail.starts_with("exit status: 7"), "{failure:?}");
        assert!(failure.detail.ends_with("out of memory"), "{failure:?}");
    }
    let text = tables(&run);
    let row = text.lines().find(|line| line.starts_with("dies")).unwrap();
    assert!(row.contains("died") && !row.contains("0.00"), "{text}");
    let remark = "dies, 8 clients: died: exit status: 7";
    assert!(text.contains(remark), "{text}");
}

#[test]
fn wrong_server_gets_no_figure() {
    let servers = ["omits-last-byte", "never-closes"].map(|fault| server(fault, faulty(fault)));
    let run = measure(&servers, CLOSE);
    let failures = run.servers.iter().map(|it| it.failure.clone().unwrap());
    for (failure, expected) in failures.zip(["received 4095 bytes", "still open"]) {
        assert_eq!(failure.kind, FailureKind::WrongResponse);
        assert!(failure.detail.contains(expected), "{failure:?}");
    }
    assert!(!run.is_clean() && plot::throughput(&run).is_none());
    let text = tables(&run);
    for server in &run.servers {
        // In four tables and below.
        let rows = text.lines().filter(|row| row.starts_with(&server.name));
        assert_eq!(rows.count(), 5, "{text}");
    }
}

#[test]
fn server_that_does_not_start_gets_no_figure() {
    for (path, expected) in [
        ("/no/such/server", "No such file"),
        ("/bin/sh", "exit status: 7"),
    ] {
        let mut program = Program::new(path);
        program.arguments = ["-c", "exit 7"].map(Into::into).to_vec();
        let run = measure(&[server("server", program)], CLOSE);
        let failure = run.servers[0].failure.as_ref().unwrap();
        assert_eq!(failure.kind, FailureKind::NotStarted);
        assert!(failure.detail.contains(expected), "{failure:?}");
    }
}

#[test]
fn server_that_closes_is_not_measured_in_keep_alive_mode() {
    let program = Program::new(workspace::build_package("faulty", false).unwrap());
    let run = measure(&[server("server", program)], KEEP_ALIVE);
    let failure = run.servers[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, FailureKind::Closes);
    assert!(run.is_clean() && tables(&run).contains("closes"));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs ab and nginx: LAB_CI=1 runs it")]
fn server_that_keeps_connections_is_measured_in_keep_alive_mode() {
    let run = measure(&[ServerSpec::peer(PEERS[0]).unwrap()], KEEP_ALIVE);
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    assert_eq!(run.levels().len(), 2);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs nginx and /proc: LAB_CI=1 runs it")]
fn nginx_has_as_many_workers_as_loops_and_no_log() {
    let (site, nginx) = (speed::site().unwrap(), ServerSpec::peer(PEERS[0]).unwrap());
    for loops in [1, 2] {
        for no_log in [false, true] {
            let tuning = Tuning {
                no_log,
                loops: Some(loops),
            };
            let server = nginx.start(&site, tuning).unwrap();
            server.ensure_serves_page(&site, Kind::Ab).unwrap();
            // The first process starts the workers.
            assert_eq!(usage::tasks(server.pid()), Some(1 + usize::from(loops)));
            assert_eq!(server.folder.path().join("access").exists(), !no_log);
        }
    }
}
