//! Missing files are 404. What is outside the document root, or no regular file, is refused.
//!
//! The client of every check also fails if a response contains the secret next to the root.

use super::{ensure_alive, ensure_explanation, ensure_status_in};
use crate::check::{Check, DEFAULTS};
use harness::context::TestContext;
use harness::error::{CheckResult, FailureKind};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

pub const CHECKS: &[Check] = &[
    Check {
        id: "missing-file",
        must: "respond with 404 and some content for a missing file, and keep running",
        why: "RFC 9110, 15.5.5. The first version of this server exited instead.",
        hint: "A missing file is an ordinary response, not an error of the program.",
        about: &[FailureKind::Exited, FailureKind::NoResponse],
        weight: 2,
        run: missing_file,
        ..DEFAULTS
    },
    Check {
        id: "folder-is-not-served",
        must: "never serve a folder as a file, and refuse `folder/` without index.html (404 or 403)",
        why: "Some systems can open a folder like a file, but not read it.",
        hint: "Check whether you have found a file or a folder.",
        run: folder_is_not_served,
        ..DEFAULTS
    },
    Check {
        id: "no-path-traversal",
        must: "refuse a path that leaves the document root through `..` (any 4xx)",
        why: "CWE-22, path traversal: `GET /../../etc/passwd` must not work.",
        hint: "Check the segments of the path, and also where the path really leads.",
        weight: 2,
        run: no_path_traversal,
        ..DEFAULTS
    },
    Check {
        id: "no-encoded-path-traversal",
        must: "refuse a path that leaves the root through encoded `..` or backslashes (any 4xx)",
        why: "CWE-22: a check before decoding checks nothing.",
        hint: "Decode at most once, and check the result.",
        run: no_encoded_path_traversal,
        ..DEFAULTS
    },
    Check {
        id: "no-absolute-path",
        must: "refuse an absolute path to a file outside the root (any 4xx)",
        why: "In one early version, `GET //etc/passwd` left the root.",
        hint: "Joining a folder and an absolute path gives the absolute path: cut off all slashes.",
        run: no_absolute_path,
        ..DEFAULTS
    },
    Check {
        id: "link-outside-root",
        must: "refuse a symbolic link that leads out of the document root (any 4xx)",
        why: "CWE-59: a link below the root may lead anywhere.",
        hint: "Let the system resolve all links, then check where you are.",
        run: link_outside_root,
        ..DEFAULTS
    },
    Check {
        id: "link-inside-root",
        must: "follow a symbolic link that stays inside the document root",
        why: "A link is not dangerous by itself. What matters is where it leads.",
        hint: "The path of the root may itself contain a link: resolve it too.",
        run: link_inside_root,
        ..DEFAULTS
    },
    Check {
        id: "unusual-bytes-in-target",
        must: "respond with 400 or 404 if a target has control bytes or invalid UTF-8",
        why: "C strings end at NUL: what is checked may not be what is opened.",
        hint: "If the system can't have such a name, no file has it.",
        run: unusual_bytes_in_target,
        ..DEFAULTS
    },
    Check {
        id: "fifo-is-not-opened",
        must: "refuse a FIFO without blocking (any 4xx)",
        why: "open(2) on a FIFO waits for a writer, perhaps forever.",
        hint: "Find out what it is before you open it.",
        about: &[FailureKind::TooSlow],
        run: fifo_is_not_opened,
        ..DEFAULTS
    },
    Check {
        id: "socket-is-not-served",
        must: "refuse a socket in the file system without blocking (any 4xx)",
        why: "Not every name in a folder belongs to a file.",
        hint: "Serve regular files and nothing else.",
        run: socket_is_not_served,
        ..DEFAULTS
    },
];

/// The status codes of a folder without an index page.
const NO_LISTING: &[u16] = &[403, 404];

/// Fails unless every target is refused, with any status code from 400 to 499. A server may also
/// take `..` in the root for the root itself (RFC 3986, 5.2.4), and serve it or redirect to it. What
/// leaks, the clients detect: nothing that they read may contain the secret next to the root.
fn ensure_all_refused(ctx: &TestContext, targets: &[String]) -> CheckResult {
    let server = ctx.start()?;
    let passwd = fs::read("/etc/passwd").unwrap_or_default();
    for target in targets {
        let response = server.get(target)?;
        let leaks = !passwd.is_empty() && response.content == passwd;
        response.ensure(!leaks, "nothing from outside the document root")?;
        let is_root = target.trim_end_matches('/') == "/..";
        let is_redirect = (300..400).contains(&response.status);
        let is_clamped = is_root && (is_redirect || response.content == ctx.site.index);
        let is_refused = (400..500).contains(&response.status);
        response.ensure(is_refused || is_clamped, "a status code from 400 to 499")?;
    }
    Ok(())
}

