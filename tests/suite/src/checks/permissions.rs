//! Permissions: a file that others may not read, or not reach, is 403.

use super::STAGE_4;
use crate::check::Check;
use harness::context::TestContext;
use harness::error::CheckResult;
use std::os::unix::fs::symlink;

pub const CHECKS: &[Check] = &[
    Check {
        id: "private-file",
        must: "respond with 403 for a file that others may not read",
        why: "chmod(1): a web server must not give everybody what a file's owner keeps private.",
        hint: "The server itself may read it: check the mode of the open file for o+r.",
        weight: 2,
        run: private_file,
        ..STAGE_4
    },
    Check {
        id: "private-folder",
        must: "respond with 403 for any name in a folder that others may not search, even a missing one",
        why: "path_resolution(7): every folder on the way must allow search, o+x.",
        hint: "Check each folder between the root and the file.",
        run: private_folder,
        ..STAGE_4
    },
];

fn private_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    // With 000, even the owner can't open it, unless the owner is root.
    for mode in [0o640, 0o600, 0o660, 0o641, 0o000] {
        let file = ctx.site.add_page(&format!("{}.html", ctx.site.name()))?;
        let content = file.content.as_slice();
        server.get(&file.target())?.ensure_serves(content)?;
        ctx.site.set_mode(&file.name, mode)?;
        let response = server.get(&file.target())?;
        response.ensure_status(403)?;
        let mut windows = response.content.windows(content.len());
        let is_shown = windows.any(|window| window == content);
        response.ensure(!is_shown, "a response without the file's content")?;
        // The mode of a link doesn't matter.
        let link = ctx.site.name();
        symlink(ctx.site.path(&file.name), ctx.site.path(&link))?;
        server.get(&format!("/{link}"))?.ensure_status(403)?;
        ctx.site.set_mode(&file.name, 0o604)?;
        server.get(&file.target())?.ensure_serves(content)?;
    }
    Ok(())
}

fn private_folder(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let outer = ctx.site.name();
    let inner = format!("{outer}/inner");
    let file = ctx.site.add_page(&format!("{inner}/page.html"))?;
    let index = ctx.site.add_page(&format!("{inner}/index.html"))?;
    server.get(&file.target())?.ensure_serves(&file.content)?;
    for folder in [&outer, &inner] {
        for mode in [0o750, 0o754, 0o000] {
            ctx.site.set_mode(folder, mode)?;
            // Whether a name exists there is private as well.
            let missing = format!("/{inner}/{}", ctx.site.name());
            let mut targets = vec![file.target(), format!("/{inner}/"), missing];
            if folder == &outer {
                targets.push(format!("/{inner}"));
            }
            let responses: Vec<_> = targets.iter().map(|target| server.get(target)).collect();
            // Restored before anything fails, so that the site can be removed.
            ctx.site.set_mode(folder, 0o755)?;
            for response in responses {
                response?.ensure_status(403)?;
            }
        }
        // Search permission is enough: listing a folder is another right.
        ctx.site.set_mode(folder, 0o711)?;
        server.get(&file.target())?.ensure_serves(&file.content)?;
        server.get(&index.target())?.ensure_serves(&index.content)?;
    }
    Ok(())
}
