//! Carries a change of stage 3 or 4 over to the steps between them, by three-way merges.

use diffy::MergeOptions;
use suite::patch::Sources;

/// How the lines of a conflict begin: before the step's lines, after them, and at the end.
const START: &str = "<<<<<<<";
const ORIGINAL: &str = "|||||||";
const END: &str = ">>>>>>>";

/// What a change of the stages turns from and into.
pub struct Change<'a> {
    pub old: &'a Sources,
    pub new: &'a Sources,
}

/// Carries the changes of both stages over to a step. What they share is carried over once. A place
/// that needs a person has both versions between markers, as in Git: see [`conflicts`].
pub fn carry_over(step: &Sources, stage3: &Change, stage4: &Change) -> Sources {
    let is_gone = |name: &String| {
        !stage4.new.contains_key(name)
            && (stage4.old.contains_key(name) || stage3.old.contains_key(name))
    };
    let mut merged = Sources::new();
    for (name, text) in step {
        if is_gone(name) {
            continue;
        }
        let mut text = text.clone();
        let mut before = stage4.old.get(name).cloned();
        if let (Some(old), Some(new)) = (stage3.old.get(name), stage3.new.get(name)) {
            text = merge(old, &text, new);
            // What changes in both stages has now been carried over.
            before = before.map(|stage4| {
                let both = merge(old, &stage4, new);
                if has_conflict(&both) { stage4 } else { both }
            });
        }
        if let (Some(old), Some(new)) = (before, stage4.new.get(name)) {
            text = merge(&old, &text, new);
        }
        merged.insert(name.clone(), text);
    }
    for (name, text) in stage3.new {
        if !stage3.old.contains_key(name) {
            merged.entry(name.clone()).or_insert_with(|| text.clone());
        }
    }
    merged
}

/// Merges the change from `old` to `new` into `text`. A conflict where `text` has nothing is none:
/// what changes there is not in the step, or not yet.
fn merge(old: &str, text: &str, new: &str) -> String {
    let merged = MergeOptions::new().merge(old, text, new);
    merged.unwrap_or_else(|text| without_empty_conflicts(&text))
}

fn without_empty_conflicts(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = find_line(rest, START) {
        let (before, conflict) = rest.split_at(start);
        kept += before;
        let end = find_line(conflict, END).map_or(conflict.len(), |end| {
            let line = conflict[end..].find('\n');
            line.map_or(conflict.len(), |length| end + length + 1)
        });
        let (conflict, after) = conflict.split_at(end);
        let ours = conflict.lines().nth(1).unwrap_or_default();
        if !ours.starts_with(ORIGINAL) {
            kept += conflict;
        }
        rest = after;
    }
    kept + rest
}

/// Where the first line with that beginning is.
fn find_line(text: &str, beginning: &str) -> Option<usize> {
    if text.starts_with(beginning) {
        return Some(0);
    }
    text.find(&format!("\n{beginning}")).map(|start| start + 1)
}

fn has_conflict(text: &str) -> bool {
    find_line(text, START).is_some()
}

/// The conflicts in a step, each as `FILE:LINE`.
pub fn conflicts(step: &Sources) -> Vec<String> {
    let mut places = Vec::new();
    for (name, text) in step {
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with(START) {
                places.push(format!("{name}:{number}"));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE_3: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
    const STEP: &str = "one\ntwo\nTHREE\nfour\nfive\nsix\n";
    const STAGE_4: &str = "one\ntwo\nTHREE\nfour\nfive\nsix\nform\nend\n";

    fn sources(text: &str) -> Sources {
        Sources::from([("src/x.rs".to_string(), text.to_string())])
    }

    /// The step after these changes of the stages, each from one text to another.
    fn carried_over(changes: [[&str; 2]; 2]) -> Sources {
        let [stage3, stage4] = changes.map(|pair| {
            let [from, to] = pair;
            move |text: &str| sources(&text.replacen(from, to, 1))
        });
        let (old3, new3) = (sources(STAGE_3), stage3(STAGE_3));
        let (old4, new4) = (sources(STAGE_4), stage4(STAGE_4));
        let stage3 = Change {
            old: &old3,
            new: &new3,
        };
        let stage4 = Change {
            old: &old4,
            new: &new4,
        };
        carry_over(&sources(STEP), &stage3, &stage4)
    }

    #[test]
    fn change_is_carried_over() {
        let nothing = ["", ""];
        // In both stages, in one of them, and where only the step and stage 4 are the same.
        for (changes, from, to) in [
            ([["one", "1"], ["one", "1"]], "one", "1"),
            ([["five", "5"], ["five", "5"]], "five", "5"),
            ([nothing, ["THREE", "III"]], "THREE", "III"),
            ([nothing, ["one", "1"]], "one", "1"),
        ] {
            let expected = sources(&STEP.replace(from, to));
            assert_eq!(carried_over(changes), expected, "{changes:?}");
        }
    }

    #[test]
    fn change_of_what_a_step_lacks_changes_nothing() {
        assert_eq!(carried_over([["", ""], ["form", "FORM"]]), sources(STEP));
    }

    #[test]
    fn conflict_is_named() {
        let step = carried_over([["three", "3"], ["", ""]]);
        assert_eq!(conflicts(&step), ["src/x.rs:3"]);
        assert_eq!(conflicts(&sources(STEP)), [""; 0]);
    }

    #[test]
    fn files_come_and_go_with_the_stages() {
        let (with, without) = (sources(STAGE_3), Sources::new());
        let comes = Change {
            old: &without,
            new: &with,
        };
        let goes = Change {
            old: &with,
            new: &without,
        };
        assert_eq!(carry_over(&without, &comes, &comes), with);
        assert_eq!(carry_over(&with, &goes, &goes), without);
        // A file that only stage 4 gets belongs to the last step.
        let stays = Change {
            old: &without,
            new: &without,
        };
        assert_eq!(carry_over(&without, &stays, &comes), without);
    }
}
