//! Generated files are compared with their sources.
#![allow(clippy::unwrap_used)]

use xtask::generated::first_difference;
use xtask::manifests::{VERSION, check_versions, without_helm};
use xtask::reused_values::{keys, without};

#[test]
fn the_first_line_that_differs_is_named() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(first_difference("a\nb\n", "a\nc\n").as_deref(), Some("line 2 is \"b\", not \"c\""));
    assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2 is \"\", not \"b\""));
    assert_eq!(first_difference("a\nb", "a").as_deref(), Some("line 2 is \"b\", not the end"));
}

#[test]
fn what_only_helm_reads_is_left_out() {
    let rendered = "---\n# Source: a/b.yaml\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  labels:\n    \
        app.kubernetes.io/managed-by: Helm\n    helm.sh/chart: a-1\n    app.kubernetes.io/name: a\n";
    let wanted = "---\nmetadata:\n  labels:\n    app.kubernetes.io/name: a\n";
    assert_eq!(without_helm(rendered), wanted);
}

#[test]
fn a_chart_of_another_version_is_refused() {
    let chart = |version: &str| format!("name: a\nversion: {version}\nappVersion: {VERSION}\n");
    assert!(check_versions(&chart(VERSION)).is_ok());
    let refused = check_versions(&chart("9.9.9")).map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.contains("version is 9.9.9")));
}

#[test]
fn a_value_is_removed_with_what_is_below_it() {
    let values = "# Why.\na: \"\"\nb:\n  # More.\n  c: 1\n  d:\n    c: 2\ne: []\n";
    assert_eq!(keys(values), ["a", "b", "b.c", "b.d", "e"]);
    assert_eq!(without(values, "b.d"), "# Why.\na: \"\"\nb:\n  # More.\n  c: 1\ne: []\n");
    assert_eq!(without(values, "b"), "# Why.\na: \"\"\ne: []\n");
    assert_eq!(without(values, "e"), values.replace("e: []\n", ""));
}
