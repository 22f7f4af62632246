//! The waterfalls: the figures are what happened, and the pictures show the figures.

use crate::svg::{RENEW, ensure_bars, ensure_kept, kept_figures, text_element};
use crate::{faulty, script};
use harness::cleanup::ScratchDir;
use harness::program::Program;
use harness::workspace::{self, STAGES, stage};
use measure::Machine;
use measure::plot::{AMBER, GREEN, GREY, PINK};
use measure::waterfall::{self, CLIENTS, ClientTimes, Run, SCHEMA, STALLED, duration_text, plot};

/// Long enough for seven clients to get their responses on a busy machine.
const TIMEOUT: u32 = 5;

#[test]
#[cfg_attr(not(lab_ci), ignore = "takes 20 seconds: LAB_CI=1 runs it")]
fn only_stage_1_makes_clients_wait() {
    let programs = workspace::build_stages().unwrap().into_iter();
    let stages: Vec<_> = STAGES.iter().zip(programs.map(Program::new)).collect();
    let run = waterfall::measure(&stages, TIMEOUT, Machine::current(), |_| ()).unwrap();
    for stage in &run.stages {
        assert_eq!(stage.clients.len(), CLIENTS as usize);
        let end = stage.clients[STALLED as usize - 1].ended;
        for times in &stage.clients {
            let first = times.first_byte.unwrap();
            let order = [times.started, times.sent, first, times.ended];
            assert!(order.is_sorted(), "{times:?}");
            assert_eq!(times.status, Some(if times.stalled { 408 } else { 200 }));
            let waits = stage.stage == 1 && times.client > STALLED;
            assert_eq!(first > end, waits, "{}: {times:?}", stage.name);
        }
    }
}

fn error_of(program: Program) -> String {
    waterfall::measure(&[(stage(3), program)], 1, Machine::current(), |_| ()).unwrap_err()
}

#[test]
fn wrong_server_is_not_measured() {
    let wrong = faulty("always-hello");
    let lines = "\"$FAULTY\" \"$@\" &\nsleep 0.4\nkill -9 $!\necho out of memory >&2\nexit 7\n";
    let lines = lines.replace("$FAULTY", &wrong.path.display().to_string());
    let error = error_of(wrong);
    let expected = "stage3_threads was not measured: expected";
    assert!(error.starts_with(expected), "{error}");
    let folder = ScratchDir::new().unwrap();
    let error = error_of(Program::new(script(folder.path(), &lines)));
    assert!(error.contains("exit status: 7"), "{error}");
    assert!(error.contains("out of memory"), "{error}");
}

fn run() -> Run {
    let run: Run = kept_figures("waterfall.json");
    let stages = measure::default_stages().map(|it| (it.number, it.idea));
    let has_all = stages.eq(run.stages.iter().map(|it| (it.stage, &*it.idea)));
    assert!(run.schema == SCHEMA && has_all, "{RENEW}");
    run
}

#[test]
fn sentence_names_clients_that_wait() {
    let mut stages = run().stages;
    let all = stages[0].sentence();
    assert!(all.starts_with("Clients 4 to 8 get nothing until"), "{all}");
    let none = stages[1].sentence();
    let only = "Only client 3, which stalls, takes 2.0";
    assert!(none.starts_with(only), "{none}");
    stages[1].clients[7].first_byte = None;
    let one = stages[1].sentence();
    assert!(one.starts_with("Client 8 gets nothing until"), "{one}");
}

#[test]
fn pictures_show_figures() {
    let run = run();
    for (stage, (_, svg)) in run.stages.iter().zip(plot::draw_all(&run)) {
        let document = ensure_kept(&svg, &format!("waterfall-{}", stage.stage));
        let ensure_bars = |color, stalled, times: fn(&ClientTimes) -> (f64, f64)| {
            let clients = stage.clients.iter().filter(|it| it.stalled == stalled);
            let times: Vec<(f64, f64)> = clients.map(times).collect();
            ensure_bars(&document, color, &times, [("0 s", 0.0), ("2 s", 2000.0)]);
        };
        ensure_bars(PINK, true, |it| (it.started, it.ended));
        ensure_bars(GREY, false, |it| (it.started, it.sent));
        ensure_bars(AMBER, false, |it| (it.sent, it.first_byte.unwrap()));
        ensure_bars(GREEN, false, |it| (it.first_byte.unwrap(), it.ended));
        for times in &stage.clients {
            text_element(&document, &duration_text(times.duration()));
        }
    }
}
