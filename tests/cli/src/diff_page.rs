//! A web page of diffs: side by side on wide screens, one below the other on narrow ones, and
//! without a script.
//!
//! A change is a block of old lines and a block of new ones. The style sheet puts them side by
//! side; without it, they read like any unified diff.

use crate::site::{Figure, Parts};
use crate::stage_diff::{CONTEXT, FileDiff, LineCounts, StageDiff, Version};
use html_escape::{encode_double_quoted_attribute, encode_text};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use similar::{ChangeTag, DiffOp, DiffTag, InlineChange, TextDiff};
use std::collections::BTreeSet;
use std::ops::Range;

/// In a diff of more lines, each file is closed until the reader opens it.
const OPEN_LIMIT: usize = 200;

/// The characters of a file's name that an id keeps. Any other could break it.
const KEPT_IN_ID: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_');

/// The page, with names in braces for what differs.
const PAGE: &str = include_str!("diff_page.html");

/// The page of these diffs.
pub fn page(diffs: &[StageDiff], parts: &Parts) -> String {
    let title = match diffs {
        [diff] => format!("From {} to {}", diff.from.name(), diff.new_name),
        _ => "From stage to stage".to_string(),
    };
    let mut shown_stages = BTreeSet::new();
    let section = |diff| section(diff, parts, &mut shown_stages);
    let sections: String = diffs.iter().map(section).collect();
    let costs = cost_section(&parts.cost_figures);
    // The diffs come last: they may contain a name in braces.
    PAGE.replace("{title}", &encode_text(&title))
        .replace("{head}", &parts.head)
        .replace("{header}", &parts.header)
        .replace("{footer}", &parts.footer)
        .replace("{contents}", &contents(diffs, !costs.is_empty()))
        .replace("{costs}", &costs)
        .replace("{sections}", &sections)
}

fn contents(diffs: &[StageDiff], has_costs: bool) -> String {
    if diffs.len() < 2 {
        return String::new();
    }
    let line = |diff: &StageDiff| {
        let (id, heading) = (id(diff), heading(diff));
        let LineCounts { added, removed } = diff.line_counts();
        format!(
            "<li><a href=\"#{id}\">{heading}</a>: {added} lines added, {removed} removed</li>\n"
        )
    };
    let mut lines: String = diffs.iter().map(line).collect();
    if has_costs {
        lines += "<li><a href=\"#costs\">What each stage costs</a></li>\n";
    }
    format!("<ul>\n{lines}</ul>\n")
}

fn id(diff: &StageDiff) -> String {
    format!("{}-{}", diff.from.id(), diff.to.id())
}

fn heading(diff: &StageDiff) -> String {
    let text = format!("Stage {} to {}", diff.from.id(), diff.to.id());
    if diff.new_name == diff.to.name() {
        text
    } else {
        format!("{text}: {}", encode_text(&diff.new_name))
    }
}

/// The diff of two stages or steps, with the figures of those that the page hasn't shown before.
fn section(diff: &StageDiff, parts: &Parts, shown_stages: &mut BTreeSet<u8>) -> String {
    let (id, heading) = (id(diff), heading(diff));
    let LineCounts { added, removed } = diff.line_counts();
    let (old_name, old_idea) = (diff.from.name(), diff.from.idea());
    let (new_name, new_idea) = (encode_text(&diff.new_name), diff.to.idea());
    let numbers = [diff.from, diff.to]
        .into_iter()
        .filter_map(|version| match version {
            Version::Stage(stage) => Some(stage.number),
            Version::Step(_) => None,
        });
    let new = numbers.filter(|number| shown_stages.insert(*number));
    let figures = new.filter_map(|number| parts.stage_figures.get(&number));
    let figures = figure_group(figures.flatten());
    let (unchanged, changed): (Vec<&FileDiff>, Vec<&FileDiff>) =
        diff.files.iter().partition(|file| file.is_unchanged());
    let name = |file: &&FileDiff| format!("<code>{}</code>", encode_text(&file.name));
    let names: Vec<String> = unchanged.iter().map(name).collect();
    let unchanged = if names.is_empty() {
        String::new()
    } else {
        format!("<p>Unchanged: {}.</p>\n", names.join(", "))
    };
    let is_open = added + removed <= OPEN_LIMIT;
    let hint = if is_open {
        ""
    } else {
        "<p>This diff is long. Open a file by its name.</p>\n"
    };
    let changed = changed.into_iter();
    let changed: String = changed.map(|file| details(file, &id, is_open)).collect();
    format!(
        "<section class=\"pair\" aria-labelledby=\"{id}\">\n\
         <hgroup>\n<h2 id=\"{id}\">{heading}</h2>\n\
         <p>From <code>{old_name}</code>, {old_idea}, to <code>{new_name}</code>, {new_idea}</p>\n</hgroup>\n\
         <p><b>{added} lines added, {removed} removed.</b></p>\n\
         {figures}{unchanged}{hint}{changed}</section>\n"
    )
}

/// How fast the stages are and how much memory they use, if that was measured.
fn cost_section(figures: &[Figure]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    format!(
        "<section class=\"pair\" aria-labelledby=\"costs\">\n\
         <hgroup>\n<h2 id=\"costs\">What each stage costs</h2>\n\
         <p>Measured side by side, in one run of <code>cargo lab measure</code></p>\n</hgroup>\n\
         {}</section>\n",
        figure_group(figures.iter())
    )
}

