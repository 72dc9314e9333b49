//! Lines of at most 100 characters, in code, comments and prose.
//!
//! Left out is what can't be cut: strings (rustfmt leaves them whole too), addresses, tables, and
//! in documents links and code blocks.

use anyhow::Result;

use super::problem::Problem;
use super::rust::Source;
use crate::tree::{self, Tree};

/// As rustfmt is set.
const MAX: usize = 100;

/// Checks every source and document.
pub fn check(tree: &Tree, sources: &[Source]) -> Result<Vec<Problem>> {
    let mut problems: Vec<_> =
        sources.iter().flat_map(|source| check_rust(&source.path, source)).collect();
    for file in tree.ending(&[".lua", ".proto"]) {
        problems.extend(wide(file, &tree::read(file)?, |_| true));
    }
    for file in tree.ending(&[".md"]) {
        let mut in_block = false;
        let prose = |line: &str| {
            let fence = line.trim_start().starts_with("```");
            in_block ^= fence;
            !fence && !in_block && !line.starts_with('|') && !line.contains("](")
        };
        problems.extend(wide(file, &tree::read(file)?, prose));
    }
    Ok(problems)
}

fn check_rust(file: &str, source: &Source) -> Vec<Problem> {
    let mut code = source.code.lines();
    wide(file, &source.text, |_| !code.next().is_some_and(|code| code.contains('"')))
}

/// The lines that are too long, of those that count.
fn wide(file: &str, text: &str, mut counts: impl FnMut(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let width = line.chars().count();
        if counts(line) && width > MAX && !line.contains("://") {
            problems.push(Problem::at(file, index, format!("{width} characters; at most {MAX}")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_named_unless_a_string_makes_it_long() {
        let long = "x".repeat(90);
        let text = format!("//! {long}\n// {long} {long}\nf(\"{long} {long}\");\n");
        let found = check_rust("a.rs", &Source::new("a.rs", text));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "a.rs:2: 184 characters; at most 100");
        assert_eq!(wide("a.md", &format!("https://{long}{long}"), |_| true), []);
    }
}
