//! HTTP Lab: the suite that any web server can be held against, and the `lab` command.
//!
//! - [`checks`] is the list; each [`check::Check`] says what must be true, and why.
//! - [`bench`], [`site`], [`program`], [`server`], [`wire`] and [`system`] are what checks are
//!   made of: the setting of a check, a document root with random content, a program and how
//!   it is started, a running server, a client that sees every byte, and what the system
//!   knows of processes.
//! - [`exercises`] are what to build onto a stage, with checks of their own.
//! - [`suite`] runs checks; [`explain`] tells a person what they found.
//! - [`grade`] runs a stage's suite on one program; [`report`] is what comes of it, and
//!   [`mod@format`] how it leaves the house.
//! - [`measure`] finds the numbers and pictures of the lessons; [`plot`] is how they look.
//! - [`command`] is `cargo lab`.
//! - [`faulty`] is a server with one fault at a time, which shows that checks can fail.

pub mod bench;
pub mod check;
pub mod checks;
pub mod command;
pub mod ending;
pub mod exercises;
pub mod explain;
pub mod faulty;
pub mod format;
pub mod grade;
pub mod measure;
pub mod paint;
pub mod plot;
pub mod program;
pub mod report;
pub mod server;
pub mod site;
pub mod suite;
pub mod system;
pub mod wire;
pub mod workspace;
