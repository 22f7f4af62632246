//! The site in `html/` as people see it: every page through every stage, in Chromium.
//!
//! The trials themselves are in JavaScript, in `tests/cli/tests/browser`. This test starts the
//! stages and runs them.

use harness::cleanup::{self, ScratchDir};
use harness::program::{CapturedOutput, Program, on_path};
use harness::server::{Server, Start};
use harness::site::Site;
use harness::workspace::{self, STAGES};
use serde_json::json;
use std::fs;
use std::time::Duration;
use walkdir::WalkDir;

/// After this time, the browser must be hanging: each trial has a timeout of its own, and all of them take six
/// minutes beside the other tests on two processors.
const LIMIT: Duration = Duration::from_secs(1800);

/// A file of the site that not everybody may read, and its content.
const PRIVATE_FILE: (&str, &str) = ("diary.txt", "my diary\n");

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs Node and Chromium: LAB_CI=1 runs it")]
fn site_works_in_chromium() {
    cleanup::handle_signals().unwrap();
    let _stages = crate::stages_by_name();
    let node = on_path("node").expect("Node is missing: apt-get install nodejs npm");
    let chromium = on_path("chromium").expect("Chromium is missing: apt-get install chromium");
    let modules = workspace::root().join("target/browser");
    let is_installed = modules.join("node_modules/playwright-core").exists();
    assert!(is_installed, "run tests/install first");

    let scratch = ScratchDir::new().unwrap();
    let site = site();
    let (mut servers, mut stages) = (Vec::new(), Vec::new());
    for (stage, binary) in STAGES.iter().zip(workspace::build_stages().unwrap()) {
        let (program, log) = (Program::new(binary), CapturedOutput::default());
        let server = Server::start(&program, &site, Start::default(), log).unwrap();
        stages.push(json!({
            "number": stage.number,
            "name": stage.name,
            "port": stage.port,
            "address": server.address,
        }));
        servers.push(server);
    }
    let settings = json!({
        "chromium": chromium,
        "modules": modules,
        "scratch": scratch.path(),
        "screenshots": workspace::root().join("target/screenshots"),
        "site": workspace::root().join("html"),
        "privateFile": { "name": PRIVATE_FILE.0, "content": PRIVATE_FILE.1 },
        "stages": stages,
    });
    let script = workspace::root().join("tests/cli/tests/browser/site.mjs");
    let mut program = Program::new(node);
    program.arguments = vec!["--test-reporter=spec".into(), script.into()];
    let output = program.run(&[&settings.to_string()], LIMIT).unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
}

/// A copy of `html/`, with a private file.
pub fn site() -> Site {
    let site = Site::new(fastrand::Rng::with_seed(0), None).unwrap();
    let html = workspace::root().join("html");
    for entry in WalkDir::new(&html) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(&html).unwrap();
            let content = fs::read(entry.path()).unwrap();
            site.add(name.to_str().unwrap(), &content).unwrap();
        }
    }
    site.add(PRIVATE_FILE.0, PRIVATE_FILE.1.as_bytes()).unwrap();
    site.set_mode(PRIVATE_FILE.0, 0o640).unwrap();
    site
}
