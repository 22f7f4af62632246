//! SVG pictures, drawn by `plotters` in the colors of the site.
//!
//! A picture is as wide as its surroundings, follows its reader from light to dark, and has a
//! description in words. A page may contain several: their styles are scoped by their ids.

use html_escape::encode_text;
use plotters::chart::MeshStyle;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::{
    BindKeyPoints, Cartesian2d, ChartBuilder, ChartContext, Color, EmptyElement, IntoDrawingArea,
    IntoFont, RGBColor, Ranged, Rectangle, SVGBackend, SeriesLabelPosition, TRANSPARENT, Text,
    TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// The width of a picture and the size of its labels, in pixels.
const WIDTH: u32 = 1120;
pub const LABEL: u32 = 30;

/// The space above the rows of a bar chart, and all that is above and below, in pixels.
const LEGEND: i32 = 100;
const MARGINS: i32 = 136;

/// A color of the site's style sheet: its values on a light and on a dark page, as 0xRRGGBB.
#[derive(Clone, Copy, Debug)]
pub struct SiteColor {
    light: u32,
    dark: u32,
}

pub const TEXT: SiteColor = color(0x13212b, 0xe6eef0);
const MUTED: SiteColor = color(0x4a5b66, 0xa9b8bf);
const GRID: SiteColor = color(0xc6d4d6, 0x31424b);
// The colors of data have a contrast with the page of at least 3 to 1.
pub const GREY: SiteColor = color(0x6a7b87, 0x8496a2);
pub const GREEN: SiteColor = color(0x0a6b62, 0x5dd3c3);
pub const BLUE: SiteColor = color(0x3b4fb4, 0xa3b3ff);
pub const PINK: SiteColor = color(0x9a2b6b, 0xf79acb);
pub const AMBER: SiteColor = color(0x8f4a00, 0xffb85c);
pub const OLIVE: SiteColor = color(0x47690a, 0xb4da6c);

const COLORS: [SiteColor; 9] = [TEXT, MUTED, GRID, GREY, GREEN, BLUE, PINK, AMBER, OLIVE];

const fn color(light: u32, dark: u32) -> SiteColor {
    SiteColor { light, dark }
}

impl SiteColor {
    /// What pictures are drawn with.
    pub fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }

    /// The value of an attribute with this color.
    pub fn attribute(self) -> String {
        format!("#{:06X}", self.light)
    }
}

/// A picture with a title at the top, in which `draw` builds and fills a chart.
pub fn picture(
    id: &str,
    title: &str,
    description: &str,
    height: u32,
    draw: impl FnOnce(&mut ChartBuilder<SVGBackend>) -> Result<(), Box<dyn Error>>,
) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let titled = area.draw_text(title, &text(38, TEXT), (10, 10));
    let mut chart = ChartBuilder::on(&area);
    let draw = |()| draw(chart.margin_top(70).margin_bottom(10));
    let drawn = titled.map_err(Into::into).and_then(draw);
    drawn.expect("a string can be written");
    drop(area);
    // What plotters writes has a fixed size and the colors of a light page.
    let (_, shapes) = svg.split_once('>').unwrap_or_default();
    let shapes = shapes.replace(" opacity=\"1\"", "");
    let mut dark = String::new();
    for color in COLORS {
        for name in ["fill", "stroke"] {
            let selector = format!("#{id} [{name}=\"{}\"]", color.attribute());
            dark += &format!("{selector} {{ {name}: #{:06x} }}\n", color.dark);
        }
    }
    let (title, description) = (encode_text(title), encode_text(description));
    format!(
        "<svg id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\" \
         width=\"100%\" viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <title id=\"{id}-title\">{title}</title>\n\
         <desc id=\"{id}-description\">{description}</desc>\n\
         <style>\n@media (prefers-color-scheme: dark) {{\n{dark}}}\n</style>{shapes}"
    )
}

/// The axes and the grid of a chart, to be configured further.
pub fn mesh<'a, 'b, X, Y>(
    chart: &'b mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
) -> MeshStyle<'a, 'b, X, Y, SVGBackend<'a>>
where
    X: Ranged + ValueFormatter<X::ValueType>,
    Y: Ranged + ValueFormatter<Y::ValueType>,
{
    let mut mesh = chart.configure_mesh();
    mesh.label_style(text(LABEL, MUTED))
        .axis_style(GRID.rgb().stroke_width(2))
        .bold_line_style(GRID.rgb().stroke_width(2))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(8)
        .x_labels(6)
        .y_labels(6);
    mesh
}

