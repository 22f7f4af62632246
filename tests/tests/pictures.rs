//! The pictures of the lessons: what is measured is what happened, what is drawn is what was
//! measured, and the page of diffs is that of today's stages.

use assert_cmd::Command;
use lab::measure::Machine;
use lab::measure::waterfall::{self, CLIENTS, STALLED, Visit, Waterfall, picture};
use lab::plot::{AMBER, GREEN, GREY, PINK, Tone};
use lab::program::Program;
use lab::workspace::{self, STAGES};
use predicates::str::contains;
use roxmltree::{Document, Node};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

/// Long enough for seven clients to be answered meanwhile, however busy the machine is.
const TIMEOUT: u32 = 5;

/// What each stage does with eight clients.
fn waterfalls() -> Vec<Waterfall> {
    let binaries = workspace::build_stages().unwrap();
    let measured = |(stage, binary)| {
        let program = Program::new(binary);
        waterfall::measure(stage, &program, TIMEOUT, || ()).unwrap()
    };
    thread::scope(|scope| {
        let pairs = STAGES.iter().zip(binaries);
        let runs: Vec<_> = { pairs }
            .map(|pair| scope.spawn(move || measured(pair)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

#[test]
fn who_waits_for_whom_is_the_lesson() {
    let stages = waterfalls();
    for stage in &stages {
        let end = stage.stalled().unwrap().ended;
        assert_eq!(stage.clients.len(), CLIENTS as usize);
        assert!(stage.others().all(|visit| visit.status == Some(200)));
        for visit in stage.others() {
            let waits = stage.stage == 1 && visit.client > STALLED;
            let first = visit.first_byte.unwrap();
            let client = format!("{}, client {}: {visit:?}", stage.name, visit.client);
            assert_eq!(first > end, waits, "{client}");
            assert_eq!(visit.ended > end, waits, "{client}");
        }
        for visit in &stage.clients {
            let first = visit.first_byte.unwrap();
            let times = [
                visit.came,
                visit.connected,
                visit.written,
                first,
                visit.ended,
            ];
            assert!(times.is_sorted(), "{visit:?}");
        }
    }
    let span = picture::span(&stages);
    for stage in &stages {
        let svg = picture::draw(stage, span).unwrap();
        is_drawn_as_measured(&svg, stage);
    }
    assert!(
        stages[0]
            .sentence()
            .starts_with("Clients 4 to 8 get nothing")
    );
    assert!(stages[1].sentence().starts_with("Only client 3"));
}

/// The value of an attribute that is a number.
fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// Where the bars of that colour begin and end, which cross that height.
fn bars(document: &Document, tone: Tone, y: f64) -> Vec<(f64, f64)> {
    let holds = |node: &Node| {
        let (top, height) = (number(*node, "y"), number(*node, "height"));
        node.attribute("fill") == Some(&tone.written()) && top < y && y < top + height
    };
    let ends = |node: Node| (number(node, "x"), number(node, "x") + number(node, "width"));
    let bars = { document.descendants() }.filter(|node| node.has_tag_name("rect"));
    bars.filter(holds).map(ends).collect()
}

/// Every bar begins and ends where its figures say, in the row of its client.
fn is_drawn_as_measured(svg: &str, stage: &Waterfall) {
    let document = Document::parse(svg).unwrap();
    let nodes = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| node.has_tag_name(name))
    };
    let words: Vec<(f64, &str)> = { nodes("text") }
        .map(|node| (number(node, "y"), node.text().unwrap().trim()))
        .collect();
    let row = |visit: &Visit| {
        let name = format!("client {}", visit.client);
        let row = words.iter().find(|(_, text)| *text == name);
        row.unwrap_or_else(|| panic!("no row for {name}")).0
    };
    // The axis: where its last time is. Coordinates are whole numbers, and so the longest
    // stretch has the smallest error.
    let ticks = nodes("text").filter(|node| node.attribute("text-anchor") == Some("middle"));
    let seconds = |node: Node| node.text().unwrap().trim().trim_end_matches(" s").parse();
    let ticks: Vec<(f64, f64)> = ticks
        .map(|node| (seconds(node).unwrap(), number(node, "x")))
        .collect();
    let (zero, last) = (ticks[0], ticks[ticks.len() - 1]);
    assert!(zero.0 == 0.0 && last.0 > 1.0, "{ticks:?}");
    let place = |time: f64| zero.1 + time / 1000.0 * (last.1 - zero.1) / last.0;
    for visit in &stage.clients {
        let (y, first) = (row(visit), visit.first_byte.unwrap());
        let expected = match visit.stalled {
            true => vec![(PINK, visit.came, visit.ended)],
            false => vec![
                (GREY, visit.came, visit.written),
                (AMBER, visit.written, first),
                (GREEN, first, visit.ended),
            ],
        };
        for (tone, from, to) in expected {
            let drawn = bars(&document, tone, y);
            let [(left, right)] = drawn[..] else {
                panic!("{drawn:?} are not one bar of {visit:?}");
            };
            // Coordinates are whole numbers.
            let near = |one: f64, other: f64| (one - other).abs() <= 2.0;
            assert!(
                near(left, place(from)) && near(right, place(to)),
                "{visit:?}"
            );
        }
        let figure = waterfall::shown(visit.took());
        let there = words
            .iter()
            .any(|(height, text)| *height == y && *text == figure);
        assert!(there, "{figure} stands beside no bar of {visit:?}");
    }
}

#[test]
fn pictures_of_one_page_do_not_share_a_name() {
    let visit = |client| Visit {
        client,
        stalled: client == STALLED,
        came: 0.0,
        connected: 0.0,
        written: 0.0,
        first_byte: None,
        ended: 1.0,
        status: None,
    };
    for stage in [1, 2] {
        let stage = Waterfall {
            stage,
            name: "a".to_string(),
            idea: "<&>".to_string(),
            clients: (1..=CLIENTS).map(visit).collect(),
        };
        let svg = picture::draw(&stage, 500.0).unwrap();
        let document = Document::parse(&svg).unwrap();
        let id = format!("waterfall-{}", stage.stage);
        for node in document.descendants() {
            assert!(
                node.attribute("id")
                    .is_none_or(|name| name.starts_with(&id))
            );
        }
        let style = { document.descendants() }.find(|node| node.has_tag_name("style"));
        let style = style.unwrap().text().unwrap();
        let lines = style.lines().filter(|line| line.contains('['));
        assert!(lines.clone().count() > 0);
        assert!({ lines }.all(|line| line.starts_with(&format!("#{id} "))));
        let title = { document.descendants() }.find(|node| node.has_tag_name("title"));
        assert!(title.unwrap().text().unwrap().ends_with(": <&>"));
    }
}

#[test]
fn a_stage_that_dies_meanwhile_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("mortal");
    let faulty = env!("CARGO_BIN_EXE_faulty");
    let text = format!("#!/bin/sh\n'{faulty}' \"$@\" &\nsleep 0.4\nkill -9 $!\nexit 7\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let stage = workspace::stage(3);
    let died = waterfall::measure(stage, &Program::new(script), TIMEOUT, || ());
    let message = died.unwrap_err();
    assert!(
        message.starts_with("stage3_threads was not measured"),
        "{message}"
    );
    assert!(message.contains("exit status: 7"), "{message}");
}

#[test]
fn a_wrong_answer_is_no_measurement() {
    let mut program = Program::new(env!("CARGO_BIN_EXE_faulty"));
    program.arguments = ["--stage", "1", "--fault", "hello-to-all"]
        .map(Into::into)
        .to_vec();
    let wrong = waterfall::measure(workspace::stage(1), &program, 1, || ());
    let message = wrong.unwrap_err();
    assert!(message.contains("received"), "{message}");
}

#[test]
fn a_busy_machine_is_told_of() {
    let machine = |load| Machine {
        system: String::new(),
        processors: 2,
        load,
    };
    assert_eq!(machine(None).warning(), None);
    assert_eq!(machine(Some(2.0)).warning(), None);
    let warning = machine(Some(2.1)).warning().unwrap();
    assert!(
        warning.contains("2.1") && warning.contains("again"),
        "{warning}"
    );
    assert!(Machine::here().processors > 0);
    assert_eq!(Machine::here().load.is_some(), cfg!(target_os = "linux"));
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
    let folder = ["measure", "waterfall", "--output", "/proc/x"];
    lab(&folder).assert().code(3).stderr(contains("/proc/x"));
    lab(&["measure", "waterfall", "5"]).assert().code(2);
    lab(&["measure", "nothing"])
        .assert()
        .code(2)
        .stderr(contains("nothing"));
}

/// What the command writes to standard output, in that workspace.
fn page(root: &Path, arguments: &[&str]) -> String {
    let mut lab = lab(arguments);
    lab.env("CARGO_MANIFEST_DIR", root.join("tests"));
    let output = lab.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn the_page_of_diffs_is_that_of_todays_stages() {
    let root = workspace::root();
    let kept = fs::read_to_string(root.join("html/stages.html")).unwrap_or_default();
    assert!(
        kept == page(root, &["diff", "--html"]),
        "html/stages.html shows other stages, pictures or bars of links than there are now. \
         Renew it: cargo lab diff --html --output html/stages.html"
    );
    let changes = [(1, 2), (2, 3), (3, 4)]
        .map(|(one, other)| changes(&folder(root, one), &folder(root, other)));
    assert_eq!(shown_changes(&kept), sorted(changes.concat()));
    has_sound_links(&kept);
    for stage in &STAGES {
        let picture = format!("<svg id=\"waterfall-{}\"", stage.number);
        assert_eq!(kept.matches(&picture).count(), 1);
        assert!(kept.contains(stage.name) && kept.contains(stage.idea));
    }
    assert_eq!(kept.matches("<svg id=\"process\"").count(), 1);
}

fn folder(root: &Path, number: u8) -> PathBuf {
    root.join(workspace::stage(number).name)
}

/// A line that changes: its sign, its number on its side, and its text.
type Change = (String, usize, String);

/// The lines that change from one folder to another, by what `similar` says.
fn changes(one: &Path, other: &Path) -> Vec<Change> {
    let mut names = BTreeSet::new();
    for folder in [one, other] {
        names.insert(PathBuf::from("Cargo.toml"));
        let src = fs::read_dir(folder.join("src")).unwrap();
        names.extend(src.map(|entry| Path::new("src").join(entry.unwrap().file_name())));
    }
    let mut changes = Vec::new();
    for name in names {
        let text = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let (old, new) = (text(one), text(other));
        let diff = TextDiff::from_lines(&old, &new);
        for change in diff.iter_all_changes() {
            let index = match change.tag() {
                ChangeTag::Equal => continue,
                ChangeTag::Delete => change.old_index(),
                ChangeTag::Insert => change.new_index(),
            };
            let line = change.value().trim_end_matches('\n').to_string();
            changes.push((change.tag().to_string(), index.unwrap() + 1, line));
        }
    }
    sorted(changes)
}

/// The lines with a sign that a page shows, as its reader sees them.
fn shown_changes(page: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for line in page.split("<code><i>").skip(1) {
        let (line, _) = line.split_once("</code>").unwrap();
        let (number, line) = line.split_once("</i><b>").unwrap();
        let (sign, line) = line.split_once("</b>").unwrap();
        // Whatever stands between < and > is markup: text has neither.
        let texts = line
            .split('<')
            .map(|part| part.split_once('>').map_or("", |(_, text)| text));
        let text = html_escape::decode_html_entities(&texts.collect::<String>()).into_owned();
        if sign != " " {
            changes.push((sign.to_string(), number.parse().unwrap(), text));
        }
    }
    sorted(changes)
}

fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort();
    changes
}

/// Ids are unique, and what is linked to within the page is there.
fn has_sound_links(page: &str) {
    let values = |start: &'static str| {
        let parts = page.split(start).skip(1);
        parts
            .map(|part| part.split('"').next().unwrap())
            .collect::<Vec<_>>()
    };
    let ids = values(" id=\"");
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len());
    let links = values(" href=\"#");
    assert!(links.len() > 1);
    for link in links {
        assert!(unique.contains(link), "{link}");
    }
}

#[test]
fn a_page_shows_markup_and_never_is_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("tests/src/workspace.rs", "");
    write("stage1_single/Cargo.toml", "[package]\n");
    write(
        "stage1_single/src/main.rs",
        "one\n</span></code><b>bold\n&lt; two\nlast",
    );
    write("my_stage2/Cargo.toml", "[package]\n");
    let evil = "one\n</code><script>alert('x')</script>\n&lt; &amp;lt; 2\n\n\tlast\r\n";
    write("my_stage2/src/main.rs", evil);
    write(
        "my_stage2/src/a \"<b>&.rs",
        "<img src=x onerror=alert(1)>\n\u{202e}\n",
    );
    let arguments = ["diff", "1", "2", "--mine", "--html"];
    let page = page(root, &arguments);
    let expected = changes(&root.join("stage1_single"), &root.join("my_stage2"));
    let mut shown = shown_changes(&page);
    for (_, _, text) in &mut shown {
        *text = text.replace(" (without a line end)", "");
        // What would not be seen, or would turn the text around, is named.
        *text = text
            .replace("\\u{d}", "\r")
            .replace("\\u{202e}", "\u{202e}");
    }
    assert!(!page.contains(['\r', '\u{202e}']));
    assert_eq!(shown, expected);
    assert_eq!(page.matches("(without a line end)").count(), 1);
    // It stands alone: no script, and nothing to fetch.
    for markup in ["<script", "<img", "<b>bold", "href=\"/", "a \"<b>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    has_sound_links(&page);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<meta charset=\"utf-8\">"));
}

