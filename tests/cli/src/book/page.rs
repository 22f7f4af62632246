//! A page of the course.

use super::edition::{EDITIONS, Edition};
use crate::site::Parts;
use html_escape::{encode_double_quoted_attribute, encode_text};

/// The page, with names in braces for what differs.
const PAGE: &str = include_str!("page.html");

/// What a page consists of.
pub struct Page<'a> {
    pub edition: &'a Edition,
    /// Its name without an ending.
    pub name: &'a str,
    pub title: &'a str,
    pub content: String,
    /// The name and the title of the pages before and after it.
    pub previous: Option<(&'a str, &'a str)>,
    pub next: Option<(&'a str, &'a str)>,
}

impl Page<'_> {
    /// The page as HTML, with what all pages of the site have.
    pub fn html(&self, parts: &Parts) -> String {
        let Page { edition, name, .. } = self;
        let others = EDITIONS
            .iter()
            .filter(|other| other.language != edition.language);
        let (mut alternates, mut languages) = (String::new(), String::new());
        for Edition {
            language,
            name: own_name,
            folder,
            ..
        } in others
        {
            let address = format!("href=\"/{folder}lessons/{name}.html\" hreflang=\"{language}\"");
            alternates += &format!("  <link rel=\"alternate\" {address}>\n");
            languages += &format!("<a {address} lang=\"{language}\">{own_name}</a>\n");
        }
        // The content comes last: it may contain a name in braces.
        PAGE.replace("{language}", edition.language)
            .replace("{title}", &encode_text(self.title))
            .replace(
                "{description}",
                &encode_double_quoted_attribute(edition.words.description),
            )
            .replace("{alternates}", &alternates)
            .replace("{languages}", &languages)
            .replace("{head}", &parts.head)
            .replace("{header}", &parts.header)
            .replace("{footer}", &parts.footer)
            .replace("{neighbors}", &self.neighbors())
            .replace("{content}", &self.content)
    }

    /// Links to the pages before and after this one.
    fn neighbors(&self) -> String {
        let words = &self.edition.words;
        let link = |relation: &str, word: &str, page: Option<(&str, &str)>| {
            page.map_or(String::new(), |(name, title)| {
                let title = encode_text(title);
                format!(
                    "<a rel=\"{relation}\" href=\"{name}.html\"><small>{word}</small> {title}</a>\n"
                )
            })
        };
        let links =
            link("prev", words.previous, self.previous) + &link("next", words.next, self.next);
        format!(
            "<nav class=\"neighbors\" aria-label=\"{}\">\n{links}</nav>\n",
            words.lessons
        )
    }
}
