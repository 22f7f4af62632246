//! The picture of a waterfall: a row for each client, and time from left to right.

use crate::measure::waterfall::{Visit, Waterfall, shown};
use crate::plot::{
    self, AMBER, Area, Drawn, GREEN, GREY, INK, LABEL, LINE, ON, PINK, SOFT, TITLE, Tone, filled,
    told, width, write,
};
use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, Rectangle};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, TRANSPARENT};

/// The size, in the picture's own units: fine ones, as coordinates are whole numbers.
const SIZE: (u32, u32) = (1120, 780);
/// Where the rows begin and end.
const LEFT: i32 = 150;
const RIGHT: i32 = 60;
/// How high bars are, of a row that is 1 high; what waits is thin.
const BAR: f64 = 0.66;
const THIN: f64 = 0.22;

/// How big the dot is that stands for a whole answer.
const DOT: i32 = 10;

/// What the time of a client is spent with: a colour, how high its bar is, and what the legend
/// calls it.
type Kind = (Tone, f64, &'static str);
const SENDING: Kind = (GREY, BAR, "sending");
const WAITING: Kind = (AMBER, THIN, "waiting for the server");
const ANSWERED: Kind = (GREEN, BAR, "answered");
const HELD: Kind = (PINK, BAR, "stalled");

/// How far the time axis must reach for these, in milliseconds: a whole number of half
/// seconds, with room for the last figure.
pub fn span(stages: &[Waterfall]) -> f64 {
    let visits = stages.iter().flat_map(|stage| &stage.clients);
    let end = visits.map(|visit| visit.ended).fold(0.0, f64::max);
    ((end + 200.0) / 500.0).ceil() * 500.0
}

/// Draws a stage's waterfall on a time axis of that length, in milliseconds.
pub fn draw(stage: &Waterfall, span: f64) -> Result<String, String> {
    let mut drawn = String::new();
    paint(stage, span, &mut drawn).map_err(|error| format!("The plot cannot be drawn: {error}"))?;
    let title = format!("Stage {}: {}", stage.stage, stage.idea);
    let text = format!(
        "Eight clients, a row for each, come one after the other. {}",
        stage.sentence()
    );
    let id = format!("waterfall-{}", stage.stage);
    Ok(plot::finish(&drawn, &id, &title, &text))
}

fn paint(stage: &Waterfall, span: f64, drawn: &mut String) -> Drawn {
    let area = SVGBackend::with_string(drawn, SIZE).into_drawing_area();
    let title = format!("Stage {}: {}", stage.stage, stage.idea);
    write(&area, &title, (10, 30), plot::text(TITLE, INK, HPos::Left))?;
    legend(&area)?;
    let most = stage.clients.len() as f64;
    let mut rows = ChartBuilder::on(&area)
        .margin_top(70)
        .margin_left(LEFT)
        .margin_right(RIGHT)
        .margin_bottom(70)
        .x_label_area_size(56)
        .build_cartesian_2d(0.0..span, 0.5..most + 0.5)
        .map_err(told)?;
    rows.configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels((span / 500.0) as usize + 1)
        .x_label_formatter(&|time| format!("{} s", time / 1000.0))
        .x_label_style(plot::text(LABEL, SOFT, HPos::Center))
        .axis_style(LINE.colour())
        .bold_line_style(LINE.colour().stroke_width(2))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(told)?;
    for visit in &stage.clients {
        let y = most + 1.0 - f64::from(visit.client);
        row(&area, visit, &|time, above| {
            rows.backend_coord(&(time, y + above))
        })?;
    }
    area.present().map_err(told)
}

/// The row of one client: its name, its bars and how long it took in all. `at` is the place of
/// a time, so far above the middle of the row.
fn row(area: &Area, visit: &Visit, at: &dyn Fn(f64, f64) -> (i32, i32)) -> Drawn {
    let bar = |(tone, height, _): Kind, from, to| {
        let corners = [at(from, height / 2.0), at(to, -height / 2.0)];
        area.draw(&Rectangle::new(corners, filled(tone)))
            .map_err(told)
    };
    let first = visit.first_byte.unwrap_or(visit.ended);
    let beside = |time, by| (at(time, 0.0).0 + by, at(time, 0.0).1);
    if visit.stalled {
        bar(HELD, visit.came, visit.ended)?;
        let words = "stalled: sent half a request";
        let room = at(visit.ended, 0.0).0 - at(visit.came, 0.0).0;
        if room > width(words) {
            let style = plot::text(LABEL, ON, HPos::Left);
            write(area, words, beside(visit.came, 14), style)?;
        }
    } else {
        bar(SENDING, visit.came, visit.written)?;
        bar(WAITING, visit.written, first)?;
        bar(ANSWERED, first, visit.ended)?;
        // An answer takes too little time to be seen.
        let dot = Circle::new(at(visit.ended, 0.0), DOT, filled(ANSWERED.0));
        area.draw(&dot).map_err(told)?;
    }
    let name = format!("client {}", visit.client);
    let style = plot::text(LABEL, INK, HPos::Right);
    write(area, &name, beside(0.0, -14), style)?;
    let figure = shown(visit.took());
    let style = plot::text(LABEL, INK, HPos::Left);
    write(area, &figure, beside(visit.ended, DOT + 10), style)
}

/// What the bars mean, below all.
fn legend(area: &Area) -> Drawn {
    let y = SIZE.1 as i32 - 36;
    let mut x = LEFT - 60;
    for (tone, height, meaning) in [SENDING, WAITING, ANSWERED, HELD] {
        if meaning == ANSWERED.2 {
            let dot = Circle::new((x + 17, y), DOT, filled(tone));
            area.draw(&dot).map_err(told)?;
        } else {
            let half = (height * 22.0) as i32;
            let corners = [(x, y - half), (x + 34, y + half)];
            let bar = Rectangle::new(corners, filled(tone));
            area.draw(&bar).map_err(told)?;
        }
        let style = plot::text(LABEL, SOFT, HPos::Left);
        write(area, meaning, (x + 46, y), style)?;
        x += 84 + width(meaning);
    }
    Ok(())
}
