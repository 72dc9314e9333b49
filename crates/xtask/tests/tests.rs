//! How tests are chosen and counted.
#![allow(clippy::unwrap_used)]

use xtask::test::{TestCounts, chooses_packages, want_control_plane};

#[test]
fn the_results_of_all_suites_add_up() {
    let mut counts = TestCounts::default();
    for line in [
        "running 13 tests",
        "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        "test ids::tests::an_id ... ok",
        "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
    ] {
        counts.add(line);
    }
    assert_eq!(counts, TestCounts { suites: 2, passed: 14, failed: 5, ignored: 1 });
    assert_eq!(counts.to_string(), "tests: 14 passed, 5 failed, 1 ignored (2 suites)");
}

#[test]
fn the_whole_workspace_is_tested_unless_packages_are_named() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(chooses_packages(&words("-p bookingq-core")));
    assert!(chooses_packages(&words("--package=bookingq-core --lib")));
    assert!(!chooses_packages(&words("--lib -- -p")));
}

#[test]
fn a_control_plane_is_wanted_only_where_its_tests_are() {
    let wanted = |line: &str| {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        want_control_plane(&words).into_iter().map(|(package, _)| package).collect::<Vec<_>>()
    };
    let (operator, plugin) = ("bookingq-operator", "bookingq-plugin");
    for line in ["", "--lib", "--workspace", "-- late -p x"] {
        assert_eq!(wanted(line), [operator, plugin], "{line}");
    }
    assert_eq!(wanted("-p bookingq-core -p bookingq-operator"), [operator]);
    assert_eq!(wanted("--workspace --exclude bookingq-operator"), [plugin]);
    for line in ["-p bookingq-core", "--package=bookingq"] {
        assert_eq!(wanted(line), [""; 0], "{line}");
    }
}
