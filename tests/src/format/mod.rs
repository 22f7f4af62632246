//! The formats in which a report leaves the house.

mod classroom50;
mod ctrf;
mod gradescope;
mod human;
mod junit;

pub use human::print;

use crate::report::Report;
use clap::ValueEnum;

/// A format for reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For a person at a terminal.
    Human,
    /// Everything, as tests/schema/grade-v1.json says.
    Json,
    /// Gradescope's results.json.
    Gradescope,
    /// Classroom 50's result.json, `classroom50/result/v1`.
    Classroom50,
    /// JUnit's XML, as most CI systems read it; points are properties.
    Junit,
    /// The Common Test Report Format, https://ctrf.io.
    Ctrf,
}

/// A report in one of the formats for programs; for a person, without colour.
pub fn write(report: &Report, format: Format) -> String {
    let json = |value: serde_json::Value| format!("{value:#}\n");
    match format {
        Format::Human => anstream::adapter::strip_str(&human::text(report)).to_string(),
        // Texts and numbers: there is nothing in a report that JSON could not hold.
        Format::Json => serde_json::to_string_pretty(report).unwrap_or_default() + "\n",
        Format::Gradescope => json(gradescope::value(report)),
        Format::Classroom50 => json(classroom50::value(report)),
        Format::Junit => junit::text(report),
        Format::Ctrf => json(ctrf::value(report)),
    }
}
