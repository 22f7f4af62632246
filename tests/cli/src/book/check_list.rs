//! The page of all checks of the stages.

use super::edition::Edition;
use harness::workspace::STAGES;
use pulldown_cmark::{Parser, html};
use suite::check::Check;
use suite::{checks, translation};

/// A section for each stage, with the checks that are new there.
pub fn html(edition: &Edition) -> String {
    let words = &edition.words;
    let mut text = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
        words.checks, words.checks_lead
    );
    for stage in &STAGES {
        let number = stage.number.to_string();
        let title = words.stage.replace("{number}", &number);
        let title = title.replace("{idea}", translated(edition, stage.idea));
        text += &format!("<h2 id=\"stage-{number}\">{}</h2>\n", inline(&title));
        let is_new = |check: &&Check| *check.stages.start() == stage.number;
        text += &checks::all()
            .filter(is_new)
            .map(|check| section(check, edition))
            .collect::<String>();
    }
    text
}

fn section(check: &Check, edition: &Edition) -> String {
    let words = &edition.words;
    let [must, why, hint] =
        [check.must, check.why, check.hint].map(|text| inline(translated(edition, text)));
    let (id, stage) = (check.id, check.stages.start());
    let must = words.must.replace("{must}", &must);
    format!(
        "<section class=\"check\">\n<h3 id=\"{id}\"><code>{id}</code></h3>\n\
         <p>{must}</p>\n<p class=\"why\">{why}</p>\n\
         <details><summary>{}</summary>\n<p>{hint}</p>\n\
         <p>{}<code>cargo lab grade {stage} --only {id}</code></p>\n</details>\n</section>\n",
        words.hint, words.try_it
    )
}

/// A text of the suite in the language of an edition.
fn translated<'a>(edition: &Edition, text: &'a str) -> &'a str {
    translation::in_language(edition.language, text).unwrap_or(text)
}

/// Text with code spans as HTML.
fn inline(text: &str) -> String {
    let mut paragraph = String::new();
    html::push_html(&mut paragraph, Parser::new(text));
    let paragraph = paragraph.trim();
    let text = paragraph
        .strip_prefix("<p>")
        .and_then(|text| text.strip_suffix("</p>"));
    text.unwrap_or(paragraph).to_string()
}
