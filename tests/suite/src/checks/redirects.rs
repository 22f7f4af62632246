//! Redirects: to the slash of a folder, and nowhere else.

use super::STAGE_4;
use super::error_responses::ensure_well_formed_except_version;
use crate::check::Check;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::response::Response;
use harness::server::Server;

pub const CHECKS: &[Check] = &[
    Check {
        id: "folder-redirect",
        must: "redirect a folder without its slash to the slash with 301, and keep the query",
        why: "Otherwise, relative links in its page would lead to the folder above.",
        hint: "Location is the path, a slash, and the query as it came.",
        run: folder_redirect,
        ..STAGE_4
    },
    Check {
        id: "no-open-redirect",
        must: "never send a `Location` that leads to another host or starts another field",
        why: "CWE-601 and CWE-113: `//evil` in Location is a host, and CR LF ends a line.",
        hint: "Build Location from the segments of the path, and encode each of them again.",
        run: no_open_redirect,
        ..STAGE_4
    },
];

/// What follows the host in a `Location`, which is either a path or a URL on this host.
fn strip_host<'a>(location: &'a str, server: &Server) -> &'a str {
    let origins = [
        format!("http://localhost:{}", server.address.port()),
        "http://localhost".to_string(),
        format!("http://{}", server.address),
    ];
    let mut paths = origins
        .iter()
        .filter_map(|origin| location.strip_prefix(origin));
    paths.find(|path| path.starts_with('/')).unwrap_or(location)
}

fn ensure_redirects_to(response: &Response, server: &Server, path: &str) -> CheckResult {
    response.ensure_status(301)?;
    let location = response.field("location").unwrap_or_default();
    let expected = format!("the field `Location: {path}`");
    response.ensure(strip_host(location, server) == path, expected)
}

fn folder_redirect(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let folder = ctx.site.nested_folder();
    for query in ["", "?a=b&c=%20"] {
        let response = server.get(&format!("/{folder}{query}"))?;
        ensure_redirects_to(&response, &server, &format!("/{folder}/{query}"))?;
    }
    let name = ctx.site.name();
    let page = ctx.site.add_page(&format!("{name} 你/index.html"))?;
    let target = format!("/{name}%20%E4%BD%A0");
    let location = format!("{target}/");
    ensure_redirects_to(&server.get(&target)?, &server, &location)?;
    server.get(&location)?.ensure_serves(&page.content)
}

fn no_open_redirect(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    for folder in [&name, &format!("\\{name}"), &format!("{name}\r\nX-Lab: a")] {
        ctx.site.add_page(&format!("{folder}/index.html"))?;
    }
    for target in [
        format!("//{name}"),
        format!("/%2f{name}"),
        format!("/\\{name}"),
        format!("/%5c{name}"),
        format!("/{name}%0d%0aX-Lab:%20a"),
        format!("/{name}?%0d%0aX-Lab:%20a"),
        format!("/{name}?\rX-Lab:a"),
    ] {
        let response = server.get(&target)?;
        let location = response.field("location").unwrap_or("/");
        let path = strip_host(location, &server);
        let names_host = path.len() < location.len();
        let is_local = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
        let expected = "a Location below the root of this host, or none";
        response.ensure(names_host || is_local, expected)?;
        let is_injected = response.field("x-lab").is_some();
        response.ensure(!is_injected, "no field that the client made up")?;
        ensure_well_formed_except_version(&response)?;
    }
    server.get(&format!("/{name}"))?.ensure_status(301)
}
