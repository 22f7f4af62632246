//! `cargo lab lesson`: shows a lesson in the browser, served by its stage.

use crate::book;
use harness::cleanup::{self, ProcessGroup};
use harness::style::{BOLD, DIM, paint};
use harness::workspace::{self, stage};
use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use suite::translation::fill;

/// Starts the stage at a free port, since the lesson uses the stage's own, and opens the browser if there
/// is one. A signal that ends this command ends the server, too.
pub fn run(number: u8) -> Result<ExitCode, String> {
    // Lesson 0 is about the server that lesson 1 shows.
    let stage = stage(number.max(1));
    let building = fill("building {package} ...", &[("package", &stage.name)]);
    anstream::eprintln!("{}", paint(DIM, building));
    let binary = workspace::build_package(stage.name, false)?;
    let mut server = Command::new(&binary);
    server
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let cannot_start = |error: io::Error| format!("Cannot start {}: {error}", binary.display());
    cleanup::handle_signals().map_err(cannot_start)?;
    let (mut server, _group) = ProcessGroup::start(&mut server).map_err(cannot_start)?;
    let mut announcement = String::new();
    if let Some(output) = &mut server.stdout {
        BufReader::new(output)
            .read_line(&mut announcement)
            .map_err(cannot_start)?;
    }
    let address = announcement
        .trim_end()
        .rsplit(' ')
        .next()
        .unwrap_or_default();
    if !address.starts_with("http://") {
        return Err(format!("{} doesn't say its address.", stage.name));
    }
    let page = format!("{address}{}", book::address_of_lesson(number));
    let title = fill("Lesson {number}: ", &[("number", &number)]);
    anstream::println!("{}{page}", paint(BOLD, title));
    let server_line = fill(
        "Served by {package}. Ctrl-C ends it.",
        &[("package", &stage.name)],
    );
    anstream::println!("{}", paint(DIM, server_line));
    if has_browser() {
        // The address is on the screen.
        let _ = open::that_detached(&page);
    }
    let status = server.wait().map_err(cannot_start)?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether a browser could open a window here.
fn has_browser() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
            .into_iter()
            .any(is_set)
}
