//! Explains a verdict to a person: what was sent, expected and received, why it matters, and
//! where to read on.

use crate::check::Check;
use crate::run::{Failure, Verdict};
use clap::ValueEnum;
use harness::text::{SHOWN_BYTES, readable, truncate};

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

/// Explains a verdict; empty for a check that passed. `port` is where the stage listens by
/// default, for a command to try.
pub fn explain(check: &Check, verdict: &Verdict, details: Details, port: u16) -> String {
    let must = format!("  must: {}\n", check.must);
    let failure = match verdict {
        Verdict::Passed => return String::new(),
        Verdict::NotReached(reason) => return format!("{must}  not reached: {reason}\n"),
        Verdict::NotRun(reason) => return format!("{must}  not run: {reason}\n"),
        Verdict::Broken(reason) => {
            return format!("{must}  BROKEN by the harness, not by the server: {reason}\n");
        }
        Verdict::Failed(failure) => failure,
    };
    if details == Details::None {
        return must;
    }
    let mut text = must;
    if details == Details::Full {
        text += &evidence(failure);
    }
    text += &format!("  why: {}\n  hint: {}\n", check.why, check.hint);
    text += &format!("  read: {}\n", check.lesson());
    if details == Details::Full
        && check.replayable
        && let Some(command) = replay_command(&failure.evidence.sent, port)
    {
        text += &format!("  try: {command}\n");
    }
    text
}

/// What was sent, expected and received, and the end of the server's log.
fn evidence(failure: &Failure) -> String {
    let evidence = &failure.evidence;
    let mut text = String::new();
    if !evidence.sent.is_empty() {
        text += &format!("  sent:\n{}", readable(&evidence.sent));
    }
    let expected = truncate(&evidence.expected, TEXT_LIMIT);
    let received = truncate(&evidence.received, TEXT_LIMIT);
    text += &format!("  expected: {expected}\n  received: {received}\n");
    if !failure.log.is_empty() {
        text += &format!("  end of its log:\n{}", readable(&failure.log));
    }
    text
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

    const CHECK: Check = Check {
        must: "the must",
        why: "the why",
        hint: "the hint",
        ..DEFAULTS
    };

    fn failed() -> Verdict {
        Verdict::Failed(Failure {
            evidence: Box::new(Evidence {
                sent: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                expected: "the expected".to_string(),
                received: "the received".to_string(),
            }),
            log: b"the log\n".to_vec(),
        })
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
    fn replay_command_escapes_for_shell_and_printf() {
        let command = replay_command(b"GET /a'b%20\\ HTTP/1.1\r\n\x00\r\n", 7788).unwrap();
        let expected = r"printf 'GET /a\047b%%20\\ HTTP/1.1\r\n\000\r\n' | nc 127.0.0.1 7788";
        assert_eq!(command, expected);
    }
}
