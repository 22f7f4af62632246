//! A page that lists a folder.

use super::{Exercise, defaults};
use crate::check::Check;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;
use harness::server::Server;
use html_escape::decode_html_entities;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::slice;

pub const EXERCISE: Exercise = Exercise {
    name: "folder-listing",
    stage: 1,
    title: "a page that lists a folder without index.html",
    task: "\
A GET request for a folder, with the slash at the end, gets the folder's index.html as before.
If there is none, it now gets status 200 and an HTML page that lists the folder. The page has a
link, `<a href=\"NAME\">NAME</a>`, for each file and each folder in it that the server would
serve. The links are sorted by the bytes of the names. The NAME of a folder ends in a slash. In
a NAME, `&`, `<`, `>` and `\"` are written as `&amp;`, `&lt;`, `&gt;` and `&quot;`.

What the server wouldn't serve is not listed: symbolic links that lead out of the document root
or nowhere, FIFOs, sockets. Links that lead to a file or folder inside the root are listed. A
link to `..` is allowed, except on the page of the document root.

Everything else stays as it was. A folder without its slash, a folder that doesn't exist, and a
file with a slash after its name are still 404.

This server doesn't decode percent-encoding, and a browser requests a space, `\"`, `<` or `>` in
a link as `%20`, `%22` and so on, so such a link doesn't work yet. You may leave out names that
no request can contain: those with a space or `?`.",
    references: &[
        "https://html.spec.whatwg.org/multipage/links.html (the element a)",
        "readdir(3), symlink(7), realpath(3)",
    ],
    checks: CHECKS,
    excused: &["folder-is-not-served"],
    already_passing: &["listing-needs-slash"],
};

const DEFAULTS: Check = defaults("folder-listing", 1, &["folder-is-listed"]);

const CHECKS: &[Check] = &[
    Check {
        id: "folder-is-listed",
        must: "respond to a folder without index.html with links to its files and folders",
        why: "A client can't request a file if it doesn't know the name.",
        hint: "`files` adds index.html to the path of a folder. If there is none, list the folder.",
        needs: &[],
        weight: 2,
        run: folder_is_listed,
        ..DEFAULTS
    },
    Check {
        id: "listing-is-escaped",
        must: "escape `&`, `<`, `>` and `\"` in a name, in the link and in its text",
        why: "CWE-79: whoever can add a file must not be able to add a script to your page.",
        hint: "Escape a name when you write it into the page, in the link and in its text.",
        run: listing_is_escaped,
        ..DEFAULTS
    },
    Check {
        id: "listing-is-sorted",
        must: "sort the links by the bytes of the names",
        why: "readdir(3) returns names in no particular order.",
        hint: "Collect all names first.",
        run: listing_is_sorted,
        ..DEFAULTS
    },
    Check {
        id: "listing-shows-only-served-files",
        must: "not list FIFOs, sockets, `..` in the root, or links that lead outside or nowhere",
        why: "CWE-548: a listing must not reveal what nobody can get.",
        hint: "For each name, ask what the server would do if a client requested it.",
        weight: 2,
        run: listing_shows_only_served_files,
        ..DEFAULTS
    },
    Check {
        id: "listing-needs-slash",
        must: "prefer index.html, and list nothing if there is no slash or no folder",
        why: "Relative links work only on a page whose path ends in a slash.",
        hint: "Look for index.html as before. Only if there is none, look for the folder.",
        run: listing_needs_slash,
        ..DEFAULTS
    },
];

/// The names that the links on the page of a folder lead to. The folder's name ends in a slash;
/// that of the document root is empty. Elsewhere, a link to the parent is left out.
fn linked_names(page: &Response, folder: &str) -> CheckResult<Vec<String>> {
    page.ensure_status(200)?;
    let html = String::from_utf8_lossy(&page.content);
    let mut names = Vec::new();
    for rest in html.split("href=").skip(1) {
        let quote = rest.chars().next().unwrap_or_default();
        page.ensure("\"'".contains(quote), "links with their target in quotes")?;
        let target = rest[1..].split(quote).next().unwrap_or_default();
        let target = decode_html_entities(target);
        let name = target.strip_prefix(&format!("/{folder}"));
        let name = name.unwrap_or(&target);
        let name = name.strip_prefix("./").unwrap_or(name);
        if folder.is_empty() || !["..", "../"].contains(&name) {
            names.push(name.to_string());
        }
    }
    Ok(names)
}

/// Fails unless the page of a folder has links to exactly these names, in any order.
fn ensure_lists(server: &Server, folder: &str, names: &[String]) -> CheckResult {
    let page = server.get(&format!("/{folder}"))?;
    let (mut found, mut names) = (linked_names(&page, folder)?, names.to_vec());
    found.sort();
    names.sort();
    page.ensure(found == names, format!("links to exactly {names:?}"))
}

