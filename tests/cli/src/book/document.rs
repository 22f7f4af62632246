//! A document: its code blocks, headings, links and code spans, each with its line.

use super::translation::TRANSLATIONS;
use harness::workspace;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io, mem};
use walkdir::WalkDir;

/// A Markdown file of this workspace.
#[derive(Default)]
pub struct Document {
    /// Its path from the root of the workspace.
    pub name: String,
    pub blocks: Vec<Block>,
    pub headings: Vec<Heading>,
    /// The targets of links and pictures, each with its line.
    pub links: Vec<(usize, String)>,
    /// Code within text, each with its line.
    pub code_spans: Vec<(usize, String)>,
}

/// A block of code.
pub struct Block {
    /// The line after the fence, in the document.
    pub line: usize,
    pub language: String,
    /// The word after the language: the terminal of a console block.
    pub terminal: String,
    pub text: String,
}

pub struct Heading {
    /// Its line in the document.
    pub line: usize,
    /// 1 for the title.
    pub level: usize,
    pub text: String,
}

impl Document {
    /// All documents, those first that a newcomer reads first.
    pub fn all() -> Vec<Document> {
        let root = workspace::root();
        let named = [
            "README.md",
            "LESSONS.md",
            "CONTRIBUTING.md",
            "tests/README.md",
        ];
        let translated = TRANSLATIONS.iter().map(|(_, name)| *name);
        let named = named.into_iter().chain(translated);
        let named = named.map(|name| root.join(name));
        let docs = WalkDir::new(root.join("docs")).sort_by_file_name();
        let docs = docs.into_iter().map(|entry| entry.unwrap().into_path());
        let paths = named.chain(docs.filter(|path| path.extension() == Some("md".as_ref())));
        let open = |path: PathBuf| {
            let name = path.strip_prefix(root).unwrap();
            Document::open(name.to_str().unwrap()).unwrap()
        };
        paths.map(open).collect()
    }

    /// Reads a document.
    pub fn open(name: &str) -> io::Result<Document> {
        let text = fs::read_to_string(workspace::root().join(name))?;
        Ok(Document::parse(name, &text))
    }

    /// Parses the text of a document.
    pub fn parse(name: &str, text: &str) -> Document {
        let mut document = Document {
            name: name.to_string(),
            ..Document::default()
        };
        let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
        let mut content = String::new();
        for (event, range) in parser {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => content.clear(),
                Event::Start(Tag::CodeBlock(kind)) => {
                    content.clear();
                    let mut words = match &kind {
                        CodeBlockKind::Fenced(info) => info.split_whitespace(),
                        CodeBlockKind::Indented => "".split_whitespace(),
                    };
                    let mut word = || words.next().unwrap_or_default().to_string();
                    document.blocks.push(Block {
                        line: line + 1,
                        language: word(),
                        terminal: word(),
                        text: String::new(),
                    });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line, dest_url.into_string()));
                }
                Event::Text(text) => content += &text,
                Event::Code(code) => {
                    content += &code;
                    document.code_spans.push((line, code.into_string()));
                }
                Event::End(TagEnd::CodeBlock) => {
                    document.blocks.last_mut().unwrap().text = mem::take(&mut content);
                }
                Event::End(TagEnd::Heading(level)) => document.headings.push(Heading {
                    line,
                    level: level as usize,
                    text: mem::take(&mut content),
                }),
                _ => {}
            }
        }
        document
    }

    /// The anchors of its headings, as code hosts make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = Vec::new();
        for heading in &self.headings {
            let is_kept = |char: &char| char.is_alphanumeric() || matches!(char, '-' | '_');
            let text = heading.text.to_lowercase().replace(' ', "-");
            let anchor: String = text.chars().filter(is_kept).collect();
            let count = counts.entry(anchor.clone()).or_default();
            anchors.push(match count {
                0 => anchor,
                _ => format!("{anchor}-{count}"),
            });
            *count += 1;
        }
        anchors
    }

    /// A message about a line.
    pub fn at(&self, line: usize, message: impl AsRef<str>) -> String {
        format!("{}:{line}: {}", self.name, message.as_ref())
    }
}

impl Block {
    /// Its lines, each with its line in the document.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (self.line..).zip(self.text.lines())
    }
}
