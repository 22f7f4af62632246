//! A part of a file, for a client that has the rest.

use super::Exercise;
use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome};
use crate::site::File;
use crate::wire::{post, request, strict_fault};
use std::io;

pub const EXERCISE: Exercise = Exercise {
    name: "ranges",
    stage: 4,
    title: "a part of a file, for a client that has the rest",
    asked: "\
The answer to GET and HEAD for a file has `Accept-Ranges: bytes`. To GET with the field
`Range`, if it asks for one range of bytes, the answer is 206 with that part of the file:
`Range: bytes=2-5` is bytes 2 to 5, counted from 0; `bytes=2-` from byte 2 on; `bytes=-5` the
last five, or all if there are fewer. What lies beyond the end is left out. `Content-Range:
bytes 2-5/1000` tells which part of how much it is, `Content-Length` the length of the part.
If no byte of the file is asked for, the answer is 416 with `Content-Range: bytes */1000`.

A field that is malformed, names another unit, or asks for several ranges is ignored: 200 and
the whole file. So is it on other methods than GET, and beside `If-Range`, since this server
gives no validator that could be compared.",
    read: &[
        "RFC 9110, 14 (ranges), 13.1.5 (If-Range), 15.3.7, 15.5.17",
        "lseek(2)",
    ],
    checks: CHECKS,
    excuses: &[],
    already: &[
        "broken-ranges-are-ignored",
        "only-get-has-ranges",
        "if-range-gets-all",
    ],
};

const OWN: Check = Check {
    stages: 4..=4,
    needs: &["one-range"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "accept-ranges",
        must: "a file's answer says `Accept-Ranges: bytes`",
        why: "RFC 9110, 14.3: so a client knows that it may ask for the rest later.",
        hint: "It is a field like the others that a file gets.",
        needs: &[],
        run: accept_ranges,
        ..OWN
    },
    Check {
        id: "one-range",
        must: "`a-b`, `a-` and `-n` are 206 with that part, its place and its length",
        why: "RFC 9110, 14.1.2 and 15.3.7: a download that broke off goes on where it ended.",
        hint: "Both ends count: `0-0` is one byte. Go to the first, and promise no more than you send.",
        needs: &[],
        weight: 3,
        run: one_range,
        ..OWN
    },
    Check {
        id: "unsatisfiable-is-416",
        must: "a range without a byte of the file is 416, with the file's length",
        why: "RFC 9110, 15.5.17: the client learns how long the file is now.",
        hint: "It begins at the end or behind it, or asks for the last 0 bytes.",
        run: unsatisfiable_is_416,
        ..OWN
    },
    Check {
        id: "broken-ranges-are-ignored",
        must: "what is malformed, of another unit, or more than one range is ignored",
        why: "RFC 9110, 14.2: who does not understand a range serves the whole.",
        hint: "Only digits are a number; of the two, one must be there, and in order.",
        run: broken_ranges_are_ignored,
        ..OWN
    },
    Check {
        id: "only-get-has-ranges",
        must: "HEAD and other methods ignore the field, and errors stay what they are",
        why: "RFC 9110, 14.2: a range is defined for GET alone.",
        hint: "HEAD and GET are answered by the same code: here they differ.",
        run: only_get_has_ranges,
        ..OWN
    },
    Check {
        id: "if-range-gets-all",
        must: "a request with If-Range gets the whole file",
        why: "RFC 9110, 13.1.5: else a client could join parts of two versions of a file.",
        hint: "What cannot be shown to be the same must be taken for another.",
        run: if_range_gets_all,
        ..OWN
    },
];

/// A file of random length and content.
fn some_file(bench: &Bench) -> io::Result<File> {
    let content = bench.site.bytes(200_000 + bench.site.below(1000));
    bench.site.add(&bench.site.name(), &content)
}

/// Asks for a range.
fn get_range(file: &File, range: &str) -> Vec<u8> {
    request("GET", &file.target(), &format!("Range: {range}\r\n"))
}

