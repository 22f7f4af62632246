//! Explains a verdict to a person: what was sent, expected and received, why it matters, and
//! where to read on.

use crate::check::Check;
use crate::run::{Failure, TimedVerdict, Verdict};
use crate::translation::{fill, text};
use clap::ValueEnum;
use harness::error::FailureKind;
use harness::text::{SHOWN_BYTES, readable, readable_log, truncate};

/// How much of a failure a student sees.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Details {
    /// What was sent, expected and received, why it matters, a hint, and how to repeat it.
    Full,
    /// What the server must do, why, and a hint.
    Hints,
    /// Only what the server must do.
    None,
}

impl Details {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Details::Full => "full",
            Details::Hints => "hints",
            Details::None => "none",
        }
    }
}

/// How many characters of what was expected or received are shown.
const TEXT_LIMIT: usize = 3000;

/// Explains a verdict; empty for a check that passed at once. `port` is where the stage listens by
/// default, for a command to try.
pub fn explain(check: &Check, timed: &TimedVerdict, details: Details, port: u16) -> String {
    match (&timed.verdict, &timed.first_attempt) {
        (Verdict::Passed, Some(first)) => {
            let label = text("first attempt, on a machine that was too busy: ");
            format!("  {label}{}\n", summarize(first, details))
        }
        (verdict, _) => explain_verdict(check, verdict, details, port),
    }
}

/// What a check found, in a line.
pub fn summarize(verdict: &Verdict, details: Details) -> String {
    match verdict {
        Verdict::Failed(failure) if details == Details::Full => {
            let received = failure.evidence.received.trim_start().lines().next();
            let received = received.unwrap_or_default();
            fill("failed, received {received}", &[("received", &received)])
        }
        Verdict::Broken(reason) => fill("broken: {reason}", &[("reason", reason)]),
        _ => text("failed").to_string(),
    }
}

fn explain_verdict(check: &Check, verdict: &Verdict, details: Details, port: u16) -> String {
    let line = |label: &str, text: &str| format!("  {label}{text}\n");
    let must = line(text("must: "), text(check.must));
    let (label, reason) = match verdict {
        Verdict::Passed => return String::new(),
        Verdict::NotReached(reason) => (text("not reached: "), reason),
        Verdict::NotRun(reason) => (text("not run: "), reason),
        Verdict::Broken(reason) => (text("BROKEN by the harness, not by the server: "), reason),
        Verdict::Failed(failure) => return must + &explain_failure(check, failure, details, port),
    };
    must + &line(label, reason)
}

/// What follows what the server must do.
fn explain_failure(check: &Check, failure: &Failure, details: Details, port: u16) -> String {
    let mut explanation = String::new();
    if details == Details::None {
        return explanation;
    }
    if details == Details::Full {
        explanation += &evidence(failure);
    }
    let (why, hint) = (text(check.why), hint(check, failure));
    explanation += &format!("  {}{why}\n  {}{hint}\n", text("why: "), text("hint: "));
    explanation += &format!("  {}{}\n", text("read: "), check.lesson());
    if details == Details::Full
        && check.replayable
        && !failure.names_site
        && let Some(command) = replay_command(&failure.evidence.sent, port)
    {
        explanation += &format!("  {}{command}\n", text("try: "));
    }
    explanation
}

/// A check's hint is about its subject. If a server fails before it gets there, that hint would
/// mislead.
fn hint(check: &Check, failure: &Failure) -> &'static str {
    let kind = failure.evidence.kind;
    if check.about.contains(&kind) {
        return text(check.hint);
    }
    match kind {
        FailureKind::Behavior => text(check.hint),
        FailureKind::NotStarted => text(
            "Run it by hand with --listen, --root and --timeout. Many servers run at once: use the \
             address that --listen gives, and a free port if its port is 0.",
        ),
        FailureKind::NotAnnounced => text(
            "Print exactly this line, with the actual port, to standard output once you listen, and \
             flush it.",
        ),
        FailureKind::WrongAddress => text("Listen on the address that --listen gives."),
        FailureKind::NotListening => {
            text("The server is running, but doesn't accept connections: is it still in its loop?")
        }
        FailureKind::Exited => text(
            "No client and no request may end the server. The end of its log may say what did.",
        ),
        FailureKind::StartedAgain => text(
            "A child became another server: does it know that it is a child, and does it then serve \
             the client that it was given?",
        ),
        FailureKind::NoResponse => text(
            "Whoever handled this connection ended without a response. Look for an error or a \
             panic in the log.",
        ),
        FailureKind::TooSlow => text(
            "The server got the request but didn't finish. What does it wait for: more input, a \
             lock, a child?",
        ),
    }
}

