//! The course as pages of the site, in each language, so that the servers it is about can serve it.
//!
//! The pages need no script. Pictures are in the pages, since stages 1 to 3 don't say that a file is a
//! drawing.

mod check_list;
mod code;
pub mod console;
mod course;
mod diagram;
pub mod document;
pub mod edition;
mod page;
mod render;
pub mod translation;

use crate::site::{self, Parts};
use course::{Chapter, Course};
use edition::{EDITIONS, Edition};
use harness::workspace::{self, STAGES};
use html_escape::encode_text;
use page::Page;
use pulldown_cmark::{CodeBlockKind, Event, Tag};
use render::Renderer;
use std::collections::BTreeMap;
use std::fs;

/// Files by their paths in the workspace.
pub type Files = BTreeMap<String, String>;

/// A checksum, to notice a change.
fn checksum(text: &str) -> String {
    let mut checksum = flate2::Crc::new();
    checksum.update(text.as_bytes());
    format!("{:08x}", checksum.sum())
}

/// The folder of an edition's pages.
fn folder(edition: &Edition) -> String {
    format!("html/{}lessons", edition.folder)
}

/// The address of a lesson's page on a server, without the slash that begins it.
pub fn address_of_lesson(number: u8) -> String {
    let edition = edition::chosen();
    format!("{}lessons/lesson-{number}.html", edition.folder)
}

/// The pages as they are on disk.
pub fn read_pages() -> Files {
    let mut files = Files::new();
    for edition in &EDITIONS {
        let folder = folder(edition);
        let entries = fs::read_dir(workspace::root().join(&folder));
        for entry in entries.into_iter().flatten().flatten() {
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if !name.ends_with(".html") {
                continue;
            }
            files.insert(name, fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    files
}

/// The pages as the documents want them. The pictures of diagrams are in `old`, or in `pictures`.
pub fn pages(old: &Files, pictures: &str) -> Result<Files, String> {
    let old_pages: String = old.values().map(String::as_str).collect();
    let pictures = old_pages + pictures;
    let stages = site::file("stages.html");
    let mut files = Files::new();
    for edition in &EDITIONS {
        let course = Course::read(edition)?;
        let parts = Parts::of_home(&format!("{}index.html", edition.folder));
        let mut add = |page: Page| {
            let name = format!("{}/{}.html", folder(edition), page.name);
            files.insert(name, page.html(&parts));
        };
        for chapter in &course.chapters {
            let renderer = Renderer {
                edition,
                course: &course,
                package: package_of(chapter),
                stages: &stages,
                pictures: &pictures,
            };
            add(page(chapter, &renderer)?);
        }
        add(Page {
            edition,
            name: "checks",
            title: edition.words.checks,
            content: check_list::html(edition),
            previous: None,
            next: None,
        });
    }
    Ok(files)
}

/// The package of the stage that a chapter is about.
fn package_of(chapter: &Chapter) -> Option<&'static str> {
    let number = chapter.name.strip_prefix("lesson-")?;
    let mut stages = STAGES.iter();
    let about = stages.find(|stage| stage.number.to_string() == number);
    about.map(|stage| stage.name)
}

/// The page of a chapter.
fn page<'a>(chapter: &'a Chapter, renderer: &Renderer<'a>) -> Result<Page<'a>, String> {
    let mut content = renderer.chapter(chapter)?;
    if let Some(end) = content.find("</h1>\n") {
        let contents = contents(chapter, renderer.edition);
        content.insert_str(end + "</h1>\n".len(), &contents);
    }
    let chapters = &renderer.course.chapters;
    let index = chapters.iter().position(|other| other.name == chapter.name);
    let neighbor = |index: Option<usize>| {
        let chapter = chapters.get(index?)?;
        Some((chapter.name, chapter.title.as_str()))
    };
    Ok(Page {
        edition: renderer.edition,
        name: chapter.name,
        title: &chapter.title,
        content,
        previous: neighbor(index.and_then(|index| index.checked_sub(1))),
        next: neighbor(index.map(|index| index + 1)),
    })
}

/// Links to the sections of a chapter.
fn contents(chapter: &Chapter, edition: &Edition) -> String {
    if chapter.sections.is_empty() {
        return String::new();
    }
    let line = |(anchor, text): &(String, String)| {
        format!("<li><a href=\"#{anchor}\">{}</a></li>\n", encode_text(text))
    };
    let lines: String = chapter.sections.iter().map(line).collect();
    let name = edition.words.contents;
    format!(
        "<details class=\"contents\">\n<summary>{name}</summary>\n<ul>\n{lines}</ul>\n</details>\n"
    )
}

/// Draws the diagrams that no page has yet. Returns a text with their pictures.
pub fn draw_new_diagrams(old: &Files) -> Result<String, String> {
    let old_pages: String = old.values().map(String::as_str).collect();
    let mut pictures = String::new();
    for chapter in Course::read(&EDITIONS[0])?.chapters {
        let mut events = chapter.events.iter();
        while let Some(event) = events.next() {
            let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event else {
                continue;
            };
            if info.as_ref() != "mermaid" {
                continue;
            }
            let Some(Event::Text(source)) = events.next() else {
                continue;
            };
            if diagram::find(&old_pages, source).is_err() {
                pictures += &diagram::draw(source)?;
            }
        }
    }
    Ok(pictures)
}
