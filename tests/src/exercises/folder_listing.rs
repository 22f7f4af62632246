//! A page that lists a folder.

use super::Exercise;
use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome, Trouble};
use crate::wire::Answer;
use html_escape::decode_html_entities;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

pub const EXERCISE: Exercise = Exercise {
    name: "folder-listing",
    stage: 1,
    title: "a page that lists a folder without index.html",
    asked: "\
A folder that has no file index.html, asked for with its slash, is answered with status 200
and a page in HTML that has a link, `<a href=\"NAME\">NAME</a>`, to each file and each folder in
it which the server would serve, in the order of their names' bytes; a folder's NAME ends in a
slash. In a name, `&`, `<`, `>` and `\"` are written as `&amp;`, `&lt;`, `&gt;` and `&quot;`.
(This server does not decode percent-encoding, and a browser asks for a space, `\"`, `<` or `>`
in a link as `%20`, `%22` and so on: such a link leads nowhere yet. Whether names are listed
that no request can ask for, those with a space or `?`, is up to you.)

What the server would not serve is not listed: links that lead out of the document root or
nowhere, FIFOs, sockets. The root's own list has no link to `..`. Without the slash, and where
there is an index.html, everything stays as it was.",
    read: &[
        "https://html.spec.whatwg.org/multipage/links.html (the element a)",
        "readdir(3), symlink(7), realpath(3)",
    ],
    checks: CHECKS,
    excuses: &["folder-is-no-file"],
    already: &["only-the-slash-lists"],
};

const OWN: Check = Check {
    stages: 1..=1,
    needs: &["folder-is-listed"],
    ..COMMON
};

const CHECKS: &[Check] = &[
    Check {
        id: "folder-is-listed",
        must: "a folder without index.html is a page with a link to each file and folder in it",
        why: "Who does not know a name can ask for none.",
        hint: "`wanted` is index.html of that folder: where there is none, list the folder.",
        needs: &[],
        weight: 2,
        run: folder_is_listed,
        ..OWN
    },
    Check {
        id: "listed-names-are-escaped",
        must: "`&`, `<`, `>` and `\"` in a name are escaped, in the link and in its text",
        why: "CWE-79: who may put a file there must not put a script into your page.",
        hint: "Escape on the way into the page, in the link and in the text.",
        run: listed_names_are_escaped,
        ..OWN
    },
    Check {
        id: "listed-names-are-sorted",
        must: "the names stand in the order of their bytes",
        why: "readdir(3) gives them in no order that a person would know.",
        hint: "Collect them first.",
        run: listed_names_are_sorted,
        ..OWN
    },
    Check {
        id: "only-what-is-served-is-listed",
        must: "links out of the root or to nowhere, FIFOs and sockets are not listed, nor is `..`",
        why: "CWE-548: a list must not tell of what nobody may have.",
        hint: "Ask of each name what would be asked if a client asked for it.",
        weight: 2,
        run: only_what_is_served_is_listed,
        ..OWN
    },
    Check {
        id: "only-the-slash-lists",
        must: "index.html comes first; without its slash, or where none is, a folder is not listed",
        why: "Relative links only work behind the slash.",
        hint: "Look for index.html as before, and only when there is none for the folder.",
        run: only_the_slash_lists,
        ..OWN
    },
];

/// The names that the links of a list lead to, as they stand in that folder; the way up is
/// left out where it stays in the root.
fn listed(answer: &Answer, folder: &str) -> Result<Vec<String>, Trouble> {
    answer.must_have_status(200)?;
    let page = String::from_utf8_lossy(&answer.content).into_owned();
    let mut names = Vec::new();
    for part in page.split("href=").skip(1) {
        let Some(quote) = part.chars().next().filter(|first| "\"'".contains(*first)) else {
            answer.must(false, "links with their address in quotes")?;
            continue;
        };
        let address = part[1..].split(quote).next().unwrap_or_default();
        let address = decode_html_entities(address).into_owned();
        let name = address.strip_prefix(folder).unwrap_or(&address);
        let name = name.strip_prefix("./").unwrap_or(name);
        if folder == "/" || !["..", "../"].contains(&name) {
            names.push(name.to_string());
        }
    }
    Ok(names)
}

/// A list must have just these names, in any order.
fn must_list(answer: &Answer, folder: &str, expected: &[String]) -> Outcome {
    let (mut found, mut expected) = (listed(answer, folder)?, expected.to_vec());
    found.sort();
    expected.sort();
    let links = expected.join("`, `");
    answer.must(found == expected, format!("links to just `{links}`"))
}

