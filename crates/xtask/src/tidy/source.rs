//! Size, first line, forbidden words and white space of the sources.

use anyhow::Result;

use super::problem::Problem;
use crate::tree::{self, Tree};

/// Over this, a file has a second reason to exist.
const MAX_LINES: usize = 400;

/// What must not stay in the sources. Put together here, so that this file may pass its own test.
const FORBIDDEN: [&str; 6] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
];

/// Written by hand, line by line. What is generated is left alone.
pub const TEXT: [&str; 9] =
    [".rs", ".lua", ".proto", ".toml", ".md", ".yaml", ".yml", ".sh", ".ci/run"];
const GENERATED: [&str; 3] = ["crds/", "charts/bookingq/files/", "manifests/install.yaml"];

/// Whether a command of ours writes it.
pub fn is_generated(file: &str) -> bool {
    GENERATED.iter().any(|folder| file.starts_with(folder))
}

/// Checks every source.
pub fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in tree.ending(&TEXT).filter(|file| !is_generated(file)) {
        check_file(file, &tree::read(file)?, &mut problems);
    }
    Ok(problems)
}

fn check_file(file: &str, text: &str, problems: &mut Vec<Problem>) {
    let (_, kind) = file.rsplit_once('.').unwrap_or_default();
    let lines = text.lines().count();
    if kind == "rs" && lines > MAX_LINES {
        let what =
            format!("{lines} lines; at most {MAX_LINES}: what is the second reason for this file?");
        problems.push(Problem::in_file(file, what));
    }
    // What a file is for stands in its first line.
    let opening = [("rs", "//! "), ("lua", "-- ")].into_iter().find(|(of, _)| *of == kind);
    if let Some((_, opening)) = opening.filter(|(_, opening)| !text.starts_with(opening)) {
        problems.push(Problem::at(
            file,
            0,
            format!("the first line must say what the file is for: {opening}…"),
        ));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push(Problem::in_file(file, "the last line has no end"));
    }
    for (index, line) in text.lines().enumerate() {
        if line.contains('\t') {
            problems.push(Problem::at(file, index, "a tab; use spaces"));
        }
        if line.ends_with([' ', '\r']) {
            problems.push(Problem::at(file, index, "white space at the end of the line"));
        }
        for word in FORBIDDEN.into_iter().filter(|word| line.contains(word)) {
            problems.push(Problem::at(
                file,
                index,
                format!("{word} must not stay: do it, or open an issue"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(file: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check_file(file, text, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_file_has_no_problem() {
        assert_eq!(problems("a.rs", "//! What it is.\n\nfn a() {}\n"), [""; 0]);
        assert_eq!(problems("a.lua", "-- What it is.\nreturn 1\n"), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_line() {
        let long = format!("//! What it is.\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(
            problems("a.rs", &long),
            ["a.rs: 401 lines; at most 400: what is the second reason for this file?"]
        );
        assert!(problems("a.rs", "fn a() {}\n")[0].starts_with("a.rs:1: the first line"));
        assert!(problems("a.lua", "return 1\n")[0].starts_with("a.lua:1: the first line"));
        assert!(problems("a.md", "one\ntwo ")[0].contains("no end"));
        assert!(problems("a.md", "one\ntwo \n")[0].starts_with("a.md:2: white space"));
        assert!(problems("a.toml", "\ta = 1\n")[0].starts_with("a.toml:1: a tab"));
        for word in FORBIDDEN {
            let text = format!("//! What it is.\n{word}\n");
            assert!(problems("a.rs", &text)[0].starts_with("a.rs:2:"), "{word}");
        }
    }
}
