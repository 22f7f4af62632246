//! `cargo lab start`: copies a stage, for the student to turn it into the next one or to solve an
//! exercise in it.

use super::Selection;
use crate::file;
use crate::language;
use harness::style::{BOLD, CYAN, GREEN, paint};
use harness::workspace::{self, Stage, stage};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use suite::columns::pad;
use suite::exercises::Exercise;
use suite::steps::STEPS;
use suite::translation::{fill, text, translatable};

/// The files that stage 5 adds, in the order in which to write them, and what they are for.
const GATEWAY_FILES: [(&str, &str); 7] = [
    (
        "mount.rs",
        translatable("which application answers below which prefix"),
    ),
    (
        "content.rs, chunked.rs",
        translatable("content of any length, also in chunks"),
    ),
    (
        "gateway.rs, variables.rs",
        translatable("what an application learns about a request"),
    ),
    (
        "cgi.rs, answer.rs, error_log.rs, client.rs",
        translatable("a program for each request, and its response"),
    ),
    (
        "fastcgi.rs",
        translatable("an application that keeps running"),
    ),
    (
        "worker.rs, supervisor.rs",
        translatable("workers, which are started, replaced and ended"),
    ),
    ("wsgi.py", translatable("the same for a function in Python")),
];

/// Creates `my_stageN`, or the package of an exercise. It overwrites nothing.
pub fn run(selection: Selection, language: Option<&str>) -> Result<ExitCode, String> {
    match (selection, language) {
        (Selection::Stage(number), None) => start_stage(number)?,
        (Selection::Stage(number), Some(language)) => start_in_language(number, language)?,
        (Selection::Exercise(exercise), None) => start_exercise(exercise)?,
        (Selection::Exercise(_), Some(_)) => {
            let error = "Exercises begin with a stage in Rust. Leave --language out, or solve it in a \
                         server of yours: cargo lab exercise NAME --server PROGRAM";
            return Err(error.to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The manifest of a package in another language.
const LAUNCHER: &str = r#"# Cargo wants a manifest and a program in each folder of this kind. The lab needs only `server`.
[package]
name = "NAME"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[[bin]]
name = "NAME"
path = "../tests/references/launcher.rs"

[lints]
workspace = true
"#;

fn start_stage(number: u8) -> Result<(), String> {
    let to = stage(number);
    let from = stage(to.base.ok_or("Stage 1 builds on no other.")?);
    create(&workspace::own_name(number), from, to)?;
    let solution = format!("cargo lab diff {} {number}", from.number);
    print_stage(to, from.name, &solution);
    match number {
        4 => print_steps(),
        5 => print_modules(),
        _ => {}
    }
    Ok(())
}

/// Creates `my_stageN` from the reference of the stage below in another language.
fn start_in_language(number: u8, language: &str) -> Result<(), String> {
    let to = stage(number);
    let from = stage(to.base.ok_or("Stage 1 builds on no other.")?);
    let reference = language::reference(language, from)?;
    let name = workspace::own_name(number);
    // The default port, and the name that the server gives itself.
    let port = |stage: &Stage| format!(":{}", stage.port);
    let label = |stage: &Stage| format!("stage{}_", stage.number);
    create_with(&name, |scratch| {
        file::copy_folder(&workspace::root().join(&reference), scratch)?;
        for entry in fs::read_dir(scratch)? {
            let path = entry?.path();
            // A program that was built here isn't text.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let text = text.replace(&port(from), &port(to));
            fs::write(&path, text.replace(&label(from), &label(to)))?;
        }
        fs::write(scratch.join("Cargo.toml"), LAUNCHER.replace("NAME", &name))
    })?;
    let solution = match language::reference(language, to) {
        Ok(solution) => format!("diff -r {name} {solution}"),
        Err(_) => format!("cargo lab diff {} {number}", from.number),
    };
    print_stage(to, &reference, &solution);
    Ok(())
}

/// Says what to do with a new `my_stageN`.
fn print_stage(to: &Stage, from: &str, solution: &str) {
    let number = to.number;
    let command = |name: &str| paint(CYAN, format!("cargo lab {name} {number}"));
    let text = fill(
        "{package} is a copy of {from}. Turn it into stage {number}: {idea}.\n\n\
         It already listens on port {port}.\n\
         1. Run the checks: {grade}. The failing ones are your to-do list.\n   \
            To grade after each save: {watch}\n\
         2. Try it with the hints first. Lesson {number} in LESSONS.md and {solution}\n   \
            show the solution.",
        &[
            (
                "package",
                &paint(GREEN.bold(), format!("{}/", workspace::own_name(number))),
            ),
            ("from", &from),
            ("number", &number),
            ("idea", &paint(BOLD, text(to.idea))),
            ("port", &to.port),
            ("grade", &command("grade")),
            ("watch", &command("watch")),
            ("solution", &paint(CYAN, solution)),
        ],
    );
    anstream::println!("{text}");
}

/// Stage 4 is too much for one sitting.
fn print_steps() {
    let order = text("Take it in this order. The grade shows the points of each step.");
    anstream::println!("\n{order}");
    let mut before = "3";
    for step in &STEPS {
        let diff = paint(CYAN, format!("cargo lab diff {before} {}", step.id));
        let (id, title) = (paint(BOLD, step.id), pad(text(step.title), 60));
        anstream::println!("   {id}  {title}  {diff}");
        before = step.id;
    }
}

/// What stage 5 adds, in the order in which to write it.
fn print_modules() {
    let order = text("These files are new. Take them in this order:");
    anstream::println!("\n{order}");
    for (files, purpose) in GATEWAY_FILES {
        let files = paint(BOLD, format!("{files:42}"));
        anstream::println!("   {files}  {}", text(purpose));
    }
}

fn start_exercise(exercise: &Exercise) -> Result<(), String> {
    let from = stage(exercise.stage);
    let package = exercise.package();
    create(&package, from, from)?;
    let command = |name: &str| paint(CYAN, format!("cargo lab {name} {}", exercise.name));
    let text = fill(
        "{package} is a copy of {from}. Add to it: {title}.\n\n\
         1. Read the task and run its checks: {exercise}\n\
         2. Run your server: {run}",
        &[
            ("package", &paint(GREEN.bold(), format!("{package}/"))),
            ("from", &from.name),
            ("title", &paint(BOLD, text(exercise.title))),
            ("exercise", &command("exercise")),
            ("run", &command("run")),
        ],
    );
    anstream::println!("{text}");
    Ok(())
}

/// Creates a package with the sources of one stage, and with the manifest and the port of another.
fn create(name: &str, from: &Stage, to: &Stage) -> Result<(), String> {
    create_with(name, |scratch| {
        fs::create_dir_all(scratch.join("src"))?;
        for entry in fs::read_dir(workspace::folder(from, false).join("src"))? {
            let entry = entry?;
            let copy = scratch.join("src").join(entry.file_name());
            fs::copy(entry.path(), copy)?;
        }
        if (from.number, to.number) == (3, 4) {
            add_media_types(&scratch.join("src"), to)?;
        }
        let options = scratch.join("src/options.rs");
        let (old, new) = (format!(":{}\"", from.port), format!(":{}\"", to.port));
        fs::write(&options, fs::read_to_string(&options)?.replace(&old, &new))?;
        let manifest = fs::read_to_string(workspace::folder(to, false).join("Cargo.toml"))?;
        let manifest = manifest.replacen(to.name, name, 1);
        fs::write(scratch.join("Cargo.toml"), manifest)
    })
}

/// Creates a folder in the workspace. `fill` writes what is in it.
fn create_with(name: &str, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), String> {
    let folder = workspace::root().join(name);
    if folder.exists() {
        return Err(format!(
            "{name}/ already exists. Continue with it, or move it away: mv {name} ../"
        ));
    }
    // It gets its name last, so that half a copy is never taken for a package.
    let scratch = workspace::root().join(format!(".lab-start-{name}"));
    let _ = fs::remove_dir_all(&scratch);
    let created = fill(&scratch).and_then(|()| fs::rename(&scratch, &folder));
    created.map_err(|error| format!("Cannot create {name}/: {error}"))
}

/// Adds the table of media types to a copy of stage 3: nobody learns from typing it.
fn add_media_types(sources: &Path, stage: &Stage) -> io::Result<()> {
    let table = workspace::folder(stage, false).join("src/mime.rs");
    fs::copy(table, sources.join("mime.rs"))?;
    let main = sources.join("main.rs");
    let module =
        "mod log;\n// Remove the next line when you use it.\n#[allow(dead_code)]\nmod mime;\n";
    let text = fs::read_to_string(&main)?.replacen("mod log;\n", module, 1);
    fs::write(main, text)
}
