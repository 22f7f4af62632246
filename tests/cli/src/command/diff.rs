//! `cargo lab diff`: what changes from one stage or step to another.

use crate::diff_page;
use crate::file;
use crate::site::Parts;
use crate::stage_diff::{CONTEXT, LineCounts, StageDiff, Version};
use anstyle::Style;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use harness::style::{BOLD, CYAN, DIM, GREEN, RED, paint};
use similar::{ChangeTag, TextDiff};
use std::path::PathBuf;
use std::process::ExitCode;
use suite::translation::fill;

#[derive(Args)]
pub struct Options {
    /// The first stage, 1 to 6, or a step to stage 4: 4a, 4b, 4c or 4d, which is stage 4.
    #[arg(value_parser = Version::parse, required_unless_present = "html")]
    from: Option<Version>,

    /// The second stage or step. With `--mine`, leave it out to compare your stage with the lab's.
    #[arg(value_parser = Version::parse, required_unless_present_any = ["html", "mine"])]
    to: Option<Version>,

    /// Compare with your my_stageN instead of the lab's second stage.
    #[arg(long)]
    mine: bool,

    /// Make a web page. If you name no stages, it shows each stage next to the one that it builds on, as
    /// on the lab's site.
    #[arg(long)]
    html: bool,

    /// Write the page to this file instead of standard output.
    #[arg(long, value_name = "FILE", requires = "html")]
    output: Option<PathBuf>,
}

/// Shows the difference, or makes a page of it.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let to = match options.to {
        None if options.mine => options.from,
        to => to,
    };
    let diffs = match (options.from, to) {
        (Some(from), Some(to)) => vec![StageDiff::read(from, to, options.mine)?],
        (Some(_), None) => {
            let message = "the second stage is missing: give <TO> or --mine";
            let kind = ErrorKind::MissingRequiredArgument;
            super::Options::command().error(kind, message).exit()
        }
        (None, _) => StageDiff::read_neighbors(options.mine)?,
    };
    if !options.html {
        diffs.iter().for_each(show);
        return Ok(ExitCode::SUCCESS);
    }
    let parts = if options.from.is_none() {
        Parts::on_site()?
    } else {
        Parts::alone()?
    };
    let page = diff_page::page(&diffs, &parts);
    match &options.output {
        Some(path) => file::write_atomically(path, page)?,
        None => print!("{page}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn show(diff: &StageDiff) {
    for file in &diff.files {
        let name = &file.name;
        if file.is_unchanged() {
            anstream::println!(
                "{}",
                paint(DIM, fill("= {name}: unchanged", &[("name", name)]))
            );
            continue;
        }
        let LineCounts { added, removed } = file.line_counts();
        let heading = format!("── {name}  +{added} -{removed}");
        anstream::println!("\n{}", paint(BOLD, heading));
        let lines = TextDiff::from_lines(&file.old, &file.new);
        for hunk in lines.unified_diff().context_radius(CONTEXT).iter_hunks() {
            anstream::println!("{}", paint(CYAN, hunk.header()));
            for change in hunk.iter_changes() {
                let line = change.value().trim_end_matches('\n');
                let style = match change.tag() {
                    ChangeTag::Insert => GREEN,
                    ChangeTag::Delete => RED,
                    ChangeTag::Equal => Style::new(),
                };
                anstream::println!("{}", paint(style, format!("{}{line}", change.tag())));
            }
        }
    }
    let LineCounts { added, removed } = diff.line_counts();
    let text = fill(
        "{added} lines added, {removed} removed.",
        &[("added", &added), ("removed", &removed)],
    );
    anstream::println!("\n{text}");
}
