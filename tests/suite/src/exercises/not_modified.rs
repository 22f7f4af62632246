//! A file that the client already has is not sent again.

use super::{Exercise, defaults, ensure_other_methods_ignore, set_modified};
use crate::check::Check;
use harness::client::request;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;
use harness::site::File;
use httpdate::{fmt_http_date, parse_http_date};
use std::time::{Duration, SystemTime};

pub const EXERCISE: Exercise = Exercise {
    name: "not-modified",
    stage: 4,
    title: "304 for clients that already have the file",
    task: "\
The response to GET and HEAD for a file has the field `Last-Modified`: when the file was last
changed, in whole seconds, in the form `Sun, 06 Nov 1994 08:49:37 GMT`. It is never later than
`Date`.

A client may send such a date in `If-Modified-Since`. If the file hasn't changed since, in whole
seconds, the response to GET and HEAD is 304 with `Last-Modified` and no content. It needs no
`Content-Length`; if it has one, it is that of the 200. If the file is newer, it is sent as
before. The date may have any of the three formats of RFC 9110, 5.6.7.

The field is ignored if its value is not a valid date, if the method is neither GET nor HEAD,
and if there is no file to send: 403 and 404 stay. You don't need If-None-Match.",
    references: &[
        "RFC 9110, 8.8.2, 13.1.3, 15.4.5 and 5.6.7",
        "stat(2): st_mtime",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &["modified-is-sent", "invalid-dates-are-ignored"],
};

const DEFAULTS: Check = defaults("not-modified", 4, &["unmodified-is-304"]);

const CHECKS: &[Check] = &[
    Check {
        id: "last-modified",
        must: "say when a file was last changed, never with a date in the future",
        why: "RFC 9110, 8.8.2: without it, a client has nothing to send back.",
        hint: "Ask the open file. If its time is later than now, send the current time.",
        needs: &[],
        weight: 2,
        run: last_modified,
        ..DEFAULTS
    },
    Check {
        id: "unmodified-is-304",
        must: "respond with 304 without content if the file is no newer than If-Modified-Since",
        why: "RFC 9110, 13.1.3: the client's copy is still good.",
        hint: "The file system stores fractions of a second. Dates in HTTP don't have them.",
        needs: &["last-modified"],
        weight: 2,
        run: unmodified_is_304,
        ..DEFAULTS
    },
    Check {
        id: "modified-is-sent",
        must: "send a file that is newer by a second, and leave 403 and 404 as they are",
        why: "RFC 9110, 13.2.1: conditions only count if the response would be a success.",
        hint: "Compare points in time, not strings.",
        run: modified_is_sent,
        ..DEFAULTS
    },
    Check {
        id: "invalid-dates-are-ignored",
        must: "ignore an If-Modified-Since that is not a valid date",
        why: "RFC 9110, 13.1.3 requires it.",
        hint: "Treat an invalid date like a missing field.",
        run: invalid_dates_are_ignored,
        ..DEFAULTS
    },
    Check {
        id: "obsolete-date-formats",
        must: "accept a date in either of the two obsolete formats",
        why: "RFC 9110, 5.6.7: a recipient must accept all three formats.",
        hint: "This stage already uses a crate that knows them.",
        run: obsolete_date_formats,
        ..DEFAULTS
    },
    Check {
        id: "only-get-and-head-are-304",
        must: "respond with 304 to HEAD as it does to GET, and ignore the field on other methods",
        why: "RFC 9110, 13.1.3: with other methods, a recipient must ignore the field.",
        hint: "The same code responds to GET and HEAD. The condition belongs there.",
        run: only_get_and_head_are_304,
        ..DEFAULTS
    },
];

/// A random time in the past, with a fraction of a second that HTTP can't express.
fn random_time(ctx: &TestContext) -> SystemTime {
    let seconds = 1_000_000_000 + ctx.site.below(500_000_000) as u64;
    SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 700)
}

/// The field line that sends a time back.
fn since(time: SystemTime) -> String {
    format!("If-Modified-Since: {}\r\n", fmt_http_date(time))
}

