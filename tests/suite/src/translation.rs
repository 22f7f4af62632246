//! What people read in a terminal, in their language.
//!
//! The sources are in English, and the English text is the key: a file for each language, such as
//! `translation/zh.json`, has its translation. So a sentence that has changed has no translation until
//! somebody looks at it again; a test of `lab` names it. docs/translating.md shows how to add a language.
//!
//! Until [`choose`] is called, and for what other programs read, the language is English.

use crate::columns;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many columns a paragraph has at most. In the sources, lines of English are as long.
const COLUMNS: usize = 96;

/// A language other than English.
pub struct Language {
    /// Its name in `LAB_LANG`. The locales of its readers begin with it.
    pub code: &'static str,
    json: &'static str,
    texts: OnceLock<BTreeMap<String, String>>,
}

/// All languages other than English. To add one, add its file and its line.
pub static LANGUAGES: [Language; 1] = [Language::new("zh", include_str!("translation/zh.json"))];

/// The place of the chosen language in [`LANGUAGES`], or [`ENGLISH`].
static CHOSEN: AtomicUsize = AtomicUsize::new(ENGLISH);
const ENGLISH: usize = usize::MAX;

impl Language {
    const fn new(code: &'static str, json: &'static str) -> Language {
        Language {
            code,
            json,
            texts: OnceLock::new(),
        }
    }

    /// The translations by their English texts. A test reads the file of each language.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        let parse = || serde_json::from_str(self.json).unwrap_or_default();
        self.texts.get_or_init(parse)
    }
}

/// Chooses the language of `LAB_LANG`, or else of the locale.
pub fn choose() -> Result<(), String> {
    let place = place(|name| env::var(name).ok())?;
    CHOSEN.store(place, Ordering::Relaxed);
    Ok(())
}

/// Chooses English: other programs read what follows.
pub fn choose_english() {
    CHOSEN.store(ENGLISH, Ordering::Relaxed);
}

/// The place of the language that these variables ask for.
fn place(variable: impl Fn(&str) -> Option<String>) -> Result<usize, String> {
    // An empty variable counts as missing (POSIX, 8.2).
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let mut languages = LANGUAGES.iter();
    if let Some(code) = variable("LAB_LANG") {
        if code == "en" {
            return Ok(ENGLISH);
        }
        return languages
            .position(|language| language.code == code)
            .ok_or_else(|| {
                let codes = LANGUAGES.iter().map(|language| language.code);
                let codes: Vec<&str> = ["en"].into_iter().chain(codes).collect();
                format!(
                    "LAB_LANG must be one of {}, not `{code}`.",
                    codes.join(", ")
                )
            });
    }
    let mut variables = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter();
    let locale = variables.find_map(variable).unwrap_or_default();
    let code = locale.split(['_', '.', '@']).next();
    let place = languages.position(|language| code == Some(language.code));
    Ok(place.unwrap_or(ENGLISH))
}

fn chosen() -> Option<&'static Language> {
    LANGUAGES.get(CHOSEN.load(Ordering::Relaxed))
}

/// The code of the chosen language, such as `en`.
pub fn code() -> &'static str {
    chosen().map_or("en", |language| language.code)
}

/// Whether the language is English.
pub fn is_english() -> bool {
    chosen().is_none()
}

/// A text in the chosen language; in English if it has no translation.
pub fn text(english: &str) -> &str {
    let translated = chosen().and_then(|language| language.texts().get(english));
    translated.map_or(english, String::as_str)
}

/// A text in a named language, whichever is chosen; `None` without a translation.
pub fn in_language(code: &str, english: &str) -> Option<&'static str> {
    let language = LANGUAGES.iter().find(|language| language.code == code)?;
    language.texts().get(english).map(String::as_str)
}

/// Marks a text that is translated where it is printed, so that the test of gaps finds it.
pub const fn translatable(english: &'static str) -> &'static str {
    english
}

/// A text with `{placeholders}` in the chosen language, and their values.
pub fn fill(english: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut rest = text(english);
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once('{')
        && let Some((name, after)) = after.split_once('}')
    {
        let value = values.iter().find(|(known, _)| *known == name);
        debug_assert!(value.is_some(), "no {name} for `{english}`");
        filled += before;
        filled += &value.map_or_else(String::new, |(_, value)| value.to_string());
        rest = after;
    }
    filled + rest
}

/// A text of several paragraphs in the chosen language.
pub fn paragraphs(english: &str) -> String {
    if is_english() {
        return english.to_string();
    }
    let keys = paragraph_keys(english).into_iter();
    let translated: Vec<String> = keys.map(|key| columns::wrap(text(&key), COLUMNS)).collect();
    translated.join("\n\n")
}

/// The paragraphs of a text, as keys. Lines are joined, apart from examples, which are indented, and
/// the items of a list.
pub fn paragraph_keys(english: &str) -> Vec<String> {
    let starts_line = |line: &str| {
        let number = line.trim_start_matches(|character: char| character.is_ascii_digit());
        line.starts_with("  ")
            || line.starts_with("- ")
            || (number != line && number.starts_with(". "))
    };
    let join = |paragraph: &str| {
        let mut joined = String::new();
        for line in paragraph.lines() {
            if !joined.is_empty() {
                joined += if starts_line(line) { "\n" } else { " " };
            }
            joined += line;
        }
        joined
    };
    english.split("\n\n").map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(variables: &[(&str, &str)]) -> Result<&'static str, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        let language = LANGUAGES.get(place(variable)?);
        Ok(language.map_or("en", |language| language.code))
    }

    #[test]
    fn variables_choose_the_language() {
        for (variables, expected) in [
            (&[][..], "en"),
            (&[("LANG", "zh_CN.UTF-8")], "zh"),
            (&[("LC_ALL", ""), ("LC_MESSAGES", "zh")], "zh"),
            (&[("LAB_LANG", ""), ("LANG", "zh")], "zh"),
            (&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], "en"),
            (&[("LAB_LANG", "en"), ("LANG", "zh_CN.UTF-8")], "en"),
            (&[("LAB_LANG", "zh"), ("LC_ALL", "C")], "zh"),
        ] {
            assert_eq!(code(variables).unwrap(), expected, "{variables:?}");
        }
        let error = code(&[("LAB_LANG", "xx")]).unwrap_err();
        assert_eq!(error, "LAB_LANG must be one of en, zh, not `xx`.");
    }

    #[test]
    fn placeholders_get_their_values() {
        let filled = fill("{b} of {a}{b}", &[("a", &"{b}"), ("b", &2)]);
        assert_eq!(filled, "2 of {b}2");
    }

    #[test]
    fn lines_of_a_paragraph_are_joined() {
        let text = "one\ntwo\n\n  an example\n  more\n\na list:\n- one\n  two\n10. three\n10 four";
        let expected = [
            "one two",
            "  an example\n  more",
            "a list:\n- one\n  two\n10. three 10 four",
        ];
        assert_eq!(paragraph_keys(text), expected);
    }

    #[test]
    fn files_are_valid() {
        for language in &LANGUAGES {
            let texts: Result<BTreeMap<String, String>, _> = serde_json::from_str(language.json);
            let texts = texts.unwrap_or_else(|error| panic!("{}: {error}", language.code));
            // A key that is there twice counts once.
            let lines = language
                .json
                .lines()
                .filter(|line| line.starts_with("  \""));
            assert_eq!(texts.len(), lines.count(), "{}", language.code);
        }
    }
}
