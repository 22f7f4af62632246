//! Fields that every response has: Content-Length and Date.

use super::STAGE_4;
use crate::check::Check;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;
use std::time::{Duration, SystemTime};

pub const CHECKS: &[Check] = &[
    Check {
        id: "content-length",
        must: "send Content-Length in every response that has content",
        why: "RFC 9110, 8.6: without it, a truncated download looks complete.",
        hint: "Count bytes, not characters. Error pages have a length too.",
        weight: 2,
        run: content_length,
        ..STAGE_4
    },
    Check {
        id: "date",
        must: "send a Date in every response, in the standard format",
        why: "RFC 9110, 5.6.7 and 6.6.1: `Sun, 06 Nov 1994 08:49:37 GMT`.",
        hint: "It has English names and GMT, whatever the machine's settings are.",
        run: date,
        ..STAGE_4
    },
];

/// Fails unless Content-Length is the length of the content.
pub fn ensure_content_length(response: &Response) -> CheckResult {
    response.ensure_field("Content-Length", &response.content.len().to_string())
}

fn content_length(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let empty = ctx.site.add(&ctx.site.name(), b"")?;
    let large = ctx.site.add(&ctx.site.name(), &ctx.site.bytes(200_000))?;
    for target in [
        "/",
        &empty.target(),
        &large.target(),
        &ctx.site.page.target(),
        "/../a",
        "*",
    ] {
        ensure_content_length(&server.get(target)?)?;
    }
    server.get(&large.target())?.ensure_serves(&large.content)
}

fn date(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for target in ["/", "/../a", "*"] {
        let response = server.get(target)?;
        let text = response.field("date").unwrap_or_default();
        let Ok(date) = httpdate::parse_http_date(text) else {
            return response.ensure(false, "a field `Date` with a date");
        };
        let is_standard = httpdate::fmt_http_date(date) == text;
        response.ensure(is_standard, "a date like `Sun, 06 Nov 1994 08:49:37 GMT`")?;
        let difference = SystemTime::now().duration_since(date);
        let difference = difference.unwrap_or_else(|error| error.duration());
        response.ensure(difference < Duration::from_secs(60), "the current date")?;
    }
    Ok(())
}
