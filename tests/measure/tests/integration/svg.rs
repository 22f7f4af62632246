//! Reads pictures, and the kept figures.

use harness::workspace;
use measure::plot::SiteColor;
use roxmltree::{Document, Node};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;

/// What to do when the kept figures or pictures are out of date.
pub const RENEW: &str = "renew them as described in CONTRIBUTING.md";

/// A file in the folder of the kept figures and pictures.
pub fn kept(name: &str) -> String {
    fs::read_to_string(workspace::root().join("html/media").join(name)).unwrap()
}

/// The figures of a file in that folder, which must have exactly the fields of the format.
pub fn kept_figures<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let figures = serde_json::from_str(&kept(name)).unwrap();
    let value: Value = serde_json::from_str(&kept(name)).unwrap();
    assert!(serde_json::to_value(&figures).unwrap() == value, "{name}");
    figures
}

/// The value of an attribute that is a number.
pub fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// The elements with that name.
pub fn elements<'a>(document: &'a Document, name: &str) -> Vec<Node<'a, 'a>> {
    let nodes = document.descendants();
    nodes.filter(|it| it.has_tag_name(name)).collect()
}

/// The element of a text.
pub fn text_element<'a>(document: &'a Document, text: &str) -> Node<'a, 'a> {
    let texts = elements(document, "text").into_iter();
    let mut found = texts.filter(|it| it.text().map(str::trim) == Some(text));
    found.next().unwrap_or_else(|| panic!("no text {text}"))
}

/// Checks that the bars of a color show these times, from start to end. The labels of two times
/// on the axis give the scale.
pub fn ensure_bars(
    document: &Document,
    color: SiteColor,
    times: &[(f64, f64)],
    labels: [(&str, f64); 2],
) {
    let mut bars = elements(document, "rect");
    bars.retain(|it| it.attribute("fill") == Some(&color.attribute()));
    // The last one is in the legend.
    assert_eq!(bars.len(), times.len() + 1);
    let [zero, other] = labels.map(|(label, _)| number(text_element(document, label), "x"));
    let x = |time: f64| zero + (other - zero) * time / labels[1].1;
    for ((start, end), bar) in times.iter().zip(bars) {
        let left = number(bar, "x");
        let right = left + number(bar, "width");
        // A bar that is too short to be seen is longer.
        let ends = x(*end) - 2.0..x(*end).max(left + 6.0) + 2.0;
        let fits = (left - x(*start)).abs() < 2.0 && ends.contains(&right);
        assert!(fits, "{start} to {end}: {bar:?}");
    }
}

/// Checks that a picture is the kept one, that it has a title and a description, that it has a dark
/// color for each light one, and that nothing in it can clash with another picture on the same
/// page.
pub fn ensure_kept<'a>(svg: &'a str, id: &str) -> Document<'a> {
    assert!(kept(&format!("{id}.svg")) == svg, "{id}: {RENEW}");
    let document = Document::parse(svg).unwrap();
    let nodes = document.descendants();
    let ids = nodes.filter_map(|it| it.attribute("id"));
    assert!(ids.eq([id, &format!("{id}-title"), &format!("{id}-description")]));
    let style = elements(&document, "style")[0].text().unwrap();
    for rule in style.lines().filter(|line| line.contains('{')).skip(1) {
        assert!(rule.starts_with(&format!("#{id} [")), "{rule}");
    }
    for node in document.root_element().descendants() {
        for name in ["fill", "stroke"] {
            let color = node.attribute(name).unwrap_or("none");
            let selector = format!("[{name}=\"{color}\"]");
            assert!(color == "none" || style.contains(&selector), "{node:?}");
        }
    }
    document
}
