//! `cargo lab run`: builds a stage, or an exercise, and runs it.

use super::Selection;
use crate::language;
use harness::style::{BOLD, DIM, paint};
use harness::workspace::{self, stage};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use suite::translation::{fill, text, translatable};

/// The options that mount the sample applications of stage 5, as in `stage5_gateway/apps/README.md`.
const SAMPLE_OPTIONS: [&str; 10] = [
    "--env",
    "PYTHONPATH=stage5_gateway/apps",
    "--cgi",
    "/cgi=stage5_gateway/apps/cgi",
    "--wsgi",
    "/hello=hello:application",
    "--wsgi",
    "/files=files:application",
    "--wsgi",
    "/members=members:application",
];

/// What to ask them for.
const SAMPLES: [(&str, &str); 6] = [
    ("/hello", translatable("a greeting from Python (WSGI)")),
    (
        "/files/",
        translatable("files, sent by an application (WSGI)"),
    ),
    ("/members/", translatable("registration and login (WSGI)")),
    (
        "/cgi/environment",
        translatable("what a program sees (CGI)"),
    ),
    ("/cgi/form", translatable("a form (CGI)")),
    ("/cgi/clock", translatable("an event every second (CGI)")),
];

/// Builds the server and becomes it, so that Ctrl-C goes to the server.
pub fn run(selection: Selection, original: bool, options: &[OsString]) -> Result<ExitCode, String> {
    let package = match selection {
        Selection::Stage(number) => workspace::select_package(stage(number), original).0,
        Selection::Exercise(exercise) => super::exercise::own_package(exercise)?,
    };
    let building = fill("building {package} ...", &[("package", &package)]);
    anstream::eprintln!("{}", paint(DIM, building));
    let folder = workspace::root().join(&package);
    let binary = if language::is_used_in(&folder) {
        let copy = workspace::root().join("target/running").join(&package);
        let _ = fs::remove_dir_all(&copy);
        language::build_copy(&folder, &copy)?
    } else {
        workspace::build_package(&package, false)?
    };
    // The default document root, `html`, is in the root folder of the workspace.
    let root = workspace::root();
    env::set_current_dir(root)
        .map_err(|error| format!("Cannot change to {}: {error}", root.display()))?;
    let mut server = Command::new(&binary);
    if matches!(selection, Selection::Stage(5)) && has_gateway(&binary) {
        server.args(SAMPLE_OPTIONS);
        print_samples(options);
    }
    let error = server.args(options).exec();
    Err(format!("Cannot start {}: {error}", binary.display()))
}

/// Whether the server has the options of stage 5. A student's may lack them for a while.
fn has_gateway(binary: &Path) -> bool {
    let help = Command::new(binary).arg("--help").output();
    help.is_ok_and(|help| {
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        ["--cgi", "--wsgi", "--env"]
            .iter()
            .all(|option| help.contains(option))
    })
}

/// Says where the samples are. With another address, the server's own announcement says which.
fn print_samples(options: &[OsString]) {
    let is_listen = |option: &OsString| option.to_string_lossy().starts_with("--listen");
    let address = if options.iter().any(is_listen) {
        String::new()
    } else {
        format!("http://127.0.0.1:{}", stage(5).port)
    };
    anstream::eprintln!("{}", paint(BOLD, text("Applications:")));
    for (path, sample) in SAMPLES {
        let url = format!("{address}{path}");
        anstream::eprintln!("  {url:38} {}", text(sample));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_the_readme() {
        let readme = workspace::root().join("stage5_gateway/apps/README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, command) = readme
            .split_once("cargo run -p stage5_gateway -- ")
            .unwrap();
        let (command, _) = command.split_once("\n```").unwrap();
        let options = command.split_whitespace().filter(|word| *word != "\\");
        assert_eq!(options.collect::<Vec<_>>(), SAMPLE_OPTIONS);
        for (path, _) in SAMPLES {
            assert!(readme.contains(&format!("| `{path}")), "{path}");
        }
    }
}
