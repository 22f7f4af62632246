//! A file that a client has already is not sent again.

use super::Exercise;
use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome};
use crate::site::File;
use crate::wire::{Answer, post, request, strict_fault};
use httpdate::{fmt_http_date, parse_http_date};
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

pub const EXERCISE: Exercise = Exercise {
    name: "not-modified",
    stage: 4,
    title: "a file that the client has already is not sent again",
    asked: "\
The answer to GET and HEAD for a file has `Last-Modified`: when the file was last changed, in
whole seconds and in the form `Sun, 06 Nov 1994 08:49:37 GMT`; never later than `Date`. Of a
client that sends such a date back in `If-Modified-Since`, the file is compared with it: one
that is no newer is answered with 304, `Last-Modified` and no content, to GET and to HEAD; a
newer one as ever. The date may come in each of the three forms of RFC 9110, 5.6.7. A value
that is no date is ignored, and so is the field on other methods, and where there is no file
to compare: 403 and 404 stay. A 304 may leave out Content-Length; if it has one, it is that of
the 200. (If-None-Match is not asked for.)",
    read: &[
        "RFC 9110, 8.8.2, 13.1.3, 15.4.5 and 5.6.7",
        "stat(2): st_mtime",
    ],
    checks: CHECKS,
    excuses: &[],
    already: &["newer-files-are-sent", "broken-dates-are-ignored"],
};

const OWN: Check = Check {
    stages: 4..=4,
    needs: &["last-modified"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "last-modified",
        must: "a file's answer says when it was changed, and never a date that has not come yet",
        why: "RFC 9110, 8.8.2: without it, a client has nothing to send back.",
        hint: "The file that is open knows; what is later than now is told as now.",
        needs: &[],
        weight: 2,
        run: last_modified,
        ..OWN
    },
    Check {
        id: "same-date-is-304",
        must: "with the same date or a later one in If-Modified-Since, the answer is 304, without content",
        why: "RFC 9110, 13.1.3: what the client has is good still.",
        hint: "The file system knows parts of a second; dates in HTTP do not.",
        weight: 2,
        run: same_date_is_304,
        ..OWN
    },
    Check {
        id: "newer-files-are-sent",
        must: "a file that is newer by a second is sent, and 403 and 404 stay what they are",
        why: "RFC 9110, 13.2.1: conditions count only where the answer would be a success.",
        hint: "Compare points in time, not texts.",
        needs: &["same-date-is-304"],
        run: newer_files_are_sent,
        ..OWN
    },
    Check {
        id: "broken-dates-are-ignored",
        must: "a value of If-Modified-Since that is no date is ignored",
        why: "RFC 9110, 13.1.3: a recipient must ignore it then.",
        hint: "No date and no field are the same.",
        needs: &["same-date-is-304"],
        run: broken_dates_are_ignored,
        ..OWN
    },
    Check {
        id: "three-forms-of-a-date",
        must: "a date in one of the two obsolete forms counts as well",
        why: "RFC 9110, 5.6.7: a recipient must accept all three.",
        hint: "There is a crate in this stage that knows them.",
        needs: &["same-date-is-304"],
        run: three_forms_of_a_date,
        ..OWN
    },
    Check {
        id: "only-get-and-head-are-304",
        must: "HEAD is 304 where GET is; on other methods the field is ignored",
        why: "RFC 9110, 13.1.3: with other methods a recipient must ignore it.",
        hint: "Where GET and HEAD are answered alike, so is this.",
        needs: &["same-date-is-304"],
        run: only_get_and_head_are_304,
        ..OWN
    },
];

/// Some second of the last years, with a fraction of it that HTTP cannot tell.
fn some_time(bench: &Bench) -> SystemTime {
    let seconds = 1_000_000_000 + bench.site.below(500_000_000) as u64;
    SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 700)
}

/// Sets when a file was last changed.
fn set_changed(bench: &Bench, file: &File, time: SystemTime) -> io::Result<()> {
    let file = fs::File::options()
        .write(true)
        .open(bench.site.path(&file.name))?;
    file.set_modified(time)
}

/// The field line that sends a time back.
fn since(time: SystemTime) -> String {
    format!("If-Modified-Since: {}\r\n", fmt_http_date(time))
}

