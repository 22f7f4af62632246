//! The form page: it echoes what is submitted, and refuses everything that isn't a form.

use super::STAGE_4;
use super::media_types::ensure_html;
use super::response_fields::ensure_content_length;
use crate::check::{Check, PREREQUISITE};
use harness::client::{post, request};
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;

pub const CHECKS: &[Check] = &[
    Check {
        id: "form-is-echoed",
        must: "show every submitted field, decoded, in response to a POST to the form page",
        why: "The early versions never read the content.",
        hint: "Read as many bytes as Content-Length says. In a form, `+` is a space.",
        weight: 2,
        run: form_is_echoed,
        ..STAGE_4
    },
    Check {
        id: "form-is-escaped",
        must: "show what was typed into the form as text, never as markup",
        why: "CWE-79, cross-site scripting: `<script>` must not run.",
        hint: "Escape names and values when you put them into the page.",
        needs: &[PREREQUISITE, "form-is-echoed"],
        run: form_is_escaped,
        ..STAGE_4
    },
    Check {
        id: "post-errors",
        must: "refuse a POST to another page (405), without length (411), over 64 KiB (413), not a form (415)",
        why: "RFC 9110, 15.5: each of these tells the client what to fix.",
        hint: "Check in this order, before you read the content.",
        run: post_errors,
        ..STAGE_4
    },
];

/// The target of the form page.
pub const FORM_PAGE: &str = "/MyForm.html";

/// The field line with the media type of a form.
pub const FORM_TYPE: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// The head of a POST request to the form page.
pub fn post_head(fields: &str) -> Vec<u8> {
    request("POST", FORM_PAGE, fields)
}

/// Roughly the text that a person sees on a page: its character references are decoded.
pub fn text_of(response: &Response) -> String {
    html_escape::decode_html_entities(&String::from_utf8_lossy(&response.content)).into_owned()
}

fn form_is_echoed(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let site = &ctx.site;
    let (first, second, third) = (site.name(), site.name(), site.name());
    let form = format!("{first}=two+words&{second}=%E4%BD%A0%2B1&{second}={third}&empty=");
    let response = server.exchange(&post(FORM_PAGE, form.as_bytes()))?;
    response.ensure_status(200)?;
    ensure_html(&response)?;
    // Bytes are counted: some characters of this page have three.
    ensure_content_length(&response)?;
    let text = text_of(&response);
    for part in [&first, "two words", &second, "你+1", &third, "empty"] {
        response.ensure(text.contains(part), format!("`{part}` in the page"))?;
    }
    // With a query, with a charset, and nearly as long as it may be.
    let value = "a".repeat(60_000);
    let form = format!("{first}={value}");
    let sent = post(&format!("{FORM_PAGE}?a=b"), form.as_bytes());
    let sent = String::from_utf8_lossy(&sent).replace("urlencoded", "urlencoded; charset=UTF-8");
    let response = server.exchange(sent.as_bytes())?;
    response.ensure_status(200)?;
    let has_all = text_of(&response).contains(&value);
    response.ensure(has_all, "the whole of a long value")
}

fn form_is_escaped(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let typed = format!("<script>{name}()</script><img src=x onerror='{name}'>&lt;");
    let encoded: String = typed.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for form in [format!("a={encoded}"), format!("{encoded}=a")] {
        let response = server.exchange(&post(FORM_PAGE, form.as_bytes()))?;
        response.ensure_status(200)?;
        let page = String::from_utf8_lossy(&response.content);
        for markup in [&format!("<script>{name}"), "<img src=x"] {
            let is_markup = page.contains(markup);
            response.ensure(!is_markup, format!("no `{markup}` in the page"))?;
        }
        let is_text = text_of(&response).contains(&typed);
        response.ensure(is_text, format!("`{typed}` as text"))?;
    }
    Ok(())
}

fn post_errors(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let with_length = |length: &str| post_head(&format!("{FORM_TYPE}Content-Length: {length}\r\n"));
    let with_type = |media_type: &str| {
        let fields = format!("Content-Type: {media_type}\r\nContent-Length: 3\r\n");
        let head = post_head(&fields);
        [head.as_slice(), b"a=b"].concat()
    };
    let without_type = [&post_head("Content-Length: 3\r\n"), b"a=b".as_slice()].concat();
    let longest = format!("a={}", "a".repeat(64 * 1024 - 2));
    for (status, request) in [
        (405, post(&ctx.site.page.target(), b"a=b")),
        (411, post_head(FORM_TYPE)),
        (413, with_length("65537")),
        (413, with_length("1000000000")),
        (413, with_length("99999999999999999999999")),
        (415, with_type("text/plain")),
        (415, with_type("multipart/form-data; boundary=a")),
        (415, with_type("application/json")),
        (415, without_type),
        // The longest form that is allowed.
        (200, post(FORM_PAGE, longest.as_bytes())),
    ] {
        server.exchange(&request)?.ensure_status(status)?;
    }
    Ok(())
}
