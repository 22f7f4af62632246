//! The pictures of a run: requests per second over clients, and memory over idle connections. A
//! line for each server, with its name at the right.

use crate::plot::{
    AMBER, BLUE, GREEN, GREY, LABEL, OLIVE, PINK, SiteColor, TEXT, label, mesh, picture, widest,
};
use crate::speed::IDLE;
use crate::speed::results::{Run, ServerResult};
use crate::speed::server::Origin;
use crate::thousands;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::{
    BindKeyPoints, Color, EmptyElement, IntoLogRange, LineSeries, PathElement,
};

/// From the last mark of the x axis to the names, and from one name to the next, in pixels.
const NAME_DISTANCE: i32 = 60;
const NAME_HEIGHT: i32 = LABEL as i32 + 8;

/// What is added to a number of idle connections, so that a logarithmic axis has a place for none.
const AXIS_SHIFT: f64 = 4.0;

/// What a picture shows.
struct Chart<'a> {
    id: &'static str,
    title: &'static str,
    /// What the x axis counts.
    unit: &'static str,
    /// A figure as text.
    text: fn(f64) -> String,
    /// Servers, each with its figures: a number of clients or connections, and what was measured.
    lines: Lines<'a>,
}

/// Requests per second over clients, on a logarithmic axis; `None` if nothing was measured.
pub fn throughput(run: &Run) -> Option<String> {
    let (id, title, unit) = if run.keep_alive {
        let title = "Requests per second on connections that stay open";
        ("kept", title, "connections")
    } else {
        let unit = "clients at the same time";
        ("throughput", "Requests per second", unit)
    };
    let chart = Chart {
        id,
        title,
        unit,
        text: thousands,
        lines: lines(run, |server| {
            let levels = run.clients().into_iter();
            let levels = levels.filter_map(|clients| server.level(clients));
            levels
                .map(|it| (f64::from(it.clients), it.rate()))
                .collect()
        }),
    };
    let clients: Vec<f64> = run.clients().into_iter().map(f64::from).collect();
    let (_, most) = chart.range()?;
    let x_axis = clients.first()? / 1.5..clients.last()? * 1.5;
    let x_axis = x_axis.log_scale().with_key_points(clients);
    Some(chart.draw(x_axis, 0.0..most * 1.1))
}

/// Memory over idle connections; `None` if it wasn't measured. Its axes are logarithmic, since
/// some servers use a hundred times more than others.
pub fn memory(run: &Run) -> Option<String> {
    let chart = Chart {
        id: "memory",
        title: "Memory in MiB, on logarithmic axes",
        unit: "idle connections",
        text: |mebibytes| ((mebibytes * 10.0).round() / 10.0).to_string(),
        lines: lines(run, |server| {
            let samples = server.memory.iter().flat_map(|memory| &memory.idle);
            let figures = samples.map(|it| (it.connections as f64, it.bytes as f64 / 1_048_576.0));
            figures.collect()
        }),
    };
    let (least, most) = chart.range()?;
    let connections = run.servers.iter().flat_map(|server| &server.memory);
    let connections = connections.map(|memory| memory.idle.last().map_or(0, |it| it.connections));
    let last = connections.max().filter(|last| *last > 0)? as f64;
    let marks = IDLE.into_iter().map(|connections| connections as f64);
    let x_axis = (0.0..last).log_scale().zero_point(-AXIS_SHIFT);
    let x_axis = x_axis.with_key_points(marks.filter(|mark| *mark <= last).collect());
    Some(chart.draw(x_axis, (least / 1.5..most * 1.5).log_scale().base(2.0)))
}

type Lines<'a> = Vec<(&'a ServerResult, Vec<(f64, f64)>)>;

/// The figures of each server that has some.
fn lines(run: &Run, figures: impl Fn(&ServerResult) -> Vec<(f64, f64)>) -> Lines<'_> {
    let lines = run.servers.iter().map(|server| (server, figures(server)));
    lines.filter(|(_, figures)| !figures.is_empty()).collect()
}

impl Chart<'_> {
    /// The least and the greatest figure; `None` if there are none but zero.
    fn range(&self) -> Option<(f64, f64)> {
        let figures = self.lines.iter().flat_map(|(_, figures)| figures);
        let figures = figures.map(|(_, figure)| *figure);
        let most = figures.clone().max_by(f64::total_cmp)?;
        (most > 0.0).then_some((figures.min_by(f64::total_cmp)?, most))
    }

    fn draw<X, Y>(&self, x_axis: X, y_axis: Y) -> String
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        picture(self.id, self.title, &self.description(), 780, |chart| {
            let names = widest(self.lines.iter().map(|(server, _)| &server.name));
            let mut chart = chart
                .margin_right(names + NAME_DISTANCE as u32)
                .x_label_area_size(110)
                .y_label_area_size(140)
                .build_cartesian_2d(x_axis, y_axis)?;
            mesh(&mut chart)
                .x_desc(self.unit)
                .x_label_formatter(&|x| thousands(*x))
                .y_label_formatter(&|figure| (self.text)(*figure))
                .draw()?;
            let mut ends = Vec::new();
            // The first server is drawn over the others.
            for (server, figures) in self.lines.iter().rev() {
                let (color, width) = style(server);
                let style = color.rgb().filled().stroke_width(width);
                let line = LineSeries::new(figures.iter().copied(), style);
                chart.draw_series(line.point_size(width * 3 / 2))?;
                ends.extend(figures.last().map(|end| (*end, color, &server.name)));
            }
            ends.sort_by(|(one, ..), (other, ..)| other.1.total_cmp(&one.1));
            // Each name is as near to its end as the others allow.
            let (x_pixels, pixels) = chart.plotting_area().get_pixel_range();
            let mut name_y = pixels.start - NAME_HEIGHT;
            let mut lowest = pixels.end - NAME_HEIGHT * ends.len() as i32;
            for (end, color, name) in ends {
                let (end_x, end_y) = chart.backend_coord(&end);
                let name_x = x_pixels.end - end_x + NAME_DISTANCE;
                lowest += NAME_HEIGHT;
                name_y = end_y.max(name_y + NAME_HEIGHT).min(lowest);
                let leader = [(0, 0), (name_x - 20, name_y - end_y)];
                let leader = PathElement::new(leader, color.rgb().stroke_width(1));
                let name = label(name, color, (name_x - 10, name_y - end_y));
                chart.draw_series([EmptyElement::at(end) + leader + name])?;
            }
            Ok(())
        })
    }

    fn description(&self) -> String {
        let mut text = format!("{}, with a number of {}.", self.title, self.unit);
        for (server, figures) in &self.lines {
            let figures = figures.iter();
            let figures = figures.map(|(x, y)| format!("{} with {x}", (self.text)(*y)));
            let figures: Vec<String> = figures.collect();
            text += &format!(" {}: {}.", server.name, figures.join(", "));
        }
        text
    }
}

/// The color and the width of a line. Stages have the same color in both pictures.
fn style(server: &ServerResult) -> (SiteColor, u32) {
    match server.origin {
        Origin::Stage(1) => (GREEN, 6),
        Origin::Stage(2) => (BLUE, 6),
        Origin::Stage(3) => (PINK, 6),
        Origin::Stage(4 | 5) => (AMBER, 6),
        Origin::Stage(_) => (OLIVE, 6),
        Origin::Own => (TEXT, 6),
        Origin::Peer => (GREY, 3),
    }
}
