//! `cargo lab measure` as a command: what it writes, and what it reports at once.

use crate::{lab, run, write_script};
use assert_cmd::assert::{Assert, OutputAssertExt};
use harness::workspace;
use measure::speed::gateway::GroupResult;
use measure::speed::results::Run;
use measure::speed::server::Origin;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

fn measure(arguments: &[&str]) -> Command {
    let mut lab = lab();
    lab.arg("measure").args(arguments);
    lab
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs ab and a release build: LAB_CI=1 runs it")]
fn quick_run_writes_table_figures_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut quick = measure(&["1", "6", "--quick", "--rounds", "1", "--output"]);
    let output = run(quick.arg(folder.path())).stdout;
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("stage1_single"), "{output}");
    assert!(!output.contains('\x1b'), "{output}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    // Stage 1 keeps no connection open.
    for (name, servers, levels) in [("speed.json", 2, 4), ("kept.json", 1, 2)] {
        let run: Run = serde_json::from_str(&read(name)).unwrap();
        assert_eq!((run.servers.len(), run.levels().len()), (servers, levels));
    }
    assert!(read("waterfall.json").contains("stage1_single"));
    let mut pictures = vec!["throughput.svg", "kept.svg", "waterfall-1.svg"];
    pictures.extend(cfg!(target_os = "linux").then_some("memory.svg"));
    for name in pictures {
        assert!(output.contains(name), "{name}");
        assert!(read(name).starts_with("<svg"), "{name}");
    }
}

#[test]
#[cfg_attr(
    not(lab_ci),
    ignore = "needs ab, nginx and a release build: LAB_CI=1 runs it"
)]
fn program_and_stage_6_are_compared_with_nginx_without_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let stage_6 = workspace::build_stages().unwrap().remove(5);
    let mut compared = measure(&["6", "nginx", "--no-log", "--keep-alive", "--quick"]);
    compared
        .args(["--rounds", "1", "--output"])
        .arg(folder.path());
    compared
        .arg("--server")
        .arg(stage_6)
        .args(["--", "--quiet"]);
    let output = String::from_utf8(run(&mut compared).stdout).unwrap();
    assert!(output.contains("no log, loops: 1"), "{output}");
    let figures = fs::read(folder.path().join("kept.json")).unwrap();
    let run: Run = serde_json::from_slice(&figures).unwrap();
    let origins: Vec<Origin> = run.servers.iter().map(|it| it.origin).collect();
    assert_eq!(origins, [Origin::Stage(6), Origin::Peer, Origin::Own]);
    assert_eq!(run.servers[2].name, "stage6_events");
    assert_eq!(run.levels().len(), 6, "{:?}", run.failures());
}

#[test]
#[cfg_attr(
    not(lab_ci),
    ignore = "needs a C compiler and a release build: LAB_CI=1 runs it"
)]
fn process_run_writes_table_figures_and_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = measure(&["process", "--starts", "10", "--output"]);
    let process = process.arg(folder.path()).assert().success();
    process.stdout(contains("dynamic linker").and(contains("process.json")));
    let picture = fs::read_to_string(folder.path().join("process.svg")).unwrap();
    assert!(picture.starts_with("<svg"));
}

#[test]
#[cfg_attr(
    not(lab_ci),
    ignore = "needs ab, nginx, lighttpd and gunicorn: LAB_CI=1 runs it"
)]
fn applications_are_measured_behind_each_server() {
    let folder = tempfile::tempdir().unwrap();
    let venv = workspace::root().join("target/applications/venv/bin");
    let path = format!("{}:{}", venv.display(), env::var("PATH").unwrap());
    let mut gateway = measure(&["gateway", "--rounds", "1", "--output"]);
    run(gateway.arg(folder.path()).env("PATH", path));
    let figures = fs::read(folder.path().join("gateway.json")).unwrap();
    let results: Vec<GroupResult> = serde_json::from_slice(&figures).unwrap();
    assert_eq!(results.len(), 5);
    for GroupResult { name, run } in results {
        assert_eq!(run.levels().len(), 2, "{name}");
        assert!(run.is_clean(), "{name}: {:?}", run.failures());
    }
}

#[test]
fn wrong_usage_is_refused() {
    for (arguments, named) in [
        (&["7"][..], "1 to 6"),
        (&["apache"], "nginx"),
        (&["tests"], "package"),
        (&["../x"], "package"),
        (&["--rounds", "0"], "--rounds"),
        (&["3", "--no-log"], "not for stage3_threads"),
        (&["lighttpd", "--loops", "2"], "not for lighttpd"),
        (&["1", "--", "--quiet"], "--server"),
        (&["process", "--starts", "9"], "--starts"),
    ] {
        measure(arguments).assert().code(2).stderr(contains(named));
    }
    for kind in [&[][..], &["waterfall"], &["process"], &["gateway"]] {
        let measured = with_ab(&[kind, &["--output", "/proc/x"]].concat());
        measured.code(3).stderr(contains("Cannot write to /proc/x"));
    }
}

/// Runs the command where `ab` is the only program.
fn with_ab(arguments: &[&str]) -> Assert {
    let folder = tempfile::tempdir().unwrap();
    write_script(&folder.path().join("ab"), "#!/bin/sh\n");
    with_path(arguments, folder.path())
}

fn with_path(arguments: &[&str], path: &Path) -> Assert {
    measure(arguments).env("PATH", path).assert()
}

#[test]
fn missing_program_is_named_with_its_package() {
    let empty = tempfile::tempdir().unwrap();
    let no_generator = with_path(&["1"], empty.path()).code(3);
    no_generator
        .stderr(contains("apt-get install apache2-utils").and(contains("brew install hey")));
    let no_hey = with_ab(&["1", "--generator", "hey"]).code(3);
    no_hey.stderr(contains("hey is not installed"));
    let no_program = with_ab(&["--server", "/no/such/server"]).code(3);
    no_program.stderr(contains("There is no program `/no/such/server`"));
    let no_busybox = with_ab(&["busybox"]).code(3);
    no_busybox.stderr(contains("apt-get install busybox"));
}
