//! A greeting made from a query parameter.

use super::{Exercise, defaults};
use crate::check::Check;
use harness::client::request;
use harness::context::TestContext;
use harness::error::CheckResult;
use harness::server::Server;

pub const EXERCISE: Exercise = Exercise {
    name: "query-parameters",
    stage: 1,
    title: "a greeting made from a query parameter",
    task: "\
`GET /hello?name=Ada` gets status 200 and the content `Hello, Ada!` with a line feed (LF) at the
end. If there is no name, or an empty one, the content is `Hello, stranger!` and a line feed.

The query starts after the first `?`. Its parameters are separated by `&`. A parameter's name
ends at the first `=`, and the rest is its value; a parameter without `=` is ignored. Only the
parameter `name` counts, and only the first one if there are several. Nothing is decoded yet,
neither `+` nor percent-encoding. But text from a client must not become markup: `<` and `>` in
a name are sent as `&lt;` and `&gt;`.

Only GET requests for the path `/hello` get a greeting. Everything else stays as it was.",
    references: &[
        "RFC 3986, 3.4 (the query)",
        "https://url.spec.whatwg.org/#urlencoded-parsing (how to split a query)",
    ],
    checks: CHECKS,
    excused: &[],
    already_passing: &["other-paths-unchanged"],
};

const DEFAULTS: Check = defaults("query-parameters", 1, &["greets-by-name"]);

const CHECKS: &[Check] = &[
    Check {
        id: "greets-by-name",
        must: "respond to `/hello?name=Ada` with `Hello, Ada!`",
        why: "RFC 3986, 3.4: the query is a part of the target that a program may use.",
        hint: "Stage 1 cuts off the query. Keep it.",
        needs: &[],
        weight: 2,
        run: greets_by_name,
        ..DEFAULTS
    },
    Check {
        id: "default-greeting",
        must: "respond with `Hello, stranger!` if there is no name, or an empty one",
        why: "A client may leave out anything that you expect.",
        hint: "No query, a query without `name`, and `name=` are three cases.",
        run: default_greeting,
        ..DEFAULTS
    },
    Check {
        id: "other-parameters-ignored",
        must: "use only the first parameter called `name`, up to its `&`",
        why: "A search for `name=` in the whole query also finds `surname=`.",
        hint: "First split the query at each `&`, then each parameter at its first `=`.",
        run: other_parameters_ignored,
        ..DEFAULTS
    },
    Check {
        id: "name-is-escaped",
        must: "send `<` and `>` in a name as `&lt;` and `&gt;`",
        why: "CWE-79: without a Content-Type, a browser may take the response for HTML.",
        hint: "Replace them when you write the name into the response, and nowhere else.",
        run: name_is_escaped,
        ..DEFAULTS
    },
    Check {
        id: "other-paths-unchanged",
        must: "respond to other paths and other methods as before, whatever their query",
        why: "A new path must not change the others.",
        hint: "Compare the whole path, without the query.",
        run: other_paths_unchanged,
        ..DEFAULTS
    },
];

/// Fails unless the response to `/hello` with this query greets by this name.
fn ensure_greets(server: &Server, query: &str, name: &str) -> CheckResult {
    let response = server.get(&format!("/hello{query}"))?;
    response.ensure_serves(format!("Hello, {name}!\n").as_bytes())
}

fn greets_by_name(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    for name in [ctx.site.name(), ctx.site.name()] {
        ensure_greets(&server, &format!("?name={name}"), &name)?;
    }
    Ok(())
}

fn default_greeting(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let other = format!("?{}={}", ctx.site.name(), ctx.site.name());
    for query in ["", "?", "?name", "?name=", "?&", &other] {
        ensure_greets(&server, query, "stranger")?;
    }
    Ok(())
}

fn other_parameters_ignored(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (name, other) = (ctx.site.name(), ctx.site.name());
    for query in [
        format!("?{other}={other}&name={name}&age=12"),
        format!("?surname={other}&name={name}"),
        format!("?names={other}&name={name}"),
        format!("?{other}&name={name}&name={other}"),
        format!("?a=name={other}&name={name}"),
    ] {
        ensure_greets(&server, &query, &name)?;
    }
    let value = format!("{name}={other}?");
    ensure_greets(&server, &format!("?name={value}"), &value)
}

fn name_is_escaped(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let name = ctx.site.name();
    let query = format!("?name=<script>{name}()</script>");
    let escaped = format!("&lt;script&gt;{name}()&lt;/script&gt;");
    ensure_greets(&server, &query, &escaped)
}

fn other_paths_unchanged(ctx: &TestContext) -> CheckResult {
    let server = ctx.start()?;
    let (site, name) = (&ctx.site, ctx.site.name());
    let longer = site.add_page("hello.html")?;
    let deeper = site.add_page(&format!("{}/hello", site.name()))?;
    for file in [&site.page, &longer, &deeper] {
        let response = server.get(&format!("{}?name={name}", file.target()))?;
        response.ensure_serves(&file.content)?;
    }
    let response = server.get(&format!("/?name={name}&page=/hello"))?;
    response.ensure_serves(&site.index)?;
    for target in ["/hello/", "/Hello", "/hello/name"] {
        let response = server.get(&format!("{target}?name={name}"))?;
        response.ensure_status(404)?;
    }
    let post = request("POST", &format!("/hello?name={name}"), "");
    server.exchange(&post)?.ensure_status(501)
}
