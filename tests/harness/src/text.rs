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

/// A text, cut to that many characters.
pub fn truncate(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_string(),
        Some((end, _)) => format!("{} ...", &text[..end]),
    }
}
