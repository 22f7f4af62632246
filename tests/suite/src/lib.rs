//! The checks that a server must pass, the exercises, the steps to stage 4, and what runs them.

pub mod check;
pub mod checks;
pub mod columns;
pub mod exercises;
pub mod explain;
pub mod patch;
pub mod run;
pub mod steps;
pub mod test_target;
pub mod translation;

/// The version of the contract between a server and the suite. It changes when what a server must
/// accept or print changes: its options, its announcement, its log, its exit codes, or its
/// responses. Then a server that passed before may fail. New checks of the same contract don't
/// change it.
pub const CONTRACT_VERSION: u32 = 1;
