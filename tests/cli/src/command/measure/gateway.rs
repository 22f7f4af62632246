//! `cargo lab measure gateway`: applications behind stage 5, and behind other servers.

use super::note;
use crate::progress::bar;
use clap::Args;
use harness::workspace::stage;
use harness::{cleanup, process};
use measure::speed::gateway::GroupResult;
use measure::speed::peer::Tuning;
use measure::speed::{self, IDLE, MAIN_LEVEL, Plan, gateway, generator};
use std::path::Path;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// How often everything is measured; the table shows medians.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

pub fn measure(options: &Options, output: Option<&Path>) -> Result<ExitCode, String> {
    let generator = generator::find(None)?;
    let (folder, machine) = super::prepare(output)?;
    process::adopt_orphans();
    let (stage_4, stage_5) = (super::build(stage(4).name)?, super::build(stage(5).name)?);
    let site = speed::site()?;
    gateway::add_applications(&site).map_err(|error| format!("Cannot add a program: {error}"))?;
    let groups = gateway::groups(&stage_4, &stage_5);
    let missing = groups.iter().filter_map(|group| group.missing.as_deref());
    missing.for_each(note);
    let plan = Plan {
        clients: vec![MAIN_LEVEL],
        rounds: options.rounds,
        keep_alive: false,
        idle: IDLE[..3].to_vec(),
        tuning: Tuning::default(),
    };
    let steps = groups.iter().map(|group| plan.steps(group.servers.len()));
    let bar = bar(steps.sum());
    let mut results = Vec::new();
    for group in &groups {
        let progress = |step: &str| {
            // The children that a killed server has left.
            cleanup::kill_orphans();
            bar.inc(1);
            bar.set_message(format!("{}, {step}", group.name));
        };
        let (servers, machine) = (&group.servers, machine.clone());
        let run = speed::measure(&plan, servers, &site, &generator, machine, &progress);
        let name = group.name.to_string();
        results.push(GroupResult { name, run });
    }
    bar.finish_and_clear();
    cleanup::kill_orphans();
    anstream::print!("{}", gateway::table(&results));
    for GroupResult { name, run } in &results {
        for (server, _, failure) in run.failures() {
            anstream::println!("{name}, {}: {}", server.name, failure.detail);
        }
    }
    let picture = gateway::picture(&results).map(|svg| ("gateway.svg".to_string(), svg));
    let is_clean = results.iter().all(|result| result.run.is_clean());
    super::write_files(
        &folder,
        picture.into_iter().collect(),
        "gateway.json",
        &results,
    )?;
    Ok(ExitCode::from(u8::from(!is_clean)))
}