/// Status 304, without content, and a length only if it is the file's (RFC 9110, 15.4.5).
fn must_be_not_modified(answer: &Answer, file: &File, time: SystemTime) -> Outcome {
    answer.must_have_status(304)?;
    answer.must(answer.content.is_empty(), "no content")?;
    let length = file.content.len().to_string();
    let right = answer
        .field("content-length")
        .is_none_or(|value| value == length);
    answer.must(right, format!("no Content-Length, or the file's: {length}"))?;
    answer.must_have_field("Last-Modified", &fmt_http_date(time))?;
    // A length without its content is right here, and nowhere else.
    let raw = String::from_utf8_lossy(&answer.raw).to_ascii_lowercase();
    let head = raw
        .replace("content-length", "x")
        .replacen("http/", "HTTP/", 1);
    let fault = strict_fault(head.as_bytes()).unwrap_or_default();
    answer.must(
        fault.is_empty(),
        format!("a well-formed answer, but {fault}"),
    )
}

fn last_modified(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    for _ in 0..2 {
        let time = some_time(bench);
        set_changed(bench, page, time)?;
        for method in ["GET", "HEAD"] {
            let answer = server.ask(&request(method, &page.target(), ""))?;
            answer.must_have_status(200)?;
            answer.must_have_field("Last-Modified", &fmt_http_date(time))?;
        }
    }
    set_changed(bench, page, SystemTime::now() + Duration::from_secs(86_400))?;
    let answer = server.get(&page.target())?;
    answer.must_serve(&page.content)?;
    let date = |name| {
        answer
            .field(name)
            .and_then(|value| parse_http_date(value).ok())
    };
    // `None` is before any date: it may be left out.
    answer.must(
        date("last-modified") <= date("date"),
        "a Last-Modified that is not later than Date",
    )
}

fn same_date_is_304(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (page, time) = (&bench.site.page, some_time(bench));
    set_changed(bench, page, time)?;
    for later in [0, 1, 86_400] {
        let since = since(time + Duration::from_secs(later));
        let answer = server.ask(&request("GET", &page.target(), &since))?;
        must_be_not_modified(&answer, page, time)?;
    }
    Ok(())
}

fn newer_files_are_sent(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (page, time) = (&bench.site.page, some_time(bench));
    for later in [1, 86_400 * 31] {
        set_changed(bench, page, time + Duration::from_secs(later))?;
        let answer = server.ask(&request("GET", &page.target(), &since(time)))?;
        answer.must_serve(&page.content)?;
    }
    let now = since(SystemTime::now());
    let missing = format!("/{}", bench.site.name());
    let answer = server.ask(&request("GET", &missing, &now))?;
    answer.must_have_status(404)?;
    bench.site.set_mode(&page.name, 0o600)?;
    let answer = server.ask(&request("GET", &page.target(), &now))?;
    answer.must_have_status(403)
}

fn broken_dates_are_ignored(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (page, time) = (&bench.site.page, some_time(bench));
    set_changed(bench, page, time)?;
    let date = fmt_http_date(time);
    for value in [
        "",
        "yesterday",
        "0",
        "99999999999999999999",
        "2030-01-01T00:00:00Z",
        "Sun, 31 Feb 2030 00:00:00 GMT",
        "Tue, 01 Jan 2030 25:00:00 GMT",
        &date.replace("GMT", "CET"),
        &date[..date.len() - 4],
    ] {
        let fields = format!("If-Modified-Since: {value}\r\n");
        let answer = server.ask(&request("GET", &page.target(), &fields))?;
        answer.must_serve(&page.content)?;
    }
    Ok(())
}

fn three_forms_of_a_date(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = &bench.site.page;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (changed, status) in [(0, 304), (1, 200)] {
        set_changed(bench, page, time + Duration::from_secs(changed))?;
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let fields = format!("If-Modified-Since: {date}\r\n");
            let answer = server.ask(&request("GET", &page.target(), &fields))?;
            answer.must_have_status(status)?;
        }
    }
    Ok(())
}

fn only_get_and_head_are_304(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (page, time) = (&bench.site.page, some_time(bench));
    set_changed(bench, page, time)?;
    let answer = server.ask(&request("HEAD", &page.target(), &since(time)))?;
    must_be_not_modified(&answer, page, time)?;
    let earlier = since(time - Duration::from_secs(1));
    let answer = server.ask(&request("HEAD", &page.target(), &earlier))?;
    answer.must_have_status(200)?;
    let now = since(SystemTime::now());
    for (method, status) in [("OPTIONS", 204), ("PUT", 405), ("BREW", 501)] {
        let answer = server.ask(&request(method, &page.target(), &now))?;
        answer.must_have_status(status)?;
    }
    let form = post("/MyForm.html", b"a=b");
    let with_date =
        String::from_utf8_lossy(&form).replacen("Content-Type", &(now + "Content-Type"), 1);
    server.ask(with_date.as_bytes())?.must_have_status(200)
}
