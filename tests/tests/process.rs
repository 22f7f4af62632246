//! What a process costs: each step does what it says, what is drawn is what was measured, and
//! a program that does something else is no measurement.

use assert_cmd::Command;
use lab::ending::Folder;
use lab::measure::Machine;
use lab::measure::process::programs::{Build, stage_steps};
use lab::measure::process::{self, Cost, Part, Process, Run, Staircase, picture, shown};
use lab::plot::{AMBER, GREEN, PINK, Tone};
use lab::site::Site;
use lab::workspace;
use predicates::str::contains;
use roxmltree::{Document, Node};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As few starts as the tenths of a run allow.
const STARTS: usize = 10;

/// The staircases of this machine, with the stage as it is tested: a debug build.
fn staircases(site: &Site, folder: &Folder) -> Vec<Staircase> {
    let stage = workspace::build_stages().unwrap().remove(1);
    let staircase = |build: Build| {
        let stage = match build {
            Build::Dynamic => Ok(stage.as_path()),
            _ => Err("it is not built for this test".to_string()),
        };
        build.staircase(stage, site, folder.path()).unwrap()
    };
    Build::ALL.map(staircase).to_vec()
}

#[test]
fn each_step_does_what_it_says() {
    let site = Site::new(fastrand::Rng::new(), None).unwrap();
    let folder = Folder::new().unwrap();
    let staircases = staircases(&site, &folder);
    for staircase in &staircases {
        let parts = staircase.steps.iter().map(|step| step.part);
        let missing = staircase.missing.iter().map(|(part, _)| *part);
        let mut all: Vec<Part> = parts.chain(missing).collect();
        all.sort();
        assert_eq!(all, staircase.build.parts());
    }
    if cfg!(target_os = "linux") {
        assert_eq!(staircases[0].missing, []);
    }
    let rounds = AtomicUsize::new(0);
    let measured = process::measure(&staircases, STARTS, || {
        rounds.fetch_add(1, Ordering::Relaxed);
    });
    let measured = measured.unwrap();
    assert_eq!(rounds.into_inner(), STARTS);
    let whole = &measured[0];
    let status = |part| whole.cost(part).unwrap().status;
    let parts = [Part::Stage, Part::Answer, Part::Regex, Part::File];
    assert_eq!(parts.map(status), [None, Some(414), Some(505), Some(200)]);
    for process in &measured {
        is_consistent(process);
    }
    // Only what holds on any machine: no server is done sooner than a program that only ends.
    assert!(whole.whole() > whole.costs[0].least);
    let svg = picture::draw(&measured).unwrap();
    is_drawn_as_measured(&svg, &[whole]);
}

/// The figures of a process fit together.
fn is_consistent(process: &Process) {
    let added: Vec<Part> = { process.costs.iter() }
        .flat_map(|cost| cost.adds.clone())
        .collect();
    let below = process.costs.last().map(|cost| cost.part);
    let parts = process.build.parts().iter().copied();
    let parts: Vec<Part> = parts.filter(|part| Some(*part) <= below).collect();
    assert_eq!(added, parts, "each part is counted once");
    for cost in &process.costs {
        let Cost { least, most, .. } = *cost;
        let quantiles = [least, cost.quarter, cost.median, cost.three_quarters, most];
        assert!(least > 0.0 && quantiles.is_sorted(), "{cost:?}");
        assert_eq!(cost.tenths.len(), 10);
        let within = |tenth: &f64| (least..=most).contains(tenth);
        assert!(cost.tenths.iter().all(within), "{cost:?}");
        assert!(cost.executable > 0);
    }
    let sum: f64 = process.prices().iter().sum();
    assert!((sum - process.whole()).abs() < 0.01);
    assert_eq!(process.noise().len(), process.costs.len());
}

