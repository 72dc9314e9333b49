//! Every metric is documented, and every metric that a document or an alert names exists.

use std::collections::BTreeSet;

use anyhow::Result;

use super::problem::Problem;
use crate::tree::{self, Tree};

/// Where they are made, and what stands before the names there once [`PREFIX`] is taken away.
const SOURCES: [(&str, &str); 2] =
    [("crates/worker/src/metrics.rs", ""), ("crates/operator/src/metrics.rs", "operator_")];
/// Where they are explained.
const DOCUMENT: &str = "docs/operations.md";
/// Where they are used: an alert on a metric that does not exist would never fire.
const ALERTS: &str = "charts/bookingq/templates/prometheusrule.yaml";
const PREFIX: &str = "bookingqueue_";

/// Compares them. A missing document is reported with the others that are expected.
pub fn check(tree: &Tree) -> Result<Vec<Problem>> {
    if !tree.contains(DOCUMENT) {
        return Ok(Vec::new());
    }
    let mut all = BTreeSet::new();
    let mut problems = Vec::new();
    for (source, prefix) in SOURCES {
        let made = made(&tree::read(source)?);
        if made.is_empty() {
            let what = "no metric is made here as tidy knows it: `.counter(\"name\"`";
            problems.push(Problem::in_file(source, what));
        }
        all.extend(made.into_iter().map(|name| format!("{prefix}{name}")));
    }
    let document = tree::read(DOCUMENT)?;
    problems.extend(unknown(&all, DOCUMENT, &document));
    problems.extend(unknown(&all, ALERTS, &tree::read(ALERTS)?));
    problems.extend(unexplained(&all, &document));
    Ok(problems)
}

/// Names in a file that no source makes.
fn unknown(made: &BTreeSet<String>, file: &str, text: &str) -> Vec<Problem> {
    let lost = named(text).into_iter().filter(|(_, name)| family(made, name).is_none());
    lost.map(|(index, name)| Problem::at(file, index, format!("no source makes {PREFIX}{name}")))
        .collect()
}

/// Metrics that the document does not name.
fn unexplained(made: &BTreeSet<String>, document: &str) -> Vec<Problem> {
    let explained: BTreeSet<_> =
        named(document).into_iter().filter_map(|(_, name)| family(made, name)).collect();
    let silent = made.iter().filter(|name| !explained.contains(name.as_str()));
    silent
        .map(|name| Problem::in_file(DOCUMENT, format!("{PREFIX}{name} is not explained")))
        .collect()
}

/// The methods that make one, by the name it gets.
const MAKERS: [&str; 9] = [
    "counter",
    "counters",
    "gauge",
    "gauges",
    "int_gauge",
    "int_gauges",
    "histogram",
    "histograms",
    "conditions",
];

/// The first argument of each `.counter("…"`, on the same line or the next.
fn made(source: &str) -> BTreeSet<String> {
    let first_argument = |call: &str| {
        let (method, rest) = call.split_once('(')?;
        let (name, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        MAKERS.contains(&method).then(|| name.to_owned())
    };
    source.split('.').skip(1).filter_map(first_argument).collect()
}

/// What follows the prefix, with its line (0 = first). The prefix alone, as in `bookingqueue_*`,
/// names nothing.
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

    const CODE: &str = "let a = Self { a: r.counter(\"a_total\", \"A\")?, b: r\n .histogram(\n \"b_seconds\",\n \"B\")? };";

    fn lines(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_made_and_explained_agrees() {
        let document = "`bookingqueue_*`: `bookingqueue_a_total{x}`,\n`rate(bookingqueue_b_seconds_bucket[5m])`";
        assert_eq!(unknown(&made(CODE), "a.md", document), []);
        assert_eq!(unexplained(&made(CODE), document), []);
    }

    #[test]
    fn both_kinds_of_gap_are_named() {
        let document = "\nbookingqueue_a_total bookingqueue_c";
        let unknown = lines(&unknown(&made(CODE), "a.yaml", document));
        assert_eq!(unknown, ["a.yaml:2: no source makes bookingqueue_c"]);
        let unexplained = lines(&unexplained(&made(CODE), document));
        assert_eq!(unexplained, [format!("{DOCUMENT}: bookingqueue_b_seconds is not explained")]);
    }
}