fn missing_file(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let targets = [
        format!("/{}", ctx.site.name()),
        format!("/{}/", ctx.site.name()),
        format!("{}/", ctx.site.page.target()),
        format!("{}/x", ctx.site.page.target()),
        format!("/{}", "x".repeat(5000)),
    ];
    for target in &targets {
        let response = server.get(target)?;
        response.ensure_status(404)?;
        ensure_explanation(&response)?;
        ensure_alive(ctx, &server)?;
    }
    // A site doesn't need pages for errors.
    for page in [&ctx.site.missing, &ctx.site.forbidden] {
        fs::remove_file(ctx.site.path(&page.name))?;
    }
    server.get(&targets[0])?.ensure_status(404)?;
    ensure_alive(ctx, &server)
}

fn folder_is_not_served(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let folder = ctx.site.nested_folder();
    ensure_status_in(&server.get(&format!("/{folder}/"))?, NO_LISTING)?;
    // Without the slash, stage 4 redirects to it.
    let response = server.get(&format!("/{folder}"))?;
    ensure_status_in(&response, &[301, 302, 307, 308, 403, 404])?;
    // A folder with the name of an index page.
    let name = ctx.site.name();
    let nested = format!("{name}/index.html/{name}.html");
    ctx.site.add_page(&nested)?;
    ensure_status_in(&server.get(&format!("/{name}/"))?, NO_LISTING)
}

fn no_path_traversal(ctx: &TestContext) -> CheckResult {
    let secret = &ctx.site.secret.name;
    let folder = ctx.site.nested_folder();
    let targets = [
        format!("/../{secret}"),
        format!("//../{secret}"),
        format!("/./../{secret}"),
        format!("/{folder}/../../{secret}"),
        format!("/{folder}/..//..//{secret}"),
        format!("/{}/../../{secret}", ctx.site.page.name),
        format!("http://localhost/../{secret}"),
        format!("/{}etc/passwd", "../".repeat(20)),
        format!("/..{}", ctx.site.outside(secret).display()),
        "/..".to_string(),
        "/../".to_string(),
    ];
    ensure_all_refused(ctx, &targets)
}

fn no_encoded_path_traversal(ctx: &TestContext) -> CheckResult {
    let prefixes = [
        "/%2e%2e/",
        "/%2E%2e%2f",
        "/..%2f",
        "/.%2e/",
        "/%252e%252e/",
        "/%252e%252e%252f",
        "/..\\",
        "/\\..\\",
        "/..%5c",
        "/%2f..%2f",
        "/..;/",
        "/.../",
    ];
    let targets = prefixes.map(|prefix| format!("{prefix}{}", ctx.site.secret.name));
    ensure_all_refused(ctx, &targets)
}

fn no_absolute_path(ctx: &TestContext) -> CheckResult {
    let secret = ctx.site.outside(&ctx.site.secret.name);
    let prefixes = ["", "/", "///", "http://localhost/", "/%2f"];
    let mut targets = prefixes
        .map(|prefix| format!("{prefix}{}", secret.display()))
        .to_vec();
    targets.push("//etc/passwd".to_string());
    ensure_all_refused(ctx, &targets)
}

fn link_outside_root(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let secret = &site.secret.name;
    let (file, folder) = (site.name(), site.name());
    let (relative, dangling) = (site.name(), site.name());
    symlink(site.outside(secret), site.path(&file))?;
    symlink(site.outside(""), site.path(&folder))?;
    symlink(format!("../{secret}"), site.path(&relative))?;
    symlink(site.outside(&site.name()), site.path(&dangling))?;
    let paths = [file, format!("{folder}/{secret}"), relative, dangling];
    ensure_all_refused(ctx, &paths.map(|path| format!("/{path}")))
}

fn link_inside_root(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let nested = &site.nested;
    let (relative, absolute, folder) = (site.name(), site.name(), site.name());
    symlink(&site.page.name, site.path(&relative))?;
    symlink(site.path(&nested.name), site.path(&absolute))?;
    symlink(site.nested_folder(), site.path(&folder))?;
    let in_folder = nested.name.replace(site.nested_folder(), &folder);
    let server = ctx.start()?;
    for (path, content) in [
        (relative, &site.page.content),
        (absolute, &nested.content),
        (in_folder, &nested.content),
    ] {
        server.get(&format!("/{path}"))?.ensure_serves(content)?;
    }
    Ok(())
}

fn unusual_bytes_in_target(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let page = ctx.site.page.target();
    for (before, after) in [
        (b"".as_slice(), b"\0".as_slice()),
        (b"", b"\0.txt"),
        (b"/\0", b""),
        (b"", b"\xff\xfe"),
        (b"/\xc3\x28", b""),
        (b"", b"\x01\x7f"),
    ] {
        let end = b" HTTP/1.1\r\nHost: a\r\n\r\n";
        let request = [b"GET ", before, page.as_bytes(), after, end].concat();
        ensure_status_in(&server.exchange(&request)?, &[400, 404])?;
    }
    ensure_alive(ctx, &server)
}

fn fifo_is_not_opened(ctx: &TestContext) -> CheckResult {
    let name = ctx.site.name();
    ctx.site.add_fifo(&name)?;
    ensure_all_refused(ctx, &[format!("/{name}")])
}

fn socket_is_not_served(ctx: &TestContext) -> CheckResult {
    let name = ctx.site.name();
    let _socket = UnixListener::bind(ctx.site.path(&name))?;
    ensure_all_refused(ctx, &[format!("/{name}")])
}
