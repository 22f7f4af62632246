//! Part of a file, for a client that has the rest.

use super::{Exercise, defaults, ensure_other_methods_ignore};
use crate::check::Check;
use harness::client::request;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::site::File;
use std::io;

pub const EXERCISE: Exercise = Exercise {
    name: "ranges",
    stage: 4,
    title: "part of a file, for clients that have the rest",
    task: "\
The response to GET and HEAD for a file has the field `Accept-Ranges: bytes`. If a GET request
has the field `Range` with one range of bytes, the response is 206 with that part of the file:

  Range: bytes=2-5    bytes 2 to 5; the first byte of a file is byte 0
  Range: bytes=2-     from byte 2 to the end
  Range: bytes=-5     the last five bytes, or all if there are fewer

A range that goes beyond the end of the file stops there. `Content-Range: bytes 2-5/1000` says
which part it is, and how long the whole file is; `Content-Length` is the length of the part.
If the range selects no byte, because it starts at the end of the file or after it, or is
`bytes=-0`, the response is 416 with `Content-Range: bytes */1000`.

The field is ignored if it is malformed (`bytes=5-2` is, too), names another unit, or asks for
several ranges: the response is 200 with the whole file. It is also ignored if the method is not
GET, if there is no file to send, and if there is an `If-Range`, since this server sends nothing
that If-Range could be compared with.",
    references: &[
        "RFC 9110, 14 (ranges), 13.1.5 (If-Range), 15.3.7, 15.5.17",
        "lseek(2)",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &[
        "invalid-ranges-are-ignored",
        "ranges-only-for-get",
        "if-range",
    ],
};

const DEFAULTS: Check = defaults("ranges", 4, &["single-range"]);

const CHECKS: &[Check] = &[
    Check {
        id: "accept-ranges",
        must: "send `Accept-Ranges: bytes` with a file",
        why: "RFC 9110, 14.3: it tells a client that it can request the rest later.",
        hint: "Add it like the other fields of a file.",
        needs: &[],
        run: accept_ranges,
        ..DEFAULTS
    },
    Check {
        id: "single-range",
        must: "respond to `a-b`, `a-` and `-n` with 206, that part, its position and its length",
        why: "RFC 9110, 14.1.2 and 15.3.7: an interrupted download resumes where it stopped.",
        hint: "Both ends are included: `0-0` is one byte. Seek to the first; stop after the last.",
        needs: &[],
        weight: 3,
        run: single_range,
        ..DEFAULTS
    },
    Check {
        id: "unsatisfiable-range",
        must: "respond with 416, with the file's length, if the range selects no byte of the file",
        why: "RFC 9110, 15.5.17: the client learns how long the file is now.",
        hint: "It starts at the end or after it, or asks for the last 0 bytes.",
        run: unsatisfiable_range,
        ..DEFAULTS
    },
    Check {
        id: "invalid-ranges-are-ignored",
        must: "ignore a Range that is malformed, has another unit, or asks for several ranges",
        why: "RFC 9110, 14.2: a server that doesn't understand it sends the whole file.",
        hint: "Numbers have only digits. One of the two may be missing, and the first is not larger.",
        run: invalid_ranges_are_ignored,
        ..DEFAULTS
    },
    Check {
        id: "ranges-only-for-get",
        must: "ignore the field on HEAD and other methods, and leave errors as they are",
        why: "RFC 9110, 14.2: only GET has ranges.",
        hint: "The same code responds to GET and HEAD. Here they differ.",
        run: ranges_only_for_get,
        ..DEFAULTS
    },
    Check {
        id: "if-range",
        must: "send the whole file if the request has an If-Range",
        why: "RFC 9110, 13.1.5: otherwise a client could join parts of two versions of a file.",
        hint: "Nothing shows that the file is still the same, so it counts as changed.",
        run: if_range,
        ..DEFAULTS
    },
];

/// Adds a file of random length and content.
fn add_file(ctx: &TestContext) -> io::Result<File> {
    let content = ctx.site.bytes(200_000 + ctx.site.below(1000));
    ctx.site.add(&ctx.site.name(), &content)
}

/// A request for a range of a file.
fn get_range(file: &File, range: &str) -> Vec<u8> {
    request("GET", &file.target(), &format!("Range: {range}\r\n"))
}

fn accept_ranges(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for method in ["GET", "HEAD"] {
        let response = server.exchange(&request(method, &ctx.site.page.target(), ""))?;
        response.ensure_status(200)?;
        response.ensure_field("Accept-Ranges", "bytes")?;
    }
    Ok(())
}

fn single_range(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let file = add_file(ctx)?;
    let length = file.content.len();
    let end = length - 1;
    let first = 1 + ctx.site.below(100_000);
    let last = first + ctx.site.below(90_000);
    for (range, first, last) in [
        (format!("{first}-{last}"), first, last),
        ("0-0".to_string(), 0, 0),
        (format!("{first}-"), first, end),
        (format!("{first}-{}", length + 5), first, end),
        (format!("{end}-{end}"), end, end),
        (format!("-{first}"), length - first, end),
        (format!("-{}", length + 1), 0, end),
    ] {
        let response = server.exchange(&get_range(&file, &format!("bytes={range}")))?;
        response.ensure_status(206)?;
        let position = format!("bytes {first}-{last}/{length}");
        response.ensure_field("Content-Range", &position)?;
        response.ensure_field("Content-Length", &(last + 1 - first).to_string())?;
        response.ensure_content(&file.content[first..=last])?;
        response.ensure_well_formed()?;
    }
    Ok(())
}

fn unsatisfiable_range(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let file = add_file(ctx)?;
    let empty = ctx.site.add(&ctx.site.name(), b"")?;
    let length = file.content.len();
    for (file, range) in [
        (&file, format!("bytes={length}-")),
        (&file, format!("bytes={}-{}", length + 3, length + 5)),
        (&file, "bytes=-0".to_string()),
        (&empty, "bytes=0-".to_string()),
        (&empty, "bytes=0-0".to_string()),
    ] {
        let response = server.exchange(&get_range(file, &range))?;
        response.ensure_status(416)?;
        let length = format!("bytes */{}", file.content.len());
        response.ensure_field("Content-Range", &length)?;
    }
    Ok(())
}

fn invalid_ranges_are_ignored(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    let invalid = "bytes bytes= bytes=- bytes=5 bytes=5-2 bytes=a-b bytes=+1-2 bytes=1-+2 bytes=--2 \
                   bytes=1-2-3 bytes=0x1-0x2 1-2 lines=1-2 bytes=0-1,4-5 bytes=0-0,-1";
    for range in invalid.split(' ').chain([""]) {
        let response = server.exchange(&get_range(page, range))?;
        response.ensure_serves(&page.content)?;
    }
    Ok(())
}

fn ranges_only_for_get(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    let range = "Range: bytes=1-2\r\n";
    for range in [range, "Range: bytes=1000000-\r\n"] {
        let response = server.exchange(&request("HEAD", &page.target(), range))?;
        response.ensure_status(200)?;
        response.ensure_field("Content-Length", &page.content.len().to_string())?;
    }
    ensure_other_methods_ignore(&server, &page.target(), range)?;
    let missing = format!("/{}", ctx.site.name());
    let response = server.exchange(&request("GET", &missing, range))?;
    response.ensure_status(404)?;
    response.ensure_content(&ctx.site.missing.content)
}

fn if_range(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    for validator in ["\"abc\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let fields = format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n");
        let response = server.exchange(&request("GET", &page.target(), &fields))?;
        response.ensure_serves(&page.content)?;
    }
    Ok(())
}
