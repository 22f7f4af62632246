//! `cargo lab viva`: prepares an oral examination about a submission.
//!
//! Whoever wrote a program can say what each line of it is for. So lines that are the student's own are
//! changed, one at a time, and the suite finds out what that breaks: these are the questions, with
//! their answers. One of the programs that result is the server whose fault the student has to find.

use super::stage_number;
use crate::file;
use crate::grading::{self, User};
use crate::mutation::{self, Mutation, OwnLines};
use crate::program::Problem;
use crate::progress;
use crate::report::{CheckReport, Report, Status};
use crate::submission::{self, Builder};
use clap::Args;
use clap::builder::TypedValueParser;
use fastrand::Rng;
use harness::cleanup::ScratchDir;
use harness::process;
use harness::program::Program;
use harness::style::{BOLD, YELLOW, paint};
use harness::workspace::{self, stage};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use suite::explain::Details;
use suite::patch::{self, Sources};
use suite::run;

/// How many parts of the student's own lines to ask about, and how much of each to show.
const PARTS: usize = 3;
const PART_LINES: usize = 25;

/// How many changes to try for each that is wanted. Many don't compile, or nobody notices them.
const TRIES: usize = 6;

/// A change that more checks find is no question: it breaks everything.
const MOST_FAILING: usize = 8;

#[derive(Args)]
pub struct Options {
    /// The student's folder, with `src/` in it.
    #[arg(value_name = "STUDENT_FOLDER")]
    folder: PathBuf,

    /// The stage that it solves [default: the number in the name of the folder or the package].
    #[arg(long, value_parser = stage_number)]
    stage: Option<u8>,

    /// Where to write questions.md, answers.md and the server with a fault.
    #[arg(long, value_name = "DIR", default_value = "target/viva")]
    output: PathBuf,

    /// How many lines to ask about.
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u8).range(1..=20).map(usize::from))]
    questions: usize,

    /// Prepare the same examination again, with this seed.
    #[arg(long)]
    seed: Option<u64>,

    /// Build and run the student's program as this user. Needs root.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// How long it may take to build the program.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400).map(Duration::from_secs))]
    build_limit: Duration,
}

/// A submission, and what is needed to build and grade it.
struct Examination {
    stage: u8,
    name: String,
    sources: Sources,
    builder: Builder,
    user: Option<User>,
    seed: u64,
}

/// A change, and the checks that find it.
struct Finding {
    mutation: Mutation,
    program: Program,
    checks: Vec<CheckReport>,
}

/// Writes the questions, the answers and the server.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    run::prepare()?;
    process::adopt_orphans();
    let examination = Examination::new(options)?;
    let number = examination.stage;
    let base = stage(number)
        .base
        .map(|base| workspace::folder(stage(base), false));
    let base = base.map_or(Ok(Sources::new()), |folder| patch::read(&folder))?;
    let own = mutation::own_lines(&base, &examination.sources);
    let graded = examination.grade(&examination.sources);
    let (_, report) = graded.map_err(Problem::into_text)?;
    let mutations = examination.mutations(&own);
    let findings = examination.find(mutations, &report, options.questions + 1)?;
    let [server, others @ ..] = findings.as_slice() else {
        let name = &examination.name;
        let error = "No change of a single line makes a fault that the suite finds";
        return Err(format!(
            "{error} in {name}, which differs from the stage below in {} parts.",
            own.len()
        ));
    };
    let parts = largest(own);
    let output = &options.output;
    fs::create_dir_all(output)
        .map_err(|error| format!("Cannot create {}: {error}", output.display()))?;
    let path = |name: &str| output.join(name);
    let copied = fs::copy(&server.program.path, path("server"));
    copied.map_err(|error| format!("Cannot write {}: {error}", path("server").display()))?;
    file::write_atomically(&path("questions.md"), examination.questions(&parts, others))?;
    let answers = examination.answers(&report, others, server, output);
    file::write_atomically(&path("answers.md"), answers)?;
    anstream::println!(
        "{} {}, for both of you; {}, for you alone; and {}, in which the student has to find a fault.",
        paint(BOLD, "Wrote"),
        path("questions.md").display(),
        path("answers.md").display(),
        path("server").display()
    );
    Ok(ExitCode::SUCCESS)
}

