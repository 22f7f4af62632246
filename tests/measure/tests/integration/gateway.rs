//! What the picture of applications shows, with the kept figures.

use crate::svg::{RENEW, elements, ensure_bars, ensure_kept, kept_figures, text_element};
use harness::program::Program;
use measure::plot::{AMBER, GREY};
use measure::speed::MAIN_LEVEL;
use measure::speed::gateway::{self, GroupResult, time_text};
use measure::speed::results::SCHEMA;

fn results() -> Vec<GroupResult> {
    let results: Vec<GroupResult> = kept_figures("gateway.json");
    let program = Program::new("stage");
    let groups = gateway::groups(&program, &program);
    let names = results.iter().map(|result| &*result.name);
    assert!(names.eq(groups.iter().map(|group| group.name)), "{RENEW}");
    for GroupResult { name, run } in &results {
        let is_usual = run.schema == SCHEMA && run.rounds >= 5 && run.servers.len() == 2;
        assert!(is_usual && run.is_clean(), "{name}: {RENEW}");
    }
    results
}

#[test]
fn picture_shows_figures() {
    let results = results();
    let svg = gateway::picture(&results).unwrap();
    let document = ensure_kept(&svg, "gateway");
    for (server, color) in [AMBER, GREY].into_iter().enumerate() {
        let time = |result: &GroupResult| {
            let level = result.run.servers[server].level(MAIN_LEVEL).unwrap();
            level.median(|round| round.processor_time).unwrap() / 1000.0
        };
        let times: Vec<(f64, f64)> = results.iter().map(|it| (0.0, time(it))).collect();
        ensure_bars(&document, color, &times, [("0 ms", 0.0), ("30 ms", 30.0)]);
        for (_, time) in times {
            text_element(&document, &time_text(time));
        }
    }
    // The rows are in the order of the figures.
    let mut texts = elements(&document, "text").into_iter();
    for result in &results {
        let is_name = |text: &str| text.trim() == result.name;
        assert!(
            texts.any(|it| it.text().is_some_and(is_name)),
            "{}",
            result.name
        );
    }
}
