//! `ab`, of the Apache HTTP server.

use super::{Load, Order, Refusal, Said, last_line, number};
use std::ffi::OsString;
use std::path::Path;

pub fn arguments(order: &Order, percentiles: &Path) -> Vec<OsString> {
    // `-r`: an error is counted, and no end. `-t` sets a number of requests too, so `-n` must
    // stand behind it.
    let mut arguments: Vec<OsString> = ["-q", "-S", "-d", "-r"].map(Into::into).to_vec();
    if order.keep_alive {
        arguments.push("-k".into());
    }
    let numbers = [
        // It knows whole seconds only.
        ("-t", order.time.as_secs_f64().ceil() as u64),
        ("-n", order.requests),
        ("-c", order.clients.into()),
    ];
    for (option, value) in numbers {
        arguments.extend([option.into(), value.to_string().into()]);
    }
    arguments.extend(["-e".into(), percentiles.into()]);
    arguments.push(format!("http://{}{}", order.address, order.target).into());
    arguments
}

pub fn read(said: &Said, order: &Order) -> Result<Load, Refusal> {
    let text = said.output;
    let gave_up = || Refusal::GaveUp(last_line(text));
    let seconds = number(text, "Time taken for tests:").ok_or_else(gave_up)?;
    let complete = number(text, "Complete requests:").ok_or_else(gave_up)?;
    let failed = number(text, "Failed requests:").ok_or_else(gave_up)?;
    let refused = number(text, "Non-2xx responses:").unwrap_or(0.0);
    let unwritten = number(text, "Write errors:").unwrap_or(0.0);
    // It holds every answer against the first one: that one must be right.
    let length = number(text, "Document Length:").ok_or_else(gave_up)?;
    let errors = match length == order.length as f64 {
        true => failed + refused + unwritten,
        false => complete.max(failed + refused + unwritten),
    };
    // A row for each percent: the longest time of so many of the requests.
    let rows = { said.percentiles.lines() }
        .filter_map(|row| row.split_once(','))
        .filter_map(|(percent, time)| Some((percent, time.trim().parse().ok()?)));
    let rows: Vec<(&str, f64)> = rows.collect();
    let percentile = |wanted| rows.iter().find(|row| row.0 == wanted).map(|row| row.1);
    let sum: f64 = rows.iter().map(|row| row.1).sum();
    Ok(Load {
        // Some faults are counted twice: what is left is right for certain.
        answered: (complete - errors).max(0.0) as u64,
        errors: errors as u64,
        seconds,
        mean: sum / rows.len().max(1) as f64,
        p50: percentile("50").ok_or_else(gave_up)?,
        p99: percentile("99").ok_or_else(gave_up)?,
    })
}
