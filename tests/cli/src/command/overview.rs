//! `cargo lab`: where you are and what to do next.

use crate::scores::{self, Score};
use harness::style::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use harness::workspace::{self, STAGES, Stage};
use std::collections::BTreeMap;
use std::process::ExitCode;

type Scores = BTreeMap<String, Score>;

/// Shows the stages with their scores, and what to do next.
pub fn run() -> ExitCode {
    let scores = scores::load();
    let title = paint(BOLD, "HTTP Lab: one web server in six stages");
    anstream::println!("{title}\n");
    for stage in &STAGES {
        let (number, name, score) = (stage.number, stage.name, score(&scores, stage.name));
        let (idea, port) = (stage.idea, stage.port);
        anstream::println!("{number}  {name:20} {idea:53} port {port}  {score}");
        if is_started(stage) {
            let own = workspace::own_name(number);
            let score = self::score(&scores, &own);
            let own = paint(CYAN, format!("{own:20}"));
            let text = format!("yours, to become stage {number}");
            anstream::println!("   {own} {text:53}            {score}");
        }
    }
    anstream::println!("\n{} {}", paint(BOLD, "Next:"), next_step(&scores));
    anstream::println!("{}", paint(DIM, "All commands: cargo lab help"));
    ExitCode::SUCCESS
}

fn is_started(stage: &Stage) -> bool {
    workspace::folder(stage, true).is_dir()
}

/// The last score of a package.
fn score(scores: &Scores, package: &str) -> String {
    let Some(score) = scores.get(package) else {
        return paint(DIM, "not graded yet");
    };
    let style = if score.passed { GREEN } else { RED };
    let mut text = paint(style, format!("{} of {}", score.score, score.max_score));
    if !score.is_current(package) {
        text += &format!(", {}", paint(YELLOW, "changed since"));
    }
    text
}

/// What to do next: finish the stage that was started, or read about the next one and start it.
fn next_step(scores: &Scores) -> String {
    let command = |text: &str| paint(CYAN, text);
    let is_finished = |stage: &Stage| {
        let name = workspace::own_name(stage.number);
        let score = scores.get(&name);
        score.is_some_and(|score| score.passed && score.is_current(&name))
    };
    let started: Vec<&Stage> = STAGES.iter().filter(|stage| is_started(stage)).collect();
    if let Some(stage) = started.iter().find(|stage| !is_finished(stage)) {
        let number = stage.number;
        return format!(
            "make my_stage{number} pass its checks; lesson {number} in LESSONS.md helps. To grade it \
             after each save: {}",
            command(&format!("cargo lab watch {number}")),
        );
    }
    let next = started.last().map_or(2, |stage| stage.number + 1);
    if started.is_empty() && !scores.contains_key(STAGES[0].name) {
        format!(
            "read lessons 0 and 1 in LESSONS.md, and try {}, then {}",
            command("cargo lab run 1"),
            command("cargo lab grade 1"),
        )
    } else if usize::from(next) <= STAGES.len() {
        format!(
            "read lesson {next} in LESSONS.md, then write stage {next} yourself: {}",
            command(&format!("cargo lab start {next}")),
        )
    } else {
        format!(
            "you have written all stages. See the end of LESSONS.md, or choose an exercise: {}",
            command("cargo lab exercise"),
        )
    }
}
