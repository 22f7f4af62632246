//! The course as pages: they follow the documents, and a translation follows its original.

use crate::lab;
use harness::cleanup::ProcessGroup;
use harness::process::Signal;
use harness::workspace;
use lab::book::{self, translation};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn pages_are_those_of_the_documents() {
    let old = book::read_pages();
    let new = book::pages(&old, "").unwrap();
    let differs = |(name, page): &(&String, &String)| old.get(*name) != Some(*page);
    let mut stale: Vec<&String> = new.iter().filter(differs).map(|(name, _)| name).collect();
    stale.extend(old.keys().filter(|name| !new.contains_key(*name)));
    assert!(
        stale.is_empty(),
        "{stale:?} are out of date. Update them: cargo lab book"
    );
}

#[test]
fn picture_of_a_changed_diagram_is_missing() {
    let mut old = book::read_pages();
    let name = "html/lessons/lesson-1.html";
    for name in [name, "html/zh/lessons/lesson-1.html"] {
        let page = &old[name];
        old.insert(
            name.to_string(),
            page.replace("<svg id=\"diagram-", "<svg id=\"another-"),
        );
    }
    let error = book::pages(&old, "").unwrap_err();
    assert!(error.contains("Draw it: cargo lab book"), "{error}");
}

#[test]
fn links_of_pages_lead_somewhere() {
    let pages = book::read_pages();
    let html = workspace::root().join("html");
    let mut broken = Vec::new();
    for (name, page) in &pages {
        let folder = workspace::root().join(name).with_file_name("");
        for link in page.split("href=\"").skip(1) {
            let target = link.split(['"', '#']).next().unwrap();
            let path = match target.strip_prefix('/') {
                _ if target.is_empty() || target.starts_with("http") => continue,
                Some(path) => html.join(path),
                None => folder.join(target),
            };
            if !path.exists() {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn translations_follow_their_originals() {
    let problems = translation::all_drift().unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "builds a stage: LAB_CI=1 runs it")]
fn lesson_opens_in_the_browser() {
    // What a Linux desktop calls to open an address. It writes it down.
    let folder = tempfile::tempdir().unwrap();
    let opened = folder.path().join("opened");
    let script = format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display());
    crate::write_script(&folder.path().join("xdg-open"), &script);
    let mut command = lab();
    command.args(["lesson", "0"]).env("DISPLAY", ":7");
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.path().display()));
    let started = ProcessGroup::start(command.stdout(Stdio::piped()));
    let (mut child, group) = started.unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim_end()
        .strip_prefix("Lesson 0: ")
        .unwrap()
        .to_string();
    let (host, target) = address["http://".len()..].split_once('/').unwrap();
    assert_eq!(target, "lessons/lesson-0.html");

    let mut client = TcpStream::connect(host).unwrap();
    std::io::Write::write_all(
        &mut client,
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let mut page = String::new();
    client.read_to_string(&mut page).unwrap();
    assert!(
        page.contains("<h1 id=\"lesson-0-a-request-by-hand\">"),
        "{page}"
    );
    if cfg!(target_os = "linux") {
        let start = Instant::now();
        while !fs::read_to_string(&opened).is_ok_and(|text| text.ends_with('\n')) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no browser was opened"
            );
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(fs::read_to_string(&opened).unwrap().trim_end(), address);
    }
    group.signal(Signal::INT);
    child.wait().unwrap();
    assert!(TcpStream::connect(host).is_err(), "the server is left");
}