fn folder_is_listed(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let folder = site.name() + "/";
    let (subfolder, deep) = (site.name() + "/", site.name());
    let mut files = vec![site.add_page(&format!("{folder}{subfolder}{deep}"))?];
    let mut names = vec![format!("{}.html", site.name()), site.name()];
    for name in &names {
        files.push(site.add_page(&format!("{folder}{name}"))?);
    }
    names.push(subfolder.clone());
    let subfolder = format!("{folder}{subfolder}");
    let server = ctx.start()?;
    ensure_lists(&server, &folder, &names)?;
    ensure_lists(&server, &subfolder, &[deep])?;
    for file in &files {
        server.get(&file.target())?.ensure_serves(&file.content)?;
    }
    // The page shows the folder as it is now, even if it is empty.
    names.push(site.name());
    site.add_page(&format!("{folder}{}", names[3]))?;
    ensure_lists(&server, &folder, &names)?;
    fs::remove_file(site.path(&files[0].name))?;
    ensure_lists(&server, &subfolder, &[])
}

fn listing_is_escaped(ctx: &TestContext) -> CheckResult {
    let folder = ctx.site.name() + "/";
    let name = format!("{}\"<img>&lt;&amp;.txt", ctx.site.name());
    let file = ctx.site.add_page(&format!("{folder}{name}"))?;
    let server = ctx.start()?;
    ensure_lists(&server, &folder, slice::from_ref(&name))?;
    let page = server.get(&format!("/{folder}"))?;
    let html = String::from_utf8_lossy(&page.content);
    page.ensure(!html.contains("<img"), "no markup that comes from a name")?;
    let is_text = decode_html_entities(&html).contains(&format!(">{name}<"));
    page.ensure(is_text, format!("`{name}` as the text of the link"))?;
    server.get(&file.target())?.ensure_serves(&file.content)
}

fn listing_is_sorted(ctx: &TestContext) -> CheckResult {
    let folder = ctx.site.name() + "/";
    let mut names: Vec<String> = (0..12).map(|_| ctx.site.name()).collect();
    names.push(ctx.site.name().to_uppercase());
    for name in &names {
        ctx.site.add(&format!("{folder}{name}"), b"")?;
    }
    names.sort();
    let page = ctx.start()?.get(&format!("/{folder}"))?;
    let found = linked_names(&page, &folder)?;
    page.ensure(found == names, format!("this order: {names:?}"))
}

fn listing_shows_only_served_files(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let folder = site.name() + "/";
    let path = |name: &str| site.path(&format!("{folder}{name}"));
    let page = site.name();
    site.add_page(&format!("{folder}{page}"))?;
    for target in [site.secret.name.as_str(), "", &site.name()] {
        symlink(site.outside(target), path(&site.name()))?;
    }
    site.add_fifo(&format!("{folder}{}", site.name()))?;
    let _socket = UnixListener::bind(path(&site.name()))?;
    // These two stay inside.
    let (file_link, folder_link) = (site.name(), site.name());
    symlink(site.path(&site.page.name), path(&file_link))?;
    symlink(site.path(site.nested_folder()), path(&folder_link))?;
    let server = ctx.start()?;
    let names = [page, file_link, folder_link + "/"];
    ensure_lists(&server, &folder, &names)?;
    fs::remove_file(site.path("index.html"))?;
    let files = [&site.page, &site.form, &site.forbidden, &site.missing];
    let mut names = vec![format!("{}/", site.nested_folder()), folder.clone()];
    names.extend(files.map(|file| file.name.clone()));
    ensure_lists(&server, "", &names)?;
    for target in ["/..", "/../", &format!("/{folder}../../")] {
        server.get(target)?.ensure_status(404)?;
    }
    Ok(())
}

fn listing_needs_slash(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let (plain, with_index) = (site.name(), site.name());
    site.add_page(&format!("{plain}/{}", site.name()))?;
    site.add_page(&format!("{with_index}/{}", site.name()))?;
    let index = site.add_page(&format!("{with_index}/index.html"))?;
    let server = ctx.start()?;
    let response = server.get(&format!("/{with_index}/"))?;
    response.ensure_serves(&index.content)?;
    server.get("/")?.ensure_serves(&site.index)?;
    let missing = site.name() + "/";
    let file = format!("{}/", site.page.name);
    for name in [plain, with_index, missing, file] {
        server.get(&format!("/{name}"))?.ensure_status(404)?;
    }
    Ok(())
}
