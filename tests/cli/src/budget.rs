//! How often a submission is graded with all details. Whoever grades again and again debugs by the
//! grader instead of by thinking; then only hints are left.

use crate::report::{Budget, Report};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use suite::explain::Details;

/// How long a grade counts.
const PERIOD: Duration = Duration::from_secs(3600);

/// The budget of a grade that starts now and shows that many details. Earlier grades are in the JSON
/// report at `path`, which this one will replace.
pub fn spend(grades: u32, stage: u8, path: &Path) -> Budget {
    let text = fs::read(path).unwrap_or_default();
    let earlier = serde_json::from_slice::<Report>(&text).ok();
    let earlier = earlier.filter(|report| report.stage == stage);
    let earlier = earlier.and_then(|report| report.details_budget);
    let now = SystemTime::now();
    let mut recent = earlier.map_or(Vec::new(), |budget| budget.recent);
    recent.retain(|time| is_recent(time, now));
    recent.push(humantime::format_rfc3339_seconds(now).to_string());
    Budget { grades, recent }
}

fn is_recent(time: &str, now: SystemTime) -> bool {
    let time = humantime::parse_rfc3339(time).ok();
    time.is_some_and(|time| now < time + PERIOD)
}

/// How much to show with this budget.
pub fn details(wanted: Details, budget: Option<&Budget>) -> Details {
    match wanted {
        Details::Full if budget.is_some_and(Budget::is_exceeded) => Details::Hints,
        details => details,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grades once more, and returns how much is shown.
    fn grade(path: &Path, stage: u8) -> Details {
        let budget = spend(2, stage, path);
        let shown = details(Details::Full, Some(&budget));
        let mut report = Report::new(&[], stage, String::new(), 1);
        report.details_budget = Some(budget);
        fs::write(path, serde_json::to_vec(&report).unwrap()).unwrap();
        shown
    }

    #[test]
    fn grades_of_the_last_hour_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let shown = [1; 4].map(|stage| grade(&path, stage));
        let (full, hints) = (Details::Full, Details::Hints);
        assert_eq!(shown, [full, full, hints, hints]);
        // An hour later, the first ones don't count any more.
        let text = fs::read_to_string(&path).unwrap();
        let mut report: Report = serde_json::from_str(&text).unwrap();
        for time in &mut report.details_budget.as_mut().unwrap().recent[..3] {
            *time = "2020-01-01T00:00:00Z".to_string();
        }
        fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        assert_eq!(grade(&path, 1), full);
        assert_eq!(grade(&path, 1), hints);
        // Another stage has a budget of its own.
        assert_eq!(grade(&path, 2), full);
    }

    #[test]
    fn budget_never_shows_more() {
        let budget = Budget {
            grades: 1,
            recent: vec![String::new(); 2],
        };
        assert_eq!(details(Details::None, Some(&budget)), Details::None);
        assert_eq!(details(Details::Full, None), Details::Full);
    }
}
