//! Rules that compare the chart with the pages for the people who run it.
#![allow(clippy::unwrap_used)]

use std::fs;

use xtask::tidy::{images, rights, runbooks};
use xtask::tree::Tree;
use xtask::{alerts, bundle};

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

#[test]
fn images_that_are_not_listed_and_images_that_are_not_used_are_named() {
    let found = |list: &str| -> Vec<String> {
        let tree = tree(&[
            ("charts/bookingq/images.txt", list),
            (
                "charts/bookingq/Chart.yaml",
                "appVersion: 2.0.0\n  x: |\n    - name: a\n      image: r/b:2.0.0\n    - name: c\n      image: d/redis:7\n",
            ),
            ("charts/bookingq/values.yaml", "image:\n  repository: r/b\n"),
            ("crates/api/src/redis.rs", "        image: \"d/redis:7\".to_owned(),\n"),
        ]);
        images::check(&tree.1).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(found("# all\nr/b:2.0.0\nd/redis:7\n"), [""; 0]);
    let list = "charts/bookingq/images.txt";
    let expected = [
        format!("{list}: r/b:2.0.0 is used by default and not listed"),
        format!("{list}: r/b:1.0.0 is listed and not used by default"),
    ];
    assert_eq!(found("r/b:1.0.0\nd/redis:7\n"), expected);
}

#[test]
fn the_bundle_takes_rules_and_deployment_from_the_rendered_chart() {
    let object = |kind: &str, name: &str, rest: &str| {
        format!("---\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}")
    };
    let rendered = [
        object("ClusterRole", "bookingq-view", "rules:\n  - other\n"),
        object("ClusterRole", "bookingq-operator", "rules:\n  # why\n  - all\n"),
        object("Role", "bookingq-operator-election", "rules:\n  - lease\n"),
        object("Deployment", "bookingq-operator", "spec:\n  image: r/b:1\n\nstatus: none\n"),
    ]
    .concat();
    let text = bundle::cluster_service_version(&rendered).unwrap();
    let service_version = "      clusterPermissions:\n      - serviceAccountName: bookingq-operator\n        rules:\n          # why\n          - all\n";
    assert!(text.contains(service_version), "{text}");
    assert!(text.contains("        rules:\n          - lease\n"), "{text}");
    assert!(text.contains("        spec:\n          image: r/b:1\n"), "{text}");
    assert!(text.contains("    containerImage: r/b:1\n"), "{text}");
    assert!(!text.contains("other") && !text.contains("status: none"), "{text}");
    let missing = bundle::cluster_service_version("").unwrap_err().to_string();
    assert_eq!(missing, "the chart renders no ClusterRole called bookingq-operator");
}
