//! Small documents with one mistake each: if one of them passed, the real ones would be held to
//! nothing. Each begins with a line `=== MESSAGE | MESSAGE`, all of which must be reported with
//! it, or with `=== correct`.

use super::{problems, reader};
use lab::book::document::Document;
use std::time::Duration;

/// How long a step of a small document may take.
const LIMIT: Duration = Duration::from_secs(2);

fn expect_messages(documents: &str, problems: impl Fn(&Document) -> Vec<String>) {
    for document in documents.split("=== ").skip(1) {
        let (messages, text) = document.split_once('\n').unwrap();
        let problems = problems(&Document::parse("README.md", text)).join("\n");
        let is_expected = match messages {
            "correct" => problems.is_empty(),
            _ => messages.split(" | ").all(|it| problems.contains(it)),
        };
        assert!(is_expected, "{document}reported:\n{problems}");
    }
}

#[test]
fn wrong_text_is_reported() {
    expect_messages(include_str!("wrong_text.md"), problems);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "waits for what never comes: LAB_CI=1 runs it")]
fn wrong_output_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    expect_messages(include_str!("wrong_output.md"), |document| {
        reader::run_in(document, folder.path(), LIMIT)
    });
}
