//! What a document says a program prints, compared with what it printed.
//!
//! A space stands for one or more. `…` in a line stands for anything that varies, and a line of its own for any lines. A number
//! from 4200 to 4299 stands for a process's, `127.0.0.1:5xxxx` for a client's port: each for the
//! same number wherever it comes again, in commands too.

use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What is left out.
const ELLIPSIS: &str = "…";

/// What stands before a client's port.
const ADDRESS: &str = "127.0.0.1:";

/// What the document's stand-ins stand for.
#[derive(Clone, Default)]
pub struct Numbers(BTreeMap<String, String>);

impl Numbers {
    /// The text with each known stand-in replaced.
    pub fn fill_in(&self, text: &str) -> String {
        stand_ins()
            .replace_all(text, |found: &regex::Captures| {
                let number = &found[0];
                self.0.get(number).cloned().unwrap_or(number.to_string())
            })
            .into_owned()
    }
}

/// How far a comparison came.
#[derive(Debug, PartialEq)]
pub enum Compared {
    /// All that was expected is there: the number of lines that this took.
    Agree(usize),
    /// These many expected lines were found, then came something else, or the end.
    Differ { found: usize, seen: Option<String> },
}

/// Compares the first lines of `output` with the expected ones; with `whole`, nothing may be
/// left of it. Numbers that it has learned are kept only when all agree.
pub fn compare(expected: &[&str], output: &[&str], whole: bool, numbers: &mut Numbers) -> Compared {
    let mut furthest = (0, output.first().map(|line| line.to_string()));
    let mut learned = numbers.0.clone();
    match walk(expected, output, whole, &mut learned, (0, 0), &mut furthest) {
        Some(taken) => {
            numbers.0 = learned;
            Compared::Agree(taken)
        }
        None => Compared::Differ {
            found: furthest.0,
            seen: furthest.1,
        },
    }
}

/// Goes on at the given places of both; gives how many lines of output were taken.
fn walk(
    expected: &[&str],
    output: &[&str],
    whole: bool,
    numbers: &mut BTreeMap<String, String>,
    (at, taken): (usize, usize),
    furthest: &mut (usize, Option<String>),
) -> Option<usize> {
    if at >= furthest.0 {
        *furthest = (at, output.get(taken).map(|line| line.to_string()));
    }
    let Some(line) = expected.get(at) else {
        return (!whole || taken == output.len()).then_some(taken);
    };
    if *line == ELLIPSIS {
        return (taken..=output.len()).find_map(|next| {
            let mut tried = numbers.clone();
            let end = walk(
                expected,
                output,
                whole,
                &mut tried,
                (at + 1, next),
                furthest,
            )?;
            *numbers = tried;
            Some(end)
        });
    }
    let seen = output.get(taken)?;
    match line_agrees(line, seen, numbers) {
        true => walk(
            expected,
            output,
            whole,
            numbers,
            (at + 1, taken + 1),
            furthest,
        ),
        false => None,
    }
}

/// Whether the line is as expected. What new stand-ins stand for is learned.
fn line_agrees(expected: &str, seen: &str, numbers: &mut BTreeMap<String, String>) -> bool {
    let expected = &expected.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut pattern, mut names, mut last) = (String::from("^ *"), Vec::new(), 0);
    for found in stand_ins().find_iter(expected) {
        pattern += &escaped(&expected[last..found.start()]);
        last = found.end();
        match numbers.get(found.as_str()) {
            Some(number) => pattern += &escaped(number),
            None => {
                pattern += match found.as_str().starts_with(ADDRESS) {
                    true => r"(127\.0\.0\.1:[0-9]+)",
                    false => "([0-9]+)",
                };
                names.push(found.as_str());
            }
        }
    }
    pattern += &escaped(&expected[last..]);
    pattern += "$";
    let pattern = Regex::new(&pattern).expect("what is escaped is well-formed");
    let Some(captures) = pattern.captures(seen.trim_end()) else {
        return false;
    };
    let mut learned = BTreeMap::new();
    for (name, number) in names.iter().zip(captures.iter().skip(1)) {
        let number = number.map_or("", |number| number.as_str()).to_string();
        let before = learned.insert(name.to_string(), number.clone());
        if before.is_some_and(|before| before != number) {
            return false;
        }
    }
    numbers.extend(learned);
    true
}

/// Columns may be wider or narrower than those shown.
fn escaped(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(regex::escape).collect();
    words.join(" +").replace(ELLIPSIS, ".*")
}

/// The numbers that stand for others.
fn stand_ins() -> &'static Regex {
    static STAND_INS: LazyLock<Regex> = LazyLock::new(|| {
        // Regex is built without Unicode's tables here.
        Regex::new(r"(?-u:\b)(?:42[0-9][0-9]|127\.0\.0\.1:5[0-9]{4})(?-u:\b)")
            .expect("the pattern is well-formed")
    });
    &STAND_INS
}

/// Looks at the comparison itself: it must see what differs, or no document is held to anything.
pub fn tests() -> Result<(), String> {
    let cases: [(&[&str], &[&str], bool, Compared); 9] = [
        (&["a", "b"], &["a", "b"], true, Compared::Agree(2)),
        (&["a"], &["a", "b"], false, Compared::Agree(1)),
        (&["a"], &["a", "b"], true, differ(1, Some("b"))),
        (&["a", "b"], &["a"], false, differ(1, None)),
        (&["a…c"], &["abc"], true, Compared::Agree(1)),
        (&["a…c"], &["abd"], true, differ(0, Some("abd"))),
        (&["…", "c"], &["a", "b", "c"], true, Compared::Agree(3)),
        (
            &["4242 4243", "4242"],
            &["7 8", "7"],
            true,
            Compared::Agree(2),
        ),
        (&["4242", "4242"], &["7", "8"], true, differ(1, Some("8"))),
    ];
    for (expected, output, whole, outcome) in cases {
        let seen = compare(expected, output, whole, &mut Numbers::default());
        if seen != outcome {
            return Err(format!(
                "{expected:?} and {output:?}: {seen:?}, not {outcome:?}"
            ));
        }
    }
    let mut numbers = Numbers::default();
    let line = ["from 127.0.0.1:51234, process 4242"];
    compare(&line, &["from 127.0.0.1:7, process 8"], true, &mut numbers);
    match numbers.fill_in("kill 4242 4243; 127.0.0.1:51234").as_str() {
        "kill 8 4243; 127.0.0.1:7" => Ok(()),
        other => Err(format!("filled in: {other}")),
    }
}

fn differ(found: usize, seen: Option<&str>) -> Compared {
    let seen = seen.map(str::to_string);
    Compared::Differ { found, seen }
}