fn folder_is_listed(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let folder = site.name();
    let files = [
        site.add_page(&format!("{folder}/{}.html", site.name()))?,
        site.add_page(&format!("{folder}/{}", site.name()))?,
    ];
    let inner = format!("{folder}/{}", site.name());
    let deep = site.add_page(&format!("{inner}/{}.txt", site.name()))?;
    let server = bench.start()?;
    let below = |name: &str, folder: &str| name[folder.len() + 1..].to_string();
    let mut expected = Vec::from(files.each_ref().map(|file| below(&file.name, &folder)));
    expected.push(format!("{}/", below(&inner, &folder)));
    let answer = server.get(&format!("/{folder}/"))?;
    must_list(&answer, &format!("/{folder}/"), &expected)?;
    let answer = server.get(&format!("/{inner}/"))?;
    must_list(&answer, &format!("/{inner}/"), &[below(&deep.name, &inner)])?;
    for file in files.iter().chain([&deep]) {
        server.get(&file.target())?.must_serve(&file.content)?;
    }
    // One that has come since, and an empty folder.
    let more = site.add_page(&format!("{folder}/{}", site.name()))?;
    expected.push(below(&more.name, &folder));
    let answer = server.get(&format!("/{folder}/"))?;
    must_list(&answer, &format!("/{folder}/"), &expected)?;
    std::fs::remove_file(site.path(&deep.name))?;
    let answer = server.get(&format!("/{inner}/"))?;
    must_list(&answer, &format!("/{inner}/"), &[])
}

fn listed_names_are_escaped(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let folder = site.name();
    let name = format!("{}\"<img>&lt;&amp;.txt", site.name());
    let file = site.add_page(&format!("{folder}/{name}"))?;
    let server = bench.start()?;
    let answer = server.get(&format!("/{folder}/"))?;
    must_list(&answer, &format!("/{folder}/"), std::slice::from_ref(&name))?;
    let page = String::from_utf8_lossy(&answer.content).into_owned();
    answer.must(!page.contains("<img"), "no markup made of a name")?;
    let text = decode_html_entities(&page).into_owned();
    answer.must(
        text.contains(&format!(">{name}<")),
        format!("`{name}` as the text of the link"),
    )?;
    server.get(&file.target())?.must_serve(&file.content)
}

fn listed_names_are_sorted(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let folder = site.name();
    let mut expected = Vec::new();
    for _ in 0..12 {
        let name = site.name();
        site.add(&format!("{folder}/{name}"), b"")?;
        expected.push(name);
    }
    expected.push(site.name().to_uppercase());
    site.add(&format!("{folder}/{}", expected[12]), b"")?;
    expected.sort();
    let answer = bench.start()?.get(&format!("/{folder}/"))?;
    let found = listed(&answer, &format!("/{folder}/"))?;
    let shown = expected.join("`, `");
    answer.must(found == expected, format!("in this order: `{shown}`"))
}

fn only_what_is_served_is_listed(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let folder = site.name();
    let file = site.add_page(&format!("{folder}/{}", site.name()))?;
    let place = || site.path(&format!("{folder}/{}", site.name()));
    symlink(site.beside(&site.secret.name), place())?;
    symlink(site.beside(""), place())?;
    symlink(site.beside(&site.name()), place())?;
    mkfifo(&place(), Mode::from_bits_truncate(0o644)).map_err(std::io::Error::from)?;
    let _socket = UnixListener::bind(place())?;
    // These two stay inside.
    let (link, link_to_folder) = (site.name(), site.name());
    let (nested_folder, _) = site.nested.name.split_once('/').unwrap_or_default();
    symlink(
        site.path(&site.page.name),
        site.path(&format!("{folder}/{link}")),
    )?;
    symlink(
        site.path(nested_folder),
        site.path(&format!("{folder}/{link_to_folder}")),
    )?;
    let server = bench.start()?;
    let (_, name) = file.name.split_once('/').unwrap_or_default();
    let expected = [name.to_string(), link, format!("{link_to_folder}/")];
    let answer = server.get(&format!("/{folder}/"))?;
    must_list(&answer, &format!("/{folder}/"), &expected)?;
    // The root itself: nothing is above it.
    std::fs::remove_file(site.path("index.html"))?;
    let expected = [
        site.page.name.clone(),
        format!("{nested_folder}/"),
        format!("{folder}/"),
        site.form.name.clone(),
        site.forbidden.name.clone(),
        site.missing.name.clone(),
    ];
    must_list(&server.get("/")?, "/", &expected)?;
    for target in ["/..", "/../", &format!("/{folder}/../../")] {
        server.get(target)?.must_have_status(404)?;
    }
    Ok(())
}

fn only_the_slash_lists(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let (plain, with_index) = (site.name(), site.name());
    site.add_page(&format!("{plain}/{}", site.name()))?;
    site.add_page(&format!("{with_index}/{}", site.name()))?;
    let index = site.add_page(&format!("{with_index}/index.html"))?;
    let server = bench.start()?;
    server
        .get(&format!("/{with_index}/"))?
        .must_serve(&index.content)?;
    server.get("/")?.must_serve(&site.index)?;
    let missing = format!("/{}/", site.name());
    let file = format!("{}/", site.page.target());
    for target in [format!("/{plain}"), format!("/{with_index}"), missing, file] {
        server.get(&target)?.must_have_status(404)?;
    }
    Ok(())
}
