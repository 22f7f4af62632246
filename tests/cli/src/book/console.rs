//! A console block: what the reader types in a terminal, and what is printed.
//!
//! `$ COMMAND` is typed at the prompt, a line that ends in `⏎` into the running program, and `^C`
//! is Ctrl-C. All other lines are printed. The word after `console` names the terminal, so that a
//! server keeps running in one while its clients run in others. Its prompt contains that name, as
//! in `server$ COMMAND`.

use super::document::Block;

/// What the reader does.
#[derive(PartialEq)]
pub enum Action<'a> {
    Run(String),
    Type(&'a str),
    Interrupt,
    /// Nothing: the running program prints more.
    Watch,
}

/// An action, and what is printed then.
pub struct Step<'a> {
    /// Its line in the document.
    pub line: usize,
    pub action: Action<'a>,
    pub expected: Vec<&'a str>,
    /// Whether the program keeps running, into the next step of its terminal.
    pub keeps_running: bool,
}

/// The steps of a block. The next block of the same terminal shows whether the last program
/// keeps running.
pub fn steps<'a>(block: &'a Block, next: Option<&'a Block>) -> Vec<Step<'a>> {
    let prompt = format!("{}$ ", block.terminal);
    let step = |line, action| Step {
        line,
        action,
        expected: Vec::new(),
        keeps_running: false,
    };
    let mut steps = vec![step(block.line, Action::Watch)];
    for (line, text) in block.lines() {
        let last = steps.last_mut().unwrap();
        // A command that ends in a backslash continues in the next line.
        if let Action::Run(command) = &mut last.action
            && command.ends_with('\\')
            && last.expected.is_empty()
        {
            command.pop();
            *command += text.trim_start().trim_start_matches("> ");
            continue;
        }
        match action(text, &prompt) {
            Action::Watch => last.expected.push(text),
            action => steps.push(step(line, action)),
        }
    }
    if steps[0].expected.is_empty() {
        steps.remove(0);
    }
    let next_line = next.and_then(|next| next.text.lines().next());
    let mut is_followed = next_line.is_some_and(|line| !line.starts_with(&prompt));
    for step in steps.iter_mut().rev() {
        step.keeps_running = is_followed;
        is_followed = !matches!(step.action, Action::Run(_));
    }
    steps
}

/// What the reader does in a line.
pub fn action<'a>(text: &'a str, prompt: &str) -> Action<'a> {
    if let Some(command) = text.strip_prefix(prompt) {
        return Action::Run(command.to_string());
    }
    if text == "^C" {
        return Action::Interrupt;
    }
    text.strip_suffix('⏎').map_or(Action::Watch, Action::Type)
}
