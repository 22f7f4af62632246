//! The picture of a waterfall: a row for each client, and time from left to right.

use crate::plot::{AMBER, Bar, BarChart, GREEN, GREY, PINK, Series};
use crate::waterfall::{Run, Waterfall, duration_text};

/// The pictures of a run, one for each stage, by their file names. All have the same time axis.
pub fn draw_all(run: &Run) -> Vec<(String, String)> {
    let clients = run.stages.iter().flat_map(|stage| &stage.clients);
    let end = clients.map(|times| times.ended).fold(0.0, f64::max);
    let name = |stage: &Waterfall| format!("waterfall-{}.svg", stage.stage);
    let stages = run.stages.iter();
    stages
        .map(|stage| (name(stage), draw(stage, end)))
        .collect()
}

fn draw(stage: &Waterfall, end: f64) -> String {
    let series = |color, name, height| Series {
        color,
        name,
        height,
        bars: Vec::new(),
    };
    let mut sending = series(GREY, "sending", 0.5);
    let mut waiting = series(AMBER, "waiting for the server", 0.18);
    let mut response = series(GREEN, "response", 0.5);
    let mut stalled = series(PINK, "stalled", 0.5);
    for it in &stage.clients {
        let bar = |start, end, text: &str| Bar {
            y: f64::from(it.client) - 0.5,
            start,
            end,
            text: text.to_string(),
        };
        let first_byte = it.first_byte.unwrap_or(it.ended);
        let duration = duration_text(it.duration());
        if it.stalled {
            stalled.bars.push(bar(it.started, it.ended, &duration));
        } else {
            sending.bars.push(bar(it.started, it.sent, ""));
            waiting.bars.push(bar(it.sent, first_byte, ""));
            response.bars.push(bar(first_byte, it.ended, &duration));
        }
    }
    let rows = stage.clients.iter();
    BarChart {
        id: &format!("waterfall-{}", stage.stage),
        title: &format!("Stage {}: {}", stage.stage, stage.idea),
        description: &format!("Eight clients, a row for each. {}", stage.sentence()),
        rows: rows.map(|it| format!("client {}", it.client)).collect(),
        row_height: 62,
        end,
        time_text: |time| format!("{} s", time / 1000.0),
        series: vec![sending, waiting, response, stalled],
    }
    .draw()
}
