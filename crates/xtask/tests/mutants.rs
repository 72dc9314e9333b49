//! Mutants and the programs that tests build.
#![allow(clippy::unwrap_used)]

use xtask::control_plane::{PROGRAMS, version};
use xtask::faults::mutants::{broken, check_edits};
use xtask::tree;

#[test]
fn every_mutant_fits_the_sources() {
    check_edits().unwrap();
}

#[test]
fn an_invariant_is_broken_when_its_count_is_not_zero() {
    let report = serde_json::json!({ "invariants": [{ "number": 1, "broken": 0 }, { "number": 4, "broken": 2 }] });
    assert_eq!(broken(&report), [4]);
}

#[test]
fn the_modules_pin_a_version_and_have_every_program() {
    let version = version().unwrap();
    assert!(version.starts_with("v1.") && version.split('.').count() == 3, "{version}");
    for program in &PROGRAMS {
        let file = format!("tests/control-plane/{}/go.mod", program.module);
        let root = program.package.split("/cmd/").next().unwrap();
        assert!(tree::read(&file).unwrap().contains(root), "{file} does not have {root}");
    }
}
