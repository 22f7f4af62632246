//! `cargo lab package`: the suite, packed for a course's automation.

use crate::explain::Details;
use crate::paint::{BOLD, paint};
use crate::report::write_whole;
use crate::workspace::{self, stage};
use clap::{Args, Subcommand, ValueEnum};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use walkdir::WalkDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[derive(Subcommand)]
pub enum Kind {
    /// A zip for Gradescope: upload it as the autograder of an assignment.
    Gradescope {
        #[command(flatten)]
        what: What,
        /// Where to write the zip.
        #[arg(long, value_name = "FILE", default_value = "autograder.zip")]
        output: PathBuf,
    },
    /// A workflow for GitHub Actions, to stand in the students' repositories.
    Actions {
        #[command(flatten)]
        what: What,
        /// The repository with your copy of HTTP Lab, whose suite grades.
        #[arg(long, value_name = "OWNER/NAME")]
        lab: String,
        /// Where to write the workflow.
        #[arg(long, value_name = "FILE", default_value = "grade.yml")]
        output: PathBuf,
    },
}

#[derive(Args)]
pub struct What {
    /// The stage to grade: 1 to 4.
    #[arg(value_parser = super::stage_number())]
    stage: u8,

    /// How much of each failure students get to see.
    #[arg(long, value_enum, default_value = "hints")]
    details: Details,
}

impl What {
    /// Puts what is asked for into a template.
    fn fill(&self, template: &str) -> String {
        let details = self.details.to_possible_value();
        let details = details.map_or(String::new(), |value| value.get_name().to_string());
        template
            .replace("@STAGE@", &self.stage.to_string())
            .replace("@NAME@", stage(self.stage).name)
            .replace("@DETAILS@", &details)
    }
}

/// Packs what was asked for.
pub fn pack(kind: &Kind) -> Result<ExitCode, String> {
    let unwritten =
        |path: &Path, error: io::Error| format!("Cannot write {}: {error}", path.display());
    let (output, next) = match kind {
        Kind::Gradescope { what, output } => {
            gradescope(what, output).map_err(|error| unwritten(output, error))?;
            (
                output,
                "upload it under Configure Autograder, and set the assignment to 100 points",
            )
        }
        Kind::Actions { what, lab, output } => {
            let text = what.fill(WORKFLOW).replace("@LAB@", lab);
            if output.exists() {
                return Err(format!(
                    "{} is there already, and nothing is overwritten.",
                    output.display()
                ));
            }
            if let Some(folder) = output.parent() {
                fs::create_dir_all(folder).map_err(|error| unwritten(folder, error))?;
            }
            write_whole(output, text.as_bytes()).map_err(|error| unwritten(output, error))?;
            (
                output,
                "copy it to .github/workflows/ in the students' repositories",
            )
        }
    };
    anstream::println!("{} {}; {next}.", paint(BOLD, "Written:"), output.display());
    Ok(ExitCode::SUCCESS)
}

/// What of the workspace goes along: all that is needed to build and to grade one stage.
const PARTS: [&str; 4] = [".cargo", "Cargo.lock", "Cargo.toml", "tests"];

/// Writes the zip: two scripts, and the lab with the one stage.
fn gradescope(what: &What, output: &Path) -> io::Result<()> {
    let root = workspace::root();
    let mut zip = ZipWriter::new(tempfile::NamedTempFile::new_in(folder_of(output))?);
    let plain = SimpleFileOptions::default().unix_permissions(0o644);
    let script = plain.unix_permissions(0o755);
    for (name, text) in [("setup.sh", SETUP), ("run_autograder", RUN)] {
        zip.start_file(name, script)?;
        zip.write_all(what.fill(text).as_bytes())?;
    }
    for part in PARTS.into_iter().chain([stage(what.stage).name]) {
        for entry in WalkDir::new(root.join(part)).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
                zip.start_file(format!("lab/{}", name.display()), plain)?;
                io::copy(&mut File::open(entry.path())?, &mut zip)?;
            }
        }
    }
    let file = zip.finish()?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
    file.persist(output)?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Gradescope runs this once, as root, to prepare the image.
const SETUP: &str = r#"#!/usr/bin/env bash
# Prepares the image: compiler, Rust, a user for the students' servers, and the suite, built.
set -euo pipefail
source=${AUTOGRADER:-/autograder}/source
user=${GRADE_USER:-student}

if ! command -v cc >/dev/null || ! command -v curl >/dev/null; then
  apt-get update
  apt-get install --yes --no-install-recommends gcc libc6-dev curl ca-certificates
fi
if ! command -v cargo >/dev/null; then
  curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
    sh -s -- -y --profile minimal
  export PATH=$HOME/.cargo/bin:$PATH
fi
if [ "$(id -u)" = 0 ] && ! id "$user" >/dev/null 2>&1; then
  useradd --no-create-home --shell /usr/sbin/nologin "$user"
fi

# The lab's own stage must earn full points on this machine, or no grade here could be trusted.
# This also builds what submissions need: later nothing is fetched.
cd "$source/lab"
cargo build --quiet --package lab --package @NAME@
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(--user "$user"); fi
cargo lab grade @STAGE@ --submission @NAME@ "${as_user[@]}"

# Students must find neither the suite nor the lab's own stage.
echo 'fn main() {}' >@NAME@/src/main.rs
find @NAME@/src -type f ! -name main.rs -delete
chmod -R go-rwx "$source"
"#;

/// Gradescope runs this for each submission.
const RUN: &str = r#"#!/usr/bin/env bash
# Grades one submission as stage @STAGE@, with nothing but the sources in it.
set -uo pipefail
autograder=${AUTOGRADER:-/autograder}
user=${GRADE_USER:-student}
export PATH=$HOME/.cargo/bin:$PATH

# Only this script may write results.
chmod go-rwx "$autograder/results"
cd "$autograder/source/lab" || exit 1
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(--user "$user"); fi
cargo lab grade @STAGE@ --submission "$autograder/submission" --details @DETAILS@ \
  --format gradescope --output "$autograder/results/results.json" "${as_user[@]}"
# Fewer than full points are no error of the autograder.
[ $? -le 1 ]
"#;

/// A workflow that grades each push. The suite comes from the instructor's repository; of the
/// student's, only `src/` is taken.
const WORKFLOW: &str = r#"# Grades stage @STAGE@ of HTTP Lab with the suite of @LAB@.
# Nothing in this repository but this file and the sources of the server plays a part in the
# grade. Students can change this file: for marks that count, keep them from it, or grade their
# repositories with `cargo lab grade @STAGE@ --submissions DIR`.
name: Grade
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 20
    env:
      GRADE_USER: student
    steps:
      - name: The submission
        uses: actions/checkout@v6
        with:
          path: submission
          persist-credentials: false
      - name: The suite
        uses: actions/checkout@v6
        with:
          repository: @LAB@
          path: lab
          persist-credentials: false
      - name: Build
        working-directory: lab
        run: cargo build --quiet --package lab --package @NAME@
      - name: Grade
        working-directory: lab
        run: |
          sudo useradd --no-create-home "$GRADE_USER"
          sudo --preserve-env env "PATH=$PATH" cargo lab grade @STAGE@ \
            --submission ../submission --details @DETAILS@ --user "$GRADE_USER" \
            --format junit --output ../report.xml
      - name: The report
        if: always()
        uses: actions/upload-artifact@v6
        with:
          name: report
          path: report.xml
"#;
