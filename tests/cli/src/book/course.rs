//! A document of lessons, divided into chapters.

use super::document::Document;
use super::edition::Edition;
use harness::workspace;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag};
use std::collections::BTreeMap;
use std::fs;

/// The names of the pages, in the order of the chapters. The first one is what comes before them.
pub const PAGES: [&str; 10] = [
    "index", "lesson-0", "lesson-1", "lesson-2", "lesson-3", "lesson-4", "lesson-5", "lesson-6",
    "costs", "next",
];

/// The course, as an edition has it.
pub struct Course {
    pub chapters: Vec<Chapter>,
    /// Where each heading is: the name of its page, by its anchor in the document.
    pub pages: BTreeMap<String, &'static str>,
}

/// What becomes a page.
pub struct Chapter {
    /// The name of the page.
    pub name: &'static str,
    pub title: String,
    /// The content, with its heading.
    pub events: Vec<Event<'static>>,
    /// The anchors of its headings.
    pub anchors: Vec<String>,
    /// The headings below its own: the anchor and the text.
    pub sections: Vec<(String, String)>,
}

impl Course {
    /// Reads the course.
    pub fn read(edition: &Edition) -> Result<Course, String> {
        let path = workspace::root().join(edition.lessons);
        let text = fs::read_to_string(path)
            .map_err(|error| format!("Cannot read {}: {error}", edition.lessons))?;
        let document = Document::parse(edition.lessons, &text);
        let mut anchors = document.anchors().into_iter().zip(&document.headings);
        let mut course = Course {
            chapters: Vec::new(),
            pages: BTreeMap::new(),
        };
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            if let Event::Start(Tag::Heading { level, .. }) = event {
                let heading = anchors.next().ok_or("a heading is missing")?;
                course.add_heading(level, heading.0, &heading.1.text)?;
            }
            if let Some(chapter) = course.chapters.last_mut() {
                chapter.events.push(event.into_static());
            }
        }
        if course.chapters.len() != PAGES.len() {
            let (count, names) = (course.chapters.len(), PAGES.len());
            let lessons = edition.lessons;
            return Err(format!(
                "{lessons} has {count} chapters, but PAGES names {names}."
            ));
        }
        Ok(course)
    }

    /// A heading of level 1 or 2 begins a page.
    fn add_heading(
        &mut self,
        level: HeadingLevel,
        anchor: String,
        text: &str,
    ) -> Result<(), String> {
        if level <= HeadingLevel::H2 {
            let name = PAGES.get(self.chapters.len());
            self.chapters.push(Chapter {
                name: name.ok_or_else(|| format!("there is no name for the page “{text}”"))?,
                title: text.to_string(),
                events: Vec::new(),
                anchors: Vec::new(),
                sections: Vec::new(),
            });
        }
        let chapter = self
            .chapters
            .last_mut()
            .ok_or("a document begins with its title")?;
        if level > HeadingLevel::H2 {
            chapter.sections.push((anchor.clone(), text.to_string()));
        }
        self.pages.insert(anchor.clone(), chapter.name);
        chapter.anchors.push(anchor);
        Ok(())
    }
}
