//! The formats of a report.

mod classroom50;
mod ctrf;
mod gradescope;
mod human;
mod junit;

pub use human::{headline, print, problems, style};

use crate::report::Report;
use clap::ValueEnum;

/// A format for reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Text for a person.
    Human,
    /// Everything, as described by tests/schema/grade-v2.json.
    Json,
    /// Gradescope's results.json.
    Gradescope,
    /// Classroom 50's result.json, `classroom50/result/v1`.
    Classroom50,
    /// JUnit XML, which most CI systems read; points are properties.
    Junit,
    /// The Common Test Report Format (ctrf.io).
    Ctrf,
}

/// A report in one of the formats, without color.
pub fn text(report: &Report, format: Format) -> String {
    let json = |value: serde_json::Value| format!("{value:#}\n");
    match format {
        Format::Human => anstream::adapter::strip_str(&human::text(report)).to_string(),
        // A report consists of texts and numbers, which JSON can always hold.
        Format::Json => serde_json::to_string_pretty(report).unwrap_or_default() + "\n",
        Format::Gradescope => json(gradescope::value(report)),
        Format::Classroom50 => json(classroom50::value(report)),
        Format::Junit => junit::text(report),
        Format::Ctrf => json(ctrf::value(report)),
    }
}
