//! Lines of at most 100 characters, in code, comments and prose.
//!
//! Exempt are lines that cannot be broken: strings (rustfmt does not break them either), addresses,
//! tables, and in documents links and code blocks.

use anyhow::Result;

use super::finding::Finding;
use super::rust::RustSource;
use crate::tree::Tree;

/// As rustfmt is set.
const MAX: usize = 100;

/// Checks every source and document.
pub fn check(tree: &Tree, sources: &[RustSource]) -> Result<Vec<Finding>> {
    let mut findings: Vec<_> =
        sources.iter().flat_map(|source| check_rust(&source.path, source)).collect();
    for file in tree.ending(&[".lua", ".proto"]) {
        findings.extend(wide(file, &tree.text(file)?, |_| true));
    }
    for file in tree.ending(&[".md"]) {
        let mut in_block = false;
        let prose = |line: &str| {
            let fence = line.trim_start().starts_with("```");
            in_block ^= fence;
            !fence && !in_block && !line.starts_with('|') && !line.contains("](")
        };
        findings.extend(wide(file, &tree.text(file)?, prose));
    }
    Ok(findings)
}

fn check_rust(file: &str, source: &RustSource) -> Vec<Finding> {
    let mut code = source.code.lines();
    wide(file, &source.text, |_| !code.next().is_some_and(|code| code.contains('"')))
}

/// The lines that count and are too long.
fn wide(file: &str, text: &str, mut counts: impl FnMut(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let width = line.chars().count();
        if counts(line) && width > MAX && !line.contains("://") {
            findings.push(Finding::at(file, index, format!("{width} characters; at most {MAX}")));
        }
    }
    findings
}
