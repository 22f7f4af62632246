//! The shape of a document: which blocks it may have, and which parts a lesson has.

use crate::console;
use crate::document::Document;

/// The parts of each lesson, in order.
const PARTS: [&str; 10] = [
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

/// The only command that is shown and not run from here: it is what runs this, and what
/// `.ci/run` takes from the README.
const NOT_RUN: &str = "cargo test\n";

/// Every block is of a kind that is held to something.
pub fn blocks(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    for block in &document.blocks {
        let terminal = console::terminal(block);
        let fault = match block.language() {
            "console" if TERMINALS.contains(&terminal) => continue,
            "console" => format!("there is no terminal `{terminal}`: {TERMINALS:?}"),
            "rust" | "diff" | "mermaid" => continue,
            "sh" if block.text == NOT_RUN => continue,
            other => format!("a block of `{other}` is held to nothing; commands are `console`"),
        };
        faults.push(document.at(block.line, fault));
    }
    faults
}

/// Each lesson has the same parts, in the same order.
pub fn lessons(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    for number in 1..=4 {
        let parts = document.headings.iter();
        let parts = parts.filter(|heading| heading.level == 3);
        let of_lesson = |line| document.lesson(line) == Some(number);
        let parts: Vec<&str> = parts
            .filter(|heading| of_lesson(heading.line))
            .map(|heading| heading.text.as_str())
            .collect();
        if parts != PARTS {
            faults.push(format!(
                "{}: lesson {number} has the parts {parts:?}, not {PARTS:?}",
                document.name
            ));
        }
    }
    faults
}
