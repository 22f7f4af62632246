//! What a process costs: each step does what it says, a program that does something else is
//! refused, and the picture shows the figures.

use crate::script;
use crate::svg::{RENEW, ensure_bars, ensure_kept, kept_figures, text_element};
use harness::cleanup::ScratchDir;
use harness::site::Site;
use harness::workspace;
use measure::Machine;
use measure::plot::{AMBER, GREEN};
use measure::process::steps::{self, stage_steps};
use measure::process::{self, Build, Run, SCHEMA, Staircase, plot, time_text};
use std::cell::Cell;
use std::path::Path;

/// As few starts as there are tenths.
const STARTS: usize = 10;

fn site() -> Site {
    Site::new(fastrand::Rng::new(), None).unwrap()
}

#[test]
#[cfg_attr(
    not(lab_ci),
    ignore = "needs a C compiler and a static libc: LAB_CI=1 runs it"
)]
fn every_step_is_measured() {
    let (site, folder) = (site(), ScratchDir::new().unwrap());
    let stage = workspace::build_stages().unwrap().remove(1);
    let steps = Build::ALL.map(|build| steps::steps(build, &stage, &site, folder.path()).unwrap());
    let rounds = Cell::new(0);
    let progress = || rounds.set(rounds.get() + 1);
    let run = process::measure(&steps.concat(), STARTS, Machine::current(), progress).unwrap();
    assert_eq!(rounds.get(), STARTS);
    let phases = run.builds.iter().map(|staircase| staircase.steps.len());
    assert_eq!(phases.collect::<Vec<_>>(), [8, 7]);
    for staircase in &run.builds {
        assert!(staircase.total() > staircase.steps[0].median);
    }
}

/// Measures the step of the stage at that index with another program.
fn error_of(index: usize, program: &Path) -> String {
    let steps = stage_steps(Build::Dynamic, program, &site()).unwrap();
    let step = &steps[index..=index];
    let error = process::measure(step, STARTS, Machine::current(), || ()).unwrap_err();
    assert!(error.contains(step[0].program), "{error}");
    error
}

#[test]
fn program_that_does_something_else_is_refused() {
    let respond = |status: &str| format!("printf 'HTTP/1.1 {status}\\r\\n\\r\\nhello' >&0");
    let (ok, bad_request) = (&respond("200 OK"), &respond("400 Bad Request"));
    let folder = ScratchDir::new().unwrap();
    for (step, lines, expected) in [
        (0, "echo no folder >&2; exit 7", "exit status: 7\nno folder"),
        (0, ok, "expected no response, received status 200"),
        (1, bad_request, "expected status 414, received status 400"),
        (2, "exit 0", "expected status 505, received no response"),
        (3, ok, "wrong content"),
        (0, "sleep 60", "still running after 5s"),
    ] {
        // It reads the request, or its exit would reset the connection.
        let program = script(folder.path(), &format!("cat >/dev/null\n{lines}\n"));
        let error = error_of(step, &program);
        assert!(error.contains(expected), "{error}");
    }
    let error = error_of(0, Path::new("/no/such/server"));
    assert!(error.contains("/no/such/server: No such file"), "{error}");
}

fn run() -> Run {
    let run: Run = kept_figures("process.json");
    let builds: Vec<Build> = run.builds.iter().map(|it| it.build).collect();
    assert!(run.schema == SCHEMA && builds == Build::ALL, "{RENEW}");
    run
}

#[test]
fn cost_is_difference_between_steps() {
    let mut staircase = run().builds.remove(0);
    staircase.steps.truncate(3);
    for (step, median) in staircase.steps.iter_mut().zip([100.0, 150.0, 149.0]) {
        step.median = median;
        step.tenths = vec![median; 10];
    }
    let costs = |staircase: &Staircase| {
        let costs = staircase.costs();
        [0, 1, 2].map(|index| (costs[index].time(), costs[index].noise))
    };
    assert_eq!(costs(&staircase), [(100.0, 0.0), (50.0, 0.0), (-1.0, 0.0)]);
    // A busy moment during two steps is no noise in the cost of the second.
    staircase.steps[0].tenths[3] += 40.0;
    staircase.steps[1].tenths[3] += 40.0;
    let expected = [(100.0, 20.0), (50.0, 0.0), (-1.0, 20.0)];
    assert_eq!(costs(&staircase), expected);
    let texts = [-1.0, -0.4, 0.4, 0.6].map(time_text);
    assert_eq!(texts, ["−1 µs", "0 µs", "0 µs", "1 µs"]);
}

#[test]
fn picture_shows_figures() {
    let run = run();
    let svg = plot::draw(&run.builds);
    let document = ensure_kept(&svg, "process");
    for (staircase, color) in run.builds.iter().zip([GREEN, AMBER]) {
        let costs = staircase.costs();
        let mut times: Vec<_> = costs.iter().map(|it| (it.start, it.step.median)).collect();
        times.push((0.0, staircase.total()));
        let labels = [("0 µs", 0.0), ("1500 µs", 1500.0)];
        ensure_bars(&document, color, &times, labels);
        for (start, end) in times {
            text_element(&document, &time_text(end - start));
        }
    }
}
