//! `cargo lab`: where you are and what to do next.

use crate::scores::{self, Score};
use harness::style::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use harness::workspace::{self, STAGES, Stage};
use std::collections::BTreeMap;
use std::process::ExitCode;
use suite::columns::{pad, width};
use suite::translation::{fill, text};

type Scores = BTreeMap<String, Score>;

/// Shows the stages with their scores, and what to do next.
pub fn run() -> ExitCode {
    let scores = scores::load();
    let title = paint(BOLD, text("HTTP Lab: one web server in six stages"));
    anstream::println!("{title}\n");
    let ideas = STAGES.iter().map(|stage| width(text(stage.idea)));
    let columns = ideas.max().unwrap_or(0);
    for stage in &STAGES {
        let (number, name, score) = (stage.number, stage.name, score(&scores, stage.name));
        let idea = pad(text(stage.idea), columns);
        let port = fill("port {port}", &[("port", &stage.port)]);
        anstream::println!("{number}  {name:20} {idea} {port}  {score}");
        if is_started(stage) {
            let own = workspace::own_name(number);
            let score = self::score(&scores, &own);
            let own = paint(CYAN, format!("{own:20}"));
            let text = fill("yours, to become stage {number}", &[("number", &number)]);
            let (text, gap) = (pad(&text, columns), pad("", width(&port)));
            anstream::println!("   {own} {text} {gap}  {score}");
        }
    }
    anstream::println!("\n{}{}", paint(BOLD, text("Next: ")), next_step(&scores));
    anstream::println!("{}", paint(DIM, text("All commands: cargo lab help")));
    ExitCode::SUCCESS
}

fn is_started(stage: &Stage) -> bool {
    workspace::folder(stage, true).is_dir()
}

/// The last score of a package.
fn score(scores: &Scores, package: &str) -> String {
    let Some(score) = scores.get(package) else {
        return paint(DIM, text("not graded yet"));
    };
    let style = if score.passed { GREEN } else { RED };
    let points = fill(
        "{score} of {max}",
        &[("score", &score.score), ("max", &score.max_score)],
    );
    let points = paint(style, points);
    if score.is_current(package) {
        return points;
    }
    let changed = paint(YELLOW, text("changed since"));
    fill(
        "{points}, {changed}",
        &[("points", &points), ("changed", &changed)],
    )
}

/// What to do next: finish the stage that was started, or read about the next one and start it.
fn next_step(scores: &Scores) -> String {
    let command = |command: &str| paint(CYAN, command);
    let is_finished = |stage: &Stage| {
        let name = workspace::own_name(stage.number);
        let score = scores.get(&name);
        score.is_some_and(|score| score.passed && score.is_current(&name))
    };
    let started: Vec<&Stage> = STAGES.iter().filter(|stage| is_started(stage)).collect();
    if let Some(stage) = started.iter().find(|stage| !is_finished(stage)) {
        let number = stage.number;
        let watch = command(&format!("cargo lab watch {number}"));
        return fill(
            "make my_stage{number} pass its checks; lesson {number} in LESSONS.md helps. To grade it \
             after each save: {watch}",
            &[("number", &number), ("watch", &watch)],
        );
    }
    let next = started.last().map_or(2, |stage| stage.number + 1);
    if started.is_empty() && !scores.contains_key(STAGES[0].name) {
        fill(
            "read lessons 0 and 1 in LESSONS.md or with {lesson}, and try {run}, then {grade}",
            &[
                ("lesson", &command("cargo lab lesson 0")),
                ("run", &command("cargo lab run 1")),
                ("grade", &command("cargo lab grade 1")),
            ],
        )
    } else if usize::from(next) <= STAGES.len() {
        let [lesson, start] =
            ["lesson", "start"].map(|name| command(&format!("cargo lab {name} {next}")));
        fill(
            "read lesson {next} with {lesson}, then write stage {next} yourself: {start}",
            &[("lesson", &lesson), ("next", &next), ("start", &start)],
        )
    } else {
        fill(
            "you have written all stages. See the end of LESSONS.md, or choose an exercise: {list}",
            &[("list", &command("cargo lab exercise"))],
        )
    }
}
