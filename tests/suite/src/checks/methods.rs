//! Methods other than GET: HEAD, OPTIONS, and those that a target doesn't allow.

use super::forms::FORM_PAGE;
use super::{STAGE_4, add_private_page, ensure_explanation};
use crate::check::Check;
use harness::client::{post, request};
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;

pub const CHECKS: &[Check] = &[
    Check {
        id: "head-matches-get",
        must: "respond to HEAD with the status code and the fields of GET, and no content",
        why: "RFC 9110, 9.3.2. One early version implemented HEAD but never called it.",
        hint: "Build the same response, and leave out its content when you send it.",
        weight: 2,
        run: head_matches_get,
        ..STAGE_4
    },
    Check {
        id: "method-not-allowed",
        must: "respond with 405, `Allow` and content to a known method that a target doesn't allow",
        why: "RFC 9110, 15.5.6. In one early version this response was an error.",
        hint: "501 is for unknown methods. Allow depends on the target.",
        run: method_not_allowed,
        ..STAGE_4
    },
    Check {
        id: "options",
        must: "respond to OPTIONS with 204 and `Allow`, for a target and for `*`",
        why: "RFC 9110, 9.3.7 and 8.6: 204 has no content, and no Content-Length either.",
        hint: "The form page allows one method more than the others.",
        run: options,
        ..STAGE_4
    },
];

/// The methods that a page allows.
const PAGE_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS"];

/// The methods that the form page allows.
const FORM_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "POST"];

fn head_matches_get(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let private = add_private_page(ctx)?;
    let server = ctx.start()?;
    for target in [
        "/".to_string(),
        site.page.target(),
        private.target(),
        format!("/{}", site.name()),
        format!("/{}", site.nested_folder()),
        "/%zz".to_string(),
    ] {
        let mut get = server.get(&target)?;
        let mut head = server.exchange(&request("HEAD", &target, ""))?;
        head.ensure_status(get.status)?;
        head.ensure(head.content.is_empty(), "no content")?;
        // A second may pass between the two.
        get.fields.retain(|(name, _)| name != "date");
        head.fields.retain(|(name, _)| name != "date");
        get.fields.sort();
        head.fields.sort();
        let expected = format!("the fields of GET: {:?}", get.fields);
        head.ensure(head.fields == get.fields, expected)?;
        let has_length = head.field("content-length").is_some();
        head.ensure(has_length, "the Content-Length of GET")?;
    }
    Ok(())
}

/// Fails unless `Allow` lists these methods and no other.
fn ensure_allows(response: &Response, methods: &[&str]) -> CheckResult {
    let allow = response.field("allow").unwrap_or_default();
    let mut listed: Vec<&str> = allow.split(',').map(str::trim).collect();
    listed.sort_unstable();
    let expected = format!("the field `Allow: {}`", methods.join(", "));
    response.ensure(listed == methods, expected)
}

fn method_not_allowed(ctx: &TestContext) -> CheckResult {
    let (server, page) = (ctx.start()?, ctx.site.page.target());
    let send = |request: &[u8], methods: &[&str]| -> CheckResult<Response> {
        let response = server.exchange(request)?;
        response.ensure_status(405)?;
        ensure_allows(&response, methods)?;
        Ok(response)
    };
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT"] {
        let response = send(&request(method, &page, ""), PAGE_METHODS)?;
        ensure_explanation(&response)?;
    }
    send(&request("PUT", FORM_PAGE, ""), FORM_METHODS)?;
    send(&post(&page, b"a=b"), PAGE_METHODS)?;
    Ok(())
}

fn options(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for (target, methods) in [
        (ctx.site.page.target().as_str(), PAGE_METHODS),
        (FORM_PAGE, FORM_METHODS),
        ("*", FORM_METHODS),
    ] {
        let response = server.exchange(&request("OPTIONS", target, ""))?;
        response.ensure_status(204)?;
        ensure_allows(&response, methods)?;
        response.ensure(response.content.is_empty(), "no content")?;
        let has_length = response.field("content-length").is_some();
        response.ensure(!has_length, "no Content-Length")?;
        response.ensure_well_formed()?;
    }
    Ok(())
}
