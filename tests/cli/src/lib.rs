//! `cargo lab`: grading, diffs, exercises, reports, packages.
//!
//! - [`command`] has a module for each command.
//! - [`grading`] runs checks on a program; [`report`] is the result.
//! - [`mod@format`] writes a report for people and for other programs.
//! - [`submission`] builds what a student handed in; [`class`] grades a folder of submissions.
//! - [`budget`] bounds how often a grade has all details; [`mutation`] makes the faults of an oral
//!   examination.
//! - [`language`] builds a server in another language than Rust.
//! - [`stage_diff`] compares two stages or steps; [`diff_page`] shows that as a web page, with what
//!   [`site`] reads from `html/`. [`step_merge`] carries a change of a stage over to the steps.
//! - [`book`] makes the pages of the course from its document, in each language.
//! - The other modules are what several of these need.

pub mod book;
pub mod budget;
pub mod class;
pub mod command;
pub mod diff_page;
pub mod file;
pub mod fingerprint;
pub mod format;
pub mod grading;
pub mod language;
pub mod mutation;
pub mod program;
pub mod progress;
pub mod report;
pub mod scores;
pub mod single_checks;
pub mod site;
pub mod stage_diff;
pub mod step_merge;
pub mod submission;
