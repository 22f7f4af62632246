//! The progress bar, which shows only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar of that many steps.
pub fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30.cyan/dim} {pos} of {len}  {wide_msg}");
    let bar = ProgressBar::new(length as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
