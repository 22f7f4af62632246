//! The last score of each package, saved in the target folder for `cargo lab` to show.

use crate::file;
use crate::fingerprint;
use crate::report::{Report, Status};
use harness::workspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A score, and the state of the sources that got it.
#[derive(Deserialize, Serialize)]
pub struct Score {
    pub score: u32,
    pub max_score: u32,
    /// Whether all checks passed. Some may be worth no points.
    pub passed: bool,
    fingerprint: u64,
}

impl Score {
    /// Whether the sources are still the ones that were graded.
    pub fn is_current(&self, package: &str) -> bool {
        source_fingerprint(package) == Some(self.fingerprint)
    }
}

fn source_fingerprint(package: &str) -> Option<u64> {
    let folder = workspace::root().join(package);
    let sources = folder.join("src");
    let has_sources = sources.is_dir();
    fingerprint::of(&[if has_sources { sources } else { folder }]).ok()
}

fn path() -> PathBuf {
    workspace::root().join("target/lab-scores.json")
}

/// All saved scores, by package; none if there is no readable file.
pub fn load() -> BTreeMap<String, Score> {
    let text = fs::read(path()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Saves the score of a package.
pub fn save(package: &str, report: &Report) {
    let Some(fingerprint) = source_fingerprint(package) else {
        return;
    };
    let mut scores = load();
    let score = Score {
        score: report.score,
        max_score: report.max_score,
        passed: report.status == Status::Passed,
        fingerprint,
    };
    scores.insert(package.to_string(), score);
    if let Ok(text) = serde_json::to_vec_pretty(&scores) {
        // Saved scores are a convenience, so errors don't matter.
        let _ = fs::create_dir_all(workspace::root().join("target"));
        let _ = file::write_atomically(&path(), text);
    }
}
