//! A server inherits only what is meant for it. A descriptor of the harness without CLOEXEC would
//! come along if a server started at that moment: its connections would stay open, or the check of
//! descriptors would count it.

#![cfg(target_os = "linux")]

use crate::faults;
use harness::cleanup::ScratchDir;
use harness::process;
use harness::program::{CapturedOutput, Program};
use harness::server::{Server, Start};
use harness::site::Site;
use harness::tcp;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::parent_id;
use std::sync::Arc;
use std::thread;

/// How many servers are started while other threads open descriptors.
const STARTS: usize = 40;

#[test]
fn server_inherits_no_descriptor_of_the_harness() {
    // It also opens what a run keeps open.
    crate::prepare();
    let (program, site) = (faults::program(1, None), site());
    let other = start(&program, &site);
    thread::scope(|scope| {
        // The threads end when this is dropped, by a panic too.
        let running = Arc::new(());
        let repeat = |action: fn(&Server)| {
            let (running, other) = (Arc::downgrade(&running), &other);
            scope.spawn(move || {
                while running.upgrade().is_some() {
                    action(other);
                }
            });
        };
        // Their results don't matter.
        repeat(|server| drop(tcp::listener(server.address)));
        repeat(|server| drop(server.get("/")));
        repeat(|server| drop(server.connect_small()));
        repeat(|server| drop((ScratchDir::new(), process::group(server.pid()))));
        let surplus = (0..STARTS).flat_map(|_| surplus(&start(&program, &site)));
        let surplus: Vec<String> = surplus.collect();
        assert!(surplus.is_empty(), "in {STARTS} servers: {surplus:?}");
    });
}

fn site() -> Site {
    Site::new(fastrand::Rng::with_seed(0), None).unwrap()
}

fn start(program: &Program, site: &Site) -> Server {
    Server::start(program, site, Start::default(), CapturedOutput::default()).unwrap()
}

/// What a server has open, apart from descriptors 0, 1 and 2, its listener, and what it inherits from
/// the process that started the tests.
fn surplus(server: &Server) -> Vec<String> {
    let mut open = descriptors(server.pid());
    for number in 0..3 {
        assert!(open.remove(&number).is_some(), "{number} is closed");
    }
    let listener = tcp::listener(server.address).unwrap().unwrap();
    let listener = format!("socket:[{}]", listener.inode);
    let count = open.len();
    open.retain(|_, target| *target != listener);
    assert_eq!(count - open.len(), 1, "its listener is open once");
    let inherited = descriptors(parent_id().cast_signed());
    let mut surplus: Vec<String> = open.into_values().collect();
    surplus.retain(|target| !inherited.values().any(|it| it == target));
    surplus
}

/// The descriptors of a process, and what they lead to.
fn descriptors(pid: i32) -> BTreeMap<i32, String> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let entry = entry.unwrap();
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        // One that has been closed meanwhile leads nowhere.
        if let Ok(target) = fs::read_link(entry.path()) {
            open.insert(number, target.display().to_string());
        }
    }
    open
}
