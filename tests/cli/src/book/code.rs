//! Blocks of code as HTML. Colors are classes; the style sheet of the site has them.

use super::console::{Action, action};
use super::edition::Edition;
use html_escape::{encode_double_quoted_attribute, encode_text};
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

/// The words of Rust that are colored.
const KEYWORDS: [&str; 36] = [
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "type", "use", "where",
    "while",
];

/// What somebody types in a terminal, and what is printed. Only what is typed can be selected, and
/// so copied.
pub fn console(terminal: &str, text: &str, edition: &Edition) -> String {
    let names = ["", "server", "second", "third"];
    let index = names.iter().position(|name| *name == terminal).unwrap_or(0);
    let prompt = format!("{terminal}$ ");
    let (mut lines, mut continues) = (String::new(), false);
    for line in text.lines() {
        let shown = encode_text(line);
        let was_continued = continues;
        continues = line.ends_with('\\') && (continues || line.starts_with(&prompt));
        if was_continued {
            lines += &match line.strip_prefix("> ") {
                Some(typed) => format!("<samp>&gt; </samp><kbd>{}</kbd>\n", encode_text(typed)),
                None => format!("<kbd>{shown}</kbd>\n"),
            };
            continue;
        }
        lines += &match action(line, &prompt) {
            Action::Run(command) => {
                format!(
                    "<samp>{prompt}</samp><kbd>{}</kbd>\n",
                    encode_text(&command)
                )
            }
            Action::Type(typed) => format!("<kbd>{}</kbd><samp>⏎</samp>\n", encode_text(typed)),
            Action::Interrupt | Action::Watch => format!("<samp>{shown}\n</samp>"),
        };
    }
    let name = edition.words.terminals[index];
    let class = if index == 0 { "own" } else { names[index] };
    figure(&format!("console {class}"), name, &lines)
}

/// A diff, with a color for each kind of line. `link` makes a link of the name of a file.
pub fn diff(text: &str, link: impl Fn(&str) -> String) -> String {
    let (mut lines, mut names) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("--- ").or(line.strip_prefix("+++ ")) {
            if names.last() != Some(&name) {
                names.push(name);
            }
            continue;
        }
        let shown = encode_text(line);
        lines += &match line.chars().next() {
            Some('+') => format!("<ins>{shown}\n</ins>"),
            Some('-') => format!("<del>{shown}\n</del>"),
            _ => format!("{shown}\n"),
        };
    }
    let names: Vec<String> = names.into_iter().map(link).collect();
    figure("diff", &names.join(" → "), &lines)
}

/// An excerpt in Rust, whose first line names its file.
pub fn rust(text: &str, link: impl Fn(&str) -> String) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.strip_prefix("// ") {
        Some(name) => figure("rust", &link(name), &highlight(rest)),
        None => figure("rust", "", &highlight(text)),
    }
}

/// Any other code.
pub fn plain(text: &str) -> String {
    figure("plain", "", &encode_text(text))
}

fn figure(class: &str, caption: &str, lines: &str) -> String {
    let caption = match caption {
        "" => String::new(),
        caption => format!("<figcaption>{caption}</figcaption>\n"),
    };
    let class = encode_double_quoted_attribute(class);
    format!(
        "<figure class=\"code {class}\">\n{caption}<pre tabindex=\"0\"><code>{lines}</code></pre>\n</figure>\n"
    )
}

/// Rust with its tokens in classes.
fn highlight(text: &str) -> String {
    let (mut html, mut rest) = (String::new(), text);
    for token in tokenize(text, FrontmatterAllowed::No) {
        let (token_text, after) = rest.split_at(token.len as usize);
        rest = after;
        let shown = encode_text(token_text);
        html += &match class(token.kind, token_text, rest) {
            "" => shown.into_owned(),
            class => format!("<span class=\"{class}\">{shown}</span>"),
        };
    }
    html
}

/// The class of a token, with what follows it.
fn class(kind: TokenKind, text: &str, rest: &str) -> &'static str {
    match kind {
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => "comment",
        TokenKind::Lifetime { .. } => "lifetime",
        TokenKind::Literal {
            kind: LiteralKind::Int { .. } | LiteralKind::Float { .. },
            ..
        } => "number",
        TokenKind::Literal { .. } => "string",
        TokenKind::Ident if KEYWORDS.contains(&text) => "keyword",
        TokenKind::Ident if text.starts_with(char::is_uppercase) => "type",
        TokenKind::Ident if rest.starts_with('(') => "function",
        TokenKind::Ident if rest.starts_with('!') && !rest.starts_with("!=") => "macro",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::edition::EDITIONS;
    use super::*;

    #[test]
    fn only_what_is_typed_is_outside_of_output() {
        let text = "server$ cargo lab run 1 -- \\\n    --verbose\nServing <html>\nGET /⏎\n^C\n";
        let html = console("server", text, &EDITIONS[0]);
        let expected = "<figure class=\"code console server\">\n\
            <figcaption>the server's terminal</figcaption>\n<pre tabindex=\"0\"><code>\
            <samp>server$ </samp><kbd>cargo lab run 1 -- \\</kbd>\n<kbd>    --verbose</kbd>\n\
            <samp>Serving &lt;html&gt;\n</samp><kbd>GET /</kbd><samp>⏎</samp>\n<samp>^C\n</samp>\
            </code></pre>\n</figure>\n";
        assert_eq!(html, expected);
    }

    #[test]
    fn tokens_of_rust_have_classes() {
        let html = highlight("let x: Vec<u8> = f(1, \"a\")?; // why\n");
        let expected = "<span class=\"keyword\">let</span> x: <span class=\"type\">Vec</span>&lt;u8&gt; = \
            <span class=\"function\">f</span>(<span class=\"number\">1</span>, \
            <span class=\"string\">\"a\"</span>)?; <span class=\"comment\">// why</span>\n";
        assert_eq!(html, expected);
    }

    #[test]
    fn lines_of_a_diff_have_a_kind() {
        let html = diff("--- a\n+++ a\n b\n-c\n+d\n", str::to_uppercase);
        assert!(html.contains("<figcaption>A</figcaption>"), "{html}");
        assert!(
            html.contains(" b\n<del>-c\n</del><ins>+d\n</ins>"),
            "{html}"
        );
    }
}
