//! The suite as a stage sees it: each stage's `Cargo.toml` names this file as its test.
//! Cargo tells which stage that is, and where the binary lies that it has just built.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    lab::suite::test_stage(
        env!("CARGO_PKG_NAME"),
        Path::new(env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))),
    )
}
