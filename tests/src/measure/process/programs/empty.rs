//! An empty program in Rust: what Rust's library does before and after `main`.
//!
//!     rustc -O empty.rs

fn main() {}
