//! A failed check, told to a person: what was sent, expected and received, why it matters,
//! and where to go on.

use crate::check::{Check, Finding};
use crate::exercises::{self, Exercise};
use crate::suite::{Failure, Verdict};
use clap::ValueEnum;

/// How much of a failure a student gets to see.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Details {
    /// All of it: what was sent, expected and received, why, the hint, how to repeat it.
    Full,
    /// What must be true, why, and the hint.
    Hints,
    /// Only what must be true.
    None,
}

/// Where to look for a check: the section of LESSONS.md, or the text of its exercise.
pub fn lesson(check: &Check) -> String {
    let has_it = |exercise: &&Exercise| exercise.checks.iter().any(|own| own.id == check.id);
    match exercises::all().find(has_it) {
        Some(exercise) => format!("cargo lab exercise {}", exercise.name),
        None => format!("LESSONS.md, lesson {}", check.stages.start()),
    }
}

/// What there is to say of a verdict; nothing of a check that passed. `port` is where the
/// stage would listen, for a line to try.
pub fn explain(check: &Check, verdict: &Verdict, details: Details, port: u16) -> String {
    let must = format!("  must be true: {}\n", check.must);
    match verdict {
        Verdict::Passed => String::new(),
        Verdict::NotReached(why) => format!("{must}  not reached: {why}\n"),
        Verdict::NotRun(why) => format!("{must}  not run: {why}\n"),
        Verdict::Broken(what) => format!("{must}  BROKEN, the harness's fault: {what}\n"),
        Verdict::Failed(_) if details == Details::None => must,
        Verdict::Failed(failure) => {
            let mut text = must;
            if details == Details::Full {
                text += &evidence(failure);
            }
            text += &format!("  why: {}\n  hint: {}\n", check.why, check.hint);
            text += &format!("  read: {}\n", lesson(check));
            if details == Details::Full
                && check.alone
                && let Some(line) = replay(&failure.finding.sent, port)
            {
                text += &format!("  try: {line}\n");
            }
            text
        }
    }
}

/// What was sent, expected and received, and the end of the server's log.
fn evidence(failure: &Failure) -> String {
    let Finding {
        sent,
        expected,
        received,
    } = failure.finding.as_ref();
    let mut text = String::new();
    if !sent.is_empty() {
        text += &format!("  sent:\n{}", readable(sent));
    }
    text += &format!(
        "  expected: {}\n  received: {}\n",
        cut(expected),
        cut(received)
    );
    if !failure.log.is_empty() {
        text += &format!("  last in its log:\n{}", readable(&failure.log));
    }
    text
}

/// A text, cut to what a person would read of it.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TOLD) {
        None => text.to_string(),
        Some((end, _)) => format!("{} ... {} bytes in all", &text[..end], text.len()),
    }
}

/// How much of what was expected or received is told, in characters.
const TOLD: usize = 3000;

/// How much of what was sent or received is worth showing, in bytes.
const SHOWN: usize = 600;

/// Bytes as a person can read them, line by line, cut to what matters.
pub fn readable(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let mut text: String = shown
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            format!(
                "    {}\n",
                shortened(&line.escape_ascii().to_string(), LINE)
            )
        })
        .collect();
    if shown.len() < bytes.len() {
        text += &format!("    ... {} bytes in all\n", bytes.len());
    }
    text
}

/// How much of a line is worth showing, in characters: all of it, or what fits a terminal.
const LINE: usize = 160;

/// A text, cut to that many characters.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_string(),
        Some((end, _)) => format!("{} ...", &text[..end]),
    }
}

/// A line for the shell that sends the same bytes to a server on that port.
pub fn replay(sent: &[u8], port: u16) -> Option<String> {
    if sent.is_empty() || sent.len() > 2 * SHOWN {
        return None;
    }
    let mut escaped = String::new();
    for byte in sent {
        match byte {
            b'\r' => escaped += "\\r",
            b'\n' => escaped += "\\n",
            b'\\' => escaped += "\\\\",
            b'%' => escaped += "%%",
            b' '..=b'~' if *byte != b'\'' => escaped.push(*byte as char),
            other => escaped += &format!("\\{other:03o}"),
        }
    }
    Some(format!("printf '{escaped}' | nc 127.0.0.1 {port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::COMMON;

    const CHECK: Check = Check {
        must: "the must",
        why: "the why",
        hint: "the hint",
        ..COMMON
    };

    fn failed() -> Verdict {
        Verdict::Failed(Failure {
            finding: Box::new(Finding {
                sent: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                expected: "the expected".to_string(),
                received: "the received".to_string(),
            }),
            log: b"the log\n".to_vec(),
        })
    }

    #[test]
    fn details_say_how_much_is_told() {
        let told = |details| explain(&CHECK, &failed(), details, 7788);
        let parts = |text: &str| {
            [
                "must", "sent", "expected", "received", "log", "why", "hint", "try",
            ]
            .map(|part| text.contains(part))
        };
        assert_eq!(parts(&told(Details::Full)), [true; 8]);
        let [must, sent, expected, received, log, why, hint, again] = parts(&told(Details::Hints));
        assert!(must && why && hint);
        assert!(!(sent || expected || received || log || again));
        assert_eq!(told(Details::None), "  must be true: the must\n");
    }

    #[test]
    fn a_replay_survives_the_shell_and_printf() {
        let line = replay(b"GET /a'b%20\\ HTTP/1.1\r\n\x00\r\n", 7788).unwrap();
        let expected = r"printf 'GET /a\047b%%20\\ HTTP/1.1\r\n\000\r\n' | nc 127.0.0.1 7788";
        assert_eq!(line, expected);
    }
}
