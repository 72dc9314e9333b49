//! Rules that compare the chart with the pages for the people who run it.
#![allow(clippy::unwrap_used)]

use std::fs;

use xtask::alerts;
use xtask::tidy::{rights, runbooks};
use xtask::tree::Tree;

const ALERT: &str = "      - alert: BookingqA\n        annotations:\n          \
                     runbook_url: {{ x }}#bookingqa\n";
const RUNBOOK: &str =
    "# Runbooks\n\n## BookingqA\n\n**Cause.** a\n\n**Check.**\n\n```sh\nls\n```\n\n**Cure.** b\n";
const TEST: &str = "exp: {alertname=\"BookingqA\"}\n";

fn found(rules: &str, page: &str, tests: &str) -> Vec<String> {
    let files = [
        ("charts/bookingq/templates/prometheusrule.yaml", rules),
        ("docs/runbooks.md", page),
        ("tests/alerts/alerts.yaml", tests),
    ];
    let tree = tree(&files);
    runbooks::check(&tree.1).unwrap().iter().map(ToString::to_string).collect()
}

fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tree = Tree::read(folder.path()).unwrap();
    (folder, tree)
}

#[test]
fn an_alert_with_runbook_and_test_is_fine() {
    assert_eq!(found(ALERT, RUNBOOK, TEST), [""; 0]);
}

#[test]
fn an_alert_without_link_runbook_or_test_is_named() {
    let rules = ALERT.replace("#bookingqa", "#bookingqb");
    let expected = "charts/bookingq/templates/prometheusrule.yaml:1: BookingqA has no runbook_url that ends with #bookingqa";
    assert_eq!(found(&rules, RUNBOOK, TEST), [expected]);
    let expected = ["docs/runbooks.md: no heading `## BookingqA`"];
    assert_eq!(found(ALERT, "# Runbooks\n", TEST), expected);
    let expected = ["tests/alerts/alerts.yaml: nothing makes BookingqA fire"];
    assert_eq!(found(ALERT, RUNBOOK, "exp: BookingqAB\n"), expected);
}

#[test]
fn a_runbook_without_alert_or_part_is_named() {
    let page = format!("{RUNBOOK}\n## BookingqOld\n");
    assert_eq!(found(ALERT, &page, TEST), ["docs/runbooks.md:15: no alert is called BookingqOld"]);
    let page = RUNBOOK.replace("**Cure.** b", "");
    let expected = "docs/runbooks.md:3: BookingqA has no **Cure.**, or not in the order **Cause.**, **Check.**, ```sh, **Cure.**";
    assert_eq!(found(ALERT, &page, TEST), [expected]);
}

#[test]
fn rights_that_differ_between_the_roles_and_the_page_are_named() {
    let roles = "- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [get, list]\n\
                 - apiGroups: [apps]\n  resources: [deployments, replicasets]\n  verbs: [get]\n";
    let row = "| `core` | `pods` | get, list | reasons |\n";
    let apps = "| `apps` | `deployments`, `replicasets` | get | numbers |\n";
    let found = |page: &str| -> Vec<String> {
        let tree =
            tree(&[("charts/bookingq/templates/rbac.yaml", roles), ("docs/security.md", page)]);
        rights::check(&tree.1).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(&format!("{row}{apps}")), [""; 0]);
    assert_eq!(
        found(row),
        [
            "docs/security.md: apps deployments: the roles allow [get], the page says []",
            "docs/security.md: apps replicasets: the roles allow [get], the page says []",
        ]
    );
    assert_eq!(
        found(&format!("{}{apps}", row.replace("get, list", "get, delete"))),
        ["docs/security.md: core pods: the roles allow [get, list], the page says [delete, get]"]
    );
}

#[test]
fn the_rules_of_the_resource_are_what_prometheus_reads() {
    let resource = "kind: PrometheusRule\nspec:\n  groups:\n    - name: a\n";
    assert_eq!(alerts::spec(resource), "groups:\n  - name: a\n");
}
