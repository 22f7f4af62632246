//! The picture of a process: a staircase. A row for each part, time from left to right, and
//! each bar begins where the one before has ended. Ways to build are side by side.

use super::programs::Build;
use super::{Part, Process, shown};
use crate::plot::{
    self, AMBER, Area, Drawn, GREEN, INK, LABEL, LINE, PINK, SOFT, TITLE, Tone, filled, told,
    width, write,
};
use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Rectangle;
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, TRANSPARENT};

/// How wide the picture is, in its own units: fine ones, as coordinates are whole numbers.
const WIDTH: u32 = 1120;
/// How high a bar is, with its share of the space around, and the space between two rows.
const BAR: u32 = 38;
const SPACE: u32 = 22;
/// What stands above and below the rows.
const ABOVE: u32 = 70;
const BELOW: u32 = 130;
/// Where the rows begin and end.
const LEFT: i32 = 400;
const RIGHT: i32 = 150;

const TITLE_WORDS: &str = "Where the time of one process goes";
const WHOLE: &str = "one process, one page";

fn tone(build: Build) -> Tone {
    match build {
        Build::Dynamic => GREEN,
        Build::Static => AMBER,
        Build::Musl => PINK,
    }
}

/// Those that are drawn: a staircase that ends half way would look like a short one.
pub fn drawn(processes: &[Process]) -> Vec<&Process> {
    processes
        .iter()
        .filter(|process| process.is_whole())
        .collect()
}

/// What is to be seen, in a sentence.
pub fn sentence(processes: &[Process]) -> String {
    let words = |process: &&Process| {
        let parts: Vec<String> = { process.costs.iter() }
            .zip(process.prices())
            .map(|(cost, price)| format!("{} {}", cost.part.words(), shown(price)))
            .collect();
        let whole = shown(process.whole());
        format!(
            "Built {}: {whole}. {}.",
            process.build.words(),
            parts.join(", ")
        )
    };
    let sentences: Vec<String> = drawn(processes).iter().map(words).collect();
    sentences.join(" ")
}

/// What to see in it, as far as it was measured: how much comes before the program's own work.
pub fn caption(processes: &[Process]) -> Option<String> {
    let before = |process: &&Process| {
        let before = process.cost(Part::Rust)?.median;
        Some((process.build, shown(before), shown(process.whole())))
    };
    let mut figures = drawn(processes)
        .into_iter()
        .filter_map(|process| before(&process));
    let (_, before, whole) = figures.next()?;
    let mut caption = format!(
        "What one process of stage 2 costs, from its start to its end. An empty program in Rust \
         takes {before} of these {whole}"
    );
    for (build, before, whole) in figures {
        caption += &format!("; built {}, {before} of {whole}", build.words());
    }
    Some(caption + ".")
}

/// Draws those of which all was measured. The error says why there is no picture.
pub fn draw(processes: &[Process]) -> Result<String, String> {
    let whole = drawn(processes);
    if whole.is_empty() {
        return Err("No process was measured to its end.".to_string());
    }
    let mut svg = String::new();
    paint(&whole, &mut svg).map_err(|error| format!("The plot cannot be drawn: {error}"))?;
    let text = format!(
        "A row for each part, from a process's start to its end. {}",
        sentence(processes)
    );
    Ok(plot::finish(&svg, "process", TITLE_WORDS, &text))
}

fn paint(processes: &[&Process], svg: &mut String) -> Drawn {
    let rows = Part::ALL.len() as u32 + 1;
    let row = BAR * processes.len() as u32 + SPACE;
    let size = (WIDTH, ABOVE + rows * row + BELOW);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    write(
        &area,
        TITLE_WORDS,
        (10, 30),
        plot::text(TITLE, INK, HPos::Left),
    )?;
    let ends = { processes.iter() }.flat_map(|process| &process.costs);
    let span = ends.map(|cost| cost.median).fold(1.0, f64::max);
    let step = grid(span);
    let mut chart = ChartBuilder::on(&area)
        .margin_top(ABOVE)
        .margin_left(LEFT)
        .margin_right(RIGHT)
        .margin_bottom(BELOW - 56)
        .x_label_area_size(56)
        .build_cartesian_2d(0.0..span, 0.0..f64::from(rows * row))
        .map_err(told)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels((span / step) as usize + 1)
        .x_label_formatter(&|time| shown(*time))
        .x_label_style(plot::text(LABEL, SOFT, HPos::Center))
        .axis_style(LINE.colour())
        .bold_line_style(LINE.colour().stroke_width(2))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(told)?;
    let top = f64::from(rows * row);
    let at = |time, below: u32| chart.backend_coord(&(time, top - f64::from(below)));
    for (index, part) in Part::ALL.into_iter().map(Some).chain([None]).enumerate() {
        let above = index as u32 * row + SPACE / 2;
        let middle = at(0.0, above + (row - SPACE) / 2);
        let name = part.map_or(WHOLE, Part::words);
        let style = plot::text(LABEL, INK, HPos::Right);
        write(&area, name, (middle.0 - 14, middle.1), style)?;
        for (place, process) in processes.iter().enumerate() {
            let above = above + place as u32 * BAR;
            bar(&area, process, part, &|time, by| at(time, above + by))?;
        }
    }
    legend(&area, processes, size.1 as i32 - 34)?;
    area.present().map_err(told)
}

/// The bar of a part, or of the whole, and its figure. `at` is the place of a time, so far
/// below the upper edge of what the bar has for itself.
fn bar(
    area: &Area,
    process: &Process,
    part: Option<Part>,
    at: &dyn Fn(f64, u32) -> (i32, i32),
) -> Drawn {
    let prices = process.prices();
    let (end, price) = match part {
        None => (process.whole(), process.whole()),
        Some(part) => match process.costs.iter().position(|cost| cost.part == part) {
            Some(index) => (process.costs[index].median, prices[index]),
            None => return Ok(()),
        },
    };
    let (from, to) = (end.min(end - price), end.max(end - price));
    let corners = [at(from, 2), at(to, BAR - 2)];
    let bar = Rectangle::new(corners, filled(tone(process.build)));
    area.draw(&bar).map_err(told)?;
    let (x, y) = at(to, BAR / 2);
    let style = plot::text(LABEL, INK, HPos::Left);
    write(area, &shown(price), (x + 10, y), style)
}

/// How far apart the lines are that guide the eye: some three or four of them, of round times.
fn grid(span: f64) -> f64 {
    let power = 10_f64.powf((span / 2.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * power);
    let fits = |step: &f64| span / step >= 2.0;
    steps.into_iter().find(fits).unwrap_or(power)
}

/// Which bars are which, below all.
fn legend(area: &Area, processes: &[&Process], y: i32) -> Drawn {
    let mut x = 60;
    for process in processes {
        let corners = [(x, y - 14), (x + 34, y + 14)];
        let bar = Rectangle::new(corners, filled(tone(process.build)));
        area.draw(&bar).map_err(told)?;
        let words = process.build.words();
        let style = plot::text(LABEL, SOFT, HPos::Left);
        write(area, words, (x + 46, y), style)?;
        x += 84 + width(words);
    }
    Ok(())
}