impl Examination {
    fn new(options: &Options) -> Result<Examination, String> {
        let folder = &options.folder;
        let sources = patch::read(folder)
            .map_err(|error| format!("{error}. Give the folder with `src/` in it."))?;
        let number = options.stage.or_else(|| number_in(folder, &sources));
        let number = number.ok_or_else(|| {
            let shown = folder.display();
            format!("{shown} doesn't say which stage it solves. Say it with `--stage`.")
        })?;
        let user = options.user.as_deref().map(User::named).transpose()?;
        let users = user.iter().map(|user| user.account).collect();
        let builder = Builder::new(number, options.build_limit, users);
        for gap in builder.gaps() {
            anstream::eprintln!("{} {gap}", paint(YELLOW, "note:"));
        }
        Ok(Examination {
            stage: number,
            name: folder.display().to_string(),
            sources,
            builder,
            user,
            seed: options.seed.map_or_else(run::seed, Ok)?,
        })
    }

    /// Builds a program from these sources, and grades it.
    fn grade(&self, sources: &Sources) -> Result<(Program, Report), Problem> {
        let io_error = |error: io::Error| Problem::Lab(format!("Cannot write sources: {error}"));
        let scratch = ScratchDir::new().map_err(io_error)?;
        for (name, text) in sources {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.with_file_name("")).map_err(io_error)?;
            fs::write(path, text).map_err(io_error)?;
        }
        let account = self.user.as_ref().map(|user| user.account);
        let program = submission::program(&self.builder, scratch.path(), account)?;
        let user = self.user.as_ref();
        let report = grading::in_process(&program, user, self.stage, self.seed, Details::None);
        Ok((program, report.map_err(Problem::Lab)?))
    }

    /// Changes in a random order: first to the student's own lines, then to the others. Whoever turned a
    /// stage into the next one has read it.
    fn mutations(&self, own: &[OwnLines]) -> Vec<Mutation> {
        let mut random = Rng::with_seed(self.seed);
        let mut mutations = mutation::of(own);
        random.shuffle(&mut mutations);
        let all = mutation::own_lines(&Sources::new(), &self.sources);
        let mut others = mutation::of(&all);
        others.retain(|other| !mutations.contains(other));
        random.shuffle(&mut others);
        mutations.extend(others);
        mutations
    }

    /// Tries changes until enough of them are found by a few checks each. The one that the fewest
    /// find comes first.
    fn find(
        &self,
        mut mutations: Vec<Mutation>,
        before: &Report,
        wanted: usize,
    ) -> Result<Vec<Finding>, String> {
        mutations.truncate(wanted * TRIES);
        let bar = progress::bar(wanted);
        let mut findings = Vec::new();
        for mutation in mutations {
            bar.set_message(format!("{}, line {}", mutation.file, mutation.line));
            let (program, report) = match self.grade(&mutation.apply(&self.sources)) {
                Ok(graded) => graded,
                // It doesn't compile.
                Err(Problem::Submission(_) | Problem::TimedOut(_)) => continue,
                Err(Problem::Lab(error)) => return Err(error),
            };
            let checks = new_failures(before, report);
            if (1..=MOST_FAILING).contains(&checks.len()) {
                findings.push(Finding {
                    mutation,
                    program,
                    checks,
                });
                bar.inc(1);
            }
            if findings.len() == wanted {
                break;
            }
        }
        bar.finish_and_clear();
        findings.sort_by_key(|finding| finding.checks.len());
        Ok(findings)
    }

    fn questions(&self, parts: &[OwnLines], findings: &[Finding]) -> String {
        let mut text = format!("# Questions about {}, stage {}\n\n", self.name, self.stage);
        text += "You may look at your sources, and at nothing else.\n\n## Your own lines\n";
        for part in parts {
            text += &format!(
                "\nWhat do these lines of `{}` do, from line {} on, and why are they \
                needed?\n\n```rust\n{}\n```\n",
                part.file,
                part.first,
                shown(part)
            );
        }
        text += "\n## What if\n";
        for Finding { mutation, .. } in findings {
            text += &format!(
                "\n{}\n\nWhat would happen? Which client would notice it first?\n",
                change(mutation)
            );
        }
        text + "\n## The fault\n\n`server` is your program with one changed line. It has the options that you know. \
            Find out what it does wrong, as a client would: with `curl`, `nc`, a browser, `ps` or `strace`. Then say \
            which line was changed, and how.\n"
    }

    fn answers(
        &self,
        report: &Report,
        findings: &[Finding],
        server: &Finding,
        output: &Path,
    ) -> String {
        let mut text = format!(
            "# Answers about {}, stage {}\n\nNot for the student. The program has {} of {} points. Seed {}.\n",
            self.name, self.stage, report.score, report.max_score, self.seed
        );
        let failed: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.status == Status::Failed)
            .collect();
        if !failed.is_empty() {
            text += "\nIt fails these checks. Ask why:\n\n";
            text += &list(failed.into_iter());
        }
        text += "\n## What if\n";
        for finding in findings {
            text += &format!(
                "\n{}\n\nIt would no longer\n\n{}",
                change(&finding.mutation),
                list(finding.checks.iter())
            );
        }
        let [first, ..] = server.checks.as_slice() else {
            return text;
        };
        text + &format!(
            "\n## The fault\n\n{}\n\nThe server no longer does this:\n\n{}\nTo see it: `cargo lab grade {} --server {} --only {}`\n",
            change(&server.mutation),
            list(server.checks.iter()),
            self.stage,
            output.join("server").display(),
            first.id
        )
    }
}

