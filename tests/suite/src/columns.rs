//! The columns of a terminal: characters of Chinese take two.

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|character| 1 + usize::from(is_wide(character)))
        .sum()
}

/// Whether a character takes two columns: an ideograph, a kana, a hangul, or punctuation as wide as
/// they are.
fn is_wide(character: char) -> bool {
    matches!(character,
        '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}')
}

/// The text with spaces up to that many columns.
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text with line breaks, so that no line takes more columns, as far as that is possible. Indented
/// lines are examples, which stay as they are.
pub fn wrap(text: &str, columns: usize) -> String {
    let lines = text.lines().map(|line| {
        if line.starts_with("  ") {
            line.to_string()
        } else {
            wrap_line(line, columns)
        }
    });
    lines.collect::<Vec<String>>().join("\n")
}

fn wrap_line(line: &str, columns: usize) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for piece in pieces(line) {
        if column > 0 && column + width(piece.trim_end()) > columns {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push('\n');
            column = 0;
        }
        wrapped += piece;
        column += width(piece);
    }
    wrapped
}

/// The parts of a line after which it may be broken: at spaces and between ideographs, but not in front of
/// punctuation that ends something, and not after punctuation that begins something.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let characters = line.char_indices().zip(line.chars().skip(1));
    for ((at, before), after) in characters {
        let is_between = (is_wide(before) || is_wide(after)) && after != ' ';
        let is_bound = "，。：；？！、）”".contains(after) || "（“".contains(before);
        if before == ' ' || (is_between && !is_bound) {
            let end = at + before.len_utf8();
            pieces.push(&line[start..end]);
            start = end;
        }
    }
    pieces.push(&line[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_take_two_columns() {
        assert_eq!(width("ab：一"), 6);
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
