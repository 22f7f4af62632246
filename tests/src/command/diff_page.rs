//! The page of a diff: side by side where there is room, one below the other where there is
//! none, and without a script.
//!
//! A change is a block of old lines and a block of new ones. The style sheet puts them beside
//! each other; where it does not, they stand as in any unified diff.

use super::diff::{CONTEXT, Pair, Room};
use crate::measure::process::{self, picture as staircase, programs};
use crate::measure::waterfall::Run;
use crate::workspace::{self, Stage};
use html_escape::{encode_double_quoted_attribute, encode_text};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use similar::{ChangeTag, DiffOp, DiffTag, InlineChange, TextDiff};
use std::collections::BTreeSet;
use std::fs;

/// A diff of more lines than that opens room by room, by hand.
const OPEN_LIMIT: usize = 200;

/// What stands in an id as it is: whatever else a file's name holds could break it.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_');

/// What a page is for.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// The site, with its bar of links and its style sheet.
    Site,
    /// Anywhere: the page needs nothing but itself.
    Alone,
}

/// The page of these diffs.
pub fn page(pairs: &[Pair], place: Place) -> String {
    let mut shown = BTreeSet::new();
    let run = measured();
    let sections = pairs
        .iter()
        .map(|pair| section(pair, run.as_ref(), &mut shown));
    let sections: String = sections.collect();
    let title = match pairs {
        [pair] => format!("From {} to {}", pair.left, pair.right),
        _ => "From stage to stage".to_string(),
    };
    let title = encode_text(&title);
    // The bar of links and the foot are those of all pages; they cannot drift apart.
    let home = file("html/index.html");
    let (header, footer, links) = match place {
        Place::Site => {
            let header = format!("{SKIP}{}", part(&home, "header"));
            (header, part(&home, "footer"), LINKS.to_string())
        }
        Place::Alone => {
            let style = format!("  <style>\n{}  </style>\n", file("html/style.css"));
            (String::new(), String::new(), style)
        }
    };
    let costs = match place {
        Place::Site => costs(),
        Place::Alone => String::new(),
    };
    let contents = contents(pairs, !costs.is_empty());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n  <meta charset=\"utf-8\">\n  \
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n  \
         <title>{title} · HTTP Lab</title>\n  \
         <meta name=\"description\" content=\"What changes from one stage to the next, line by line.\">\n\
         {links}</head>\n<body>\n\
         {header}<main id=\"main\" class=\"diffs\">\n<h1>{title}</h1>\n{LEAD}{contents}{sections}{costs}</main>\n\
         {footer}</body>\n</html>\n"
    )
}

const SKIP: &str = "  <a class=\"skip\" href=\"#main\">Skip to the content</a>\n";

const LINKS: &str = "  <link rel=\"icon\" href=\"/media/icon.png\" type=\"image/png\">
  <link rel=\"stylesheet\" href=\"/style.css\">
  <script src=\"/script.js\" defer></script>
";

const LEAD: &str = "<p class=\"lead\">The diff is the lesson: what is not shown here is the same on both \
sides, byte for byte.</p>\n<p>Old lines, with a <b>-</b>, are taken away; new lines, with a <b>+</b>, \
are added. What changes within a line is underlined.</p>\n";

/// A file of the workspace; nothing where there is none: a copy need not have the site.
fn file(name: &str) -> String {
    fs::read_to_string(workspace::root().join(name)).unwrap_or_default()
}

/// The first element of that name, as a page has it, so that all pages have the same.
fn part(page: &str, name: &str) -> String {
    let (start, end) = (page.find(&format!("<{name}")), format!("</{name}>"));
    let part = start
        .map(|start| &page[start..])
        .and_then(|rest| rest.split_once(&end));
    part.map_or(String::new(), |(part, _)| format!("  {part}{end}\n"))
}

/// What was measured, where the pictures lie.
fn measured() -> Option<Run> {
    serde_json::from_str(&file("html/media/waterfall.json")).ok()
}

fn contents(pairs: &[Pair], costs: bool) -> String {
    if pairs.len() < 2 {
        return String::new();
    }
    let line = |pair: &Pair| {
        let (id, heading) = (pair_id(pair), heading(pair));
        let (added, removed) = pair.counts();
        format!(
            "<li><a href=\"#{id}\">{heading}</a>: {added} lines added, {removed} removed</li>\n"
        )
    };
    let mut lines: String = pairs.iter().map(line).collect();
    if costs {
        lines += "<li><a href=\"#costs\">What each stage costs</a></li>\n";
    }
    format!("<ul>\n{lines}</ul>\n")
}

fn pair_id(pair: &Pair) -> String {
    format!("{}-{}", pair.from.number, pair.to.number)
}

