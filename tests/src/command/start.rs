//! `cargo lab start N`: a copy of the stage before, to be turned into stage N.

use crate::paint::{BOLD, CYAN, GREEN, paint};
use crate::workspace::{self, stage};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Makes `my_stageN`; what is there already is never touched.
pub fn start(number: u8) -> Result<ExitCode, String> {
    let (from, to) = (stage(number - 1), stage(number));
    let name = workspace::own_name(number);
    let folder = workspace::folder(to, true);
    if folder.exists() {
        return Err(format!(
            "{name}/ is there already, and nothing is overwritten. \
             Go on with it, or move it out of this workspace: mv {name} ../"
        ));
    }
    let sources = workspace::folder(from, false).join("src");
    // First under another name: half a copy must not look like a whole one.
    let half = workspace::root().join(format!(".lab-start-{number}"));
    let _ = fs::remove_dir_all(&half);
    let copied = copy(&sources, &half.join("src")).and_then(|()| {
        let manifest = fs::read_to_string(workspace::folder(to, false).join("Cargo.toml"))?;
        let manifest = manifest.replacen(to.name, &name, 1);
        fs::write(half.join("Cargo.toml"), manifest)?;
        fs::rename(&half, &folder)
    });
    copied.map_err(|error| format!("Cannot make {name}/: {error}"))?;
    anstream::println!(
        "{} is a copy of {}, for you to turn it into stage {number}: {}.\n\n\
         1. Read lesson {number} in LESSONS.md, and {}.\n\
         2. In {name}/src/main.rs, set the port to {}.\n\
         3. {} runs the checks: what is red is your list of what is left.\n\
            {} grades after each save.",
        paint(GREEN.bold(), format!("{name}/")),
        from.name,
        paint(BOLD, to.idea),
        paint(CYAN, format!("cargo lab diff {} {number}", number - 1)),
        to.port,
        paint(CYAN, format!("cargo lab grade {number}")),
        paint(CYAN, format!("cargo lab watch {number}")),
    );
    Ok(ExitCode::SUCCESS)
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
