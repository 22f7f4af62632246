//! What the tables and the pictures of speed show, with the kept figures.

use crate::svg::{RENEW, elements, ensure_kept, kept_figures, number, text_element};
use harness::workspace;
use measure::plot::{AMBER, BLUE, GREEN, GREY, LABEL, OLIVE, PINK};
use measure::speed::peer::PEERS;
use measure::speed::results::{Failure, FailureKind, Level, Run, SCHEMA, ServerResult};
use measure::speed::server::Origin;
use measure::speed::{KEPT_CLIENTS, MAIN_LEVEL, plot, table};
use measure::thousands;
use std::fs;

const MIB: f64 = 1_048_576.0;

fn run() -> Run {
    let run: Run = kept_figures("speed.json");
    let names = measure::default_stages().map(|stage| stage.name);
    let names = names.chain(PEERS.iter().map(|peer| peer.name));
    let has_all = names.eq(run.servers.iter().map(|server| &*server.name));
    let is_usual = run.schema == SCHEMA && run.rounds >= 5 && !run.keep_alive;
    assert!(run.is_clean() && is_usual && has_all, "{RENEW}");
    run
}

/// The same for connections that are kept, of the servers that keep them.
fn kept_run() -> Run {
    let run: Run = kept_figures("kept.json");
    let names = run.servers.iter().map(|server| &*server.name);
    let has_all = names.eq(["stage6_events", "nginx", "lighttpd"]);
    let is_usual = run.schema == SCHEMA && run.rounds >= 5 && run.clients() == KEPT_CLIENTS;
    assert!(
        run.is_clean() && run.keep_alive && is_usual && has_all,
        "{RENEW}"
    );
    run
}

/// Checks that a dot in the color of its server shows each figure, and that no name covers
/// another. The first and the last label of the axis give the scale.
fn ensure_shows_figures(
    run: &Run,
    (id, svg): (&str, &str),
    figures: impl Fn(&ServerResult) -> Vec<f64>,
    scale: impl Fn(f64) -> f64,
) {
    let document = ensure_kept(svg, id);
    let y_of = |text: &str| number(text_element(&document, text), "y");
    let mut labels = elements(&document, "text");
    labels.retain(|it| it.attribute("text-anchor") == Some("end"));
    let [(low, y_low), (high, y_high)] = [labels[0], labels[labels.len() - 1]].map(|label| {
        let value = label.text().unwrap().trim().replace(',', "");
        (scale(value.parse().unwrap()), number(label, "y"))
    });
    let y = |value| y_low + (y_high - y_low) * (scale(value) - low) / (high - low);
    let (mut dots, mut names) = (elements(&document, "circle").into_iter(), Vec::new());
    // The first server is drawn over the others.
    for server in run.servers.iter().rev() {
        let color = match server.origin {
            Origin::Stage(number) => {
                [GREEN, BLUE, PINK, AMBER, AMBER, OLIVE][usize::from(number) - 1]
            }
            _ => GREY,
        };
        for figure in figures(server) {
            let dot = dots.next().unwrap();
            assert_eq!(dot.attribute("fill"), Some(&*color.attribute()));
            let distance = number(dot, "cy") - y(figure);
            assert!(distance.abs() < 2.0, "{}: {figure}, {dot:?}", server.name);
        }
        names.push(y_of(&server.name));
    }
    assert!(dots.next().is_none());
    names.sort_by(f64::total_cmp);
    let mut pairs = names.windows(2);
    assert!(pairs.all(|it| it[1] - it[0] > LABEL.into()), "{names:?}");
}

#[test]
fn pictures_show_figures() {
    let rates = |server: &ServerResult| server.levels.iter().map(Level::rate).collect();
    for (id, run) in [("throughput", run()), ("kept", kept_run())] {
        let svg = plot::throughput(&run).unwrap();
        ensure_shows_figures(&run, (id, &svg), rates, |rate| rate);
    }
    let run = run();
    let memory = ("memory", &*plot::memory(&run).unwrap());
    let mebibytes = |server: &ServerResult| {
        let idle = server.memory.iter().flat_map(|memory| &memory.idle);
        idle.map(|sample| sample.bytes as f64 / MIB).collect()
    };
    ensure_shows_figures(&run, memory, mebibytes, f64::log2);
}

