//! Several requests on one connection.

use super::Exercise;
use crate::check::Check;
use crate::checks::keep_alive;

pub const EXERCISE: Exercise = Exercise {
    name: "keep-alive",
    stage: 4,
    title: "several requests on one connection",
    task: "\
An HTTP/1.1 connection stays open after a response, also after an error such as 404, and the
server responds to the next request on it. If a client sends several requests without waiting
for the responses, they come in the order of the requests.

The server sends `Connection: close` with the response, and then closes the connection, if
- the client sends `close` in the field `Connection`, in upper or lower case, alone or in a list
- the request is HTTP/1.0
- the request is malformed, or this server can't find its end (`Transfer-Encoding`). What comes
  after it must not be taken for a request.

The content of a request is not a request either: read it, or close after the response. A form
that gets status 200 has been read, so the connection stays open. If no request arrives within
`--timeout` after a response, the server closes the connection and sends nothing.

A response without `Connection: close` needs an end that the client can find: `Content-Length`,
or no content because of its status or method. If a response ends too early, the connection
ends, too.",
    references: &[
        "RFC 9112, 9.3 (persistence), 9.6 (closing), 6.3 (where content ends)",
        "CWE-444 (request smuggling)",
    ],
    checks: CHECKS,
    excused: &["connection-close"],
    already_passing: &[],
};

const CHECKS: &[Check] = &[
    of_exercise(keep_alive::TWO_REQUESTS, &[]),
    of_exercise(keep_alive::PIPELINED_REQUESTS, NEEDS),
    of_exercise(keep_alive::CLOSE_ON_REQUEST, NEEDS),
    of_exercise(keep_alive::IDLE_TIMEOUT, NEEDS),
    of_exercise(keep_alive::MALFORMED_REQUEST, NEEDS),
    of_exercise(keep_alive::CONTENT, NEEDS),
];

const NEEDS: &[&str] = &[keep_alive::TWO_REQUESTS.id];

/// A check of stage 6, for the exercise.
const fn of_exercise(check: Check, needs: &'static [&'static str]) -> Check {
    Check {
        exercise: Some("keep-alive"),
        stages: 4..=4,
        needs,
        ..check
    }
}
