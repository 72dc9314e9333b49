//! A function fits a screen.

use super::finding::Finding;
use super::rust::RustSource;

/// A longer function does a second thing.
const MAX_LINES: usize = 60;

/// Checks every function, those of tests too.
pub fn check(sources: &[RustSource]) -> Vec<Finding> {
    sources.iter().flat_map(check_file).collect()
}

fn check_file(source: &RustSource) -> impl Iterator<Item = Finding> {
    let long = source.functions().into_iter().filter(|(_, lines)| lines.len() > MAX_LINES);
    long.map(|(name, lines)| {
        let what = format!("fn {name} has {} lines; at most {MAX_LINES}", lines.len());
        Finding::at(&source.path, lines.start, what)
    })
}