/// What was sent, expected and received, and the end of the server's log.
fn evidence(failure: &Failure) -> String {
    let evidence = &failure.evidence;
    let mut shown = String::new();
    if !evidence.sent.is_empty() {
        shown += &format!("  {}\n{}", text("sent:"), readable(&evidence.sent));
    }
    let expected = truncate(&evidence.expected, TEXT_LIMIT);
    let received = truncate(&evidence.received, TEXT_LIMIT);
    shown += &format!("  {}{expected}\n", text("expected: "));
    shown += &format!("  {}{received}\n", text("received: "));
    if !failure.log.is_empty() {
        shown += &format!(
            "  {}\n{}",
            text("end of its log:"),
            readable_log(&failure.log)
        );
    }
    shown
}

/// A shell command that sends these bytes to a server on that port; `None` if they are too many.
pub fn replay_command(sent: &[u8], port: u16) -> Option<String> {
    if sent.is_empty() || sent.len() > 2 * SHOWN_BYTES {
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
    use crate::check::DEFAULTS;
    use harness::error::Evidence;
    use std::time::Duration;

    const CHECK: Check = Check {
        must: "the must",
        why: "the why",
        hint: "the hint",
        ..DEFAULTS
    };

    fn failed() -> TimedVerdict {
        let verdict = Verdict::Failed(Failure {
            evidence: Box::new(Evidence {
                kind: FailureKind::Behavior,
                sent: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                expected: "the expected".to_string(),
                received: "the received".to_string(),
            }),
            log: b"the log\n".to_vec(),
            names_site: false,
        });
        TimedVerdict {
            verdict,
            first_attempt: None,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn details_limit_what_is_shown() {
        let parts = [
            "must", "why", "hint", "sent", "expected", "received", "log", "try",
        ];
        let shown = |details| {
            let text = explain(&CHECK, &failed(), details, 7788);
            parts.map(|part| text.contains(part))
        };
        assert_eq!(shown(Details::Full), [true; 8]);
        let hints = [true, true, true, false, false, false, false, false];
        assert_eq!(shown(Details::Hints), hints);
        let text = explain(&CHECK, &failed(), Details::None, 7788);
        assert_eq!(text, "  must: the must\n");
    }

    #[test]
    fn first_attempt_is_shown() {
        let passed = TimedVerdict {
            verdict: Verdict::Passed,
            first_attempt: Some(Box::new(failed().verdict)),
            duration: Duration::ZERO,
        };
        let text = explain(&CHECK, &passed, Details::Full, 7788);
        let expected =
            "  first attempt, on a machine that was too busy: failed, received the received\n";
        assert_eq!(text, expected);
        let text = explain(&CHECK, &passed, Details::Hints, 7788);
        assert!(!text.contains("received"), "{text}");
    }

    #[test]
    fn hint_fits_the_kind_of_failure() {
        let with_kind = |kind| {
            let Verdict::Failed(mut failure) = failed().verdict else {
                unreachable!()
            };
            failure.evidence.kind = kind;
            failure
        };
        let exited = with_kind(FailureKind::Exited);
        assert_eq!(hint(&CHECK, &with_kind(FailureKind::Behavior)), "the hint");
        assert!(hint(&CHECK, &exited).contains("log"));
        let about_exits = Check {
            about: &[FailureKind::Exited],
            ..CHECK
        };
        assert_eq!(hint(&about_exits, &exited), "the hint");
    }

    #[test]
    fn replay_command_escapes_for_shell_and_printf() {
        let command = replay_command(b"GET /a'b%20\\ HTTP/1.1\r\n\x00\r\n", 7788).unwrap();
        let expected = r"printf 'GET /a\047b%%20\\ HTTP/1.1\r\n\000\r\n' | nc 127.0.0.1 7788";
        assert_eq!(command, expected);
    }
}
