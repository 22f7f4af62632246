//! The last score of each stage, kept in the target folder for `cargo lab` to show.

use super::fingerprint;
use crate::report::{Report, write_whole};
use crate::workspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A score, and the state of the sources that it was given for.
#[derive(Deserialize, Serialize)]
pub struct Score {
    pub score: u32,
    pub max_score: u32,
    fingerprint: u64,
}

impl Score {
    /// Whether the sources are still those that were graded.
    pub fn is_current(&self, package: &str) -> bool {
        sources(package) == Some(self.fingerprint)
    }
}

fn sources(package: &str) -> Option<u64> {
    fingerprint::of(&workspace::root().join(package).join("src")).ok()
}

fn place() -> PathBuf {
    workspace::root().join("target/lab-scores.json")
}

/// All that is known, by package. What cannot be read is not known.
pub fn load() -> BTreeMap<String, Score> {
    let text = fs::read(place()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps the score of a package.
pub fn keep(package: &str, report: &Report) {
    let Some(fingerprint) = sources(package) else {
        return;
    };
    let mut scores = load();
    let score = Score {
        score: report.score,
        max_score: report.max_score,
        fingerprint,
    };
    scores.insert(package.to_string(), score);
    if let Ok(text) = serde_json::to_vec_pretty(&scores) {
        // It is a convenience: where it cannot be written, there is none.
        let _ = fs::create_dir_all(workspace::root().join("target"));
        let _ = write_whole(&place(), &text);
    }
}
