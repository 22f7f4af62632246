//! The help of `cargo lab` in the language of its reader.
//!
//! Each paragraph of a doc comment is a text. Clap drops the period at the end of a short help; the keys
//! have it, so that a sentence is translated once.

use super::Options;
use clap::builder::{EnumValueParser, PossibleValue, StyledStr, Styles, TypedValueParser};
use clap::{Arg, Command, CommandFactory, ValueEnum};
use std::ffi::OsStr;
use suite::translation::{is_english, text};

/// The command line, translated.
pub fn command() -> Command {
    let command = Options::command();
    if is_english() {
        command
    } else {
        translated(built())
    }
}

/// The command line, with what clap adds to it.
fn built() -> Command {
    let mut command = Options::command();
    command.build();
    command
}

/// All texts of the help, as keys.
pub fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    collect(&built(), &mut texts);
    texts
}

fn collect(command: &Command, texts: &mut Vec<String>) {
    let abouts = [command.get_about(), command.get_long_about()];
    let arguments = command.get_arguments();
    let helps = arguments.flat_map(|argument| [argument.get_help(), argument.get_long_help()]);
    for help in abouts.into_iter().chain(helps).flatten() {
        texts.extend(help.to_string().split("\n\n").map(key));
    }
    for value in command.get_arguments().flat_map(Arg::get_possible_values) {
        texts.extend(value.get_help().map(|help| key(&help.to_string())));
    }
    for subcommand in command.get_subcommands() {
        collect(subcommand, texts);
    }
}

/// A paragraph as it is in the doc comment.
fn key(paragraph: &str) -> String {
    if paragraph.ends_with(['.', '?', ':']) {
        paragraph.to_string()
    } else {
        format!("{paragraph}.")
    }
}

fn translate(help: &StyledStr) -> String {
    let help = help.to_string();
    let translate = |paragraph: &str| {
        let key = key(paragraph);
        let translation = text(&key);
        let is_short = key != paragraph;
        let short = translation.strip_suffix('。').filter(|_| is_short);
        short.unwrap_or(translation).to_string()
    };
    let paragraphs: Vec<String> = help.split("\n\n").map(translate).collect();
    paragraphs.join("\n\n")
}

fn translated(mut command: Command) -> Command {
    if let Some(about) = command.get_about().map(translate) {
        command = command.about(about);
    }
    if let Some(about) = command.get_long_about().map(translate) {
        command = command.long_about(about);
    }
    let style = *Styles::styled().get_usage();
    let usage = text("Usage: ");
    command
        .help_template(format!(
            "{{before-help}}{{about-with-newline}}\n{style}{usage}{style:#}{{usage}}\n\n{{all-args}}{{after-help}}"
        ))
        .subcommand_help_heading(text("Commands"))
        .mut_args(translated_argument)
        .mut_subcommands(translated)
}

fn translated_argument(mut argument: Arg) -> Arg {
    if let Some(help) = argument.get_help().map(translate) {
        argument = argument.help(help);
    }
    if let Some(help) = argument.get_long_help().map(translate) {
        argument = argument.long_help(help);
    }
    if let Some(index) = argument.get_index() {
        // Below a heading of its own, clap would sort arguments by name.
        argument = argument.display_order(index);
    }
    let is_option = !argument.is_positional();
    argument.help_heading(if is_option {
        text("Options")
    } else {
        text("Arguments")
    })
}

/// A parser for an enum, which describes its values in the chosen language.
pub fn values<E: ValueEnum + Clone + Send + Sync + 'static>() -> Values<E> {
    Values(EnumValueParser::new())
}

#[derive(Clone)]
pub struct Values<E: ValueEnum + Clone + Send + Sync + 'static>(EnumValueParser<E>);

impl<E: ValueEnum + Clone + Send + Sync + 'static> TypedValueParser for Values<E> {
    type Value = E;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<E, clap::Error> {
        self.0.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let translated = |value: PossibleValue| match value.get_help().map(translate) {
            Some(help) => value.help(help),
            None => value,
        };
        Some(Box::new(self.0.possible_values()?.map(translated)))
    }
}
