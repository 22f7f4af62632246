//! The steps from stage 3 to stage 4, each with one idea. It is too much for one sitting.
//!
//! `tests/suite/steps/` has a patch for each step but the last: `4a.diff` turns stage 3 into step 4a,
//! `4b.diff` turns that into step 4b, and so on. The last step is what remains until stage 4.

use crate::patch::{self, Sources};
use harness::workspace::{self, stage};
use std::fs;
use std::path::PathBuf;

/// A step, which is a complete program.
pub struct Step {
    /// The stage, and a letter.
    pub id: &'static str,
    /// Its one new idea, in a line.
    pub title: &'static str,
    /// The checks of stage 4 that it makes pass.
    pub checks: &'static [&'static str],
}

/// The steps, in order.
pub const STEPS: [Step; 4] = [
    Step {
        id: "4a",
        title: "the builder: status, fields, media types, HEAD, OPTIONS",
        checks: &[
            "content-types",
            "unknown-extension",
            "extension-after-last-dot",
            "uppercase-extension",
            "content-length",
            "truncation-is-detectable",
            "date",
            "head-matches-get",
            "method-not-allowed",
            "options",
            "well-formed-errors",
        ],
    },
    Step {
        id: "4b",
        title: "files: percent-decoding, redirects, permissions, error pages",
        checks: &[
            "private-file",
            "private-folder",
            "folder-redirect",
            "no-open-redirect",
            "percent-encoding",
            "invalid-escapes",
            "error-pages",
        ],
    },
    Step {
        id: "4c",
        title: "header fields: syntax, Host, framing, Expect",
        checks: &[
            "field-names",
            "field-values",
            "host-field",
            "invalid-authority",
            "content-framing",
            "unknown-expectation",
        ],
    },
    Step {
        id: "4d",
        title: "the form: POST, its limits, escaping",
        checks: &[
            "form-is-echoed",
            "form-is-escaped",
            "post-errors",
            "refused-form",
            "incomplete-content-timeout",
            "expect-100-continue",
        ],
    },
];

/// The place in [`STEPS`] of the step that a check belongs to; `None` for a check of the stages
/// below, or of an exercise.
pub fn place_of(check: &str) -> Option<usize> {
    STEPS.iter().position(|step| step.checks.contains(&check))
}

/// The steps that have a patch: all but the last.
pub fn patched() -> &'static [Step] {
    let [patched @ .., _] = const { &STEPS };
    patched
}

impl Step {
    /// Where its patch is. The last step has none.
    pub fn patch(&self) -> PathBuf {
        let folder = workspace::root().join("tests/suite/steps");
        folder.join(format!("{}.diff", self.id))
    }

    /// Its files: those of stage 3, patched up to this step. The last step is stage 4.
    pub fn sources(&self) -> Result<Sources, String> {
        let mut sources = patch::read(&workspace::folder(stage(3), false))?;
        for step in patched() {
            let path = step.patch();
            let patch = fs::read_to_string(&path)
                .map_err(|error| format!("Cannot read {}: {error}", path.display()))?;
            sources = patch::apply(sources, &patch).map_err(|error| {
                let id = step.id;
                format!("{id}.diff doesn't fit: {error}. Refresh it: cargo lab steps")
            })?;
            if step.id == self.id {
                return Ok(sources);
            }
        }
        patch::read(&workspace::folder(stage(4), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use std::collections::BTreeSet;

    #[test]
    fn each_check_that_stage_4_introduces_belongs_to_one_step() {
        let listed = STEPS.iter().flat_map(|step| step.checks);
        let unique: BTreeSet<&str> = listed.clone().copied().collect();
        assert_eq!(unique.len(), listed.count(), "a check is listed twice");
        let mut introduced = checks::of_stage(4);
        introduced.retain(|check| !check.stages.contains(&3));
        let introduced = introduced.iter().map(|check| check.id).collect();
        assert_eq!(unique, introduced);
    }
}
