//! A build script: `LAB_CI=1` in the environment turns on the tests that take minutes. Without it
//! they are reported as ignored.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=../lab_ci.rs");
    println!("cargo::rerun-if-env-changed=LAB_CI");
    println!("cargo::rustc-check-cfg=cfg(lab_ci)");
    if env::var("LAB_CI").is_ok_and(|value| value == "1") {
        println!("cargo::rustc-cfg=lab_ci");
    }
}
