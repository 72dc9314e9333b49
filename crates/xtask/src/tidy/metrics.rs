//! Every metric is documented, and every metric that a document, an alert or the dashboard names
//! exists.

use std::collections::BTreeSet;

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// The files that create metrics, with their prefix after [`PREFIX`].
const SOURCES: [(&str, &str); 5] = [
    ("crates/worker/src/metrics.rs", ""),
    ("crates/operator/src/metrics.rs", "operator_"),
    ("crates/gateway/src/http_metrics.rs", "gateway_"),
    ("crates/gateway/src/metrics.rs", "gateway_"),
    ("crates/gateway/src/limits/limit_metrics.rs", "gateway_"),
];
/// The file that documents them.
const DOCUMENT: &str = "docs/operations.md";
/// An alert on a metric that does not exist would never fire, and a panel would stay empty.
const READERS: [&str; 2] =
    ["charts/bookingq/templates/prometheusrule.yaml", "charts/bookingq/files/dashboard.json"];
const PREFIX: &str = "bookingqueue_";

/// Compares them. `mentions` reports a missing document.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.contains(DOCUMENT) {
        return Ok(Vec::new());
    }
    let mut all = BTreeSet::new();
    let mut findings = Vec::new();
    for (source, prefix) in SOURCES {
        let made = made(&tree.text(source)?);
        if made.is_empty() {
            let what = "no metric is created here as `.counter(\"name\"`";
            findings.push(Finding::in_file(source, what));
        }
        all.extend(made.into_iter().map(|name| format!("{prefix}{name}")));
    }
    let document = tree.text(DOCUMENT)?;
    findings.extend(unknown(&all, DOCUMENT, &document));
    for reader in READERS {
        findings.extend(unknown(&all, reader, &tree.text(reader)?));
    }
    findings.extend(unexplained(&all, &document));
    Ok(findings)
}

/// Names in a file that no source creates.
fn unknown(made: &BTreeSet<String>, file: &str, text: &str) -> Vec<Finding> {
    let lost = named(text).into_iter().filter(|(_, name)| family(made, name).is_none());
    lost.map(|(index, name)| Finding::at(file, index, format!("no source makes {PREFIX}{name}")))
        .collect()
}

/// Metrics without documentation.
fn unexplained(made: &BTreeSet<String>, document: &str) -> Vec<Finding> {
    let explained: BTreeSet<_> =
        named(document).into_iter().filter_map(|(_, name)| family(made, name)).collect();
    let silent = made.iter().filter(|name| !explained.contains(name.as_str()));
    silent
        .map(|name| Finding::in_file(DOCUMENT, format!("{PREFIX}{name} is not explained")))
        .collect()
}

/// The methods that create a metric with this name.
const MAKERS: [&str; 9] = [
    "counter",
    "counters",
    "gauge",
    "gauges",
    "int_gauge",
    "int_gauges",
    "histogram",
    "histograms",
    "watched",
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

/// The metric of a series: histograms have several series.
fn family<'a>(made: &'a BTreeSet<String>, name: &str) -> Option<&'a str> {
    let parts = ["", "_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| made.get(name.strip_suffix(part)?)).map(String::as_str)
}