/// Fails unless a response is a valid 304 for a file (RFC 9110, 15.4.5).
fn ensure_not_modified(response: &Response, file: &File, time: SystemTime) -> CheckResult {
    response.ensure_status(304)?;
    response.ensure(response.content.is_empty(), "no content")?;
    response.ensure_field("Last-Modified", &fmt_http_date(time))?;
    // The length, if any, is that of the content that a 200 would have. With that content
    // added, the response is well-formed.
    let mut raw = response.raw.clone();
    if let Some(found) = response.field("content-length") {
        let length = file.content.len().to_string();
        let expected = format!("no Content-Length, or the file's: {length}");
        response.ensure(found == length, expected)?;
        raw.extend(&file.content);
    }
    let complete = Response::parse(&response.sent, &raw);
    complete.map_or(Ok(()), |response| response.ensure_well_formed())
}

fn last_modified(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    for time in [random_time(ctx), random_time(ctx)] {
        set_modified(ctx, page, time)?;
        for method in ["GET", "HEAD"] {
            let response = server.exchange(&request(method, &page.target(), ""))?;
            response.ensure_status(200)?;
            response.ensure_field("Last-Modified", &fmt_http_date(time))?;
        }
    }
    set_modified(ctx, page, SystemTime::now() + Duration::from_secs(86_400))?;
    let response = server.get(&page.target())?;
    response.ensure_serves(&page.content)?;
    let date = |name| parse_http_date(response.field(name)?).ok();
    // `None`, which is less than any date, means that the field was left out.
    let is_past = date("last-modified") <= date("date");
    response.ensure(is_past, "a Last-Modified that is not later than Date")
}

fn unmodified_is_304(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (page, time) = (&ctx.site.page, random_time(ctx));
    set_modified(ctx, page, time)?;
    for later in [0, 1, 86_400] {
        let since = since(time + Duration::from_secs(later));
        let response = server.exchange(&request("GET", &page.target(), &since))?;
        ensure_not_modified(&response, page, time)?;
    }
    Ok(())
}

fn modified_is_sent(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (page, time) = (&ctx.site.page, random_time(ctx));
    for later in [1, 86_400 * 31] {
        set_modified(ctx, page, time + Duration::from_secs(later))?;
        let response = server.exchange(&request("GET", &page.target(), &since(time)))?;
        response.ensure_serves(&page.content)?;
    }
    ctx.site.set_mode(&page.name, 0o600)?;
    let missing = format!("/{}", ctx.site.name());
    for (target, status) in [(missing, 404), (page.target(), 403)] {
        let since = since(SystemTime::now());
        let response = server.exchange(&request("GET", &target, &since))?;
        response.ensure_status(status)?;
    }
    Ok(())
}

fn invalid_dates_are_ignored(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (page, time) = (&ctx.site.page, random_time(ctx));
    set_modified(ctx, page, time)?;
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
        let response = server.exchange(&request("GET", &page.target(), &fields))?;
        response.ensure_serves(&page.content)?;
    }
    Ok(())
}

fn obsolete_date_formats(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = &ctx.site.page;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (later, status) in [(0, 304), (1, 200)] {
        set_modified(ctx, page, time + Duration::from_secs(later))?;
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let fields = format!("If-Modified-Since: {date}\r\n");
            let response = server.exchange(&request("GET", &page.target(), &fields))?;
            response.ensure_status(status)?;
        }
    }
    Ok(())
}

fn only_get_and_head_are_304(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (page, time) = (&ctx.site.page, random_time(ctx));
    set_modified(ctx, page, time)?;
    let response = server.exchange(&request("HEAD", &page.target(), &since(time)))?;
    ensure_not_modified(&response, page, time)?;
    let earlier = since(time - Duration::from_secs(1));
    let response = server.exchange(&request("HEAD", &page.target(), &earlier))?;
    response.ensure_status(200)?;
    ensure_other_methods_ignore(&server, &page.target(), &since(SystemTime::now()))
}
