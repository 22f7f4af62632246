//! Plots: what all pictures of measurements have in common, whatever they show.
//!
//! A plot is drawn with the crate `plotters` in the colours of this file, in their light
//! tone, and then [`finish`]ed: it scales, says in words what it shows, and follows its
//! reader from light to dark. It can stand alone or within a page, beside others.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::Text;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle};
use std::fmt::Display;

/// Sizes of text, in the picture's own units: fine ones, as coordinates are whole numbers.
pub const TITLE: u32 = 38;
pub const LABEL: u32 = 30;

/// What is drawn on, and what comes of it.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), String>;

/// A colour in both tones: of the site's style sheet, so that plots look like its pages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

/// Text, and what must be seen first.
pub const INK: Tone = tone((0x13, 0x21, 0x2b), (0xe6, 0xee, 0xf0));
/// Text that stands behind.
pub const SOFT: Tone = tone((0x4a, 0x5b, 0x66), (0xa9, 0xb8, 0xbf));
/// Lines to guide the eye.
pub const LINE: Tone = tone((0xc6, 0xd4, 0xd6), (0x31, 0x42, 0x4b));
/// What stands on a bar of one of the colours that follow.
pub const ON: Tone = tone((0xff, 0xff, 0xff), (0x0d, 0x15, 0x19));
/// Shades of data, each with a contrast of 3 to 1 and more with the page.
pub const GREY: Tone = tone((0x6a, 0x7b, 0x87), (0x84, 0x96, 0xa2));
pub const GREEN: Tone = tone((0x0a, 0x6b, 0x62), (0x5d, 0xd3, 0xc3));
pub const BLUE: Tone = tone((0x3b, 0x4f, 0xb4), (0xa3, 0xb3, 0xff));
pub const PINK: Tone = tone((0x9a, 0x2b, 0x6b), (0xf7, 0x9a, 0xcb));
pub const AMBER: Tone = tone((0x8f, 0x4a, 0x00), (0xff, 0xb8, 0x5c));

const TONES: [Tone; 9] = [INK, SOFT, LINE, ON, GREY, GREEN, BLUE, PINK, AMBER];

const fn tone(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Tone {
    Tone { light, dark }
}

impl Tone {
    /// The light tone, to draw with.
    pub fn colour(self) -> RGBColor {
        let (red, green, blue) = self.light;
        RGBColor(red, green, blue)
    }

    /// As `plotters` writes the light tone into an SVG.
    pub fn written(self) -> String {
        hexadecimal(self.light)
    }
}

fn hexadecimal((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// A style for text of that size, whose place is its middle line and that edge or middle.
pub fn text(size: u32, tone: Tone, edge: HPos) -> TextStyle<'static> {
    let family = FontFamily::Name("system-ui, sans-serif");
    // `plotters` writes other units into an SVG than those it is given.
    let size = f64::from(size) * 1.24;
    let font = FontDesc::new(family, size, FontStyle::Normal);
    TextStyle {
        font,
        color: tone.colour().to_backend_color(),
        pos: Pos::new(edge, VPos::Center),
    }
}

/// Makes a picture of what was drawn: one with a title and a description for those who do not
/// see it, as wide as the place it stands in, and with its dark tones. Nothing in it clashes
/// with another picture of the same page if their names (`id`) differ.
pub fn finish(drawn: &str, id: &str, title: &str, description: &str) -> String {
    let (head, rest) = drawn.split_once('>').unwrap_or((drawn, ""));
    let view = head.find("viewBox").map_or("", |start| &head[start..]);
    let title = html_escape::encode_text(title);
    let description = html_escape::encode_text(description);
    let mut dark = String::new();
    for tone in TONES {
        let (light, shade) = (tone.written(), hexadecimal(tone.dark));
        if !rest.contains(&light) {
            continue;
        }
        for attribute in ["fill", "stroke"] {
            // Style sheets have the last word over attributes.
            dark += &format!("#{id} [{attribute}=\"{light}\"]{{{attribute}:{shade}}}\n");
        }
    }
    format!(
        "<svg id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\" \
         width=\"100%\" {view}>\n\
         <title id=\"{id}-title\">{title}</title>\n\
         <desc id=\"{id}-description\">{description}</desc>\n\
         <style>\n@media (prefers-color-scheme: dark) {{\n{dark}}}\n</style>{rest}"
    )
}

/// About how wide a label is: letters of a system's font are half as wide as they are high,
/// and a little.
pub fn width(words: &str) -> i32 {
    (words.len() * LABEL as usize * 8 / 15) as i32
}

/// Paints the inside.
pub fn filled(tone: Tone) -> ShapeStyle {
    tone.colour().filled()
}

/// Puts words at a place.
pub fn write(area: &Area, words: &str, place: (i32, i32), style: TextStyle) -> Drawn {
    area.draw(&Text::new(words.to_string(), place, style))
        .map_err(told)
}

/// What `plotters` could not do, in its words.
pub fn told(error: impl Display) -> String {
    error.to_string()
}
