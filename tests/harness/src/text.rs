//! Bytes and long texts, made readable for a terminal.

/// How many bytes [`readable`] shows.
pub const SHOWN_BYTES: usize = 600;

/// How many characters of a line [`readable`] shows.
const LINE_LENGTH: usize = 160;

/// Bytes as indented, escaped lines, cut to [`SHOWN_BYTES`].
pub fn readable(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut text = String::new();
    for line in shown.split_inclusive(|byte| *byte == b'\n') {
        let line = line.escape_ascii().to_string();
        text += &format!("    {}\n", truncate(&line, LINE_LENGTH));
    }
    if shown.len() < bytes.len() {
        text += &format!("    ... {} bytes in all\n", bytes.len());
    }
    text
}

/// What a program has printed, as indented lines. Control characters are escaped.
pub fn readable_log(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.escape_debug().to_string();
        let line = line.replace("\\\"", "\"").replace("\\'", "'");
        text += &format!("    {}\n", truncate(&line, LINE_LENGTH));
    }
    text
}

/// A text, cut to that many characters.
pub fn truncate(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_string(),
        Some((end, _)) => format!("{} ...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_shown_as_it_was_printed() {
        let log = "  File \"a.py\", it's 你\nred \x1b[31m\n";
        let shown = "      File \"a.py\", it's 你\n    red \\u{1b}[31m\n";
        assert_eq!(readable_log(log.as_bytes()), shown);
    }
}