fn heading(pair: &Pair) -> String {
    let text = format!("Stage {} to {}", pair.from.number, pair.to.number);
    match pair.right == pair.to.name {
        true => text,
        false => format!("{text}: {}", encode_text(&pair.right)),
    }
}

/// The diff of two stages.
fn section(pair: &Pair, run: Option<&Run>, shown: &mut BTreeSet<u8>) -> String {
    let (id, heading) = (pair_id(pair), heading(pair));
    let (added, removed) = pair.counts();
    let stages = [(pair.from, &pair.left), (pair.to, &pair.right)];
    let ideas = stages.map(|(stage, name)| {
        format!(
            "<code>{}</code>, {}",
            encode_text(name),
            encode_text(stage.idea)
        )
    });
    let pictures: String = { stages.iter() }
        .filter_map(|(stage, _)| picture(stage, run, shown))
        .collect();
    let pictures = match pictures.is_empty() {
        true => pictures,
        false => format!("<div class=\"waterfalls\">\n{pictures}</div>\n"),
    };
    let same: Vec<String> = { pair.rooms.iter() }
        .filter(|room| room.is_the_same())
        .map(|room| format!("<code>{}</code>", encode_text(&room.name)))
        .collect();
    let same = match same.is_empty() {
        true => String::new(),
        false => format!("<p>The same in both: {}.</p>\n", same.join(", ")),
    };
    let open = added + removed <= OPEN_LIMIT;
    let rooms: String = { pair.rooms.iter() }
        .filter(|room| !room.is_the_same())
        .map(|room| details(room, &id, open))
        .collect();
    let hint = match open {
        true => "",
        false => "<p>This is a long one. Open a room by its name.</p>\n",
    };
    let [one, other] = ideas;
    format!(
        "<section class=\"pair\" aria-labelledby=\"{id}\">\n\
         <hgroup>\n<h2 id=\"{id}\">{heading}</h2>\n<p>From {one}, to {other}</p>\n</hgroup>\n\
         <p><b>{added} lines added, {removed} removed.</b></p>\n\
         {pictures}{same}{hint}{rooms}</section>\n"
    )
}

/// What eight clients see of a stage, unless this page has shown it before.
fn picture(stage: &Stage, run: Option<&Run>, shown: &mut BTreeSet<u8>) -> Option<String> {
    let waterfall = { run?.stages.iter() }.find(|found| found.stage == stage.number)?;
    let svg = file(&format!("html/media/waterfall-{}.svg", stage.number));
    if svg.is_empty() || !shown.insert(stage.number) {
        return None;
    }
    let sentence = waterfall.sentence();
    let caption = format!("Eight clients of stage {}. {sentence}", stage.number);
    let own = match stage.name {
        programs::PACKAGE => process_picture().unwrap_or_default(),
        _ => String::new(),
    };
    Some(figure(&svg, &caption) + &own)
}

/// What the process costs that a stage starts for each client, where that was measured.
fn process_picture() -> Option<String> {
    let run: process::Run = serde_json::from_str(&file("html/media/process.json")).ok()?;
    let svg = file("html/media/process.svg");
    let caption = staircase::caption(&run.builds)?;
    (!svg.is_empty()).then(|| figure(&svg, &caption))
}

/// How fast the stages are and what memory they take, where that was measured.
fn costs() -> String {
    let pictures = [("throughput", THROUGHPUT), ("memory", MEMORY)];
    let shown = |(name, words)| {
        let svg = file(&format!("html/media/{name}.svg"));
        (!svg.is_empty()).then(|| figure(&svg, words))
    };
    let pictures: String = pictures.into_iter().filter_map(shown).collect();
    match pictures.is_empty() {
        true => pictures,
        false => format!(
            "<section class=\"pair\" aria-labelledby=\"costs\">\n\
             <hgroup>\n<h2 id=\"costs\">What each stage costs</h2>\n\
             <p>Measured side by side, in one run of <code>cargo lab measure</code></p>\n</hgroup>\n\
             <div class=\"waterfalls\">\n{pictures}</div>\n</section>\n"
        ),
    }
}

const THROUGHPUT: &str = "Requests a second for a page of 4 KiB, a connection for each request. Among \
quick clients stage 1 is ahead of all other stages, since it hands nothing over. Its bound would be \
one processor; here the program that plays the clients reached its own first. And one silent client, \
above, brings it to 0 until its timeout. Stage 2 pays for a process each time, stage 3 \
for a thread, which is several times cheaper. Stage 4 does more than stage 3 for hardly more. In grey, \
servers for real use: nginx and lighttpd wait for no client, and start nothing for one.";

const MEMORY: &str = "Memory with 0 to 100 connections that say nothing; the axis is logarithmic. A \
process of stage 2 takes ten times as much as a thread; one of busybox, only forked, three times. A \
loop for many, as in nginx and lighttpd, hardly notices them. Stage 1 is flat since it has taken on one: the others wait in the kernel, whose \
memory does not count here.";