#[test]
fn rounds_are_summarized_by_medians() {
    let mut level = run().servers.remove(0).levels.remove(0);
    level.rounds.truncate(3);
    for (round, responses) in level.rounds.iter_mut().zip([300, 100, 200]) {
        let load = &mut round.load;
        (load.responses, load.seconds, load.errors) = (responses, 2.0, 1);
    }
    let summary = (level.rate(), level.errors(), level.spread());
    assert_eq!(summary, (100.0, 3, Some(1.0)));
    level.rounds[0].processor_time = None;
    level.rounds.truncate(1);
    let summary = (level.spread(), level.median(|round| round.processor_time));
    assert_eq!(summary, (None, None));
}

#[test]
fn failure_in_any_round_removes_figure() {
    let mut run = run();
    run.servers[0].levels[1].failure = Some(Failure {
        kind: FailureKind::Died,
        detail: String::new(),
    });
    assert!(run.servers[0].level(8).is_none() && !run.is_clean());
    assert!(run.servers[0].level(1).is_some() && run.servers[1].level(8).is_some());
    assert_eq!(run.levels().len(), run.servers.len() * 4 - 1);
}

#[test]
fn remarks_name_servers_that_they_are_true_of() {
    let mut run = run();
    for server in &mut run.servers {
        for level in &mut server.levels {
            for round in &mut level.rounds {
                round.generator_load = Some(0.5);
                // All clients are served at once.
                round.load.responses = 1000;
                round.load.seconds = 1.0;
                round.load.mean = f64::from(level.clients);
            }
        }
        for sample in &mut server.memory.as_mut().unwrap().idle {
            sample.held = sample.connections;
        }
    }
    let calm = table::all(&run);
    for remark in ["ab can use", "backlog", "held", "was busy"] {
        assert!(!calm.contains(remark), "{calm}");
    }
    for round in &mut run.servers[0].levels[1].rounds {
        round.generator_load = Some(0.95);
    }
    for round in &mut run.servers[1].levels[3].rounds {
        round.load.mean /= 2.0;
    }
    run.servers[2].levels[0].rounds[0].load.responses = 700;
    let idle = &mut run.servers[0].memory.as_mut().unwrap().idle;
    idle.last_mut().unwrap().held = 1;
    let text = table::all(&run);
    for remark in [
        "the limit for stage1_single (8). ",
        "at once: stage2_multiprocess (128 of 256). ",
        "* stage1_single held 1 of 100 idle",
        "by 30 % at most (stage3_threads, 1 client)",
        "trust no smaller difference",
    ] {
        assert!(text.contains(remark), "{remark}: {text}");
    }
}

/// The rows of the table in the lessons.
fn table_rows(run: &Run) -> String {
    let row = |server: &ServerResult| {
        let level = server.level(MAIN_LEVEL).unwrap();
        let memory = server.memory.as_ref().unwrap();
        let rate = thousands(level.rate());
        let p99 = level.median(|round| round.load.p99).unwrap();
        let time = level.median(|round| round.processor_time);
        let time = time.map(|time| format!("{time:.0} µs"));
        let time = time.unwrap_or("not known".to_string());
        let at_rest = memory.at_rest() as f64 / MIB;
        let added = match memory.per_connection().unwrap() {
            bytes @ ..1024.0 => format!("{bytes:.0} bytes"),
            bytes => format!("{:.0} KiB", bytes / 1024.0),
        };
        let name = &server.name;
        format!("| {name} | {rate} | {p99:.1} ms | {time} | {at_rest:.1} MiB | {added} |\n")
    };
    run.servers.iter().map(row).collect()
}

#[test]
fn lessons_show_kept_figures() {
    let lessons = fs::read_to_string(workspace::root().join("LESSONS.md")).unwrap();
    let rows = table_rows(&run());
    assert!(lessons.contains(&rows), "LESSONS.md needs:\n{rows}");
}
