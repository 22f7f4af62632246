//! What is shown of figures: they are made up here, and found again in sums and pictures.

use lab::measure::Machine;
use lab::measure::speed::generator::{Generator, Kind};
use lab::measure::speed::memory::{Idle, Memory};
use lab::measure::speed::run::{Cell, Incident, Round, Run, SCHEMA, Server, What};
use lab::measure::speed::server::Origin;
use lab::measure::speed::table::{self, whole};
use lab::measure::speed::{CLIENTS, MAIN, picture};
use lab::plot::{AMBER, BLUE, GREEN, GREY, INK, LABEL, PINK, TITLE, Tone, width};
use lab::workspace::{self, STAGES};
use libtest_mimic::Failed;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use std::fs;

fn round(round: u32, rate: f64) -> Round {
    Round {
        round,
        turn: 1,
        answered: 1000,
        errors: u64::from(round),
        seconds: 2.0,
        rate,
        mean: 1.5,
        p50: 1.0 * f64::from(round),
        p99: 2.0,
        processor: Some(50.0),
        generator: None,
    }
}

/// A server of such a rate with 1 client, and more with each number of clients; and of so much
/// memory, and more with each idle connection.
fn server(name: &str, origin: Origin, rate: f64, mebibytes: f64, each: f64) -> Server {
    let cells = (1..).zip(CLIENTS).map(|(times, clients)| Cell {
        clients,
        rounds: vec![round(1, rate * f64::from(times))],
    });
    let idle = [0, 25, 50, 75, 100].map(|connections| Idle {
        connections,
        open: connections,
        accepted: connections,
        processes: 1,
        threads: 1,
        bytes: ((mebibytes + each * connections as f64) * 1_048_576.0) as u64,
    });
    Server {
        name: name.to_string(),
        origin,
        version: Some("1".to_string()),
        closes: false,
        cells: cells.collect(),
        memory: Some(Memory { idle: idle.into() }),
        large: None,
    }
}

/// A run with many servers, some of them so near to one another that their names would lie on
/// one another.
fn run() -> Run {
    let stage =
        |number, name, rate, rest, each| server(name, Origin::Stage(number), rate, rest, each);
    let peer = |name, rate, rest, each| server(name, Origin::Peer, rate, rest, each);
    let generator = serde_json::json!({"kind": "ab", "version": "ab 2.3", "reason": "a test"});
    let generator: Generator = serde_json::from_value(generator).unwrap();
    Run {
        schema: SCHEMA.to_string(),
        started: "2000-01-01T00:00:00Z".to_string(),
        took: 1.0,
        machine: Machine::here(),
        busy: Some(0.5),
        generator,
        keep_alive: false,
        rounds: 1,
        seconds: 1.0,
        requests: 1000,
        page: 4096,
        servers: vec![
            stage(1, "stage1_single", 4000.0, 1.0, 0.0),
            stage(2, "stage2_multiprocess", 200.0, 1.2, 0.2),
            stage(3, "stage3_threads", 3000.0, 1.3, 0.018),
            stage(4, "stage4_builder", 2990.0, 1.4, 0.018),
            server(
                "my_stage4_query_parameters",
                Origin::Own,
                2980.0,
                1.5,
                0.018,
            ),
            peer("nginx", 3800.0, 7.0, 0.001),
            peer("lighttpd", 3990.0, 1.1, 0.002),
            peer("busybox", 250.0, 0.6, 0.05),
            peer("python3", 20.0, 20.0, 0.03),
        ],
        incidents: Vec::new(),
    }
}

pub fn rounds_are_summed_up() -> Result<(), Failed> {
    let cell = |rates: &[f64]| Cell {
        clients: 8,
        rounds: (1..)
            .zip(rates)
            .map(|(number, rate)| round(number, *rate))
            .collect(),
    };
    assert!(cell(&[]).summary().is_none());
    let one = cell(&[100.0]).summary().unwrap();
    assert_eq!((one.rate, one.errors, one.spread), (100.0, 1, None));
    let two = cell(&[100.0, 200.0]).summary().unwrap();
    assert_eq!((two.rate, two.p50, two.errors), (150.0, 1.5, 3));
    let three = cell(&[300.0, 100.0, 200.0]).summary().unwrap();
    assert_eq!(
        (three.rate, three.errors, three.spread),
        (200.0, 6, Some(1.0))
    );

    let mut run = run();
    run.servers.truncate(2);
    let incident = |what| Incident {
        server: run.servers[0].name.clone(),
        clients: Some(8),
        round: Some(2),
        what,
        detail: String::new(),
    };
    // A round without ports says nothing of the server, its death all.
    let (ports, died) = (incident(What::PortsUsedUp), incident(What::Died));
    run.incidents = vec![ports];
    assert!(run.cell(&run.servers[0], 8).is_ok());
    run.incidents.push(died);
    assert_eq!(run.cell(&run.servers[0], 8).unwrap_err(), Some(What::Died));
    assert!(run.cell(&run.servers[0], 1).is_ok() && run.cell(&run.servers[1], 8).is_ok());
    Ok(())
}