#[test]
fn a_page_goes_where_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let root = workspace::root();
    let mut write = lab(&["diff", "1", "2", "--html", "--output"]);
    write.arg(&file).assert().success().stdout("");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written == page(root, &["diff", "1", "2", "--html"]));
    let style = fs::read_to_string(root.join("html/style.css")).unwrap();
    assert!(written.contains(&style), "the page has its style within");

    lab(&["diff"]).assert().code(2).stderr(contains("<FROM>"));
    lab(&["diff", "1", "--html"])
        .assert()
        .code(2)
        .stderr(contains("<TO>"));
    // With --mine one number is enough: the lab's stage and the student's, if there is one.
    lab(&["diff", "2", "--mine"]).assert().code(vec![0, 3]);
    lab(&["diff", "1", "2", "--output", "x"])
        .assert()
        .code(2)
        .stderr(contains("--html"));
    let nowhere = ["diff", "1", "2", "--html", "--output", "/proc/x"];
    lab(&nowhere).assert().code(3).stderr(contains("/proc/x"));
}

#[test]
fn the_pictures_at_hand_are_of_a_whole_run() {
    let media = workspace::root().join("html/media");
    let read = |name: &str| fs::read_to_string(media.join(name)).unwrap();
    let run: waterfall::Run = serde_json::from_str(&read("waterfall.json")).unwrap();
    assert_eq!(run.schema, waterfall::SCHEMA);
    assert_eq!(run.stages.len(), STAGES.len());
    let span = picture::span(&run.stages);
    for stage in &run.stages {
        let name = format!("waterfall-{}.svg", stage.stage);
        let mend = "renew them: cargo lab measure waterfall --output html/media";
        assert!(
            read(&name) == picture::draw(stage, span).unwrap(),
            "{name}: {mend}"
        );
        let idea = workspace::stage(stage.stage).idea;
        assert!(stage.idea == idea, "{name} shows another idea; {mend}");
    }
}
