//! The suite of HTTP Lab: one list of checks that any web server can be held against.
//!
//! - [`checks`] is the list; each [`check::Check`] says what must be true, and why.
//! - [`bench`], [`site`], [`server`], [`wire`] and [`system`] are what checks are made of:
//!   the setting of a check, a document root with random content, a running server, a
//!   client that sees every byte, and what the system knows of processes.
//! - [`suite`] runs checks, for `cargo test` and for the tests of the suite itself.

pub mod bench;
pub mod check;
pub mod checks;
pub mod ending;
pub mod server;
pub mod site;
pub mod suite;
pub mod system;
pub mod wire;
pub mod workspace;
