//! The picture of a process: a staircase with a row for each phase. Time goes from left to right,
//! and each bar starts where the one before has ended. Builds are drawn side by side.

use super::{Build, Staircase, time_text};
use crate::plot::{AMBER, Bar, BarChart, GREEN, Series};

const TOTAL: &str = "one process, one page";

pub fn draw(builds: &[Staircase]) -> String {
    // The first build has all phases.
    let phases = builds.iter().take(1).flat_map(|it| &it.steps);
    let mut rows: Vec<String> = phases.map(|step| step.phase.clone()).collect();
    rows.push(TOTAL.to_string());
    let series = builds.iter().map(|staircase| series(staircase, &rows));
    BarChart {
        id: "process",
        title: "Where the time of one process goes",
        description: &description(builds),
        series: series.collect(),
        rows,
        row_height: 96,
        end: builds.iter().map(Staircase::total).fold(1.0, f64::max),
        time_text,
    }
    .draw()
}

fn series(staircase: &Staircase, rows: &[String]) -> Series {
    let (color, y) = match staircase.build {
        Build::Dynamic => (GREEN, 0.33),
        Build::Static => (AMBER, 0.67),
    };
    let costs = staircase.costs().into_iter();
    let mut bars: Vec<_> = costs
        .map(|it| (it.step.phase.as_str(), it.start, it.step.median))
        .collect();
    bars.push((TOTAL, 0.0, staircase.total()));
    let bar = |(name, start, end): (&str, f64, f64)| Bar {
        y: rows.iter().position(|row| row == name).unwrap_or_default() as f64 + y,
        start,
        end,
        text: time_text(end - start),
    };
    Series {
        color,
        name: staircase.build.name(),
        height: 0.3,
        bars: bars.into_iter().map(bar).collect(),
    }
}

fn description(builds: &[Staircase]) -> String {
    let mut text = "A row for each phase, from the start of a process to its exit.".to_string();
    for staircase in builds {
        let costs = staircase.costs();
        let costs = costs
            .iter()
            .map(|it| format!("{} {}", it.step.phase, time_text(it.time())));
        let (costs, total) = (costs.collect::<Vec<_>>(), time_text(staircase.total()));
        let build = staircase.build.name();
        text += &format!(" When {build}: {total}. {}.", costs.join(", "));
    }
    text
}
