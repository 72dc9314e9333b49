//! Which crate may import which.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use xtask::tidy::arrows;
use xtask::tree;

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
fn the_architecture_draws_the_levels() {
    let text = tree::read("ARCHITECTURE.md").unwrap();
    let (_, map) = text.split_once("## Code map").unwrap();
    let lines = map.lines().filter_map(|line| line.strip_prefix("    "));
    let drawn = lines.take(arrows::LEVELS.len()).map(|line| {
        // Each crate may have a remark in parentheses.
        let names = line.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
        let mut names: Vec<_> = names.flat_map(str::split_whitespace).map(str::to_owned).collect();
        names.sort();
        names
    });
    let mut drawn: Vec<_> = drawn.collect();
    drawn.reverse();
    let levels = arrows::LEVELS.map(|level| {
        let name = |name: &&str| match *name {
            "bookingq" => "cli".to_owned(),
            name => name.trim_start_matches("bookingq-").to_owned(),
        };
        let mut names: Vec<_> = level.iter().map(name).collect();
        names.sort();
        names
    });
    assert_eq!(drawn, levels);
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
