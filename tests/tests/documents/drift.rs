//! Small documents that have drifted, one way each: if one of them passed, the real ones would
//! be held to nothing.

use crate::commands;
use crate::document::Document;
use crate::{names, quotes, shape};
use libtest_mimic::Failed;
use std::time::Duration;

/// How long a small document waits for what does not come.
const LIMIT: Duration = Duration::from_secs(2);

/// What a document says, and what is said of it: the line, and words of the message. Lines of
/// a fence are written with three apostrophes here.
const COMMANDS: [(&str, &str); 13] = [
    (
        "'''console second\nsecond$ sleep 0.5; echo a >a.txt; cat\n'''\n\n'''console\n$ ls | cat\na.txt\n'''\n\n'''console second\n^C\n'''",
        "",
    ),
    (
        "'''console\n$ ls no-such-file\n'''",
        "TEST.md:3: this has drifted.\nexpected: nothing more",
    ),
    ("'''console\n$ echo 4242; echo b c\n4242\nb   c\n'''", ""),
    (
        "'''console\n$ echo a\nb\n'''",
        "TEST.md:3: this has drifted.\nexpected: `b`\nseen: `a`",
    ),
    (
        "'''console\n$ echo a\na\nb\n'''",
        "TEST.md:4: this has drifted.\nexpected: `b`\nseen: nothing",
    ),
    (
        "'''console\n$ echo a; echo b\na\n'''",
        "TEST.md:4: this has drifted.\nexpected: nothing more\nseen: `b`",
    ),
    (
        "'''console\n$ no-such-command\n'''",
        "no-such-command: not found",
    ),
    (
        "'''console\n$ sleep 60\n'''",
        "TEST.md:2: this does not end",
    ),
    (
        "'''console\n$ cat\na⏎\nb\n^C\n'''",
        "TEST.md:4: this has drifted.\nexpected: `b`\nseen: `a`",
    ),
    (
        "'''console\n$ cat\na⏎\na\n^C\n'''\n\n'''console\n$ echo c\nc\n'''",
        "",
    ),
    (
        "'''console\n$ trap '' INT; echo a; exit 3\na\n'''\n\n'''console\n^C\n'''",
        "TEST.md:7: this had ended by itself, before ^C",
    ),
    (
        "'''console server\nserver$ cat\n'''\n\n'''console server\na⏎\na\n$ b\n'''",
        "TEST.md:8: this has drifted.\nexpected: `$ b`\nseen: nothing",
    ),
    (
        "'''diff\n--- no.txt\n+++ no.txt\n-a\n+b\n'''",
        "TEST.md:2: no.txt: No such file",
    ),
];

const QUOTES: [(&str, &str); 7] = [
    (
        "'''rust\n// stage1_single/src/serve.rs\nloop {\n    match listener.accept() {\n'''",
        "",
    ),
    (
        "'''rust\n// stage1_single/src/serve.rs\nloop {\n    match listener.accepts() {\n'''",
        "TEST.md:3: this does not stand so",
    ),
    (
        "'''rust\nloop {\n'''",
        "TEST.md:2: the first line of an excerpt names its file",
    ),
    (
        "'''diff\n--- stage1_single/Cargo.toml\n+++ stage2_multiprocess/Cargo.toml\n-name = \"stage1_single\"\n+name = \"stage2\"\n'''",
        "TEST.md:4: these lines are not in the diff",
    ),
    ("'''diff\n-name\n'''", "TEST.md:2: a diff begins with"),
    ("[a](NO.md)", "TEST.md:1: NO.md: there is no NO.md"),
    (
        "[a](README.md#no-such-heading)",
        "TEST.md:1: README.md#no-such-heading: README.md has no such heading",
    ),
];

const NAMES: [(&str, &str); 4] = [
    ("`no-climbing`, `climbs`, `keep-alive`", ""),
    (
        "\n`no-such-check`",
        "TEST.md:2: there is no check, exercise or fault `no-such-check`",
    ),
    ("'''sh\ncargo test\n'''", ""),
    (
        "'''sh\ncargo run\n'''",
        "TEST.md:2: a block of `sh` is held to nothing",
    ),
];

/// Each must be red with its message, or green where there is none.
pub fn tests() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    for (text, wanted) in COMMANDS {
        let seen = commands::run_in(&document(text), home.path(), LIMIT);
        must_say(text, wanted, seen.err().unwrap_or_default())?;
    }
    for (text, wanted) in QUOTES {
        let document = document(text);
        let seen = [quotes::code(&document), names::links(&document)].concat();
        must_say(text, wanted, seen.join("\n"))?;
    }
    for (text, wanted) in NAMES {
        let document = document(text);
        let seen = [names::names(&document), shape::blocks(&document)].concat();
        must_say(text, wanted, seen.join("\n"))?;
    }
    Ok(())
}

fn document(text: &str) -> Document {
    Document::parse("TEST.md", &text.replace("'''", "```"))
}

fn must_say(text: &str, wanted: &str, seen: String) -> Result<(), Failed> {
    match wanted.is_empty() == seen.is_empty() && seen.contains(wanted) {
        true => Ok(()),
        false => Err(format!("{text}\nshould say: {wanted}\nand says: {seen}").into()),
    }
}
