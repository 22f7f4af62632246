//! Programs that are made from a stage by a patch: the steps to stage 4, and the solutions of
//! exercises.
//!
//! A patch is a unified diff from `a/` to `b/`, as `git apply` and `patch -p1` read it.

use diffy::DiffOptions;
use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The files of a program, by their names below its folder.
pub type Sources = BTreeMap<String, String>;

/// Reads `Cargo.toml` and the files in `src/`. What isn't text is empty.
pub fn read(folder: &Path) -> Result<Sources, String> {
    let read_error = |error| format!("Cannot read {}: {error}", folder.display());
    let mut names = vec!["Cargo.toml".to_string()];
    for entry in fs::read_dir(folder.join("src")).map_err(read_error)? {
        let name = entry.map_err(read_error)?.file_name();
        names.push(format!("src/{}", name.to_string_lossy()));
    }
    let read = |name: String| {
        let text = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        (name, text)
    };
    Ok(names.into_iter().map(read).collect())
}

/// Applies a patch, which may only change and add files. The error names the file and the hunk that
/// doesn't fit.
pub fn apply(mut sources: Sources, patch: &str) -> Result<Sources, String> {
    for file in PatchSet::parse(patch, ParseOptions::unidiff()) {
        let file = file.map_err(|error| error.to_string())?;
        let operation = file.operation().strip_prefix(1);
        let (FileOperation::Create(name) | FileOperation::Modify { modified: name, .. }) =
            operation
        else {
            return Err(format!("it may only change and add files: {operation:?}"));
        };
        let hunks = file.patch().as_text();
        let hunks = hunks.ok_or_else(|| format!("{name} is not text"))?;
        let before = sources.remove(name.as_ref()).unwrap_or_default();
        let after = diffy::apply(&before, hunks).map_err(|error| format!("{name}: {error}"))?;
        sources.insert(name.into_owned(), after);
    }
    Ok(sources)
}

/// Makes the patch that turns one program into another.
pub fn make(old: &Sources, new: &Sources) -> String {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut patch = String::new();
    for name in names {
        let [before, after] = [old, new].map(|sources| sources.get(name));
        if before == after {
            continue;
        }
        let path = |side: &str, text: Option<&String>| match text {
            Some(_) => format!("{side}/{name}"),
            None => "/dev/null".to_string(),
        };
        let mut options = DiffOptions::new();
        options.set_original_filename(path("a", before));
        options.set_modified_filename(path("b", after));
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let (before, after) = (text(before), text(after));
        patch += &options.create_patch(&before, &after).to_string();
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        let own = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        files.iter().map(own).collect()
    }

    #[test]
    fn patch_turns_one_program_into_the_other() {
        let old = sources(&[("Cargo.toml", "a\nb\nc\n"), ("src/same.rs", "same\n")]);
        let new = sources(&[
            ("Cargo.toml", "a\nB\nc\n"),
            ("src/new.rs", "new\n"),
            ("src/same.rs", "same\n"),
        ]);
        let patch = make(&old, &new);
        assert_eq!(
            patch,
            "--- a/Cargo.toml\n+++ b/Cargo.toml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n\
             --- /dev/null\n+++ b/src/new.rs\n@@ -0,0 +1 @@\n+new\n"
        );
        assert_eq!(apply(old, &patch), Ok(new));
    }

    #[test]
    fn error_names_what_does_not_fit() {
        let [old, new] = ["a\nb\nc\n", "a\nB\nc\n"].map(|text| sources(&[("src/x.rs", text)]));
        let patch = make(&old, &new);
        let error = apply(sources(&[("src/x.rs", "d\n")]), &patch).unwrap_err();
        assert!(
            error.contains("src/x.rs") && error.contains("#1"),
            "{error}"
        );
    }
}
