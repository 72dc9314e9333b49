//! Each alert has its runbook, with cause, check and cure, and each runbook its alert.

use std::collections::BTreeMap;

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// The alerts.
const ALERTS: &str = "charts/bookingq/templates/prometheusrule.yaml";
/// Their runbooks.
const RUNBOOKS: &str = "docs/runbooks.md";
/// What makes each alert fire.
const TESTS: &str = "tests/alerts/alerts.yaml";
/// The parts of a runbook, in their order.
const PARTS: [&str; 4] = ["**Cause.**", "**Check.**", "```sh", "**Cure.**"];

/// Compares them.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.contains(ALERTS) {
        return Ok(Vec::new());
    }
    let (rules, page) = (tree.text(ALERTS)?, tree.text(RUNBOOKS)?);
    let tests = tree.text(TESTS)?;
    let runbooks = sections(&page);
    let mut findings = Vec::new();
    let alerts = alerts(&rules);
    for alert in &alerts {
        let Alert { line, name, link } = alert;
        let anchor = format!("#{}", name.to_lowercase());
        if !link.is_some_and(|link| link.ends_with(&anchor)) {
            let what = format!("{name} has no runbook_url that ends with {anchor}");
            findings.push(Finding::at(ALERTS, *line, what));
        }
        if !runbooks.contains_key(name) {
            findings.push(Finding::in_file(RUNBOOKS, format!("no heading `## {name}`")));
        }
        let tested = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|w| w == *name);
        if !tests.lines().any(tested) {
            findings.push(Finding::in_file(TESTS, format!("nothing makes {name} fire")));
        }
    }
    for (name, (line, text)) in &runbooks {
        if !alerts.iter().any(|alert| alert.name == *name) {
            findings.push(Finding::at(RUNBOOKS, *line, format!("no alert is called {name}")));
        } else if let Some(part) = missing(text) {
            let what = format!("{name} has no {part}, or not in the order {}", PARTS.join(", "));
            findings.push(Finding::at(RUNBOOKS, *line, what));
        }
    }
    Ok(findings)
}

/// One alert of the chart.
struct Alert<'a> {
    /// 0 = first.
    line: usize,
    name: &'a str,
    /// The value of `runbook_url`.
    link: Option<&'a str>,
}

fn alerts(rules: &str) -> Vec<Alert<'_>> {
    let mut alerts: Vec<Alert<'_>> = Vec::new();
    for (line, text) in rules.lines().enumerate() {
        let text = text.trim_start();
        if let Some(name) = text.strip_prefix("- alert: ") {
            alerts.push(Alert { line, name, link: None });
        } else if let Some(link) = text.strip_prefix("runbook_url: ")
            && let Some(alert) = alerts.last_mut()
        {
            alert.link = Some(link);
        }
    }
    alerts
}

/// The text below each heading of the second level, with the line of the heading (0 = first).
fn sections(page: &str) -> BTreeMap<&str, (usize, String)> {
    let mut sections = BTreeMap::new();
    let mut name = None;
    for (index, line) in page.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.insert(heading, (index, String::new()));
            name = Some(heading);
        } else if let Some((_, text)) = name.and_then(|name| sections.get_mut(name)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}

/// The first part that does not follow the ones before it.
fn missing(text: &str) -> Option<&'static str> {
    let mut rest = text;
    PARTS.into_iter().find(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            false
        }
        None => true,
    })
}
