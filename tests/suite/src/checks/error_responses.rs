//! Error responses: the site's own pages, and the same fields as in any other response.

use super::forms::{FORM_TYPE, post_head};
use super::media_types::ensure_html;
use super::response_fields::ensure_content_length;
use super::{STAGE_4, add_private_page, ensure_explanation};
use crate::check::Check;
use harness::client::{get, request};
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::{Response, syntax_error};
use std::fs;

pub const CHECKS: &[Check] = &[
    Check {
        id: "error-pages",
        must: "send the site's 404.html and 403.html for these errors, or other content if they are missing",
        why: "People read the page, not the status line.",
        hint: "The status code stays the same. Only the content comes from the page.",
        run: error_pages,
        ..STAGE_4
    },
    Check {
        id: "well-formed-errors",
        must: "send each error as a well-formed response with Content-Type and Content-Length",
        why: "RFC 9110, 8.3 and 8.6 apply to errors too.",
        hint: "Let one builder make all responses.",
        run: well_formed_errors,
        ..STAGE_4
    },
];

fn error_pages(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let server = ctx.start()?;
    let private = add_private_page(ctx)?;
    let missing = format!("/{}/{}", site.name(), site.name());
    for (target, status, page) in [
        (missing, 404, &site.missing),
        (private.target(), 403, &site.forbidden),
    ] {
        let response = server.get(&target)?;
        // Serving a private file is for `private-file`.
        if status == 403 && response.status == 200 {
            break;
        }
        response.ensure_status(status)?;
        response.ensure_content(&page.content)?;
        ensure_html(&response)?;
        server.get(&page.target())?.ensure_serves(&page.content)?;
        fs::remove_file(site.path(&page.name))?;
        let response = server.get(&target)?;
        response.ensure_status(status)?;
        ensure_explanation(&response)?;
    }
    Ok(())
}

/// Fails if anything but its version breaks the specification in a response. The version is for
/// `well-formed-response`.
pub fn ensure_well_formed_except_version(response: &Response) -> CheckResult {
    let mut raw = response.raw.clone();
    if raw.starts_with(b"HTTP/1.0 ") {
        raw[7] = b'1';
    }
    let error = syntax_error(&raw).unwrap_or_default();
    let expected = format!("a well-formed response, but {error}");
    response.ensure(error.is_empty(), expected)
}

fn well_formed_errors(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for request in [
        b"GET / / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        get("/%"),
        get(&format!("/{}", ctx.site.name())),
        request("PUT", "/", ""),
        get(&add_private_page(ctx)?.target()),
        post_head(FORM_TYPE),
        post_head(&format!("{FORM_TYPE}Content-Length: 65537\r\n")),
        post_head("Content-Length: 0\r\n"),
        get(&format!("/{}", "a".repeat(9000))),
        request("GET", "/", "Expect: a\r\n"),
        request("BREW", "/", ""),
        b"GET / HTTP/2.0\r\n\r\n".to_vec(),
    ] {
        let response = server.exchange(&request)?;
        // Whether each of these must be an error is for other checks.
        if response.status < 400 {
            continue;
        }
        ensure_well_formed_except_version(&response)?;
        let has_type = response.field("content-type").is_some();
        response.ensure(has_type, "a Content-Type")?;
        ensure_content_length(&response)?;
    }
    Ok(())
}
