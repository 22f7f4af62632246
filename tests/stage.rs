//! The test target that each stage's `Cargo.toml` points at: it runs the suite on the binary that
//! Cargo has just built.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    suite::test_target::run(
        env!("CARGO_PKG_NAME"),
        Path::new(env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))),
    )
}