fn accept_ranges(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    for method in ["GET", "HEAD"] {
        let answer = server.ask(&request(method, &page.target(), ""))?;
        answer.must_have_status(200)?;
        answer.must_have_field("Accept-Ranges", "bytes")?;
    }
    Ok(())
}

fn one_range(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let file = some_file(bench)?;
    let length = file.content.len();
    let first = 1 + bench.site.below(100_000);
    let last = first + bench.site.below(90_000);
    for (range, first, last) in [
        (format!("{first}-{last}"), first, last),
        ("0-0".to_string(), 0, 0),
        (format!("{first}-"), first, length - 1),
        (format!("{first}-{}", length + 5), first, length - 1),
        (
            format!("{}-{}", length - 1, length - 1),
            length - 1,
            length - 1,
        ),
        (format!("-{first}"), length - first, length - 1),
        (format!("-{}", length + 1), 0, length - 1),
    ] {
        let answer = server.ask(&get_range(&file, &format!("bytes={range}")))?;
        answer.must_have_status(206)?;
        let place = format!("bytes {first}-{last}/{length}");
        answer.must_have_field("Content-Range", &place)?;
        answer.must_have_field("Content-Length", &(last + 1 - first).to_string())?;
        answer.must_have_content(&file.content[first..=last])?;
        let fault = strict_fault(&answer.raw).unwrap_or_default();
        answer.must(
            fault.is_empty(),
            format!("a well-formed answer, but {fault}"),
        )?;
    }
    Ok(())
}

fn unsatisfiable_is_416(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let file = some_file(bench)?;
    let empty = bench.site.add(&bench.site.name(), b"")?;
    let length = file.content.len();
    for (file, range) in [
        (&file, format!("bytes={length}-")),
        (&file, format!("bytes={}-{}", length + 3, length + 5)),
        (&file, "bytes=-0".to_string()),
        (&empty, "bytes=0-".to_string()),
        (&empty, "bytes=0-0".to_string()),
    ] {
        let answer = server.ask(&get_range(file, &range))?;
        answer.must_have_status(416)?;
        let length = format!("bytes */{}", file.content.len());
        answer.must_have_field("Content-Range", &length)?;
    }
    Ok(())
}

fn broken_ranges_are_ignored(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=--2",
        "bytes=1-2-3",
        "bytes=0x1-0x2",
        "1-2",
        "lines=1-2",
        "bytes=0-1,4-5",
        "bytes=0-0,-1",
    ] {
        let answer = server.ask(&get_range(page, range))?;
        answer.must_serve(&page.content)?;
    }
    Ok(())
}

fn only_get_has_ranges(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    let range = "Range: bytes=1-2\r\n";
    for range in [range, "Range: bytes=1000000-\r\n"] {
        let answer = server.ask(&request("HEAD", &page.target(), range))?;
        answer.must_have_status(200)?;
        answer.must_have_field("Content-Length", &page.content.len().to_string())?;
    }
    for (method, status) in [("OPTIONS", 204), ("PUT", 405)] {
        let answer = server.ask(&request(method, &page.target(), range))?;
        answer.must_have_status(status)?;
    }
    let form = post("/MyForm.html", b"a=b");
    let form =
        String::from_utf8_lossy(&form).replacen("Content-Type", &format!("{range}Content-Type"), 1);
    server.ask(form.as_bytes())?.must_have_status(200)?;
    let missing = format!("/{}", bench.site.name());
    let answer = server.ask(&request("GET", &missing, range))?;
    answer.must_have_status(404)?;
    answer.must_have_content(&bench.site.missing.content)
}

fn if_range_gets_all(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    for validator in ["\"abc\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let fields = format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n");
        let answer = server.ask(&request("GET", &page.target(), &fields))?;
        answer.must_serve(&page.content)?;
    }
    Ok(())
}
