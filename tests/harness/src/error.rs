//! How a check fails: because of the server, or because of the harness.

use std::io;

/// The result of a check, and of every step inside one.
pub type CheckResult<T = ()> = Result<T, CheckError>;

/// Why a check did not pass.
#[derive(Debug)]
pub enum CheckError {
    /// The server's fault.
    Failed(Box<Evidence>),
    /// The harness's own fault. It says nothing about the server.
    Broken(String),
}

/// What shows that a server is wrong.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub kind: FailureKind,
    /// The bytes that the server got; empty if the failure isn't about a request.
    pub sent: Vec<u8>,
    pub expected: String,
    pub received: String,
}

/// How a server failed. A hint that is right for one kind is wrong for another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureKind {
    /// It can't be started, or exited before it announced its address.
    NotStarted,
    /// It is running but announced nothing.
    NotAnnounced,
    /// It announced another address than the one that was asked for.
    WrongAddress,
    /// It is running, but nobody accepts connections.
    NotListening,
    /// It exited when it should have kept running.
    Exited,
    /// Instead of a response, it announced another server.
    StartedAgain,
    /// It closed or reset the connection without a response.
    NoResponse,
    /// It kept the connection open, without a complete response in time.
    TooSlow,
    /// It did something else than it must.
    Behavior,
}

impl CheckError {
    /// A failure that isn't about a single request.
    pub fn failed(expected: impl Into<String>, received: impl Into<String>) -> CheckError {
        CheckError::after(b"", expected, received)
    }

    /// A failure that shows after these bytes were sent.
    pub fn after(
        sent: &[u8],
        expected: impl Into<String>,
        received: impl Into<String>,
    ) -> CheckError {
        CheckError::of_kind(FailureKind::Behavior, sent, expected, received)
    }

    /// The same for another kind of failure than a wrong behavior.
    pub fn of_kind(
        kind: FailureKind,
        sent: &[u8],
        expected: impl Into<String>,
        received: impl Into<String>,
    ) -> CheckError {
        CheckError::Failed(Box::new(Evidence {
            kind,
            sent: sent.to_vec(),
            expected: expected.into(),
            received: received.into(),
        }))
    }
}

/// An I/O error of the harness: it could not create a file, for example.
impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> CheckError {
        CheckError::Broken(error.to_string())
    }
}

/// Fails with this evidence unless the condition holds.
pub fn ensure(
    condition: bool,
    expected: impl Into<String>,
    received: impl Into<String>,
) -> CheckResult {
    if condition {
        return Ok(());
    }
    Err(CheckError::failed(expected, received))
}
