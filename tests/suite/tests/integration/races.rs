//! What a name leads to changes while stage 4 looks: a thread swaps it again and again during
//! requests. Stages 1 to 3 open files in a simpler way, which such a race can win.

use crate::stages::{get, stages, start};
use harness::cleanup;
use harness::site::Site;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long each race lasts.
const DURATION: Duration = Duration::from_secs(2);

/// How many clients send requests at the same time.
const CLIENTS: usize = 2;

#[test]
fn fifo_in_the_place_of_a_file_blocks_nobody() {
    let prepare = |root: &Path, _: &Path| {
        let made = cleanup::run(Command::new("mkfifo").arg(root.join("other")));
        assert!(made.unwrap().status.success());
        fs::write(root.join("name"), "inside").unwrap();
    };
    ensure_nothing_leaks("/name", prepare);
}

#[test]
fn link_in_the_place_of_a_file_leaks_nothing() {
    let prepare = |root: &Path, outside: &Path| {
        symlink(outside.join("page.txt"), root.join("other")).unwrap();
        fs::write(root.join("name"), "inside").unwrap();
    };
    ensure_nothing_leaks("/name", prepare);
}

#[test]
fn link_in_the_place_of_a_folder_leaks_nothing() {
    let prepare = |root: &Path, outside: &Path| {
        symlink(outside, root.join("other")).unwrap();
        fs::create_dir(root.join("name")).unwrap();
        fs::write(root.join("name/page.txt"), "inside").unwrap();
    };
    ensure_nothing_leaks("/name/page.txt", prepare);
}

/// Requests a path from stage 4 while `name` and `other` in its root are swapped. `prepare` makes
/// both, given the root and a folder outside. Each response must come, and must be the file inside the
/// root or a refusal.
fn ensure_nothing_leaks(path: &str, prepare: fn(&Path, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    for folder in [&root, &outside] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(outside.join("page.txt"), "outside").unwrap();
    prepare(&root, &outside);
    let mut stage = start(stages().last().unwrap(), folder.path(), &["--root", "root"]);
    // A full log would block it.
    let mut log = stage.child.stderr.take().unwrap();
    thread::spawn(move || io::copy(&mut log, &mut io::sink()));
    let (name, other) = (root.join("name"), root.join("other"));
    let end = Instant::now() + DURATION;
    let responses = || {
        let mut responses = Vec::new();
        while Instant::now() < end {
            // A request that blocks fails here.
            responses.push(get(&stage, path));
        }
        responses
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(responses)).collect();
        while Instant::now() < end {
            renameat_with(CWD, &name, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        }
        for (status, content) in clients.into_iter().flat_map(|it| it.join().unwrap()) {
            let key = if status == 200 {
                content
            } else {
                status.to_string()
            };
            *seen.entry(key).or_default() += 1;
        }
    });
    println!("{path}: {seen:?}");
    let is_expected = |key: &String| ["inside", "403", "404"].contains(&key.as_str());
    assert!(seen.keys().all(is_expected), "{path}: {seen:?}");
    // Without both, nothing has been swapped in time.
    assert!(
        seen.len() > 1 && seen.contains_key("inside"),
        "{path}: {seen:?}"
    );
}

#[test]
fn programs_can_be_executed_while_pipes_are_made() {
    let site = |seed| Site::new(fastrand::Rng::with_seed(seed), None).unwrap();
    let pipes = thread::spawn(move || {
        let site = site(1);
        (0..300).for_each(|it| site.add_fifo(&format!("pipe{it}")).unwrap());
    });
    let site = site(2);
    for number in 0..300 {
        let script = "#!/bin/sh\n".to_string() + &"#\n".repeat(100_000);
        let name = format!("program{number}");
        let path = site.add_outside(&name, &script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let output = cleanup::run(&mut Command::new(path)).unwrap();
        assert!(output.status.success());
    }
    pipes.join().unwrap();
}
