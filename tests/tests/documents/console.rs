//! A console block: what the reader types in a terminal, and what is printed.
//!
//! `$ COMMAND` is typed at the prompt, a line that ends in `⏎` into the program that runs, and
//! `^C` is Ctrl-C. All other lines are printed. The word behind `console` names the terminal,
//! so that a server runs on in one while its clients come from others; its prompt shows that
//! name, as in `server$ COMMAND`.

use crate::document::Block;

/// What the reader does.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Looks at what the program that runs prints further.
    Look,
    Run(String),
    Type(&'a str),
    Interrupt,
}

/// Something done, and what is printed then.
pub struct Step<'a> {
    /// Its line in the document.
    pub line: usize,
    pub action: Action<'a>,
    pub expected: Vec<&'a str>,
    /// Whether the program runs on, into the next step of its terminal.
    pub runs_on: bool,
}

/// The terminal of a block.
pub fn terminal(block: &Block) -> &str {
    block.info.get(1).map_or("", String::as_str)
}

/// What stands before a command in a block.
fn prompt(block: &Block) -> String {
    format!("{}$ ", terminal(block))
}

/// The steps of a block. What follows in the same terminal decides whether its last program
/// runs on: `next` is that block.
pub fn steps<'a>(block: &'a Block, next: Option<&'a Block>) -> Vec<Step<'a>> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, text) in block.lines() {
        // A command that ends in a backslash goes on in the next line.
        if let Some(step) = steps.last_mut()
            && let Action::Run(command) = &mut step.action
            && command.ends_with('\\')
            && step.expected.is_empty()
        {
            command.pop();
            *command += text.trim_start().trim_start_matches("> ");
            continue;
        }
        let action = match action(text, &prompt(block)) {
            Some(action) => action,
            None if steps.is_empty() => Action::Look,
            None => {
                steps.last_mut().unwrap().expected.push(text);
                continue;
            }
        };
        let expected = match action {
            Action::Look => vec![text],
            _ => Vec::new(),
        };
        steps.push(Step {
            line,
            action,
            expected,
            runs_on: false,
        });
    }
    let goes_on = |text: &str| !text.starts_with(&prompt(block));
    for place in 0..steps.len() {
        steps[place].runs_on = match steps.get(place + 1) {
            Some(step) => !matches!(step.action, Action::Run(_)),
            None => next.is_some_and(|next| next.text.lines().next().is_some_and(goes_on)),
        };
    }
    steps
}

fn action<'a>(text: &'a str, prompt: &str) -> Option<Action<'a>> {
    if let Some(command) = text.strip_prefix(prompt) {
        return Some(Action::Run(command.to_string()));
    }
    if text == "^C" {
        return Some(Action::Interrupt);
    }
    text.strip_suffix('⏎').map(Action::Type)
}
