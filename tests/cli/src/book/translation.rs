//! Translated documents, and whether they have drifted from their originals.
//!
//! Code blocks, the levels of headings and the targets of links are the same in both. Below each heading
//! of a translation, a comment has the checksum of the section that it translates. So a change of the
//! original shows.

use super::document::{Document, Heading};
use super::edition::EDITIONS;
use harness::workspace;
use std::collections::BTreeMap;
use std::{fs, io};

/// The originals, each with its translation.
pub const TRANSLATIONS: [(&str, &str); 2] = [
    ("LESSONS.md", "LESSONS.zh.md"),
    ("README.md", "README.zh.md"),
];

/// The first page of the site, with its translations.
const HOMES: [(&str, &str); 1] = [("html/index.html", "html/zh/index.html")];

/// The start and the end of the comment with a checksum.
const MARK: (&str, &str) = ("<!-- en: ", " -->");

/// What a translation must have as often as its original.
const COUNTED: [&str; 3] = ["<details>", "<summary>", "✋"];

/// A heading with what follows it, up to the next one.
struct Section<'a> {
    heading: &'a Heading,
    text: String,
    links: Vec<&'a str>,
    code_spans: Vec<&'a str>,
}

fn sections<'a>(document: &'a Document, text: &str) -> Vec<Section<'a>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut sections = Vec::new();
    for (index, heading) in document.headings.iter().enumerate() {
        let next = document.headings.get(index + 1);
        let end = next.map_or(lines.len() + 1, |next| next.line);
        let inside = |items: &'a [(usize, String)]| {
            let items = items
                .iter()
                .filter(|(line, _)| (heading.line..end).contains(line));
            items.map(|(_, item)| item.as_str()).collect()
        };
        sections.push(Section {
            heading,
            text: lines[heading.line - 1..end - 1].join("\n"),
            links: inside(&document.links),
            code_spans: inside(&document.code_spans),
        });
    }
    sections
}

/// The comment with the checksum of what was translated.
fn mark(text: &str) -> String {
    format!("{}{}{}", MARK.0, super::checksum(text.trim_end()), MARK.1)
}

/// Reads a document of the workspace.
fn read(name: &str) -> io::Result<String> {
    fs::read_to_string(workspace::root().join(name))
}

/// How each translation differs from its original, a line for each difference.
pub fn all_drift() -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (original, translation) in TRANSLATIONS {
        problems.extend(drift(
            (original, &read(original)?),
            (translation, &read(translation)?),
        ));
    }
    for (original, translation) in HOMES {
        let problem = home_drift(&read(original)?, &read(translation)?);
        problems.extend(problem.map(|problem| format!("{translation} {problem}")));
    }
    Ok(problems)
}

/// How the translation of the first page differs from its original.
fn home_drift(original: &str, translation: &str) -> Option<String> {
    if !translation.contains(&mark(original)) {
        let advice = "Translate what has changed, then run `cargo lab book --translated`";
        return Some(format!("is older than its original. {advice}"));
    }
    let [mut expected, mut found] = [original, translation].map(addresses);
    expected.sort();
    found.sort();
    (expected != found).then(|| format!("has the addresses {found:?}, not {expected:?}"))
}

/// The addresses that a page names, without what tells the languages apart.
fn addresses(page: &str) -> Vec<String> {
    let parts = page.split(['"']);
    let values = parts.clone().zip(parts.skip(1));
    let values = values.filter(|(name, _)| {
        ["href=", "src=", "srcset="]
            .iter()
            .any(|it| name.ends_with(it))
    });
    let common = |(_, value): (&str, &str)| {
        let folders = EDITIONS.iter().map(|edition| edition.folder);
        let folders = folders.filter(|folder| !folder.is_empty());
        let value = folders.fold(value.to_string(), |value, folder| {
            value.replace(&format!("/{folder}"), "/")
        });
        match value.strip_suffix("index.html") {
            Some(folder) if !folder.ends_with("lessons/") => folder.to_string(),
            _ => value,
        }
    };
    values.map(common).collect()
}

