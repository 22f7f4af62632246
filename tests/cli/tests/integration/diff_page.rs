//! The page of `cargo lab diff --html`: it shows the lines that change, and nothing in them is
//! taken for markup.

use crate::{lab_in, run, write_files};
use assert_cmd::assert::OutputAssertExt;
use harness::workspace;
use predicates::str::contains;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The page that the command prints in a workspace.
fn page(root: &Path, arguments: &[&str]) -> String {
    let output = run(lab_in(root).args(["diff", "--html"]).args(arguments));
    String::from_utf8(output.stdout).unwrap()
}

/// The sign of a line that changes, its number, and its text.
type Change = (String, usize, String);

/// The lines that change between two packages.
fn expected_changes(old: &Path, new: &Path) -> Vec<Change> {
    let mut names = BTreeSet::from([PathBuf::from("Cargo.toml")]);
    for folder in [old, new] {
        let files = fs::read_dir(folder.join("src")).unwrap();
        names.extend(files.map(|file| Path::new("src").join(file.unwrap().file_name())));
    }
    let mut changes = Vec::new();
    for name in names {
        let read = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let (old, new) = (read(old), read(new));
        for change in TextDiff::from_lines(&old, &new).iter_all_changes() {
            let index = match change.tag() {
                ChangeTag::Equal => continue,
                ChangeTag::Delete => change.old_index(),
                ChangeTag::Insert => change.new_index(),
            };
            let text = change.value().trim_end_matches('\n').to_string();
            changes.push((change.tag().to_string(), index.unwrap() + 1, text));
        }
    }
    changes.sort();
    changes
}

/// The lines that change as a page shows them.
fn shown_changes(page: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for line in page.split("<code><i>").skip(1) {
        let (line, _) = line.split_once("</code>").unwrap();
        let (number, line) = line.split_once("</i><b>").unwrap();
        let (sign, line) = line.split_once("</b>").unwrap();
        // Everything between < and > is markup.
        let parts = line.split('<').filter_map(|part| part.split_once('>'));
        let text: String = parts.map(|(_, text)| text).collect();
        let text = html_escape::decode_html_entities(&text).into_owned();
        if sign != " " {
            changes.push((sign.to_string(), number.parse().unwrap(), text));
        }
    }
    changes.sort();
    changes
}

/// Checks that ids are unique, and that links within the page lead somewhere.
fn ensure_links_work(page: &str) {
    let values = |start: &'static str| {
        let parts = page.split(start).skip(1);
        parts.map(|part| part.split('"').next().unwrap())
    };
    let ids: BTreeSet<&str> = values(" id=\"").collect();
    assert_eq!(ids.len(), values(" id=\"").count());
    for link in values(" href=\"#") {
        assert!(ids.contains(link), "{link}");
    }
}

#[test]
fn page_of_site_shows_stages_as_they_are() {
    let root = workspace::root();
    let page_of_site = fs::read_to_string(root.join("html/stages.html")).unwrap();
    let update = "html/stages.html is out of date. Update it: \
                  cargo lab diff --html --output html/stages.html";
    assert!(page_of_site == page(root, &[]), "{update}");
    let mut changes = Vec::new();
    for (base, new) in workspace::pairs() {
        let (old, new) = (root.join(base.name), root.join(new.name));
        changes.extend(expected_changes(&old, &new));
    }
    changes.sort();
    assert_eq!(shown_changes(&page_of_site), changes);
    ensure_links_work(&page_of_site);
    let waterfalls = measure::default_stages().map(|stage| stage.number);
    let waterfalls = waterfalls.map(|number| format!("waterfall-{number}"));
    let others = ["process", "throughput", "kept", "memory"].map(str::to_string);
    for id in waterfalls.chain(others) {
        let picture = format!("<svg id=\"{id}\"");
        assert_eq!(page_of_site.matches(&picture).count(), 1, "{id}");
    }
}

#[test]
fn page_escapes_names_and_lines() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let old = "one\n</span></code><b>bold\n&lt; two\nlast";
    let new = "one\n</code><script>alert('x')</script>\n&lt; &amp;lt; 2\n\n\tlast\r\n";
    let added = "<img src=x onerror=alert(1)>\n\u{202e}\n";
    let files = [
        ("tests/stage.rs", ""),
        ("stage1_single/Cargo.toml", "[package]\n"),
        ("stage1_single/src/main.rs", old),
        ("my_stage2/Cargo.toml", "[package]\n"),
        ("my_stage2/src/main.rs", new),
        ("my_stage2/src/a \"<b>&.rs", added),
    ];
    write_files(root, &files);
    let page = page(root, &["1", "2", "--mine"]);
    let mut shown = shown_changes(&page);
    // Characters that are invisible, or change the direction of the text, are shown by name.
    assert!(!page.contains(['\r', '\u{202e}']));
    for (_, _, text) in &mut shown {
        *text = text
            .replace("\\u{d}", "\r")
            .replace("\\u{202e}", "\u{202e}")
            .replace(" (no line feed at the end)", "");
    }
    let (old, new) = (root.join("stage1_single"), root.join("my_stage2"));
    assert_eq!(shown, expected_changes(&old, &new));
    // It needs nothing from elsewhere.
    for markup in ["<script", "<img", "<b>bold", "href=\"/", "a \"<b>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    ensure_links_work(&page);
}

#[test]
fn page_is_written_to_file_with_its_style() {
    let (root, folder) = (workspace::root(), tempfile::tempdir().unwrap());
    let file = folder.path().join("page.html");
    let mut write = lab_in(root);
    write.args(["diff", "1", "2", "--html", "--output"]);
    write.arg(&file).assert().success().stdout("");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written == page(root, &["1", "2"]));
    assert!(written.contains(&fs::read_to_string(root.join("html/style.css")).unwrap()));
    for (arguments, code, named) in [
        (&[][..], 2, "<FROM>"),
        (&["1", "--html"], 2, "<TO>"),
        (&["1", "2", "--output", "x"], 2, "--html"),
        (&["1", "2", "--html", "--output", "/proc/x"], 3, "/proc/x"),
    ] {
        let diff = lab_in(root).arg("diff").args(arguments).assert();
        diff.code(code).stderr(contains(named));
    }
}
