//! Every metric is documented, and every documented metric exists.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Problem;
use crate::tree::{self, Tree};

/// Where they are made.
const SOURCE: &str = "crates/worker/src/metrics.rs";
/// Where they are explained.
const DOCUMENT: &str = "docs/operations.md";
const PREFIX: &str = "bookingqueue_";

/// Compares both. A missing document is reported with the others that are expected.
pub fn check(tree: &Tree) -> Result<Vec<Problem>> {
    if !tree.contains(DOCUMENT) {
        return Ok(Vec::new());
    }
    Ok(compare(&tree::read(SOURCE)?, &tree::read(DOCUMENT)?))
}

fn compare(source: &str, document: &str) -> Vec<Problem> {
    let made = made(source);
    if made.is_empty() {
        return vec![Problem::in_file(
            SOURCE,
            "no metric is made here as tidy knows it: `.counter(\"name\"`",
        )];
    }
    let mut explained = BTreeSet::new();
    let mut problems = Vec::new();
    for (index, name) in named(document) {
        match family(&made, name) {
            Some(family) => drop(explained.insert(family)),
            None => problems.push(Problem::at(DOCUMENT, index, format!("{PREFIX}{name} is not in {SOURCE}"))),
        }
    }
    let silent = made.iter().filter(|name| !explained.contains(name.as_str()));
    problems
        .extend(silent.map(|name| Problem::in_file(SOURCE, format!("{PREFIX}{name} is not in {DOCUMENT}"))));
    problems
}

/// The methods that make one, by the name it gets.
const MAKERS: [&str; 7] = ["counter", "counters", "gauge", "gauges", "int_gauge", "histogram", "histograms"];

/// The first argument of each `.counter("…"`, on the same line or the next.
fn made(source: &str) -> BTreeSet<String> {
    let first_argument = |call: &str| {
        let (method, rest) = call.split_once('(')?;
        let (name, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        MAKERS.contains(&method).then(|| name.to_owned())
    };
    source.split('.').skip(1).filter_map(first_argument).collect()
}

/// What follows the prefix, with its line (0 = first). The prefix alone, as in `bookingqueue_*`, names nothing.
fn named(document: &str) -> Vec<(usize, &str)> {
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut names = Vec::new();
    for (index, line) in document.lines().enumerate() {
        let rests = line.split(PREFIX).skip(1);
        let found = rests.map(|rest| rest.split(|c| !in_name(c)).next().unwrap_or_default());
        names.extend(found.filter(|name| !name.is_empty()).map(|name| (index, name)));
    }
    names
}

/// A histogram is asked for by its parts.
fn family<'a>(made: &'a BTreeSet<String>, name: &str) -> Option<&'a str> {
    let parts = ["", "_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| made.get(name.strip_suffix(part)?)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str =
        "let a = Self { a: r.counter(\"a_total\", \"A\")?, b: r\n .histogram(\n \"b_seconds\",\n \"B\")? };";

    #[test]
    fn what_is_made_and_explained_agrees() {
        let document =
            "`bookingqueue_*`: `bookingqueue_a_total{x}`,\n`rate(bookingqueue_b_seconds_bucket[5m])`";
        assert_eq!(compare(CODE, document), []);
    }

    #[test]
    fn both_kinds_of_gap_are_named() {
        let lines: Vec<_> =
            compare(CODE, "\nbookingqueue_a_total bookingqueue_c").iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                format!("{DOCUMENT}:2: bookingqueue_c is not in {SOURCE}"),
                format!("{SOURCE}: bookingqueue_b_seconds is not in {DOCUMENT}"),
            ]
        );
    }

    #[test]
    fn a_source_that_cannot_be_read_is_not_a_pass() {
        assert_eq!(compare("fn main() {}", "").len(), 1);
    }
}