/// The number of the stage in the name of a folder or its package, such as `my_stage3`.
fn number_in(folder: &Path, sources: &Sources) -> Option<u8> {
    let manifest = sources
        .get("Cargo.toml")?
        .lines()
        .find(|line| line.starts_with("name"));
    let folder = folder.canonicalize().ok()?;
    let names = [folder.file_name()?.to_str()?, manifest.unwrap_or_default()];
    let numbers = names.iter().filter_map(|name| {
        let digit = name.split_once("stage")?.1.chars().next()?.to_digit(10)?;
        u8::try_from(digit)
            .ok()
            .filter(|number| (1..=super::LAST_STAGE).contains(number))
    });
    numbers.collect::<Vec<_>>().first().copied()
}

/// The checks that fail now and didn't before.
fn new_failures(before: &Report, now: Report) -> Vec<CheckReport> {
    let old = before.checks.iter().map(|check| check.status);
    let pairs = now.checks.into_iter().zip(old);
    let new = pairs.filter(|(check, old)| check.status != *old && check.status != Status::Passed);
    new.map(|(check, _)| check).collect()
}

/// The longest parts, in the order of the sources.
fn largest(mut parts: Vec<OwnLines>) -> Vec<OwnLines> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.lines.len()));
    parts.truncate(PARTS);
    parts.sort_by(|one, other| (&one.file, one.first).cmp(&(&other.file, other.first)));
    parts
}

/// The beginning of a part.
fn shown(part: &OwnLines) -> String {
    let mut lines: Vec<&str> = part.lines.iter().map(String::as_str).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    if lines.len() > PART_LINES {
        lines.truncate(PART_LINES);
        lines.push("…");
    }
    lines.join("\n")
}

/// A change, as a sentence and code.
fn change(mutation: &Mutation) -> String {
    let Mutation {
        file,
        line,
        before,
        after,
    } = mutation;
    match after {
        None => format!("In `{file}`, line {line} is removed:\n\n```rust\n{before}\n```"),
        Some(after) => format!(
            "In `{file}`, line {line} is changed from\n\n```rust\n{before}\n```\n\nto\n\n```rust\n{after}\n```"
        ),
    }
}

/// Checks, a line for each.
fn list<'a>(checks: impl Iterator<Item = &'a CheckReport>) -> String {
    checks
        .map(|check| format!("- {} (`{}`)\n", check.must, check.id))
        .collect()
}
