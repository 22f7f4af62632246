//! A run that is given up leaves neither processes nor folders behind.

#![cfg(target_os = "linux")]

use crate::faults;
use harness::cleanup::{self, ScratchDir};
use harness::process;
use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;
use suite::check::{Check, DEFAULTS};
use suite::run::{Run, Verdict, run_all};

/// It never ends, and names its server.
static ENDLESS: Check = Check {
    id: "endless",
    needs: &[],
    run: |ctx| {
        let server = ctx.start()?;
        println!("\nserver {}", server.pid());
        loop {
            thread::park();
        }
    },
    ..DEFAULTS
};

#[test]
fn check_that_never_ends_leaves_nothing_behind() {
    let folder = ScratchDir::new().unwrap();
    faults::program(1, None);
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "cleanup::endless_run",
            "--ignored",
            "--nocapture",
        ])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let pid = text.lines().find_map(|line| line.strip_prefix("server "));
    let pid: i32 = pid.expect(&text).parse().unwrap();
    assert!(!process::exists(pid), "its server is still running");
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "left in the temporary folder");
}

/// What `main` does when a check never ends.
#[test]
#[ignore = "kills all servers of its process: the test above runs it in one of its own"]
fn endless_run() {
    let program = faults::program(1, None);
    let mut run = Run::new(vec![&ENDLESS], program, 1);
    run.verdict_timeout = Duration::from_secs(5);
    let verdicts = run_all(run, |_, _| ());
    assert!(
        matches!(verdicts[0].verdict, Verdict::Broken(_)),
        "{verdicts:?}"
    );
    cleanup::clean_up();
}
