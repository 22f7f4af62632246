//! Markdown as HTML, with what a page of the course adds: links to checks and files, diagrams and
//! pictures in the page, code by its kind.

use super::course::{Chapter, Course};
use super::edition::Edition;
use super::{code, diagram};
use crate::site;
use harness::workspace::{STAGES, stage, stage_of};
use html_escape::{encode_double_quoted_attribute, encode_text};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Tag, TagEnd, html};
use std::iter;
use suite::checks;

/// Renders the chapters of an edition.
pub struct Renderer<'a> {
    pub edition: &'a Edition,
    pub course: &'a Course,
    /// The package of the stage that the chapter is about. A file without a folder is one of its sources.
    pub package: Option<&'static str>,
    /// The page of diffs, to whose files a page links.
    pub stages: &'a str,
    /// The pages as they are, which have the pictures of diagrams, and those that are new.
    pub pictures: &'a str,
}

impl Renderer<'_> {
    /// The content of a chapter's page.
    pub fn chapter(&self, chapter: &Chapter) -> Result<String, String> {
        let mut anchors = chapter.anchors.iter();
        let (mut out, mut rest) = (Vec::new(), chapter.events.as_slice());
        while let [event, after @ ..] = rest {
            rest = after;
            let Event::Start(tag) = event else {
                // A comment for translators isn't shown.
                if !matches!(event, Event::Html(text) if text.starts_with("<!--")) {
                    out.push(self.event(event));
                }
                continue;
            };
            let (inner, after) = until(rest, &Event::End(tag.to_end()));
            let shown = match tag {
                Tag::Heading { level, .. } => {
                    let anchor = anchors.next().map_or("", String::as_str);
                    self.heading(*level, anchor, inner)
                }
                Tag::CodeBlock(kind) => self.code_block(kind, &text_of(inner))?,
                // A file that isn't on the site: its name will do.
                Tag::Link { dest_url, .. } if !is_on_site(dest_url) => self.inline(inner),
                Tag::Paragraph => match inner {
                    [
                        Event::Start(Tag::Image { dest_url, .. }),
                        alt @ ..,
                        Event::End(TagEnd::Image),
                    ] => picture(dest_url, &text_of(alt))?,
                    inner => {
                        let is_question = text_of(inner).starts_with('✋');
                        let class = if is_question {
                            " class=\"predict\""
                        } else {
                            ""
                        };
                        out.push(raw(format!("<p{class}>")));
                        continue;
                    }
                },
                _ => {
                    out.push(self.event(event));
                    continue;
                }
            };
            out.push(raw(shown));
            rest = after;
        }
        let mut text = String::new();
        html::push_html(&mut text, out.into_iter());
        Ok(text)
    }

    fn heading(&self, level: HeadingLevel, anchor: &str, inner: &[Event]) -> String {
        // The title of the page comes first.
        let level = (level as usize - 1).max(1);
        let anchor = encode_double_quoted_attribute(anchor);
        let text = self.inline(inner);
        format!("<h{level} id=\"{anchor}\">{text}</h{level}>\n")
    }

    /// Text without blocks.
    fn inline(&self, events: &[Event]) -> String {
        let mut text = String::new();
        html::push_html(&mut text, events.iter().map(|event| self.event(event)));
        text
    }

    /// An event that stays one, with its links.
    fn event<'e>(&self, event: &Event<'e>) -> Event<'e> {
        match event {
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => Event::Start(Tag::Link {
                link_type: *link_type,
                dest_url: self.address(dest_url).into(),
                title: title.clone(),
                id: id.clone(),
            }),
            Event::Code(code) => match self.target_of_name(code) {
                Some(address) => Event::InlineHtml(link(&address, code).into()),
                None => event.clone(),
            },
            _ => event.clone(),
        }
    }

    fn code_block(&self, kind: &CodeBlockKind, text: &str) -> Result<String, String> {
        let info = match kind {
            CodeBlockKind::Fenced(info) => info.as_ref(),
            CodeBlockKind::Indented => "",
        };
        let (language, terminal) = info.split_once(' ').unwrap_or((info, ""));
        let file = |name: &str| self.file(name);
        Ok(match language {
            "console" => code::console(terminal, text, self.edition),
            "diff" => code::diff(text, file),
            "rust" => code::rust(text, file),
            "mermaid" => {
                let svg = diagram::find(self.pictures, text)?;
                format!("<figure class=\"diagram\">\n{svg}\n</figure>\n")
            }
            _ => code::plain(text),
        })
    }

    /// The name of a file, as a link if a page of the site shows it.
    fn file(&self, name: &str) -> String {
        match self.target_of_name(name) {
            Some(address) => link(&address, name),
            None => format!("<code>{}</code>", encode_text(name)),
        }
    }

    /// Where the target of a link is on the site.
    fn address(&self, target: &str) -> String {
        if let Some(anchor) = target.strip_prefix('#') {
            let page = self.course.pages.get(anchor).copied().unwrap_or_default();
            let is_title = self.course.chapters.iter().any(|chapter| {
                chapter.name == page && chapter.anchors.first().is_some_and(|first| first == anchor)
            });
            return if is_title {
                format!("{page}.html")
            } else {
                format!("{page}.html#{anchor}")
            };
        }
        match target.strip_prefix("html/") {
            Some(path) => format!("/{path}"),
            None => target.to_string(),
        }
    }

    /// Where the site shows what has this name: a check, or a file.
    fn target_of_name(&self, name: &str) -> Option<String> {
        if checks::all().any(|check| check.id == name) {
            return Some(format!("checks.html#{name}"));
        }
        if let Some(path) = name.strip_prefix("html/") {
            let is_there = !path.is_empty() && !site::file(path).is_empty();
            return is_there.then(|| format!("/{path}"));
        }
        let source = |package: &str| format!("{package}/src/{name}");
        let full_name = match self.package {
            Some(package) if name.ends_with(".rs") && !name.contains('/') => source(package),
            _ => name.to_string(),
        };
        let (package, path) = full_name.split_once('/')?;
        let number = stage_of(package)?.number;
        // The diff that leads to the stage or to one below it, or else the first one that starts from it
        // or later.
        let below = iter::successors(Some(number), |number| stage(*number).base);
        let earlier = below.filter_map(|new| Some((stage(new).base?, new)));
        let all = STAGES
            .iter()
            .filter_map(|new| Some((new.base?, new.number)));
        let later = all.filter(|(base, _)| *base >= number);
        let mut ids = earlier
            .chain(later)
            .map(|(base, new)| format!("{base}-{new}/{path}"));
        let id = ids.find(|id| self.stages.contains(&format!("id=\"{id}\"")))?;
        Some(format!("/stages.html#{id}"))
    }
}

