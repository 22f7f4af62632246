//! The drawings of stage 6's state machine, in its lesson and in `connection.rs`: they have exactly
//! the states that the code has.

use harness::workspace;
use lab::book::document::{Block, Document};
use regex::Regex;
use std::collections::BTreeSet;
use std::fs;

const CODE: &str = "stage6_events/src/connection.rs";

fn code() -> String {
    fs::read_to_string(workspace::root().join(CODE)).unwrap()
}

/// The names in a text that begin with a capital letter. All other words in a drawing don't.
fn names(text: &str) -> BTreeSet<&str> {
    let name = Regex::new(r"(?-u:\b)[A-Z][A-Za-z]*").unwrap();
    name.find_iter(text).map(|found| found.as_str()).collect()
}

/// The variants of `enum State`.
fn states(code: &str) -> BTreeSet<&str> {
    let (_, rest) = code.split_once("\nenum State {\n").unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let variant = Regex::new(r"(?m)^ {4}([A-Z][A-Za-z]*)").unwrap();
    let variants = variant.captures_iter(body);
    variants
        .map(|found| found.get(1).unwrap().as_str())
        .collect()
}

/// The drawing in the module comment.
fn drawing_in(code: &str) -> &str {
    let (_, rest) = code.split_once("//! ```text\n").unwrap();
    rest.split_once("//! ```\n").unwrap().0
}

fn is_drawing(block: &Block) -> bool {
    block.language == "mermaid" && block.text.starts_with("stateDiagram")
}

/// Drawings with other states than the code.
pub fn wrong_drawings(document: &Document) -> Vec<String> {
    let code = code();
    let states = states(&code);
    let drawings = document.blocks.iter().filter(|block| is_drawing(block));
    let problem = |drawing: &Block| {
        // The first line is the kind of the diagram.
        let (_, drawing_text) = drawing.text.split_once('\n')?;
        let names = names(drawing_text);
        let problem = format!("the drawing has the states {names:?}, but {CODE} has {states:?}");
        (names != states).then(|| document.at(drawing.line, problem))
    };
    drawings.filter_map(problem).collect()
}

#[test]
fn both_drawings_have_the_states_of_the_code() {
    let lessons = Document::open("LESSONS.md").unwrap();
    let drawings = lessons.blocks.iter().filter(|block| is_drawing(block));
    assert_eq!(drawings.count(), 1, "LESSONS.md has one drawing");
    assert_eq!(wrong_drawings(&lessons), [""; 0]);
    let code = code();
    assert_eq!(names(drawing_in(&code)), states(&code), "{CODE}");
}

#[test]
fn states_are_found_in_code_and_drawing() {
    let code = "//! ```text\n//!  a byte\n//!  One ---> Two\n//! ```\n\n\
        enum Other {\n    Three,\n}\n\nenum State {\n    /// Not Three.\n    One,\n    Two(Box<Four>),\n}\n";
    let both = BTreeSet::from(["One", "Two"]);
    assert_eq!(states(code), both);
    assert_eq!(names(drawing_in(code)), both);
}
