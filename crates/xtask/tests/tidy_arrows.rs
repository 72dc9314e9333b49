//! Which crate may import which.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use xtask::tidy::arrows;

fn findings(name: &str, imports: &[(&str, Option<&str>)]) -> String {
    let imports: Vec<_> =
        imports.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
    let findings = arrows::check_package(&json!({ "name": name, "dependencies": imports }));
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_workspace_follows_the_arrows() {
    assert_eq!(arrows::check().unwrap(), []);
}

#[test]
fn imports_go_down() {
    let imports = [("bookingq-store", None), ("bookingq-store", Some("dev")), ("tonic", None)];
    assert_eq!(findings("bookingq-worker", &imports), "");
    let up =
        "crates/store/Cargo.toml: bookingq-store may not import bookingq-worker: arrows point down";
    for kind in [None, Some("dev"), Some("build")] {
        assert_eq!(findings("bookingq-store", &[("bookingq-worker", kind)]), up);
    }
}

#[test]
fn siblings_do_not_know_each_other() {
    for kind in [None, Some("dev")] {
        let found = findings("bookingq-worker", &[("bookingq-operator", kind)]);
        assert!(found.ends_with("siblings do not know each other"), "{found}");
    }
}

#[test]
fn tests_may_use_processes_and_simulated_services() {
    assert_eq!(findings("bookingq-worker", &[("bookingq-sim", Some("dev"))]), "");
    assert_eq!(findings("bookingq-store", &[("bookingq-harness", Some("dev"))]), "");
    assert_ne!(findings("bookingq-worker", &[("bookingq-sim", None)]), "");
    assert_ne!(findings("bookingq-worker", &[("bookingq-up", Some("dev"))]), "");
}

#[test]
fn the_core_stays_without_io_and_a_new_crate_needs_a_level() {
    assert_eq!(findings("bookingq-core", &[("serde", None), ("proptest", Some("dev"))]), "");
    assert!(findings("bookingq-core", &[("tonic", None)]).contains("no I/O"));
    assert!(findings("bookingq-new", &[]).contains("has no level"));
}
