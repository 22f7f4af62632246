//! The checks of the stages, by subject.

mod cgi;
mod command_line;
mod error_responses;
pub mod events;
mod fastcgi;
mod forms;
mod gateway;
mod gateway_content;
mod gateway_requests;
mod gateway_responses;
mod header_fields;
pub mod keep_alive;
mod malformed;
mod media_types;
mod methods;
mod mounts;
mod partial_reads;
mod path_traversal;
mod percent_encoding;
mod permissions;
pub mod processes;
mod redirects;
mod response_fields;
pub mod robustness;
mod static_files;
pub mod threads;
mod workers;
mod wsgi;

use crate::check::{Check, DEFAULTS};
use harness::client::{Client, ConnectionState};
use harness::context::{TestContext, wait_until};
use harness::error::{CheckError, CheckResult};
use harness::response::Response;
use harness::server::Server;
use harness::site::File;
use harness::text::readable;
use std::time::Duration;

/// What the checks from stage 4 on have in common, for `..STAGE_4`.
const STAGE_4: Check = Check {
    stages: 4..=6,
    ..DEFAULTS
};

/// All checks, in the order of the lessons.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let groups = [
        command_line::CHECKS,
        static_files::CHECKS,
        path_traversal::CHECKS,
        partial_reads::CHECKS,
        malformed::CHECKS,
        robustness::CHECKS,
        processes::CHECKS,
        threads::CHECKS,
        media_types::CHECKS,
        response_fields::CHECKS,
        methods::CHECKS,
        permissions::CHECKS,
        redirects::CHECKS,
        percent_encoding::CHECKS,
        forms::CHECKS,
        header_fields::CHECKS,
        error_responses::CHECKS,
        mounts::CHECKS,
        gateway_requests::CHECKS,
        gateway_content::CHECKS,
        gateway_responses::CHECKS,
        cgi::CHECKS,
        fastcgi::CHECKS,
        workers::CHECKS,
        wsgi::CHECKS,
        keep_alive::CHECKS,
        events::CHECKS,
    ];
    groups.into_iter().flatten()
}

/// The checks of a stage.
pub fn of_stage(stage: u8) -> Vec<&'static Check> {
    all()
        .filter(|check| check.stages.contains(&stage))
        .collect()
}

/// Fails unless the server still serves a page by its name.
pub fn ensure_alive(ctx: &TestContext, server: &Server) -> CheckResult {
    let page = &ctx.site.page;
    server.get(&page.target())?.ensure_serves(&page.content)
}

/// Fails unless a response has one of these status codes.
pub fn ensure_status_in(response: &Response, statuses: &[u16]) -> CheckResult {
    let list: Vec<String> = statuses.iter().map(u16::to_string).collect();
    let expected = format!("status {}", list.join(" or "));
    response.ensure(statuses.contains(&response.status), expected)
}

/// Fails unless a response has content that explains the error to a person.
fn ensure_explanation(response: &Response) -> CheckResult {
    let has_content = !response.content.is_empty();
    response.ensure(has_content, "some content that explains the error")
}

/// Parses what a server sent in response to a request.
pub fn parse_response(request: &[u8], raw: &[u8]) -> CheckResult<Response> {
    Response::parse(request, raw).ok_or_else(|| {
        let received = format!("\n{}", readable(raw));
        CheckError::after(request, "a response", received.trim_end())
    })
}

/// Waits until a count is as wanted, for at most `limit`. Returns the last count.
pub fn wait_for_count(
    limit: Duration,
    count: impl Fn() -> CheckResult<usize>,
    is_wanted: impl Fn(usize) -> bool,
) -> CheckResult<usize> {
    let mut last = 0;
    wait_until(limit, || {
        last = count()?;
        Ok(is_wanted(last))
    })?;
    Ok(last)
}

/// Reads until the connection ends or `limit` has passed. Fails unless no byte arrives and the
/// connection is then in this state. `sent` is what the client has sent.
pub fn ensure_quiet(
    client: &mut Client,
    sent: &[u8],
    limit: Duration,
    state: ConnectionState,
) -> CheckResult {
    let (bytes, found) = client.read(limit)?;
    if bytes.is_empty() && found == state {
        return Ok(());
    }
    let received = format!("\"{}\"; {found}", bytes.escape_ascii());
    let expected = format!("no bytes; {state}");
    Err(CheckError::after(sent, expected, received))
}

/// Adds a file with random content.
fn add_file(ctx: &TestContext, name: &str) -> CheckResult<File> {
    Ok(ctx.site.add(name, &ctx.site.bytes(20))?)
}

/// Adds a page with a random name that others can't read.
fn add_private_page(ctx: &TestContext) -> CheckResult<File> {
    let page = ctx.site.add_page(&format!("{}.html", ctx.site.name()))?;
    ctx.site.set_mode(&page.name, 0o600)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::points;
    use crate::exercises;
    use harness::workspace::STAGES;
    use std::collections::BTreeSet;

    #[test]
    fn check_ids_are_unique_and_texts_are_complete() {
        let is_kebab =
            |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut ids = BTreeSet::new();
        let exercises = exercises::all().flat_map(|exercise| exercise.checks);
        // An exercise may share a check with a later stage.
        let is_shared = |check: &Check| all().any(|it| (it.id, it.must) == (check.id, check.must));
        for check in all().chain(exercises.filter(|check| !is_shared(check))) {
            let id = check.id;
            assert!(id.bytes().all(is_kebab), "{id}");
            assert!(ids.insert(id), "{id} is used twice");
            for text in [check.must, check.why, check.hint] {
                assert!(!text.is_empty() && !text.contains('\n'), "{id}");
            }
        }
    }

    #[test]
    fn limits_in_the_contract_are_those_of_the_checks() {
        let document = include_str!("../../../../docs/grading.md");
        let table = document.split("| limit | value | check |").nth(1).unwrap();
        let rows = table.trim_start().lines().skip(1);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 10, "{rows:?}");
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, _, value, id, _] = cells[..] else {
                panic!("{row}");
            };
            let check = all().find(|check| check.id == id.trim_matches('`'));
            let check = check.unwrap_or_else(|| panic!("{row}"));
            assert!(check.must.contains(value.trim_matches('`')), "{row}");
        }
    }

    #[test]
    fn needed_checks_are_in_the_same_suites() {
        for check in all() {
            for id in check.needs {
                let needed = all().find(|other| other.id == *id);
                let needed = needed.unwrap_or_else(|| panic!("{} needs {id}", check.id));
                let mut stages = check.stages.clone();
                let in_all = stages.all(|stage| needed.stages.contains(&stage));
                assert!(in_all, "{} needs {id}, which some suites lack", check.id);
            }
        }
    }

    #[test]
    fn every_stage_has_100_points_and_every_new_check_counts() {
        for stage in STAGES.map(|stage| stage.number) {
            let checks = of_stage(stage);
            let points = points(&checks);
            assert_eq!(points.iter().sum::<u32>(), 100, "stage {stage}");
            let is_new = |check: &Check| checks.len() <= 100 || *check.stages.start() == stage;
            let mut new = checks.iter().zip(points).filter(|(check, _)| is_new(check));
            assert!(new.all(|(_, points)| points > 0), "stage {stage}");
        }
    }
}