fn figure(svg: &str, caption: &str) -> String {
    let caption = encode_text(caption);
    format!("<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n")
}

/// A room that changes.
fn details(room: &Room, pair: &str, open: bool) -> String {
    let diff = TextDiff::from_lines(&room.old, &room.new);
    let (added, removed) = room.counts();
    let id = format!("{pair}/{}", utf8_percent_encode(&room.name, PLAIN));
    let id = encode_double_quoted_attribute(&id);
    let groups = diff.grouped_ops(CONTEXT);
    let hunks: String = { groups.iter().enumerate() }
        .map(|(index, ops)| hunk(&diff, ops, &format!("{id}/{}", index + 1)))
        .collect();
    let (open, name) = (if open { " open" } else { "" }, encode_text(&room.name));
    format!(
        "<details class=\"room\" id=\"{id}\"{open}>\n<summary><h3>{name}</h3> \
         <span>+{added} -{removed}</span></summary>\n{hunks}</details>\n"
    )
}

type Lines<'a> = TextDiff<'a, 'a, str>;

/// Changes that stand so near to each other that their context meets.
fn hunk(diff: &Lines, ops: &[DiffOp], id: &str) -> String {
    let ends = |range: fn(&DiffOp) -> std::ops::Range<usize>| {
        let start = ops.first().map_or(0, |op| range(op).start);
        let end = ops.last().map_or(0, |op| range(op).end);
        match end > start {
            true => format!("{} to {end}", start + 1),
            false => "none".to_string(),
        }
    };
    let (old, new) = (ends(DiffOp::old_range), ends(DiffOp::new_range));
    let blocks: String = ops.iter().map(|op| block(diff, op)).collect();
    format!(
        "<div class=\"hunk\" id=\"{id}\">\n<p><a href=\"#{id}\">Old lines {old}, new lines {new}</a></p>\n\
         {blocks}</div>\n"
    )
}

/// Lines that are the same, or old lines and the new ones in their place.
fn block(diff: &Lines, op: &DiffOp) -> String {
    // How well the words of a line are compared must not hang on how busy the machine is.
    let changes: Vec<InlineChange<str>> = diff.iter_inline_changes_deadline(op, None).collect();
    let side = |tag, is_old: bool| {
        let number = |change: &InlineChange<str>| match is_old {
            true => change.old_index(),
            false => change.new_index(),
        };
        { changes.iter() }
            .filter(|change| change.tag() == tag)
            .map(|change| line(change, number(change)))
            .collect::<String>()
    };
    if op.tag() == DiffTag::Equal {
        // Read out once, though seen twice.
        return format!(
            "<div class=\"same\"><div class=\"left\" aria-hidden=\"true\">{}</div>\
             <div class=\"right\">{}</div></div>\n",
            side(ChangeTag::Equal, true),
            side(ChangeTag::Equal, false)
        );
    }
    let group = |class, name, lines: String| match lines.is_empty() {
        true => lines,
        false => {
            format!("<div class=\"{class}\" role=\"group\" aria-label=\"{name}\">{lines}</div>")
        }
    };
    format!(
        "<div class=\"change\">{}{}</div>\n",
        group("left", "Removed", side(ChangeTag::Delete, true)),
        group("right", "Added", side(ChangeTag::Insert, false))
    )
}

/// A line with its number and sign; what changes within it is marked.
fn line(change: &InlineChange<str>, index: Option<usize>) -> String {
    let (sign, mark) = match change.tag() {
        ChangeTag::Equal => (" ", ""),
        ChangeTag::Delete => ("-", "del"),
        ChangeTag::Insert => ("+", "ins"),
    };
    let mut text = String::new();
    let parts: Vec<_> = change.iter_strings_lossy().collect();
    // All of a line is no word of it.
    let whole = parts
        .iter()
        .all(|(marked, part)| *marked || part.trim().is_empty());
    for (marked, part) in &parts {
        let part = visible(part.trim_end_matches('\n'));
        let part = encode_text(&part);
        match *marked && !whole && !part.trim().is_empty() {
            true => text += &format!("<{mark}>{part}</{mark}>"),
            false => text += &part,
        }
    }
    if change.missing_newline() {
        text += " <em>(without a line end)</em>";
    }
    let number = index.map_or(0, |index| index + 1);
    format!("<code><i>{number}</i><b>{sign}</b><span>{text}</span></code>")
}

/// The text with names in place of what a reader would not see: control characters, and those
/// that turn text around and so could make a line look like another.
fn visible(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' => "\t".to_string(),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => character.escape_unicode().to_string(),
        _ if character.is_control() => character.escape_unicode().to_string(),
        _ => character.to_string(),
    };
    text.chars().map(shown).collect()
}
