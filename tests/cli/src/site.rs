//! The lab's own site, `html/`: what a page of diffs takes from it.

use harness::workspace;
use measure::process;
use measure::waterfall;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;

/// The parts of a page that don't come from a diff. A copy of the workspace may lack the site; then
/// they are empty.
#[derive(Default)]
pub struct Parts {
    /// The end of the head: links to other files, or the style sheet itself.
    pub head: String,
    pub header: String,
    pub footer: String,
    /// What was measured of each stage.
    pub stage_figures: BTreeMap<u8, Vec<Figure>>,
    /// The comparison of all stages.
    pub cost_figures: Vec<Figure>,
}

/// A plot by `cargo lab measure`.
pub struct Figure {
    pub svg: String,
    pub caption: String,
}

impl Parts {
    /// The parts of a page on the site. Fails if the results of a measurement can't be read.
    pub fn on_site() -> Result<Parts, String> {
        let costs = [
            ("throughput", THROUGHPUT),
            ("kept", KEPT),
            ("memory", MEMORY),
        ];
        let costs = costs.map(|(name, caption)| figure(name, caption.to_string()));
        Ok(Parts {
            stage_figures: stage_figures()?,
            cost_figures: costs.into_iter().flatten().collect(),
            ..Parts::of_home("index.html")
        })
    }

    /// What all pages have, from the first page of a part of the site.
    pub fn of_home(name: &str) -> Parts {
        let home = file(name);
        Parts {
            head: section(&home, "  <link rel=\"icon\"", "</head>"),
            header: section(&home, "  <a class=\"skip\"", "  <main"),
            footer: section(&home, "  <footer", "</body>"),
            ..Parts::default()
        }
    }

    /// The parts of a page that needs no other file.
    pub fn alone() -> Result<Parts, String> {
        Ok(Parts {
            head: format!("  <style>\n{}  </style>\n", file("style.css")),
            stage_figures: stage_figures()?,
            ..Parts::default()
        })
    }
}

/// A file of the site; empty if it doesn't exist.
pub fn file(name: &str) -> String {
    let path = workspace::root().join("html").join(name);
    fs::read_to_string(path).unwrap_or_default()
}

/// A page from the first `start` up to the next `end`.
fn section(page: &str, start: &str, end: &str) -> String {
    let rest = page.find(start).map_or("", |start| &page[start..]);
    let section = rest.split_once(end);
    section.map_or("", |(section, _)| section).to_string()
}

/// A plot with this caption, if it exists.
fn figure(name: &str, caption: String) -> Option<Figure> {
    let svg = file(&format!("media/{name}.svg"));
    (!svg.is_empty()).then_some(Figure { svg, caption })
}

/// What was measured for a plot, if it exists.
fn results<T: DeserializeOwned>(name: &str) -> Result<Option<T>, String> {
    let text = file(&format!("media/{name}.json"));
    let results = (!text.is_empty()).then(|| serde_json::from_str(&text));
    results.transpose().map_err(|error| {
        format!("Cannot read html/media/{name}.json: {error}. Measure again: cargo lab measure")
    })
}

/// What eight clients see of each stage; and what a process costs, for the stage that starts one
/// for each client.
fn stage_figures() -> Result<BTreeMap<u8, Vec<Figure>>, String> {
    let mut stage_figures: BTreeMap<u8, Vec<Figure>> = BTreeMap::new();
    let mut add = |stage: u8, name: &str, caption: String| {
        let figures = stage_figures.entry(stage).or_default();
        figures.extend(figure(name, caption));
    };
    let waterfalls: Option<waterfall::Run> = results("waterfall")?;
    for run in waterfalls.into_iter().flat_map(|run| run.stages) {
        let caption = format!("Eight clients of stage {}. {}", run.stage, run.sentence());
        add(run.stage, &format!("waterfall-{}", run.stage), caption);
    }
    let process: Option<process::Run> = results("process")?;
    let caption = process.and_then(|run| process::caption(&run.builds));
    if let (Some(caption), Some(stage)) = (caption, workspace::stage_of(process::PACKAGE)) {
        add(stage.number, "process", caption);
    }
    Ok(stage_figures)
}

const THROUGHPUT: &str = "Requests per second for a page of 4 KiB, with a new connection for each \
request. Among fast clients stage 1 leads, because it hands nothing over. One core is its ceiling; \
here the load generator reached its own limit first. And one silent client, as above, stops it \
until the timeout. Stage 2 pays for a process per connection, stage 3 for a thread, which is \
several times cheaper. Stage 4 does more than stage 3 and costs hardly more. Stage 6 starts nothing \
for a client and waits for none. In gray, servers for production: nginx and lighttpd are such loops \
too.";

const KEPT: &str = "Requests per second for the same page, on connections that stay open: the \
servers that keep them. A request costs less than half of what it costs with a connection of its \
own. Stage 6 has one loop and nginx one for each processor, which the clients share here.";

const MEMORY: &str = "Memory with 0 to 10,000 idle connections, on logarithmic axes. A process of \
stage 2 takes ten times as much as a thread; one of busybox, which only forks, three times as \
much. An event loop, as in stage 6, nginx and lighttpd, hardly notices the first thousand. Stage 1 \
is flat because it has accepted only one of them: the others wait in the kernel, whose memory isn't \
counted here. Lines end where a server is full, and those with a process or a thread for each \
connection at a thousand.";
