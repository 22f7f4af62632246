//! The documents: what they show is true.
//!
//! Every console block is run, in order, in a copy of this workspace, and its output is compared.
//! Every excerpt and every diff is in the code, and every change between stages 1 to 3 is shown.
//! Every edit can be made. Every check, exercise and fault that is named exists, and every link
//! leads somewhere. All lessons have the same sections. A failure names the line of the document.
//!
//! The commands need `cc`, `curl`, `git`, `nc`, `ps` and `strace`, the ports of the stages, and
//! Linux.

mod code;
mod output;
mod reader;
mod references;
mod shell;
mod state_machine;
mod structure;
mod wrong_documents;

use lab::book::document::Document;
use lab::book::translation::TRANSLATIONS;

/// What is wrong with a document, without running its commands.
fn problems(document: &Document) -> Vec<String> {
    [
        code::wrong_excerpts,
        code::missing_changes,
        references::broken_links,
        references::unknown_names,
        state_machine::wrong_drawings,
        structure::untested_blocks,
        structure::irregular_lessons,
    ]
    .iter()
    .flat_map(|problems| problems(document))
    .collect()
}

/// Looks for problems in every document.
fn check(documents: &[Document], problems: fn(&Document) -> Vec<String>) {
    let problems: Vec<String> = documents.iter().flat_map(problems).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn text_agrees_with_the_code() {
    check(&Document::all(), problems);
}

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "takes minutes: LAB_CI=1 runs it on Linux"
)]
fn commands_print_what_is_shown() {
    harness::cleanup::handle_signals().unwrap();
    let _stages = crate::stages_by_name();
    // One document after the other: they use the same ports.
    let mut documents = Document::all();
    // The commands of a translation are those of its original.
    documents.retain(|document| TRANSLATIONS.iter().all(|(_, name)| document.name != *name));
    check(&documents, reader::run);
}