pub fn figures_can_be_read_again() -> Result<(), Failed> {
    let run = run();
    let text = serde_json::to_string(&run)?;
    let again: Run = serde_json::from_str(&text)?;
    assert!(serde_json::to_string(&again)? == text);
    assert_eq!(again.generator.kind, Kind::Ab);
    assert_eq!(again.servers[1].origin, Origin::Stage(2));
    Ok(())
}

pub fn throughput() -> Result<(), Failed> {
    let run = run();
    let svg = picture::throughput(&run)?.ok_or("no picture")?;
    let document = Document::parse(&svg)?;
    let zero = axis(&document, "0");
    let other = axis(&document, "15,000");
    let y = |rate: f64| zero + (other - zero) * rate / 15_000.0;
    for server in &run.servers {
        let rates = server.cells.iter().map(|cell| cell.rounds[0].rate);
        has_line(&document, server, &rates.map(y).collect::<Vec<f64>>());
    }
    is_well_made(&svg, "throughput", &run);
    Ok(())
}

pub fn memory() -> Result<(), Failed> {
    let run = run();
    let svg = picture::memory(&run)?.ok_or("no picture")?;
    let document = Document::parse(&svg)?;
    let one = axis(&document, "1");
    let ten = axis(&document, "10");
    let y = |mebibytes: f64| one + (ten - one) * mebibytes.log10();
    for server in &run.servers {
        let idle = &server.memory.as_ref().unwrap().idle;
        let places = idle.iter().map(|idle| y(idle.bytes as f64 / 1_048_576.0));
        has_line(&document, server, &places.collect::<Vec<f64>>());
    }
    is_well_made(&svg, "memory", &run);
    Ok(())
}

fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

fn texts<'a>(document: &'a Document) -> Vec<(Node<'a, 'a>, &'a str)> {
    let nodes = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    nodes
        .map(|node| (node, node.text().unwrap().trim()))
        .collect()
}

/// At which height a figure of the y axis stands.
fn axis(document: &Document, figure: &str) -> f64 {
    let of_axis = |(node, text): &&(Node, &str)| {
        *text == figure && node.attribute("text-anchor") == Some("end")
    };
    let texts = texts(document);
    let mark = texts.iter().find(of_axis);
    number(mark.unwrap_or_else(|| panic!("no mark {figure}")).0, "y")
}

fn tone(server: &Server) -> Tone {
    match server.origin {
        Origin::Stage(number) => [GREEN, BLUE, PINK, AMBER][usize::from(number) - 1],
        Origin::Own => INK,
        Origin::Peer => GREY,
    }
}

