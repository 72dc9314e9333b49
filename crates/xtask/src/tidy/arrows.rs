//! Who may import whom: the arrows between the crates, checked from their Cargo.toml files.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::problem::Problem;
use crate::shell;

/// A crate may import those of the levels before its own, and no others.
const LEVELS: [&[&str]; 9] = [
    &["bookingq-core"],
    &["bookingq-queue", "bookingq-api", "bookingq-proto", "bookingq-serve", "bookingq-harness"],
    &["bookingq-store"],
    &["bookingq-follow", "bookingq-client"],
    &["bookingq-worker", "bookingq-operator", "bookingq-sim", "bookingq-crowd"],
    &["bookingq-check"],
    &["bookingq-up", "bookingq-trial"],
    &["bookingq", "bookingq-bench", "bookingq-faults", "xtask"],
    &["bookingq-fuzz"],
];

/// The core does no I/O: this is all it may import from outside. `retry` needs rand and tokio's timer.
const CORE_IMPORTS: [&str; 5] = ["rand", "serde", "thiserror", "tokio", "uuid"];

/// Checks every crate.
pub fn check() -> Result<Vec<Problem>> {
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    let metadata: Value = serde_json::from_str(&shell::read(shell::cargo().args(metadata))?)?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    Ok(packages.iter().flat_map(check_package).collect())
}

fn check_package(package: &Value) -> Vec<Problem> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = format!("crates/{}/Cargo.toml", name.strip_prefix("bookingq-").unwrap_or(name));
    let Some(own) = level(name) else {
        return vec![Problem::in_file(
            &manifest,
            format!("{name} has no level yet; give it one in {}", file!()),
        )];
    };
    let imports = package["dependencies"].as_array().into_iter().flatten();
    imports
        .filter_map(|import| wrong(name, own, import))
        .map(|what| Problem::in_file(&manifest, what))
        .collect()
}

/// What is wrong with one import.
fn wrong(name: &str, own: usize, import: &Value) -> Option<String> {
    let imported = import["name"].as_str().unwrap_or_default();
    let for_tests = import["kind"].as_str() == Some("dev");
    match level(imported) {
        None if own == 0 && !for_tests && !CORE_IMPORTS.contains(&imported) => {
            Some(format!("{name} may import only {CORE_IMPORTS:?}, not {imported}: no I/O"))
        }
        None => None,
        // Tests may look sideways (a worker's tests need the simulated services), but never up.
        Some(other) if other < own || (for_tests && other == own) => None,
        Some(_) => {
            Some(format!("{name} may not import {imported}: no arrow points back or sideways"))
        }
    }
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(name: &str, imports: &[(&str, Option<&str>)]) -> usize {
        let imports: Vec<_> =
            imports.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        check_package(&json!({ "name": name, "dependencies": imports })).len()
    }

    #[test]
    fn imports_go_down() {
        assert_eq!(problems("bookingq-worker", &[("bookingq-store", None), ("tonic", None)]), 0);
        assert_eq!(problems("bookingq-store", &[("bookingq-worker", None)]), 1);
        assert_eq!(problems("bookingq-store", &[("bookingq-client", None)]), 1);
        assert_eq!(problems("bookingq-proto", &[("bookingq-store", Some("build"))]), 1);
    }

    #[test]
    fn tests_may_look_sideways_but_not_up() {
        assert_eq!(problems("bookingq-worker", &[("bookingq-sim", Some("dev"))]), 0);
        assert_eq!(problems("bookingq-worker", &[("bookingq-sim", None)]), 1);
        assert_eq!(problems("bookingq-worker", &[("bookingq-up", Some("dev"))]), 1);
    }

    #[test]
    fn the_core_stays_without_io_and_a_new_crate_needs_a_level() {
        assert_eq!(problems("bookingq-core", &[("serde", None), ("proptest", Some("dev"))]), 0);
        assert_eq!(problems("bookingq-core", &[("tonic", None)]), 1);
        assert_eq!(problems("bookingq-new", &[]), 1);
    }
}
