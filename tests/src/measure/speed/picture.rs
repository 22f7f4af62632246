//! Two pictures of a run: how many requests per second, over ever more clients; and how much
//! memory, over ever more idle connections. A line for each server, with its name at its end.

use crate::measure::speed::people;
use crate::measure::speed::run::{Run, Server};
use crate::measure::speed::server::Origin;
use crate::measure::speed::table::whole;
use crate::plot::{
    self, AMBER, Area, BLUE, Drawn, GREEN, GREY, INK, LABEL, LINE, PINK, SOFT, TITLE, Tone, filled,
    told, width, write,
};
use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, Cross, PathElement, Rectangle, TriangleMarker};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::HPos;

/// The size, in the picture's own units: fine ones, as coordinates are whole numbers.
const SIZE: (u32, u32) = (1120, 780);
/// The corners of what lies within the axes.
const LEFT: i32 = 150;
const TOP: i32 = 110;
const BOTTOM: i32 = 660;

/// How far labels keep from one another, and they and their markers from the lines.
const GAP: i32 = LABEL as i32 + 8;
const BESIDE: i32 = 46;
const MARKER: i32 = 20;

/// A server's line.
struct Line<'a> {
    server: &'a Server,
    /// Where it has points: x and y, each from 0 to 1, the y upwards.
    points: Vec<(f64, f64)>,
}

/// An axis: where its marks are, 0 to 1, and what stands there.
type Marks = Vec<(f64, String)>;

/// What a picture shows.
struct Picture<'a> {
    title: &'static str,
    across: &'static str,
    x: Marks,
    y: Marks,
    lines: Vec<Line<'a>>,
}

impl Picture<'_> {
    /// Where the axes end: there is room for the longest name.
    fn right(&self) -> i32 {
        let names = self.lines.iter().map(|line| width(&line.server.name));
        // Some systems have wide letters.
        SIZE.0 as i32 - BESIDE - MARKER - names.max().unwrap_or(0) * 9 / 8
    }

    /// The place of a point within the axes.
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let across = f64::from(LEFT) + x * f64::from(self.right() - LEFT);
        let down = f64::from(BOTTOM) - y * f64::from(BOTTOM - TOP);
        (across.round() as i32, down.round() as i32)
    }
}

/// Requests per second over clients. `None` if nothing was measured.
pub fn throughput(run: &Run) -> Result<Option<String>, String> {
    let counts = run.counts();
    let rates = |server: &Server| -> Vec<(usize, f64)> {
        let rate = |clients: u32| run.cell(server, clients).ok().map(|of| of.rate);
        let cells = counts.iter().enumerate();
        cells
            .filter_map(|(at, clients)| Some((at, rate(*clients)?)))
            .collect()
    };
    let all: Vec<(&Server, Vec<(usize, f64)>)> = { run.servers.iter() }
        .map(|server| (server, rates(server)))
        .filter(|(_, rates)| !rates.is_empty())
        .collect();
    let most = { all.iter() }
        .flat_map(|(_, rates)| rates)
        .map(|(_, rate)| *rate);
    let step = step(most.clone().fold(0.0, f64::max));
    let top = (most.fold(0.0, f64::max) / step).ceil() * step;
    if top <= 0.0 {
        return Ok(None);
    }
    let x = |at: usize| (at as f64 + 0.5) / counts.len() as f64;
    let marks = counts.iter().enumerate();
    let point = |(at, rate): &(usize, f64)| (x(*at), rate / top);
    let picture = Picture {
        title: "Requests per second",
        across: "clients at the same time",
        x: marks
            .map(|(at, clients)| (x(at), clients.to_string()))
            .collect(),
        y: (0..=(top / step).round() as u32)
            .map(|mark| f64::from(mark) * step)
            .map(|rate| (rate / top, whole(rate)))
            .collect(),
        lines: { all.iter() }
            .map(|(server, rates)| Line {
                server,
                points: rates.iter().map(point).collect(),
            })
            .collect(),
    };
    draw(&picture, "throughput", &described(run, &all)).map(Some)
}

/// What the picture says, in words.
fn described(run: &Run, all: &[(&Server, Vec<(usize, f64)>)]) -> String {
    let mode = match run.keep_alive {
        true => "on connections that are kept",
        false => "a new connection for each request",
    };
    let mut words = format!("Answers of {} KiB, {mode}.", run.page / 1024);
    for (server, rates) in all {
        let rates = { rates.iter() }
            .map(|(at, rate)| format!("{} with {}", whole(*rate), people(run.counts()[*at])));
        let rates: Vec<String> = rates.collect();
        words += &format!(" {}: {}.", server.name, rates.join(", "));
    }
    words
}

