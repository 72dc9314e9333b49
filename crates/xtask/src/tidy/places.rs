//! The order of the line is the order of places: only `core` compares queue numbers.

use super::finding::Finding;
use super::rust::RustSource;

/// The crate that defines the order.
const OWNER: &str = "crates/core/";
const NUMBERS: [&str; 3] = ["place.number", "queue_number", "QueueNumber("];
const COMPARISONS: [&str; 9] =
    [" < ", " > ", " <= ", " >= ", ".cmp(", ".max(", ".min(", "sort_by", "is_sorted"];

/// Checks every source outside of tests.
pub fn check(sources: &[RustSource]) -> Vec<Finding> {
    let others = sources.iter().filter(|source| !source.path.starts_with(OWNER));
    others.flat_map(check_file).collect()
}

fn check_file(source: &RustSource) -> impl Iterator<Item = Finding> {
    let has = |line: &str, any: &[&str]| any.iter().any(|part| line.contains(part));
    let lines = source.product().lines().enumerate();
    let wrong = lines.filter(move |(_, line)| has(line, &NUMBERS) && has(line, &COMPARISONS));
    wrong.map(|(index, _)| {
        Finding::at(&source.path, index, "compare places (bookingq_core::Place), not queue numbers")
    })
}
