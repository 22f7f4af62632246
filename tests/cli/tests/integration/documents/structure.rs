//! The structure of a document: which blocks it may have, and which sections a lesson has.

use harness::workspace::STAGES;
use lab::book::document::Document;

/// The documents in which every block is tested.
const TESTED: [&str; 2] = ["README.md", "LESSONS.md"];

/// The sections of each lesson, in order.
const SECTIONS: [&str; 10] = [
    "The question",
    "Run it",
    "Look at the wire",
    "Predict, then break it",
    "Read the diff",
    "What the article got wrong",
    "Your turn",
    "Exercises",
    "Questions",
    "What real servers do",
];

/// The terminals of a reader.
const TERMINALS: [&str; 4] = ["", "server", "second", "third"];

/// The only command that is shown and not run from here: `.ci/run` runs it.
const NOT_RUN: &str = "cargo test\n";

/// Blocks that no test looks at.
pub fn untested_blocks(document: &Document) -> Vec<String> {
    let is_tested = TESTED.contains(&document.name.as_str());
    let mut problems = Vec::new();
    for block in &document.blocks {
        let terminal = block.terminal.as_str();
        let problem = match block.language.as_str() {
            "console" if TERMINALS.contains(&terminal) => continue,
            "console" => format!("there is no terminal `{terminal}`, only {TERMINALS:?}"),
            "rust" | "diff" | "mermaid" => continue,
            "sh" if block.text == NOT_RUN => continue,
            language if is_tested => format!("no test looks at `{language}`; use `console`"),
            _ => continue,
        };
        problems.push(document.at(block.line, problem));
    }
    problems
}

/// Lessons that don't have the same sections in the same order as all others.
pub fn irregular_lessons(document: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    if document.name != "LESSONS.md" {
        return problems;
    }
    for stage in &STAGES {
        let title = format!("Lesson {}: ", stage.number);
        let mut headings = document.headings.iter();
        headings.find(|heading| heading.level == 2 && heading.text.starts_with(&title));
        let sections: Vec<&str> = headings
            .take_while(|heading| heading.level > 2)
            .filter(|heading| heading.level == 3)
            .map(|heading| heading.text.as_str())
            .collect();
        if sections != SECTIONS {
            let name = &document.name;
            problems.push(format!("{name}: {title}{sections:?}, not {SECTIONS:?}"));
        }
    }
    problems
}
