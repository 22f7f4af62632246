//! Small changes to lines of a program, one at a time, which turn it into a faulty one.
//!
//! They are made in the text, without knowledge of Rust. So some don't compile, and some change
//! nothing that a client could notice.

use similar::{ChangeTag, TextDiff};
use suite::patch::Sources;

/// What is replaced in a line, first come, first served.
const REPLACEMENTS: [(&str, &str); 14] = [
    (" == ", " != "),
    (" != ", " == "),
    (" <= ", " < "),
    (" >= ", " > "),
    (" < ", " <= "),
    (" > ", " >= "),
    (" && ", " || "),
    (" || ", " && "),
    ("is_ok()", "is_err()"),
    ("is_some()", "is_none()"),
    ("is_empty()", "len() == 1"),
    ("true", "false"),
    ("false", "true"),
    ("continue", "break"),
];

/// How statements begin that can't be removed, since others need them.
const NEEDED: [&str; 9] = [
    "let ", "use ", "mod ", "pub ", "const ", "static ", "type ", "return", "}",
];

/// A change to a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The name of the file, such as `src/serve.rs`.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
    /// The line, without its indentation.
    pub before: String,
    /// The same after the change; `None` if the line is removed.
    pub after: Option<String>,
}

impl Mutation {
    /// The program with this change.
    pub fn apply(&self, sources: &Sources) -> Sources {
        let mut sources = sources.clone();
        if let Some(text) = sources.get_mut(&self.file) {
            let mut lines: Vec<&str> = text.split('\n').collect();
            lines[self.line - 1] = self.after.as_deref().unwrap_or_default();
            *text = lines.join("\n");
        }
        sources
    }
}

/// Lines in a row that one program has and the other doesn't.
pub struct OwnLines {
    pub file: String,
    /// The number of the first one, from 1.
    pub first: usize,
    pub lines: Vec<String>,
}

/// What is new in a program, compared with the one that it began as, without its tests.
pub fn own_lines(base: &Sources, own: &Sources) -> Vec<OwnLines> {
    let mut all = Vec::new();
    for (file, text) in own.iter().filter(|(name, _)| name.ends_with(".rs")) {
        let old = base.get(file).map_or("", String::as_str);
        let (old, text) = (without_tests(old), without_tests(text));
        let mut next = 0;
        for change in TextDiff::from_lines(old, text).iter_all_changes() {
            let Some(index) = change.new_index() else {
                continue;
            };
            if change.tag() != ChangeTag::Insert {
                continue;
            }
            let line = change.value().trim_end().to_string();
            match all.last_mut() {
                Some(OwnLines {
                    file: last, lines, ..
                }) if last == file && index == next => {
                    lines.push(line);
                }
                _ => all.push(OwnLines {
                    file: file.clone(),
                    first: index + 1,
                    lines: vec![line],
                }),
            }
            next = index + 1;
        }
    }
    all
}

/// The beginning of a file, before its unit tests.
fn without_tests(text: &str) -> &str {
    let tests = text.find("\n#[cfg(test)]");
    tests.map_or(text, |end| &text[..=end])
}

/// A change to each of these lines that can be changed.
pub fn of(own: &[OwnLines]) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for part in own {
        for (index, line) in part.lines.iter().enumerate() {
            let before = line.trim();
            let Some(after) = change(before) else {
                continue;
            };
            mutations.push(Mutation {
                file: part.file.clone(),
                line: part.first + index,
                before: before.to_string(),
                after,
            });
        }
    }
    mutations
}

/// The changed line, or its removal; `None` if there is nothing to change.
fn change(line: &str) -> Option<Option<String>> {
    if line.starts_with("//") || line.starts_with('#') {
        return None;
    }
    let is_whole =
        line.ends_with(';') && is_balanced(line) && line.starts_with(char::is_alphabetic);
    let is_ignored = line.starts_with("let _ = ");
    if is_whole && (is_ignored || !NEEDED.iter().any(|start| line.starts_with(start))) {
        return Some(None);
    }
    // A string is for people: a change in it would be no fault.
    let code = line.split('"').next().unwrap_or_default();
    let mut found = REPLACEMENTS.iter().filter(|(old, _)| code.contains(old));
    let (old, new) = found.next()?;
    Some(Some(line.replacen(old, new, 1)))
}

/// Whether each bracket in a line is closed in it.
fn is_balanced(line: &str) -> bool {
    let count = |brackets: [char; 3]| line.matches(brackets).count();
    count(['(', '[', '{']) == count([')', ']', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Sources {
        Sources::from([("src/main.rs".to_string(), text.to_string())])
    }

    #[test]
    fn only_own_lines_are_changed() {
        let base = sources("fn a() {\n    b();\n}\n");
        let own = sources(
            "fn a() {\n    b();\n    c();\n    if d == 1 {}\n}\n#[cfg(test)]\nmod tests {\n    e();\n}\n",
        );
        let parts = own_lines(&base, &own);
        let [part] = parts.as_slice() else {
            panic!("one part is new");
        };
        assert_eq!((part.first, part.lines.len()), (3, 2));
        let mutations = of(&parts);
        let expected = |line: usize, before: &str, after: Option<&str>| Mutation {
            file: "src/main.rs".to_string(),
            line,
            before: before.to_string(),
            after: after.map(str::to_string),
        };
        let [removed, replaced] = [
            expected(3, "c();", None),
            expected(4, "if d == 1 {}", Some("if d != 1 {}")),
        ];
        assert_eq!(mutations, [removed.clone(), replaced]);
        let changed = removed.apply(&own);
        assert!(changed["src/main.rs"].starts_with("fn a() {\n    b();\n\n    if d == 1 {}\n}"));
    }

    #[test]
    fn what_others_need_is_not_removed() {
        for (line, after) in [
            ("let a = 1;", None),
            ("use std::io;", None),
            ("// c();", None),
            ("#[derive(Debug)]", None),
            ("foo(", None),
            ("let _ = child.wait();", Some(None)),
            ("stream.flush()?;", Some(None)),
            ("continue;", Some(None)),
            ("if a && b {", Some(Some("if a || b {"))),
            ("log(\"a == b\", c)", None),
        ] {
            let after = after.map(|after: Option<&str>| after.map(str::to_string));
            assert_eq!(change(line), after, "{line}");
        }
    }
}