/// A style for text of that size in pixels.
fn text(size: u32, color: SiteColor) -> TextStyle<'static> {
    // Plotters divides the size by this factor before it writes it into an SVG.
    let font = ("system-ui, sans-serif", f64::from(size) * 1.24).into_font();
    font.color(&color.rgb())
}

/// A text to the right of a point.
pub fn label(text: &str, color: SiteColor, point: (i32, i32)) -> Text<'static, (i32, i32), String> {
    let style = self::text(LABEL, color).pos(Pos::new(HPos::Left, VPos::Center));
    Text::new(text.to_string(), point, style)
}

/// About how wide the longest of these labels is, in pixels.
pub fn widest<'a>(labels: impl Iterator<Item = &'a String>) -> u32 {
    let font = text(LABEL, TEXT).font;
    let widths = labels.map(|label| font.box_size(label).map_or(0, |(width, _)| width));
    widths.max().unwrap_or_default()
}

/// A chart of bars in rows, in which time goes from left to right.
pub struct BarChart<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    /// The names of the rows, from top to bottom, and their height in pixels.
    pub rows: Vec<String>,
    pub row_height: i32,
    /// The longest time.
    pub end: f64,
    /// How to write a time below the axis.
    pub time_text: fn(f64) -> String,
    pub series: Vec<Series>,
}

/// Bars that mean the same.
pub struct Series {
    pub color: SiteColor,
    /// What the legend calls them.
    pub name: &'static str,
    /// The height of each bar, in rows.
    pub height: f64,
    pub bars: Vec<Bar>,
}

/// A bar from one time to another.
pub struct Bar {
    /// Where its middle is, in rows from the top.
    pub y: f64,
    pub start: f64,
    pub end: f64,
    /// What is written after it, if anything.
    pub text: String,
}

impl BarChart<'_> {
    pub fn draw(&self) -> String {
        let pixels = |rows: f64| (rows * f64::from(self.row_height)).round() as i32;
        let middles = (0..self.rows.len()).map(|row| pixels(row as f64 + 0.5));
        let bottom = pixels(self.rows.len() as f64);
        let y_axis = (bottom..-LEGEND).with_key_points(middles.collect());
        let height = (LEGEND + bottom + MARGINS) as u32;
        picture(self.id, self.title, self.description, height, |chart| {
            let mut chart = chart
                .margin_right(30)
                .x_label_area_size(56)
                .y_label_area_size(widest(self.rows.iter()) + 20)
                .build_cartesian_2d(0.0..self.end * 1.25, y_axis)?;
            mesh(&mut chart)
                .disable_y_mesh()
                .y_label_style(text(LABEL, TEXT))
                .y_label_formatter(&|y| self.rows[(y / self.row_height) as usize].clone())
                .x_label_formatter(&|time| (self.time_text)(*time))
                .draw()?;
            for series in &self.series {
                let style = series.color.rgb().filled();
                let key = move |(x, y)| Rectangle::new([(x, y - 14), (x + 34, y + 14)], style);
                let rectangle = |bar: &Bar| {
                    // A bar that is too short to be seen gets longer.
                    let end = bar.end.max(bar.start + self.end / 150.0);
                    let [top, bottom] = [-0.5, 0.5].map(|it| pixels(bar.y + it * series.height));
                    Rectangle::new([(bar.start, top), (end, bottom)], style)
                };
                let rectangles = series.bars.iter().map(rectangle);
                chart
                    .draw_series(rectangles)?
                    .label(series.name)
                    .legend(key);
                let text = |bar: &Bar| {
                    let end = (bar.end, pixels(bar.y));
                    EmptyElement::at(end) + label(&bar.text, TEXT, (16, 0))
                };
                let labeled = series.bars.iter().filter(|bar| !bar.text.is_empty());
                chart.draw_series(labeled.map(text))?;
            }
            let mut legend = chart.configure_series_labels();
            let legend = legend.label_font(text(LABEL, MUTED)).legend_area_size(46);
            legend.position(SeriesLabelPosition::UpperRight).draw()?;
            Ok(())
        })
    }
}