/// Whether a page can have a link to this target.
fn is_on_site(target: &str) -> bool {
    target.starts_with('#') || target.starts_with("html/") || target.contains("://")
}

/// A picture in the page, since the first stages don't say that a file is a drawing.
fn picture(path: &str, alt: &str) -> Result<String, String> {
    let svg = site::file(path.strip_prefix("html/").unwrap_or(path));
    if !svg.trim_end().ends_with("</svg>") {
        return Err(format!(
            "{path} is no drawing (SVG), and only drawings fit into a page"
        ));
    }
    let caption = encode_text(alt);
    Ok(format!(
        "<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n"
    ))
}

fn link(address: &str, name: &str) -> String {
    let address = encode_double_quoted_attribute(address);
    format!(
        "<a href=\"{address}\"><code>{}</code></a>",
        encode_text(name)
    )
}

fn raw<'a>(html: String) -> Event<'a> {
    Event::Html(html.into())
}

/// The events before the first one like `end`, and those after it.
fn until<'e, 'a>(events: &'e [Event<'a>], end: &Event) -> (&'e [Event<'a>], &'e [Event<'a>]) {
    let end = events.iter().position(|event| event == end);
    let end = end.unwrap_or(events.len());
    (&events[..end], events.get(end + 1..).unwrap_or_default())
}

/// The text of events, without markup.
fn text_of(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}