/// A process of which these parts were measured, each of which takes so long.
fn invented(build: Build, prices: &[(Part, f64)]) -> Process {
    let mut median = 0.0;
    let mut below = None;
    let mut costs = Vec::new();
    for (part, price) in prices {
        median += price;
        let adds = { build.parts().iter().copied() }
            .filter(|other| Some(*other) > below && other <= part)
            .collect();
        below = Some(*part);
        costs.push(Cost {
            part: *part,
            adds,
            executable: 1,
            status: None,
            least: median - 20.0,
            quarter: median - 10.0,
            median,
            three_quarters: median + 10.0,
            most: median + 20.0,
            tenths: vec![median; 10],
        });
    }
    Process { build, costs }
}

fn three() -> [Process; 3] {
    let parts = |build: Build, step: f64| {
        let prices = { build.parts().iter().enumerate() }
            .map(|(index, part)| (*part, step * (index + 1) as f64));
        invented(build, &prices.collect::<Vec<_>>())
    };
    [
        parts(Build::Dynamic, 40.0),
        parts(Build::Static, 30.5),
        parts(Build::Musl, 7.0),
    ]
}

#[test]
fn a_picture_shows_the_figures_of_all_builds() {
    let processes = three();
    let svg = picture::draw(&processes).unwrap();
    is_drawn_as_measured(&svg, &[&processes[0], &processes[1], &processes[2]]);
    let document = Document::parse(&svg).unwrap();
    let description = { document.descendants() }.find(|node| node.has_tag_name("desc"));
    let description = description.unwrap().text().unwrap();
    for process in &processes {
        assert!(description.contains(&shown(process.whole())));
    }
    let caption = picture::caption(&processes).unwrap();
    assert!(caption.contains("400 µs of these 1440 µs"), "{caption}");
    assert!(
        caption.ends_with("; built static, with musl, 42 µs of 196 µs."),
        "{caption}"
    );
    // A staircase that ends half way is not drawn: it would look like a short one.
    let mut half = processes.to_vec();
    half[2].costs.pop();
    let two = picture::draw(&half).unwrap();
    assert!(two == picture::draw(&processes[..2]).unwrap());
    let none = picture::draw(&half[2..]).unwrap_err();
    assert!(none.contains("No process"), "{none}");
}

#[test]
fn what_is_missing_counts_with_what_follows() {
    let prices = [(Part::Linker, 90.0), (Part::Rust, -5.0), (Part::File, 10.0)];
    let process = invented(Build::Dynamic, &prices);
    is_consistent(&process);
    assert_eq!(
        process.costs[0].adds,
        [Part::Kernel, Part::Libc, Part::Linker]
    );
    assert_eq!(process.prices(), [90.0, -5.0, 10.0]);
    // What takes less than nothing, since it is too little to be seen, is shown as it is.
    let svg = picture::draw(std::slice::from_ref(&process)).unwrap();
    assert!(svg.contains("−5 µs"));
    is_drawn_as_measured(&svg, &[&process]);
    assert_eq!(
        [shown(-0.4), shown(0.4), shown(0.6)],
        ["0 µs", "0 µs", "1 µs"]
    );
}

#[test]
fn noise_is_half_of_what_tenths_differ_by() {
    let mut process = invented(Build::Static, &[(Part::Kernel, 100.0), (Part::Libc, 50.0)]);
    assert_eq!(process.noise(), [0.0, 0.0]);
    // A busy moment that meets both alike is none of the second part's.
    process.costs[0].tenths[3] = 140.0;
    process.costs[1].tenths[3] = 190.0;
    assert_eq!(process.noise(), [20.0, 0.0]);
    process.costs[1].tenths[7] = 144.0;
    assert_eq!(process.noise(), [20.0, 3.0]);
}

/// The value of an attribute that is a number.
fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// From where to where a bar is, and its middle line.
type Bar = (f64, f64, f64);

