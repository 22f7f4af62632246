//! Percent-encoding: paths are decoded exactly once.

use super::{STAGE_4, add_file};
use crate::check::Check;
use harness::context::TestContext;
use harness::error::CheckResult;

pub const CHECKS: &[Check] = &[
    Check {
        id: "percent-encoding",
        must: "find a file by its percent-encoded path: spaces, Chinese names, any character",
        why: "RFC 3986, 2.1. One early version had a decoder but never called it.",
        hint: "Decode to bytes, then read these as UTF-8. A plus sign stays a plus sign.",
        weight: 2,
        run: percent_encoding,
        ..STAGE_4
    },
    Check {
        id: "invalid-escapes",
        must: "respond with 400 to an invalid escape, an encoded NUL, or bytes that aren't UTF-8",
        why: "RFC 3986, 2.1: a percent sign is followed by two hexadecimal digits.",
        hint: "Refuse what you can't decode. Don't pass it on unchanged.",
        run: invalid_escapes,
        ..STAGE_4
    },
];

fn percent_encoding(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let encoded_name = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
    for (file, target) in [
        (
            format!("{name} with spaces"),
            format!("/{name}%20with%20spaces"),
        ),
        (format!("{name}你好"), format!("/{name}%E4%BD%A0%e5%a5%bd")),
        (format!("{name}%41"), format!("/{name}%2541")),
        (format!("{name}+plus"), format!("/{name}+plus")),
        (format!("{name}?"), format!("/{name}%3F")),
        (format!("{name}/b"), format!("/{name}%2Fb")),
        (format!("{name}~"), format!("/{encoded_name}~")),
    ] {
        let file = add_file(ctx, &file)?;
        server.get(&target)?.ensure_serves(&file.content)?;
    }
    Ok(())
}

fn invalid_escapes(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for escape in [
        "%", "%2", "%zz", "%%20", "%00", "%ff", "%C3%28", "%+1", "%u4f60",
    ] {
        let target = format!("{}{escape}", ctx.site.page.target());
        server.get(&target)?.ensure_status(400)?;
    }
    Ok(())
}
