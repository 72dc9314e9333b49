//! The page on security explains each right of the operator, and no right that it does not have.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// The roles. Those of the operator's own namespace (the Lease) stand in this file, too.
const ROLES: &str = "charts/bookingq/templates/rbac.yaml";
/// The page. A row of its table is `| group | resource | verbs | what for |`.
const PAGE: &str = "docs/security.md";

/// What may be done with each resource, by group and resource; `core` is the group without a name.
pub type Rights = BTreeMap<(String, String), BTreeSet<String>>;

/// Compares them.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.contains(ROLES) {
        return Ok(Vec::new());
    }
    let (granted, explained) = (granted(&tree.text(ROLES)?), explained(&tree.text(PAGE)?));
    let mut findings = Vec::new();
    if granted.is_empty() {
        findings.push(Finding::in_file(ROLES, "no rule is found here"));
    }
    let names: BTreeSet<_> = granted.keys().chain(explained.keys()).collect();
    for name in names {
        let (has, says) = (verbs(&granted, name), verbs(&explained, name));
        if has != says {
            let (group, resource) = name;
            let what =
                format!("{group} {resource}: the roles allow [{has}], the page says [{says}]");
            findings.push(Finding::in_file(PAGE, what));
        }
    }
    Ok(findings)
}

fn verbs(rights: &Rights, name: &(String, String)) -> String {
    let verbs = rights.get(name).into_iter().flatten();
    verbs.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The rules of all roles in the chart's template, whose lists are written in one line.
pub fn granted(roles: &str) -> Rights {
    let mut rights = Rights::new();
    let (mut groups, mut resources) = (Vec::new(), Vec::new());
    for line in roles.lines() {
        let line = line.trim_start().trim_start_matches("- ");
        if let Some(list) = line.strip_prefix("apiGroups: ") {
            groups = items(list);
        } else if let Some(list) = line.strip_prefix("resources: ") {
            resources = items(list);
        } else if let Some(list) = line.strip_prefix("verbs: ") {
            for (group, resource) in pairs(&groups, &resources) {
                rights.entry((group, resource)).or_default().extend(items(list));
            }
        }
    }
    rights
}

/// The rows of the page whose second cell names resources.
pub fn explained(page: &str) -> Rights {
    let mut rights = Rights::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let [group, resources, verbs, _] = cells.as_slice() else { continue };
        let quoted = |cell: &str| items(&cell.replace('`', ""));
        for (group, resource) in pairs(&quoted(group), &quoted(resources)) {
            rights.entry((group, resource)).or_default().extend(items(verbs));
        }
    }
    rights
}

fn pairs(groups: &[String], resources: &[String]) -> Vec<(String, String)> {
    let with = |group: &String| {
        let group = if group.is_empty() { "core".to_owned() } else { group.clone() };
        resources.iter().map(move |resource| (group.clone(), resource.clone()))
    };
    groups.iter().flat_map(with).collect()
}

/// `[a, b]` or `a, b`.
fn items(list: &str) -> Vec<String> {
    let list = list.trim().trim_start_matches('[').trim_end_matches(']');
    list.split(',').map(|item| item.trim().trim_matches('"').to_owned()).collect()
}