/// How a translation differs from its original. Each is given by its name and its text.
pub fn drift(original: (&str, &str), translation: (&str, &str)) -> Vec<String> {
    let [old, new] = [original, translation].map(|(name, text)| Document::parse(name, text));
    let mut problems = differing_blocks(&old, &new);
    for ((name, text), other) in [(original, translation.0), (translation, original.0)] {
        if !text
            .lines()
            .next()
            .is_some_and(|line| line.contains(&format!("]({other})")))
        {
            problems.push(format!("{name}:1: the first line has no link to {other}"));
        }
    }
    let levels = |document: &Document| -> Vec<usize> {
        document
            .headings
            .iter()
            .map(|heading| heading.level)
            .collect()
    };
    if levels(&old) != levels(&new) {
        let first = old
            .headings
            .iter()
            .zip(&new.headings)
            .find(|(old, new)| old.level != new.level);
        let line = first.map_or(
            new.headings.last().map_or(1, |last| last.line),
            |(_, new)| new.line,
        );
        problems.push(new.at(line, format!("its headings aren't those of {}", old.name)));
        return problems;
    }
    let anchors: BTreeMap<String, String> = old.anchors().into_iter().zip(new.anchors()).collect();
    let pairs = sections(&old, original.1)
        .into_iter()
        .zip(sections(&new, translation.1));
    for (old_section, new_section) in pairs {
        let at = |problem: String| new.at(new_section.heading.line, problem);
        let found = differences(&old_section, &new_section, &anchors);
        problems.extend(found.into_iter().map(at));
        if !new_section.text.contains(&mark(&old_section.text)) {
            problems.push(at(format!(
                "this section is older than {}:{}, “{}”. Translate what has changed, then run \
                 `cargo lab book --translated`",
                old.name, old_section.heading.line, old_section.heading.text
            )));
        }
    }
    problems
}

/// Code blocks that aren't the same, byte for byte.
fn differing_blocks(old: &Document, new: &Document) -> Vec<String> {
    if old.blocks.len() != new.blocks.len() {
        let (name, counts) = (&old.name, [&old.blocks, &new.blocks].map(Vec::len));
        let problem = format!("it has {} code blocks, {name} has {}", counts[1], counts[0]);
        return vec![new.at(1, problem)];
    }
    let pairs = old.blocks.iter().zip(&new.blocks);
    pairs
        .filter(|(old, new)| {
            (&old.language, &old.terminal, &old.text) != (&new.language, &new.terminal, &new.text)
        })
        .map(|(block, other)| {
            let problem = format!("this code isn't that of {}:{}", old.name, block.line);
            new.at(other.line, problem)
        })
        .collect()
}

/// What differs between two sections, other than their words.
fn differences(old: &Section, new: &Section, anchors: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expected: Vec<String> = old
        .links
        .iter()
        .map(|link| translated_link(link, anchors))
        .collect();
    let mut links: Vec<String> = new.links.iter().map(ToString::to_string).collect();
    expected.sort();
    links.sort();
    if links != expected {
        problems.push(format!("its links are {links:?}, not {expected:?}"));
    }
    for code in &old.code_spans {
        if !new.code_spans.contains(code) {
            problems.push(format!("`{code}` is missing"));
        }
    }
    for word in COUNTED {
        let [in_old, in_new] = [old, new].map(|section| section.text.matches(word).count());
        if in_old != in_new {
            problems.push(format!(
                "{word} is there {in_new} times, not {in_old} times"
            ));
        }
    }
    problems
}

/// The target that a link has in a translation.
fn translated_link(link: &str, anchors: &BTreeMap<String, String>) -> String {
    if let Some(anchor) = link.strip_prefix('#') {
        return format!("#{}", anchors.get(anchor).map_or("", String::as_str));
    }
    let swapped = TRANSLATIONS
        .iter()
        .find_map(|(original, translation)| match link {
            link if link == *original => Some(*translation),
            link if link == *translation => Some(*original),
            _ => None,
        });
    swapped.unwrap_or(link).to_string()
}