/// A round step for an axis that is to have about five of them.
fn step(most: f64) -> f64 {
    let size = 10_f64.powf((most / 5.0).max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|part| part * size);
    let fits = |step: &f64| most / step <= 6.0;
    steps.into_iter().find(fits).unwrap_or(size * 10.0)
}

/// Memory over idle connections, on a scale of powers: what takes a hundred times more than
/// others would press them all to the ground. `None` if it was not measured.
pub fn memory(run: &Run) -> Result<Option<String>, String> {
    let known = |server: &&Server| server.memory.is_some();
    let servers: Vec<&Server> = run.servers.iter().filter(known).collect();
    let idle = |server: &Server| {
        let idle = server.memory.iter().flat_map(|memory| &memory.idle);
        let points = idle.map(|idle| (idle.connections, idle.bytes as f64 / 1_048_576.0));
        points.collect::<Vec<(usize, f64)>>()
    };
    let points: Vec<(usize, f64)> = servers.iter().flat_map(|server| idle(server)).collect();
    let last = points.iter().map(|point| point.0).max().unwrap_or(0);
    let ends = points.iter().map(|point| point.1.max(0.01).log10());
    let least = ends.clone().fold(f64::MAX, f64::min);
    let most = ends.fold(f64::MIN, f64::max);
    if last == 0 {
        return Ok(None);
    }
    // Between marks that stand for 1, 3, 10 and so on.
    let (bottom, top) = ((least * 2.0).floor(), (most * 2.0).ceil());
    let top = top.max(bottom + 1.0);
    let y = |mebibytes: f64| (mebibytes.max(0.01).log10() * 2.0 - bottom) / (top - bottom);
    let x = |connections: usize| connections as f64 / last as f64;
    let point = |(connections, mebibytes): (usize, f64)| (x(connections), y(mebibytes));
    let line = |server: &&Server| idle(server).into_iter().map(point).collect();
    let picture = Picture {
        title: "Memory in MiB, on a logarithmic axis",
        across: "idle connections",
        x: (0..=4)
            .map(|part| part * last / 4)
            .map(|at| (x(at), at.to_string()))
            .collect(),
        y: (bottom as i32..=top as i32)
            .map(rounded)
            .map(|mark| (y(mark), figure(mark)))
            .collect(),
        lines: { servers.iter() }
            .map(|server| Line {
                server,
                points: line(server),
            })
            .collect(),
    };
    let words = |server: &&Server| {
        let points = idle(server);
        let (first, last) = (points.first(), points.last());
        let of = |point: Option<&(usize, f64)>| point.map_or(0.0, |point| point.1);
        format!(
            " {}: from {:.1} to {:.1}.",
            server.name,
            of(first),
            of(last)
        )
    };
    let figures: String = servers.iter().map(words).collect();
    let words = format!(
        "Memory of all processes of a server, on a logarithmic axis, from no connection to {last} \
         that say nothing.{figures}"
    );
    draw(&picture, "memory", &words).map(Some)
}

/// The round number nearest to so many half powers of ten: 0.3, 1, 3, 10, 30.
fn rounded(half: i32) -> f64 {
    let whole = 10_f64.powi(half.div_euclid(2));
    match half.rem_euclid(2) {
        0 => whole,
        _ => whole * 3.0,
    }
}

/// With no more places than it needs.
fn figure(mebibytes: f64) -> String {
    match mebibytes {
        1.0.. => whole(mebibytes),
        _ => format!("{mebibytes:.2}").trim_end_matches('0').to_string(),
    }
}

fn draw(picture: &Picture, id: &str, description: &str) -> Result<String, String> {
    let mut drawn = String::new();
    paint(picture, &mut drawn).map_err(|error| format!("The plot cannot be drawn: {error}"))?;
    Ok(plot::finish(&drawn, id, picture.title, description))
}

fn paint(picture: &Picture, drawn: &mut String) -> Drawn {
    let area = SVGBackend::with_string(drawn, SIZE).into_drawing_area();
    write(
        &area,
        picture.title,
        (10, 36),
        plot::text(TITLE, INK, HPos::Left),
    )?;
    axes(&area, picture)?;
    // The lab's own lie on top of the peers.
    let (peers, own): (Vec<&Line>, Vec<&Line>) =
        { picture.lines.iter() }.partition(|line| line.server.origin == Origin::Peer);
    for line in peers.into_iter().chain(own) {
        stroke(&area, picture, line)?;
    }
    labels(&area, picture)?;
    area.present().map_err(told)
}

