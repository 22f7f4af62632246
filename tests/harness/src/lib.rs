//! What every check is made of: a program under test, a random document root, and a client
//! that sees every byte.
//!
//! - [`context`] is what a check gets: the program and a site of its own.
//! - [`site`] makes document roots with random names and contents.
//! - [`program`] starts a program; [`server`] waits for its announcement and talks to it.
//! - [`client`] sends raw bytes; [`response`] parses what comes back.
//! - [`fastcgi`] is an application behind a server that sees and sends every byte, too.
//! - [`process`] knows processes, threads and descriptors; [`tcp`] knows sockets.
//! - [`cleanup`] ends every process and removes every temporary folder, however a run ends.
//! - [`quota`] bounds what all processes of a grading use together.
//! - [`starvation`] says whether the machine was too busy for a verdict.
//! - [`error`] is how a check fails; [`text`] makes bytes readable.
//! - [`style`] is color on a terminal.
//! - [`workspace`] knows the stages and builds them.

pub mod account;
pub mod cleanup;
pub mod client;
pub mod context;
pub mod error;
pub mod fastcgi;
pub mod process;
pub mod program;
pub mod quota;
pub mod response;
pub mod server;
pub mod site;
pub mod starvation;
pub mod style;
pub mod tcp;
pub mod text;
pub mod workspace;
