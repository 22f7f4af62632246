//! `hey`, by Jaana Dogan.

use super::{Load, Order, Refusal, Said, last_line, number};
use std::ffi::OsString;

pub fn arguments(order: &Order) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if !order.keep_alive {
        arguments.push("-disable-keepalive".into());
    }
    // Without it, answers could be packed, and would be other content.
    arguments.push("-disable-compression".into());
    let clients = u64::from(order.clients);
    // Each of its clients asks equally often.
    let requests = order.requests.next_multiple_of(clients);
    let bounds = match order.keep_alive {
        // It takes either of the two bounds. Only connections that are closed use up ports.
        true => ["-z".to_string(), format!("{}ms", order.time.as_millis())],
        false => ["-n".to_string(), requests.to_string()],
    };
    arguments.extend(bounds.map(Into::into));
    arguments.extend(["-c".into(), clients.to_string().into()]);
    arguments.push(format!("http://{}{}", order.address, order.target).into());
    arguments
}

pub fn read(said: &Said, order: &Order) -> Result<Load, Refusal> {
    let text = said.output;
    let gave_up = || Refusal::GaveUp(last_line(text));
    let seconds = number(text, "Total:").ok_or_else(gave_up)?;
    let answers = counts(text, "Status code distribution:");
    let of = |right: bool| -> u64 {
        let these = answers.iter().filter(|(code, _)| (*code == 200) == right);
        these.map(|(_, count)| count).sum()
    };
    let broken = counts(text, "Error distribution:");
    let broken: u64 = broken.iter().map(|(count, _)| count).sum();
    let answered = of(true);
    // Lengths that the servers have told, if they tell them: all the same, or some are wrong.
    let wrong = match number(text, "Size/request:") {
        Some(length) if answered > 0 && length != order.length as f64 => answered,
        _ => 0,
    };
    let answered = answered - wrong;
    let percentile = |label| number(text, label).map(|seconds| seconds * 1000.0);
    let times = (percentile("50% in"), percentile("99% in"));
    let (Some(p50), Some(p99)) = times else {
        // Too few answers for a figure.
        let last = match broken {
            0 => "too few requests for a figure".to_string(),
            _ => last_line(text),
        };
        return Err(Refusal::GaveUp(last));
    };
    Ok(Load {
        answered,
        errors: of(false) + broken + wrong,
        seconds,
        mean: number(text, "Average:").map_or(p50, |seconds| seconds * 1000.0),
        p50,
        p99,
    })
}

/// The lines of a distribution: the number in brackets, and the one behind it, if there is one.
fn counts(text: &str, heading: &str) -> Vec<(u64, u64)> {
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    lines
        .filter_map(|line| {
            let (number, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
            let count = rest.split_whitespace().next()?.parse().unwrap_or(0);
            Some((number.parse().ok()?, count))
        })
        .collect()
}
