//! `cargo lab`: where you are, and the next step.

use super::scores::{self, Score};
use crate::paint::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use crate::workspace::{self, STAGES, Stage};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Shows the stages, each with its score, and what to do now.
pub fn show() -> Result<ExitCode, String> {
    let scores = scores::load();
    anstream::println!(
        "{}\n",
        paint(BOLD, "HTTP Lab: one web server, four times over")
    );
    for stage in &STAGES {
        anstream::println!(
            "{}  {:20} {:41} port {}  {}",
            stage.number,
            stage.name,
            stage.idea,
            stage.port,
            shown(&scores, stage.name),
        );
        if workspace::folder(stage, true).is_dir() {
            let name = workspace::own_name(stage.number);
            let whose = format!("yours: turn stage {} into it", stage.number - 1);
            anstream::println!(
                "   {} {whose:41}            {}",
                paint(CYAN, format!("{name:20}")),
                shown(&scores, &name),
            );
        }
    }
    anstream::println!("\n{} {}", paint(BOLD, "Next:"), next_step(&scores));
    anstream::println!("{}", paint(DIM, "All commands: cargo lab help"));
    Ok(ExitCode::SUCCESS)
}

/// The last score of a package.
fn shown(scores: &BTreeMap<String, Score>, package: &str) -> String {
    match scores.get(package) {
        None => paint(DIM, "not graded yet"),
        Some(score) => {
            let style = match score.score == score.max_score {
                true => GREEN,
                false => RED,
            };
            let text = paint(style, format!("{} of {}", score.score, score.max_score));
            match score.is_current(package) {
                true => text,
                false => format!("{text}, {}", paint(YELLOW, "changed since")),
            }
        }
    }
}

/// What to do now: finish what is begun, else look at the next stage and begin to write it.
fn next_step(scores: &BTreeMap<String, Score>) -> String {
    let command = |text: String| paint(CYAN, text);
    let done = |package: &str| {
        let score = scores.get(package);
        score.is_some_and(|score| score.score == score.max_score && score.is_current(package))
    };
    let begun = |stage: &&Stage| workspace::folder(stage, true).is_dir();
    let unfinished = |stage: &&Stage| !done(&workspace::own_name(stage.number));
    if let Some(stage) = { STAGES.iter() }.filter(begun).find(unfinished) {
        let number = stage.number;
        return format!(
            "make my_stage{number} green, with lesson {number} beside you; {} grades after each save",
            command(format!("cargo lab watch {number}")),
        );
    }
    let last = STAGES.iter().filter(begun).map(|stage| stage.number).max();
    match last {
        None if !scores.contains_key(STAGES[0].name) => format!(
            "read lessons 0 and 1 in LESSONS.md, with {}; then {}",
            command("cargo lab run 1".to_string()),
            command("cargo lab grade 1".to_string()),
        ),
        None | Some(1..=3) => {
            let next = last.unwrap_or(1) + 1;
            format!(
                "read lesson {next} in LESSONS.md, then write it: {}",
                command(format!("cargo lab start {next}")),
            )
        }
        _ => format!(
            "you have written them all. LESSONS.md says where to go from here, {} what to build on",
            command("cargo lab exercise".to_string()),
        ),
    }
}