/// There is a line in the server's colour through these heights, from left to right.
fn has_line(document: &Document, server: &Server, heights: &[f64]) {
    let lines = { document.descendants() }.filter(|node| {
        node.has_tag_name("polyline") && node.attribute("stroke") == Some(&tone(server).written())
    });
    let points = |line: Node| -> Vec<(f64, f64)> {
        let points = line.attribute("points").unwrap().split_whitespace();
        let point = |point: &str| {
            let (x, y) = point.split_once(',').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        points.map(point).collect()
    };
    // Coordinates are whole numbers, and the axis was read off two of them.
    let fits = |points: Vec<(f64, f64)>| {
        points.len() == heights.len() && points.is_sorted_by(|one, other| one.0 < other.0) && {
            points.iter().zip(heights)
        }
        .all(|(point, y)| (point.1 - y).abs() < 2.5)
    };
    assert!(
        lines.map(points).any(fits),
        "no line of {}: {heights:?}",
        server.name
    );
}

/// It speaks to those who do not see it, has dark tones, and its words have room.
fn is_well_made(svg: &str, id: &str, run: &Run) {
    let document = Document::parse(svg).unwrap();
    assert_eq!(document.root_element().attribute("id"), Some(id));
    let child = |name: &str| {
        let child = { document.descendants() }.find(|node| node.has_tag_name(name));
        child.unwrap().text().unwrap().to_string()
    };
    assert!(!child("title").is_empty());
    assert!({ run.servers.iter() }.all(|server| child("desc").contains(&server.name)));
    let style = child("style");
    let colours = document.descendants().flat_map(|node| node.attributes());
    let colours: BTreeSet<&str> = { colours }
        .filter(|attribute| ["fill", "stroke"].contains(&attribute.name()))
        .map(|attribute| attribute.value())
        .filter(|value| *value != "none")
        .collect();
    assert!(colours.len() > 6);
    for colour in colours {
        assert!(
            style.contains(&format!("=\"{colour}\"]")),
            "{colour} stays as it is"
        );
    }
    let view = document.root_element().attribute("viewBox").unwrap();
    let view: Vec<f64> = view.split(' ').map(|part| part.parse().unwrap()).collect();
    let boxes: Vec<_> = { texts(&document).into_iter() }
        .map(|(node, text)| (text, extent(node, text)))
        .collect();
    for (at, (text, (left, top, right, bottom))) in boxes.iter().enumerate() {
        let within = *left >= 0.0 && *top >= 0.0 && *right <= view[2] && *bottom <= view[3];
        assert!(
            within,
            "{text} stands outside: {left} to {right}, {top} to {bottom}"
        );
        for (other, (x1, y1, x2, y2)) in &boxes[at + 1..] {
            let apart = right < x1 || x2 < left || bottom < y1 || y2 < top;
            assert!(apart, "{text} and {other} lie on one another");
        }
    }
}

/// About what room words take: left, top, right, bottom.
fn extent(node: Node, text: &str) -> (f64, f64, f64, f64) {
    let title = number(node, "y") < 60.0;
    let high = f64::from(if title { TITLE } else { LABEL });
    // Some systems have wide letters.
    let wide = 1.1 * f64::from(width(text)) * high / f64::from(LABEL);
    let (x, y) = (number(node, "x"), number(node, "y"));
    let left = match node.attribute("text-anchor") {
        Some("end") => x - wide,
        Some("middle") => x - wide / 2.0,
        _ => x,
    };
    (left, y - high / 2.0, left + wide, y + high / 2.0)
}

/// What was seen with the most silent connections.
fn at_last(server: &mut Server) -> Option<&mut Idle> {
    server.memory.as_mut()?.idle.last_mut()
}

/// What is said below the tables is said of whom it is true, and of nobody else.
pub fn sentences_fit_the_figures() -> Result<(), Failed> {
    let mut run = run();
    for cell in run.servers.iter_mut().flat_map(|server| &mut server.cells) {
        for round in &mut cell.rounds {
            // All clients are served all the time.
            round.mean = f64::from(cell.clients) / round.rate * 1000.0;
            round.generator = Some(0.5);
        }
    }
    let words = [
        "the limit, with",
        "let in",
        "taken on",
        "had closed",
        "Nobody keeps",
    ];
    let said = table::all(&run);
    for words in words {
        assert!(!said.contains(words), "{words}: {said}");
    }
    let [one, other, ..] = &mut run.servers[..] else {
        return Err("there are too few servers".into());
    };
    one.cells[1].rounds[0].generator = Some(0.95);
    one.cells[3].rounds[0].mean /= 2.0;
    at_last(one).ok_or("no memory")?.accepted = 1;
    at_last(other).ok_or("no memory")?.open = 95;
    other.cells[0].rounds[0].processor = None;
    let (one, other) = (one.name.clone(), other.name.clone());
    let said = table::all(&run);
    for sentence in [
        format!("the limit, with: {one} (8) clients"),
        format!("a backlog was short: {one} (128 of 256) were"),
        format!("{one} had taken on 1 of 100 idle"),
        format!("{other} had closed 5 of 100 idle"),
        format!("of what {other} started"),
    ] {
        assert!(said.contains(&sentence), "{sentence}: {said}");
    }
    Ok(())
}

/// The rows of the table in the lessons, of the run whose pictures are shown there.
fn rows_of(run: &Run) -> Vec<String> {
    let row = |server: &Server| {
        let of = run.cell(server, MAIN).unwrap();
        let memory = server.memory.as_ref().unwrap();
        let each = memory.per_connection().unwrap().max(0.0);
        let each = match each {
            ..1024.0 => format!("{each:.0} bytes"),
            _ => format!("{:.0} KiB", each / 1024.0),
        };
        let processor = of.processor.map(|time| format!("{time:.0} µs"));
        let (rate, p99, rest) = (
            whole(of.rate),
            of.p99,
            memory.at_rest() as f64 / 1_048_576.0,
        );
        let processor = processor.unwrap_or("not known".to_string());
        let name = &server.name;
        format!("| {name} | {rate} | {p99:.1} ms | {processor} | {rest:.1} MiB | {each} |")
    };
    run.servers.iter().map(row).collect()
}

/// What the lessons and the site show is of a whole run, and is what was measured in it.
pub fn at_hand() -> Result<(), Failed> {
    let read = |name: &str| fs::read_to_string(workspace::root().join(name)).unwrap();
    let run: Run = serde_json::from_str(&read("html/media/speed.json")).unwrap();
    let mend = "renew them: cargo lab measure --output html/media";
    assert_eq!(run.schema, SCHEMA);
    assert!(run.went_well(), "{:?}; {mend}", run.incidents);
    let whole_run = run.rounds >= 5 && run.seconds >= 1.0 && !run.keep_alive;
    assert!(whole_run && run.servers.len() == 8, "{mend}");
    for stage in &STAGES {
        let there = |server: &&Server| server.name == stage.name;
        assert!(run.servers.iter().any(|server| there(&server)), "{mend}");
    }
    let drawn = [picture::throughput(&run)?, picture::memory(&run)?];
    let kept = ["html/media/throughput.svg", "html/media/memory.svg"].map(|name| Some(read(name)));
    assert!(kept == drawn, "{mend}");
    let lessons = read("LESSONS.md");
    let rows = rows_of(&run);
    assert!(
        lessons.contains(&rows.join("\n")),
        "the table in LESSONS.md should have these rows:\n{}",
        rows.join("\n")
    );
    Ok(())
}