fn axes(area: &Area, picture: &Picture) -> Drawn {
    let style = plot::text(LABEL, SOFT, HPos::Right);
    for (at, words) in &picture.y {
        let (left, y) = picture.place((0.0, *at));
        path(area, vec![(left, y), (picture.right(), y)], LINE, 2)?;
        write(area, words, (left - 16, y), style.clone())?;
    }
    let style = plot::text(LABEL, SOFT, HPos::Center);
    for (at, words) in &picture.x {
        let (x, y) = picture.place((*at, 0.0));
        path(area, vec![(x, y), (x, y + 10)], LINE, 2)?;
        write(area, words, (x, y + 32), style.clone())?;
    }
    let middle = i32::midpoint(LEFT, picture.right());
    write(area, picture.across, (middle, BOTTOM + 80), style)
}

fn path(area: &Area, points: Vec<(i32, i32)>, tone: Tone, width: u32) -> Drawn {
    let style = ShapeStyle::from(&tone.colour()).stroke_width(width);
    area.draw(&PathElement::new(points, style)).map_err(told)
}

/// A stage has its own colour, the same in both pictures; a student's is as dark as ink; peers are grey.
fn look(server: &Server) -> (Tone, u32) {
    match server.origin {
        Origin::Stage(1) => (GREEN, 6),
        Origin::Stage(2) => (BLUE, 6),
        Origin::Stage(3) => (PINK, 6),
        Origin::Stage(_) => (AMBER, 6),
        Origin::Own => (INK, 6),
        Origin::Peer => (GREY, 3),
    }
}

fn stroke(area: &Area, picture: &Picture, line: &Line) -> Drawn {
    let (tone, width) = look(line.server);
    let points = line.points.iter().map(|point| picture.place(*point));
    let points: Vec<(i32, i32)> = points.collect();
    path(area, points.clone(), tone, width)?;
    points
        .iter()
        .try_for_each(|point| marker(area, line.server, *point))
}

/// What stands at a point: a dot, and for peers, which have no colours, a shape of their own.
fn marker(area: &Area, server: &Server, (x, y): (i32, i32)) -> Drawn {
    let (tone, width) = look(server);
    let style = filled(tone);
    let drawn = match server.name.as_str() {
        _ if server.origin != Origin::Peer => area.draw(&Circle::new((x, y), 10, style)),
        "nginx" => area.draw(&Rectangle::new([(x - 8, y - 8), (x + 8, y + 8)], style)),
        "lighttpd" => area.draw(&TriangleMarker::new((x, y), 11, style)),
        "busybox" => area.draw(&Cross::new((x, y), 8, style.stroke_width(width))),
        _ => area.draw(&Circle::new((x, y), 8, style.stroke_width(width))),
    };
    drawn.map_err(told)
}

/// The names, each at the end of its line, in the order of the ends. Those that would lie on one
/// another are moved apart, and a thin line leads to each.
fn labels(area: &Area, picture: &Picture) -> Drawn {
    let end = |line: &Line| line.points.last().map(|point| picture.place(*point));
    let mut ends: Vec<(&Server, (i32, i32))> = { picture.lines.iter() }
        .filter_map(|line| Some((line.server, end(line)?)))
        .collect();
    ends.sort_by_key(|(_, (_, y))| *y);
    let wanted: Vec<i32> = ends.iter().map(|(_, (_, y))| *y).collect();
    let left = picture.right() + BESIDE;
    for ((server, (x, y)), at) in ends.iter().zip(spread(&wanted)) {
        let (tone, _) = look(server);
        path(area, vec![(x + 14, *y), (left - 12, at)], tone, 1)?;
        marker(area, server, (left, at))?;
        let style = plot::text(LABEL, tone, HPos::Left);
        write(area, &server.name, (left + MARKER, at), style)?;
    }
    Ok(())
}

/// The heights nearest to those wanted, from top to bottom, that keep their distance and lie
/// within the picture.
fn spread(wanted: &[i32]) -> Vec<i32> {
    let mut places: Vec<i32> = Vec::new();
    for y in wanted {
        let above = places.last().map_or(TOP - GAP, |last| last + GAP);
        places.push((*y).max(above));
    }
    // What was pushed over the lower edge pushes back.
    let mut below = BOTTOM + GAP;
    for place in places.iter_mut().rev() {
        *place = (*place).min(below - GAP);
        below = *place;
    }
    places
}
