//! Size, first line, forbidden words and white space of the sources.

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// A longer file has a second reason to exist.
const MAX_LINES: usize = 400;

/// Leftovers. They are concatenated so that this file passes its own test.
pub const FORBIDDEN: [&str; 6] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
];

/// Texts that are not generated.
pub const TEXT: [&str; 9] =
    [".rs", ".lua", ".proto", ".toml", ".md", ".yaml", ".yml", ".sh", ".ci/run"];
const GENERATED: [&str; 3] = ["crds/", "charts/bookingq/files/", "manifests/install.yaml"];

/// Whether a command of ours generates it.
pub fn is_generated(file: &str) -> bool {
    GENERATED.iter().any(|folder| file.starts_with(folder))
}

/// Checks every source.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in tree.ending(&TEXT).filter(|file| !is_generated(file)) {
        check_file(file, &tree.text(file)?, &mut findings);
    }
    Ok(findings)
}

fn check_file(file: &str, text: &str, findings: &mut Vec<Finding>) {
    let (_, kind) = file.rsplit_once('.').unwrap_or_default();
    let lines = text.lines().count();
    if kind == "rs" && lines > MAX_LINES {
        let what =
            format!("{lines} lines; at most {MAX_LINES}: what is the second reason for this file?");
        findings.push(Finding::in_file(file, what));
    }
    let opening = [("rs", "//! "), ("lua", "-- ")].into_iter().find(|(of, _)| *of == kind);
    if let Some((_, opening)) = opening.filter(|(_, opening)| !text.starts_with(opening)) {
        findings.push(Finding::at(
            file,
            0,
            format!("the first line must say what the file is for: {opening}…"),
        ));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::in_file(file, "the last line has no end"));
    }
    for (index, line) in text.lines().enumerate() {
        if line.contains('\t') {
            findings.push(Finding::at(file, index, "a tab; use spaces"));
        }
        if line.ends_with([' ', '\r']) {
            findings.push(Finding::at(file, index, "white space at the end of the line"));
        }
        for word in FORBIDDEN.into_iter().filter(|word| line.contains(word)) {
            findings.push(Finding::at(
                file,
                index,
                format!("{word} must not stay: do it, or open an issue"),
            ));
        }
    }
}
