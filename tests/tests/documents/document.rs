//! A document: its blocks of code, headings, links and words of code, each with its line.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fs;
use std::path::Path;

/// A Markdown file of this workspace.
pub struct Document {
    /// Its name, from the root of the workspace.
    pub name: &'static str,
    pub blocks: Vec<Block>,
    pub headings: Vec<Heading>,
    /// Where its links and pictures lead, and in which line they stand.
    pub links: Vec<(usize, String)>,
    /// What stands as code inside of text.
    pub words: Vec<(usize, String)>,
}

/// A fenced block of code.
pub struct Block {
    /// The line of its first line, in the document.
    pub line: usize,
    /// What stands behind the fence: the language first.
    pub info: Vec<String>,
    pub text: String,
}

pub struct Heading {
    pub line: usize,
    /// 1 for the title.
    pub level: usize,
    pub text: String,
}

impl Document {
    /// Reads a document. `root` is the folder of the workspace.
    pub fn open(root: &Path, name: &'static str) -> Result<Document, String> {
        let text =
            fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        Ok(Document::parse(name, &text))
    }

    /// Takes the text of a document apart.
    pub fn parse(name: &'static str, text: &str) -> Document {
        let mut document = Document {
            name,
            blocks: Vec::new(),
            headings: Vec::new(),
            links: Vec::new(),
            words: Vec::new(),
        };
        let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
        let (mut in_block, mut in_heading) = (false, false);
        for (event, range) in parser {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    in_block = true;
                    document.blocks.push(Block::new(line + 1, &kind));
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Start(Tag::Heading { level, .. }) => {
                    in_heading = true;
                    let (level, text) = (level as usize, String::new());
                    document.headings.push(Heading { line, level, text });
                }
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line, dest_url.into_string()));
                }
                Event::Text(text) if in_block => {
                    document.blocks.last_mut().unwrap().text += &text;
                }
                Event::Text(text) if in_heading => {
                    document.headings.last_mut().unwrap().text += &text;
                }
                Event::Code(word) => {
                    if in_heading {
                        document.headings.last_mut().unwrap().text += &word;
                    }
                    document.words.push((line, word.into_string()));
                }
                _ => {}
            }
        }
        document
    }

    /// The heading of that level above a line.
    pub fn heading_above(&self, line: usize, level: usize) -> Option<&Heading> {
        let above = |heading: &&Heading| heading.level == level && heading.line <= line;
        self.headings.iter().rfind(above)
    }

    /// The number of the lesson that a line belongs to.
    pub fn lesson(&self, line: usize) -> Option<u8> {
        let heading = self.heading_above(line, 2)?;
        let number = heading.text.strip_prefix("Lesson ")?.split(':').next()?;
        number.parse().ok()
    }

    /// A message about a line.
    pub fn at(&self, line: usize, what: impl AsRef<str>) -> String {
        format!("{}:{line}: {}", self.name, what.as_ref())
    }
}

impl Block {
    fn new(line: usize, kind: &CodeBlockKind) -> Block {
        let info = match kind {
            CodeBlockKind::Fenced(info) => info.as_ref(),
            CodeBlockKind::Indented => "",
        };
        Block {
            line,
            info: info.split_whitespace().map(str::to_string).collect(),
            text: String::new(),
        }
    }

    pub fn language(&self) -> &str {
        self.info.first().map_or("", String::as_str)
    }

    /// Its lines, each with its line in the document.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (self.line..).zip(self.text.lines())
    }
}
