//! `cargo lab book`: makes the pages of the course.

use crate::book::{self, Files, translation};
use crate::file::write_atomically;
use clap::Args;
use harness::style::{BOLD, paint};
use harness::workspace;
use std::fs;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// Say first that every section of the translations is up to date. Its checksum is written.
    #[arg(long)]
    translated: bool,
}

/// Writes the pages that have changed, and removes those that are left over.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    if options.translated {
        translation::accept().map_err(|error| format!("Cannot write the checksums: {error}"))?;
    }
    let old = book::read_pages();
    let pictures = book::draw_new_diagrams(&old)?;
    let pages = book::pages(&old, &pictures)?;
    write(&pages, &old)?;
    let count = pages.len();
    anstream::println!(
        "{} {count} pages in html/lessons/ and html/zh/lessons/",
        paint(BOLD, "Made")
    );
    Ok(ExitCode::SUCCESS)
}

fn write(pages: &Files, written: &Files) -> Result<(), String> {
    let root = workspace::root();
    for (name, page) in pages {
        if written.get(name) != Some(page) {
            let path = root.join(name);
            let folder = path.with_file_name("");
            fs::create_dir_all(&folder)
                .map_err(|error| format!("Cannot create {}: {error}", folder.display()))?;
            write_atomically(&path, page)?;
        }
    }
    for name in written.keys().filter(|name| !pages.contains_key(*name)) {
        fs::remove_file(root.join(name))
            .map_err(|error| format!("Cannot remove {name}: {error}"))?;
    }
    Ok(())
}
