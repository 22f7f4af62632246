//! Compares the output that a document shows with what a program has printed.
//!
//! A space matches one or more. `…` in a line matches anything, and `…` as a line matches any
//! number of lines. A number from 4200 to 4299 stands for a process id, and `127.0.0.1:5xxxx` for
//! the address of a client: each for the same value wherever it occurs, also in commands.

use regex::{Captures, Regex};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const ELLIPSIS: &str = "…";

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    // This build of regex has no Unicode tables.
    Regex::new(r"(?-u:\b)(?:42[0-9][0-9]|127\.0\.0\.1:5[0-9]{4})(?-u:\b)").unwrap()
});

/// The values that placeholders stand for.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, String>);

/// Where the output differs.
#[derive(Debug)]
pub struct Mismatch {
    /// How many of the expected lines were found.
    pub matched: usize,
    /// The next expected line; `None` if there should be nothing more.
    pub expected: Option<String>,
    /// The line that came instead; `None` if there was nothing more.
    pub received: Option<String>,
}

/// Compares the first lines of `output` with the expected ones; with `whole`, it must have no
/// further lines. Returns how many lines matched, and the values with those that are new.
pub fn compare(
    expected: &[&str],
    output: &[&str],
    whole: bool,
    values: &Values,
) -> Result<(usize, Values), Mismatch> {
    let mut best = (expected, output);
    match compare_rest(expected, output, whole, values.clone(), &mut best) {
        Some((rest, values)) => Ok((output.len() - rest.len(), values)),
        None => Err(Mismatch {
            matched: expected.len() - best.0.len(),
            expected: best.0.first().map(ToString::to_string),
            received: best.1.first().map(ToString::to_string),
        }),
    }
}

/// Returns the lines of output that are left. `best` is what was left of both where the
/// comparison got furthest.
fn compare_rest<'a>(
    expected: &'a [&'a str],
    output: &'a [&'a str],
    whole: bool,
    values: Values,
    best: &mut (&'a [&'a str], &'a [&'a str]),
) -> Option<(&'a [&'a str], Values)> {
    if expected.len() <= best.0.len() {
        *best = (expected, output);
    }
    match expected {
        [] => (output.is_empty() || !whole).then_some((output, values)),
        [ELLIPSIS, expected @ ..] => (0..=output.len()).find_map(|skipped| {
            compare_rest(expected, &output[skipped..], whole, values.clone(), best)
        }),
        [line, expected @ ..] => {
            let (received, output) = output.split_first()?;
            let values = values.match_line(line, received)?;
            compare_rest(expected, output, whole, values, best)
        }
    }
}

impl Values {
    /// The text with the values of all placeholders that are known.
    pub fn fill_in(&self, text: &str) -> String {
        let value = |found: &Captures| {
            let value = self.0.get(&found[0]);
            value.map_or(&found[0], String::as_str).to_string()
        };
        PLACEHOLDER.replace_all(text, value).into_owned()
    }

    /// Compares a line. Returns the values with those that are new; `None` if it differs.
    fn match_line(mut self, expected: &str, line: &str) -> Option<Values> {
        let words: Vec<&str> = expected.split_whitespace().collect();
        let expected = words.join(" ");
        let (mut pattern, mut names, mut end) = ("^ *".to_string(), Vec::new(), 0);
        for found in PLACEHOLDER.find_iter(&expected) {
            pattern += &escape(&expected[end..found.start()]);
            end = found.end();
            let name = found.as_str();
            if let Some(value) = self.0.get(name) {
                pattern += &escape(value);
                continue;
            }
            names.push(name);
            pattern += if name.contains(':') {
                r"(127\.0\.0\.1:[0-9]+)"
            } else {
                "([0-9]+)"
            };
        }
        pattern += &escape(&expected[end..]);
        let pattern = Regex::new(&(pattern + "$")).unwrap();
        let captures = pattern.captures(line.trim_end())?;
        for (name, value) in names.into_iter().zip(captures.iter().skip(1).flatten()) {
            let value = value.as_str().to_string();
            if *self.0.entry(name.to_string()).or_insert(value.clone()) != value {
                return None;
            }
        }
        Some(self)
    }
}

/// The pattern for a text. Columns may be wider or narrower than shown.
fn escape(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(regex::escape).collect();
    words.join(" +").replace(ELLIPSIS, ".*")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many lines match; or how many match, and the line that comes instead.
    fn compare_all(expected: &str, output: &str, whole: bool) -> Result<usize, (usize, String)> {
        let expected: Vec<&str> = expected.lines().collect();
        let output: Vec<&str> = output.lines().collect();
        match compare(&expected, &output, whole, &Values::default()) {
            Ok((taken, _)) => Ok(taken),
            Err(mismatch) => Err((mismatch.matched, mismatch.received.unwrap_or_default())),
        }
    }

    #[test]
    fn differences_are_found() {
        let differs = |matched, received: &str| Err((matched, received.to_string()));
        assert_eq!(compare_all("a\nb", "a\nb", true), Ok(2));
        assert_eq!(compare_all("a", "a\nb", false), Ok(1));
        assert_eq!(compare_all("a", "a\nb", true), differs(1, "b"));
        assert_eq!(compare_all("a\nb", "a", false), differs(1, ""));
        assert_eq!(compare_all("a…c", "abc", true), Ok(1));
        assert_eq!(compare_all("a…c", "abd", true), differs(0, "abd"));
        assert_eq!(compare_all("…\nc", "a\nb\nc", true), Ok(3));
        assert_eq!(compare_all("4242 4243\n4242", "7 8\n7", true), Ok(2));
        assert_eq!(compare_all("4242\n4242", "7\n8", true), differs(1, "8"));
    }

    #[test]
    fn commands_get_the_values_of_placeholders() {
        let expected = ["from 127.0.0.1:51234, process 4242"];
        let output = ["from 127.0.0.1:7, process 8"];
        let (_, values) = compare(&expected, &output, true, &Values::default()).unwrap();
        let command = values.fill_in("kill 4242 4243; 127.0.0.1:51234");
        assert_eq!(command, "kill 8 4243; 127.0.0.1:7");
    }
}
