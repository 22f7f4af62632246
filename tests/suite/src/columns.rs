//! The columns of a terminal: characters of Chinese take two.

pub use textwrap::core::display_width as width;
use textwrap::{Options, WordSplitter};

/// The text with spaces up to that many columns.
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text with line breaks, so that no line takes more columns, as far as that is possible. Indented
/// lines are examples, which stay as they are.
pub fn wrap(text: &str, columns: usize) -> String {
    let options = Options::new(columns)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = text.lines().map(|line| {
        if line.starts_with("  ") {
            line.to_string()
        } else {
            textwrap::fill(line, &options)
        }
    });
    lines.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_take_two_columns() {
        assert_eq!(pad("ab：一", 7), "ab：一 ");
        assert_eq!(pad("一", 3), "一 ");
        assert_eq!(pad("long", 3), "long");
    }

    #[test]
    fn lines_break_where_a_reader_expects_it() {
        let text = "用 `GET` 请求，得到（第一）页。\n  not wrapped at all";
        let expected = "用 `GET`\n请求，得\n到（第\n一）页。\n  not wrapped at all";
        assert_eq!(wrap(text, 9), expected);
        assert_eq!(wrap("words stay whole", 5), "words\nstay\nwhole");
    }
}