/// Marks all sections of the translations as up to date by writing their checksums.
pub fn accept() -> io::Result<()> {
    for (original, translation) in TRANSLATIONS {
        let text = with_marks(&read(original)?, &read(translation)?);
        fs::write(workspace::root().join(translation), text)?;
    }
    for (original, translation) in HOMES {
        let page = read(translation)?;
        let lines = page.lines().filter(|line| !line.starts_with(MARK.0));
        let mut lines: Vec<String> = lines.map(str::to_string).collect();
        lines.insert(1, mark(&read(original)?));
        fs::write(workspace::root().join(translation), lines.join("\n") + "\n")?;
    }
    Ok(())
}

/// A translation with the checksums of its original.
fn with_marks(original: &str, translation: &str) -> String {
    let document = Document::parse("", original);
    let mut marks = sections(&document, original)
        .iter()
        .map(|section| mark(&section.text))
        .collect::<Vec<_>>()
        .into_iter();
    let lines: Vec<&str> = translation
        .lines()
        .filter(|line| !line.starts_with(MARK.0))
        .collect();
    let text = lines.join("\n") + "\n";
    let headings = Document::parse("", &text).headings;
    let mut marked = String::new();
    for (index, line) in lines.iter().enumerate() {
        marked += &format!("{line}\n");
        if headings.iter().any(|heading| heading.line == index + 1) {
            marked.extend(marks.next().map(|mark| format!("{mark}\n")));
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = "[中文](A.zh.md)\n\n# Title\n\nSee [two](#two), `code`.\n\n```sh\nls\n```\n\n## Two\n\n✋ Why?\n";
    const TRANSLATION: &str = "[English](A.md)\n\n# 标题\n\n见[二](#二)，`code`。\n\n```sh\nls\n```\n\n## 二\n\n✋ 为什么？\n";

    fn problems(original: &str, translation: &str) -> String {
        drift(("A.md", original), ("A.zh.md", translation)).join("\n")
    }

    #[test]
    fn drift_of_the_first_page_is_found() {
        let original = "<a href=\"/lessons/a.html\">A</a><a href=\"http://127.0.0.1:1/\">1</a>";
        let page = "<a href=\"/zh/lessons/a.html\">一</a><a href=\"http://127.0.0.1:1/zh/index.html\">1</a>";
        let marked = format!("{}{page}", mark(original));
        assert_eq!(home_drift(original, &marked), None);
        let found = home_drift(original, page).unwrap();
        assert!(found.contains("is older than its original"), "{found}");
        let found = home_drift(original, &marked.replace("a.html", "b.html")).unwrap();
        assert!(found.contains("has the addresses"), "{found}");
    }

    #[test]
    fn each_kind_of_drift_is_found() {
        let translation = with_marks(ORIGINAL, TRANSLATION);
        assert_eq!(problems(ORIGINAL, &translation), "");
        for (old, new, expected) in [
            (
                "ls\n",
                "ls -l\n",
                "A.zh.md:9: this code isn't that of A.md:8",
            ),
            ("```sh\nls\n```\n", "", "it has 0 code blocks, A.md has 1"),
            ("## 二", "### 二", "its headings aren't those of A.md"),
            ("(#二)", "(#三)", "its links are [\"#三\"], not [\"#二\"]"),
            ("`code`", "code", "`code` is missing"),
            ("✋ ", "", "✋ is there 0 times, not 1 times"),
            (
                "[English](A.md)\n",
                "",
                "A.zh.md:1: the first line has no link to A.md",
            ),
        ] {
            let found = problems(ORIGINAL, &translation.replace(old, new));
            assert!(found.contains(expected), "{old}: {found}");
        }
        let changed = ORIGINAL.replace("Why?", "When?");
        let expected = "A.zh.md:12: this section is older than A.md:11, “Two”.";
        let found = problems(&changed, &translation);
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(problems(&changed, &with_marks(&changed, &translation)), "");
    }
}