/// The bars of that colour, from top to bottom; the last is the one of the legend.
fn bars(document: &Document, tone: Tone) -> Vec<Bar> {
    let coloured = |node: &Node| node.attribute("fill") == Some(&tone.written());
    let bars = { document.descendants() }.filter(|node| node.has_tag_name("rect"));
    let place = |node: Node| {
        let (x, y) = (number(node, "x"), number(node, "y"));
        (
            x,
            x + number(node, "width"),
            y + number(node, "height") / 2.0,
        )
    };
    let mut bars: Vec<Bar> = bars.filter(coloured).map(place).collect();
    bars.sort_by(|one, other| one.2.total_cmp(&other.2));
    bars
}

fn tone(build: Build) -> Tone {
    match build {
        Build::Dynamic => GREEN,
        Build::Static => AMBER,
        Build::Musl => PINK,
    }
}

/// Each bar begins where the one before has ended, is as long as its figure says, stands in
/// the row of its part, and has its figure beside it; the last one is the whole.
fn is_drawn_as_measured(svg: &str, processes: &[&Process]) {
    let document = Document::parse(svg).unwrap();
    let texts = { document.descendants() }.filter(|node| node.has_tag_name("text"));
    let words: Vec<(f64, f64, &str)> = { texts.clone() }
        .map(|node| {
            (
                number(node, "x"),
                number(node, "y"),
                node.text().unwrap().trim(),
            )
        })
        .collect();
    let row = |name: &str| {
        let row = words.iter().find(|(_, _, text)| *text == name);
        row.unwrap_or_else(|| panic!("no row for {name}")).1
    };
    // The axis: its first and its last time.
    let ticks = texts.filter(|node| node.attribute("text-anchor") == Some("middle"));
    let time = |node: Node| node.text().unwrap().trim().trim_end_matches(" µs").parse();
    let ticks: Vec<(f64, f64)> = { ticks }
        .map(|node| (time(node).unwrap(), number(node, "x")))
        .collect();
    let (zero, last) = (ticks[0], ticks[ticks.len() - 1]);
    assert!(zero.0 == 0.0 && last.0 > 0.0, "{ticks:?}");
    let place = |time: f64| zero.1 + time * (last.1 - zero.1) / last.0;
    for process in processes {
        let (bars, mut below) = (bars(&document, tone(process.build)), 0.0);
        assert_eq!(bars.len(), process.costs.len() + 2);
        let mut expected: Vec<(&str, f64, f64)> = Vec::new();
        for cost in &process.costs {
            expected.push((cost.part.words(), below, cost.median));
            below = cost.median;
        }
        expected.push(("one process, one page", 0.0, process.whole()));
        for ((name, from, to), (left, right, y)) in expected.into_iter().zip(bars) {
            // Coordinates are whole numbers, and those of the axis are taken from labels.
            let near = |one: f64, other: f64| (one - other).abs() <= 3.0;
            let (least, most) = (from.min(to), from.max(to));
            let fits = near(left, place(least)) && near(right, place(most));
            assert!(fits, "{name}: {left} to {right}, not {from} to {to}");
            assert!((row(name) - y).abs() < 60.0, "{name} is in another row");
            let figure = shown(to - from);
            let beside = |(x, height, text): &(f64, f64, &str)| {
                *text == figure && (height - y).abs() <= 2.0 && (x - right).abs() < 15.0
            };
            assert!(
                words.iter().any(beside),
                "{name}: no {figure} beside its bar"
            );
        }
    }
}

#[test]
fn figures_are_read_as_they_were_written() {
    let run = Run {
        schema: process::SCHEMA.to_string(),
        started: "2026-01-01T00:00:00Z".to_string(),
        machine: Machine::here(),
        starts: 10,
        builds: three().to_vec(),
        missing: vec!["something".to_string()],
    };
    let text = serde_json::to_string_pretty(&run).unwrap();
    let read: Run = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&read).unwrap(), text);
    assert!(text.contains("\"http-lab/process/v1\"") && text.contains("\"dynamic\""));
    assert!(picture::draw(&read.builds).unwrap() == picture::draw(&run.builds).unwrap());
}

