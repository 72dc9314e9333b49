//! Which crate may import which: the arrows of ARCHITECTURE.md, checked with the Cargo.toml files.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::finding::Finding;
use crate::shell;

/// A crate may import the crates of earlier levels. Siblings, the crates of one level, do not know
/// each other.
pub const LEVELS: [&[&str]; 10] = [
    &["bookingq-core", "bookingq-serve"],
    &["bookingq-queue", "bookingq-api", "bookingq-proto", "bookingq-identity"],
    &["bookingq-store"],
    &["bookingq-follow", "bookingq-client"],
    &["bookingq-worker", "bookingq-operator", "bookingq-plugin"],
    &["bookingq-crowd", "bookingq-sim", "bookingq-harness", "bookingq-gateway"],
    &["bookingq-check"],
    &["bookingq-up", "bookingq-faults", "bookingq-bench", "bookingq-trial", "xtask"],
    &["bookingq"],
    // Its inputs include command lines.
    &["bookingq-fuzz"],
];

/// Tests of every crate may start processes and simulated services, because these do not import
/// the crate under test.
const TEST_TOOLS: [&str; 2] = ["bookingq-harness", "bookingq-sim"];

/// The core does no I/O: the only external crates that it imports. `retry` needs rand, and tokio
/// for its timer.
const CORE_IMPORTS: [&str; 5] = ["rand", "serde", "thiserror", "tokio", "uuid"];

/// Checks every crate.
pub fn check() -> Result<Vec<Finding>> {
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    let metadata: Value = serde_json::from_str(&shell::read(shell::cargo().args(metadata))?)?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    Ok(packages.iter().flat_map(check_package).collect())
}

/// Checks the dependencies and dev-dependencies of one package of `cargo metadata`.
pub fn check_package(package: &Value) -> Vec<Finding> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = format!("crates/{}/Cargo.toml", name.strip_prefix("bookingq-").unwrap_or(name));
    let Some(own) = level(name) else {
        let what = format!("{name} has no level; add it to LEVELS in {}", file!());
        return vec![Finding::in_file(&manifest, what)];
    };
    let imports = package["dependencies"].as_array().into_iter().flatten();
    let wrong = imports.filter_map(|import| wrong(name, own, import));
    wrong.map(|what| Finding::in_file(&manifest, what)).collect()
}

fn wrong(name: &str, own: usize, import: &Value) -> Option<String> {
    let imported = import["name"].as_str().unwrap_or_default();
    let for_tests = import["kind"].as_str() == Some("dev");
    match level(imported) {
        _ if for_tests && TEST_TOOLS.contains(&imported) => None,
        Some(other) if other == own => {
            Some(format!("{name} may not import {imported}: siblings do not know each other"))
        }
        Some(other) if other > own => {
            Some(format!("{name} may not import {imported}: arrows point down"))
        }
        None if name == "bookingq-core" && !for_tests && !CORE_IMPORTS.contains(&imported) => {
            Some(format!("{name} may not import {imported}, only {CORE_IMPORTS:?}: no I/O"))
        }
        _ => None,
    }
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&name))
}
