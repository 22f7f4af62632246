//! `cargo lab package`: packs the suite for services that grade automatically.

use crate::command::help::values;
use crate::file;
use clap::{Args, Subcommand};
use harness::style::{BOLD, paint};
use harness::workspace::{self, stage};
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use suite::explain::Details;
use walkdir::WalkDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

// Templates: `Content::fill` replaces what is between `@` signs.

/// Gradescope runs this once, as root, to prepare the image.
const SETUP: &str = include_str!("setup.sh");

/// Gradescope runs this for each submission.
const RUN_AUTOGRADER: &str = include_str!("run_autograder.sh");

/// The workflow for GitHub Actions.
const WORKFLOW: &str = include_str!("grade.yml");

/// What it takes to build and to grade a stage, other than the stage.
const WORKSPACE_PARTS: [&str; 4] = [".cargo", "Cargo.lock", "Cargo.toml", "tests"];

#[derive(Subcommand)]
pub enum Kind {
    /// Make a zip to upload to Gradescope as the autograder of an assignment.
    Gradescope {
        #[command(flatten)]
        content: Content,
        /// Where to write the zip.
        #[arg(long, value_name = "FILE", default_value = "autograder.zip")]
        output: PathBuf,
    },
    /// Make a GitHub Actions workflow for the students' repositories.
    Actions {
        #[command(flatten)]
        content: Content,
        /// The repository with your copy of HTTP Lab, which provides the suite.
        #[arg(long, value_name = "OWNER/NAME")]
        lab: String,
        /// Where to write the workflow.
        #[arg(long, value_name = "FILE", default_value = "grade.yml")]
        output: PathBuf,
    },
}

#[derive(Args)]
pub struct Content {
    /// The stage to grade, 1 to 6.
    #[arg(value_parser = super::stage_number)]
    stage: u8,

    /// How much students see of each failure.
    #[arg(long, value_parser = values::<Details>(), default_value = "hints")]
    details: Details,
}

impl Content {
    fn fill(&self, template: &str) -> String {
        template
            .replace("@STAGE@", &self.stage.to_string())
            .replace("@NAME@", stage(self.stage).name)
            .replace("@DETAILS@", self.details.name())
    }

    /// The zip for Gradescope: two scripts, and the lab with only this stage.
    fn zip(&self) -> io::Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let file = SimpleFileOptions::default().unix_permissions(0o644);
        for (name, template) in [("setup.sh", SETUP), ("run_autograder", RUN_AUTOGRADER)] {
            zip.start_file(name, file.unix_permissions(0o755))?;
            zip.write_all(self.fill(template).as_bytes())?;
        }
        let root = workspace::root();
        for part in WORKSPACE_PARTS.into_iter().chain([stage(self.stage).name]) {
            for entry in WalkDir::new(root.join(part)).sort_by_file_name() {
                let entry = entry?;
                if entry.file_type().is_file() {
                    let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
                    zip.start_file(format!("lab/{}", name.display()), file)?;
                    zip.write_all(&fs::read(entry.path())?)?;
                }
            }
        }
        Ok(zip.finish()?.into_inner())
    }
}

/// Makes a package.
pub fn run(kind: &Kind) -> Result<ExitCode, String> {
    let (output, next) = match kind {
        Kind::Gradescope { content, output } => {
            let zip = content.zip();
            let zip = zip.map_err(|error| format!("Cannot pack the suite: {error}"))?;
            file::write_atomically(output, zip)?;
            let next = "Upload it under Configure Autograder. The assignment has 100 points.";
            (output, next)
        }
        Kind::Actions {
            content,
            lab,
            output,
        } => {
            if output.exists() {
                let shown = output.display();
                return Err(format!(
                    "{shown} already exists. Remove it, or name another file with --output."
                ));
            }
            let workflow = content.fill(WORKFLOW).replace("@LAB@", lab);
            file::write_atomically(output, workflow)?;
            (
                output,
                "Copy it to .github/workflows/ in the students' repositories.",
            )
        }
    };
    anstream::println!("{} {}. {next}", paint(BOLD, "Wrote"), output.display());
    Ok(ExitCode::SUCCESS)
}