fn figure_group<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let element = |figure: &Figure| {
        let (svg, caption) = (&figure.svg, encode_text(&figure.caption));
        format!("<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n")
    };
    let elements: String = figures.map(element).collect();
    if elements.is_empty() {
        return elements;
    }
    format!("<div class=\"waterfalls\">\n{elements}</div>\n")
}

/// A file that changes.
fn details(file: &FileDiff, section: &str, is_open: bool) -> String {
    let diff = TextDiff::from_lines(&file.old, &file.new);
    let LineCounts { added, removed } = file.line_counts();
    let id = format!("{section}/{}", utf8_percent_encode(&file.name, KEPT_IN_ID));
    let id = encode_double_quoted_attribute(&id);
    let hunks = (1..).zip(diff.grouped_ops(CONTEXT));
    let hunks: String = hunks
        .map(|(number, ops)| hunk(&diff, &ops, &format!("{id}/{number}")))
        .collect();
    let (open, name) = (if is_open { " open" } else { "" }, encode_text(&file.name));
    format!(
        "<details class=\"file-diff\" id=\"{id}\"{open}>\n<summary><h3>{name}</h3> \
         <span>+{added} -{removed}</span></summary>\n{hunks}</details>\n"
    )
}

type LineDiff<'a> = TextDiff<'a, 'a, str>;

/// Neighboring changes, with the unchanged lines around them.
fn hunk(diff: &LineDiff, ops: &[DiffOp], id: &str) -> String {
    let lines = |range: fn(&DiffOp) -> Range<usize>| {
        let start = ops.first().map_or(0, |op| range(op).start);
        let end = ops.last().map_or(0, |op| range(op).end);
        if end > start {
            format!("{} to {end}", start + 1)
        } else {
            "none".to_string()
        }
    };
    let (old, new) = (lines(DiffOp::old_range), lines(DiffOp::new_range));
    let blocks: String = ops.iter().map(|op| block(diff, op)).collect();
    format!(
        "<div class=\"hunk\" id=\"{id}\">\n<p><a href=\"#{id}\">Old lines {old}, new lines {new}</a></p>\n\
         {blocks}</div>\n"
    )
}

/// Unchanged lines, or old lines and the new ones that replace them.
fn block(diff: &LineDiff, op: &DiffOp) -> String {
    // Without a deadline, the page doesn't depend on how busy the machine is.
    let changes: Vec<InlineChange<str>> = diff.iter_inline_changes_deadline(op, None).collect();
    if op.tag() == DiffTag::Equal {
        // Both sides are visible, but a screen reader reads only one.
        return format!(
            "<div class=\"same\"><div class=\"left\" aria-hidden=\"true\">{}</div>\
             <div class=\"right\">{}</div></div>\n",
            lines(&changes, ChangeTag::Equal, InlineChange::old_index),
            lines(&changes, ChangeTag::Equal, InlineChange::new_index)
        );
    }
    let group = |class, label, lines: String| {
        if lines.is_empty() {
            return lines;
        }
        format!("<div class=\"{class}\" role=\"group\" aria-label=\"{label}\">{lines}</div>")
    };
    let removed = lines(&changes, ChangeTag::Delete, InlineChange::old_index);
    let added = lines(&changes, ChangeTag::Insert, InlineChange::new_index);
    format!(
        "<div class=\"change\">{}{}</div>\n",
        group("left", "Removed", removed),
        group("right", "Added", added)
    )
}

/// The lines with that tag, with their numbers on one side of the diff.
fn lines<'a>(
    changes: &[InlineChange<'a, str>],
    tag: ChangeTag,
    index: fn(&InlineChange<'a, str>) -> Option<usize>,
) -> String {
    let changes = changes.iter().filter(|change| change.tag() == tag);
    changes.map(|change| line(change, index(change))).collect()
}

/// A line with its number and its sign. What changes within it is marked.
fn line(change: &InlineChange<str>, index: Option<usize>) -> String {
    let (sign, mark) = match change.tag() {
        ChangeTag::Equal => (" ", ""),
        ChangeTag::Delete => ("-", "del"),
        ChangeTag::Insert => ("+", "ins"),
    };
    let pieces: Vec<_> = change.iter_strings_lossy().collect();
    // If the whole line changes, nothing is marked.
    let is_whole = pieces
        .iter()
        .all(|(marked, piece)| *marked || piece.trim().is_empty());
    let mut text = String::new();
    for (marked, piece) in &pieces {
        let piece = escape_invisible(piece.trim_end_matches('\n'));
        let piece = encode_text(&piece);
        if *marked && !is_whole && !piece.trim().is_empty() {
            text += &format!("<{mark}>{piece}</{mark}>");
        } else {
            text += &piece;
        }
    }
    if change.missing_newline() {
        text += " <em>(no line feed at the end)</em>";
    }
    let number = index.map_or(0, |index| index + 1);
    format!("<code><i>{number}</i><b>{sign}</b><span>{text}</span></code>")
}

/// Escapes control characters, and those that change the direction of text and could make a line
/// look like another.
fn escape_invisible(text: &str) -> String {
    let escape = |character: char| match character {
        '\t' => "\t".to_string(),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => character.escape_unicode().to_string(),
        _ if character.is_control() => character.escape_unicode().to_string(),
        _ => character.to_string(),
    };
    text.chars().map(escape).collect()
}
