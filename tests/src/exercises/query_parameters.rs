//! An answer that is made of what the query says.

use super::Exercise;
use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome};
use crate::wire::request;

pub const EXERCISE: Exercise = Exercise {
    name: "query-parameters",
    stage: 1,
    title: "an answer that is made of what the query says",
    asked: "\
`GET /hello?name=Ada` is answered with status 200 and the content `Hello, Ada!` and a line
feed (LF). Without a name, or with an empty one, it is `Hello, stranger!`. The parameters
stand behind the first `?` and are separated by `&`; a parameter's name ends at its first `=`.
Only the parameter `name` counts, and of several the first; others are ignored. Nothing is
decoded yet, neither `+` nor percent-encoding. But what a stranger sends must not become
markup: `<` and `>` in a name are answered as `&lt;` and `&gt;`. No path but `/hello`, and no
method but GET, greets: everything else stays as it was.",
    read: &[
        "RFC 3986, 3.4 (the query)",
        "https://url.spec.whatwg.org/#urlencoded-parsing (how parameters are told apart)",
    ],
    checks: CHECKS,
    excuses: &[],
    already: &["only-hello-greets"],
};

const OWN: Check = Check {
    stages: 1..=1,
    needs: &["greets-by-name"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "greets-by-name",
        must: "`/hello?name=Ada` is answered with `Hello, Ada!`",
        why: "RFC 3986, 3.4: the query is a part of the target that a program may use.",
        hint: "Where stage 1 cuts off the query, keep it.",
        needs: &[],
        weight: 2,
        run: greets_by_name,
        ..OWN
    },
    Check {
        id: "greets-a-stranger",
        must: "without a name, or with an empty one, it is `Hello, stranger!`",
        why: "A client may leave out anything that it is asked for.",
        hint: "No query, a query without `name`, and `name=` are three cases.",
        run: greets_a_stranger,
        ..OWN
    },
    Check {
        id: "other-parameters-are-ignored",
        must: "only the parameter called `name` counts, the first of several, to its `&`",
        why: "Searching for `name=` in the whole query also finds `surname=`.",
        hint: "First part the query at each `&`, then each parameter at its first `=`.",
        run: other_parameters_are_ignored,
        ..OWN
    },
    Check {
        id: "a-name-is-no-markup",
        must: "`<` and `>` in a name are answered as `&lt;` and `&gt;`",
        why: "CWE-79: without a Content-Type a browser may take the answer for a page.",
        hint: "Replace them on the way into the answer, and nowhere else.",
        run: a_name_is_no_markup,
        ..OWN
    },
    Check {
        id: "only-hello-greets",
        must: "other paths with a name in their query, and other methods, are answered as before",
        why: "Who adds one path must not change the others.",
        hint: "Compare the whole path, without the query.",
        run: only_hello_greets,
        ..OWN
    },
];

fn greeting(name: &str) -> Vec<u8> {
    format!("Hello, {name}!\n").into_bytes()
}

fn greets_by_name(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for _ in 0..2 {
        let name = bench.site.name();
        let answer = server.get(&format!("/hello?name={name}"))?;
        answer.must_serve(&greeting(&name))?;
    }
    Ok(())
}

fn greets_a_stranger(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let other = format!("?{}={}", bench.site.name(), bench.site.name());
    for query in ["", "?", "?name", "?name=", "?&", &other] {
        let answer = server.get(&format!("/hello{query}"))?;
        answer.must_serve(&greeting("stranger"))?;
    }
    Ok(())
}

fn other_parameters_are_ignored(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (name, other) = (bench.site.name(), bench.site.name());
    for query in [
        format!("{other}={other}&name={name}&age=12"),
        format!("surname={other}&name={name}"),
        format!("names={other}&name={name}"),
        format!("{other}&name={name}&name={other}"),
        format!("a=name={other}&name={name}"),
    ] {
        let answer = server.get(&format!("/hello?{query}"))?;
        answer.must_serve(&greeting(&name))?;
    }
    let answer = server.get(&format!("/hello?name={name}={other}?"))?;
    answer.must_serve(&greeting(&format!("{name}={other}?")))
}

fn a_name_is_no_markup(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = bench.site.name();
    let answer = server.get(&format!("/hello?name=<script>{name}()</script>"))?;
    answer.must_serve(&greeting(&format!("&lt;script&gt;{name}()&lt;/script&gt;")))
}

fn only_hello_greets(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (site, name) = (&bench.site, bench.site.name());
    let longer = site.add_page("hello.html")?;
    let deeper = site.add_page(&format!("{}/hello", site.name()))?;
    for file in [&site.page, &longer, &deeper] {
        let answer = server.get(&format!("{}?name={name}", file.target()))?;
        answer.must_serve(&file.content)?;
    }
    let answer = server.get(&format!("/?name={name}&page=/hello"))?;
    answer.must_serve(&site.index)?;
    for target in ["/hello/", "/Hello", "/hello/name"] {
        let answer = server.get(&format!("{target}?name={name}"))?;
        answer.must_have_status(404)?;
    }
    let post = request("POST", &format!("/hello?name={name}"), "");
    server.ask(&post)?.must_have_status(501)
}