/// Measures only the step of that part.
fn measured(part: Part, program: &Path, site: &Site) -> Result<Vec<Process>, String> {
    let mut steps = stage_steps(program, site).unwrap();
    steps.retain(|step| step.part == part);
    let staircase = Staircase {
        build: Build::Dynamic,
        steps,
        missing: Vec::new(),
    };
    process::measure(&[staircase], STARTS, || ())
}

/// Measures one step only, with a script in place of its program.
fn with_script(part: Part, script: &str) -> String {
    let site = Site::new(fastrand::Rng::new(), None).unwrap();
    let folder = Folder::new().unwrap();
    let program = folder.path().join("script");
    // It hears its client out, or the connection would be reset.
    let text = format!("#!/bin/sh\ncat >/dev/null\n{script}\n");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let outcome = measured(part, &program, &site);
    let message = outcome.unwrap_err();
    assert!(message.contains(part.step()), "{message}");
    assert!(
        message.contains(&program.display().to_string()),
        "{message}"
    );
    message
}

#[test]
fn a_program_that_does_something_else_is_no_measurement() {
    let died = with_script(Part::Stage, "echo no such folder >&2; exit 7");
    assert!(died.contains("exit status: 7"), "{died}");
    assert!(died.contains("no such folder"), "{died}");
    let silent = with_script(Part::Regex, "exit 0");
    assert!(silent.contains("answer 505, received none"), "{silent}");
    let answer = |status: &str| format!("printf 'HTTP/1.1 {status}\\r\\n\\r\\nhello' >&0");
    let another = with_script(Part::Answer, &answer("400 Bad Request"));
    assert!(another.contains("answer 414, received 400"), "{another}");
    let spoke = with_script(Part::Stage, &answer("200 OK"));
    assert!(spoke.contains("answer none, received 200"), "{spoke}");
    let wrong = with_script(Part::File, &answer("200 OK"));
    assert!(wrong.contains("does not serve the page"), "{wrong}");
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let message = with_script(Part::Stage, "sleep 60");
    assert!(message.contains("still runs after 5s"), "{message}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let site = Site::new(fastrand::Rng::new(), None).unwrap();
    let outcome = measured(Part::Stage, Path::new("/no/such/server"), &site);
    let message = outcome.unwrap_err();
    assert!(
        message.contains("/no/such/server: No such file"),
        "{message}"
    );
}

/// The command.
fn lab(arguments: &[&str]) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.env("CARGO_MANIFEST_DIR", workspace::root().join("tests"));
    lab.args(arguments);
    lab
}

#[test]
fn what_cannot_be_measured_is_said_at_once() {
    let process = ["measure", "process"];
    let nowhere = [&process[..], &["--output", "/proc/x"]].concat();
    lab(&nowhere).assert().code(3).stderr(contains("/proc/x"));
    for arguments in [
        &["--starts", "9"][..],
        &["--starts", "x"],
        &["--starts", "50", "--quick"],
    ] {
        let arguments = [&process[..], arguments].concat();
        lab(&arguments)
            .assert()
            .code(2)
            .stderr(contains("--starts"));
    }
}

#[test]
fn the_picture_at_hand_is_of_a_whole_run() {
    let media = workspace::root().join("html/media");
    let read = |name: &str| fs::read_to_string(media.join(name)).unwrap();
    let run: Run = serde_json::from_str(&read("process.json")).unwrap();
    let mend = "renew it: cargo lab measure process --starts 1500 --output html/media";
    assert_eq!(run.schema, process::SCHEMA, "{mend}");
    assert!(
        read("process.svg") == picture::draw(&run.builds).unwrap(),
        "{mend}"
    );
    assert!(
        run.builds[0].is_whole() && run.builds[1].is_whole(),
        "{mend}"
    );
    run.builds.iter().for_each(is_consistent);
}
