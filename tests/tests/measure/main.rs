//! Speed: a generator's words are understood, what goes wrong is told and gets no figure, and
//! the pictures show what was measured.
//!
//! What drives a server needs `ab`. Without it these tests are ignored; with
//! `LAB_MEASURE=required` in the environment that is a failure.

mod captured;
mod mortal;
mod pictures;
mod runs;

use lab::measure::speed::generator::INSTALL;
use lab::program::on_path;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::process::ExitCode;

/// A test.
type Run = fn() -> Result<(), Failed>;

/// Those that need nothing else.
const ALONE: [(&str, Run); 11] = [
    ("ab-is-understood", captured::ab),
    ("hey-is-understood", captured::hey),
    ("rounds-are-summed-up", pictures::rounds_are_summed_up),
    (
        "figures-can-be-read-again",
        pictures::figures_can_be_read_again,
    ),
    ("throughput-is-drawn-as-measured", pictures::throughput),
    ("memory-is-drawn-as-measured", pictures::memory),
    (
        "sentences-fit-the-figures",
        pictures::sentences_fit_the_figures,
    ),
    ("pictures-at-hand-are-of-a-whole-run", pictures::at_hand),
    (
        "a-kept-connection-is-noticed",
        runs::a_kept_connection_is_noticed,
    ),
    ("wrong-usage-is-told", runs::wrong_usage_is_told),
    ("what-is-missing-is-named", runs::what_is_missing_is_named),
];

/// Those that drive a server.
const DRIVING: [(&str, Run); 5] = [
    ("stages-are-measured", runs::stages_are_measured),
    (
        "a-server-that-dies-is-told",
        runs::a_server_that_dies_is_told,
    ),
    (
        "a-wrong-answer-has-no-figure",
        runs::a_wrong_answer_has_no_figure,
    ),
    (
        "errors-under-load-are-counted",
        runs::errors_under_load_are_counted,
    ),
    ("the-command-measures", runs::the_command_measures),
];

fn main() -> ExitCode {
    // A server whose faults are wanted: this same program.
    if let Some(fault) = env::args().nth(1).and_then(|word| mortal::fault(&word)) {
        return mortal::serve(fault);
    }
    let arguments = Arguments::from_args();
    let there = on_path("ab").is_some();
    if !there && env::var("LAB_MEASURE").is_ok_and(|value| value == "required") {
        eprintln!("{INSTALL}");
        return ExitCode::FAILURE;
    }
    let alone = ALONE.map(|(name, run)| Trial::test(name, run));
    let driving = DRIVING.map(|(name, run)| Trial::test(name, run).with_ignored_flag(!there));
    let trials = alone.into_iter().chain(driving).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
