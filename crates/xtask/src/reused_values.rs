//! `helm upgrade --reuse-values` brings the values of the older chart, without those that are new.
//! So the chart must be the same without any one of its values, as if that were new.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::generated::first_difference;
use crate::{shell, tree};

/// Its absence looks like its removal by a user; `_helpers.tpl` says so. It was in the
/// first chart.
const REMOVABLE: &str = "resources";
/// Everything that is off by default.
const EVERYTHING: &str = "serviceMonitor.enabled=true,podMonitor.enabled=true,\
                          prometheusRule.enabled=true,grafanaDashboard.enabled=true";
const FOLDER: &str = "target/reused-values";

/// Renders the chart without each of its values, for this version of Kubernetes, and compares.
pub fn check(chart: &str, kubernetes: &str) -> Result<()> {
    let folder = tree::root().join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {FOLDER}"))?;
    }
    fs::create_dir_all(&folder)?;
    let copy = folder.join("chart");
    shell::run(Command::new("cp").arg("-R").arg(tree::root().join(chart)).arg(&copy))?;
    let file = copy.join("values.yaml");
    let values = fs::read_to_string(&file).context("cannot read the values of the chart")?;
    let whole = render(&copy, kubernetes)?;
    let mut checked = keys(&values);
    checked.retain(|key| key.split('.').next() != Some(REMOVABLE));
    for key in &checked {
        fs::write(&file, without(&values, key))?;
        let rendered =
            render(&copy, kubernetes).with_context(|| format!("without the value {key}"))?;
        if let Some(difference) = first_difference(&rendered, &whole) {
            bail!(
                "`helm upgrade --reuse-values` from a chart without {key}: {difference}; see \
                 bookingq.defaults in {chart}/templates/_helpers.tpl"
            );
        }
    }
    println!("reused values: the chart is the same without any one of {} values", checked.len());
    fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {FOLDER}"))
}

/// The chart with its own values, and with everything.
fn render(chart: &Path, kubernetes: &str) -> Result<String> {
    let rendered = |more: &[&str]| {
        let mut helm = Command::new("helm");
        helm.args(["template", "bookingq"]).arg(chart).args(["--kube-version", kubernetes]);
        shell::read(helm.args(more))
    };
    Ok(rendered(&[])? + &rendered(&["--set", EVERYTHING])?)
}

/// The keys of a values file on its first two levels, as `a` and `a.b`, without those that are the
/// only ones below another.
pub fn keys(values: &str) -> Vec<String> {
    let (mut found, mut outer) = (Vec::new(), "");
    for line in values.lines() {
        let Some((key, indent)) = key(line) else { continue };
        if indent == 0 {
            outer = key;
            found.push(key.to_owned());
        } else if indent == 2 {
            found.push(format!("{outer}.{key}"));
        }
    }
    let has_more = |key: &String| {
        let Some((outer, _)) = key.split_once('.') else { return true };
        let below = found.iter().filter(|other| other.split('.').next() == Some(outer));
        below.count() > 2
    };
    let kept: Vec<bool> = found.iter().map(has_more).collect();
    found.into_iter().zip(kept).filter_map(|(key, kept)| kept.then_some(key)).collect()
}

/// The values without a key and what is below it.
pub fn without(values: &str, removed: &str) -> String {
    let (mut kept, mut outer, mut below) = (String::new(), "", None);
    for line in values.lines() {
        if let Some((key, indent)) = key(line) {
            if indent == 0 {
                outer = key;
            }
            below = below.filter(|top| indent > *top);
            let path = if indent == 0 { key.to_owned() } else { format!("{outer}.{key}") };
            if path == removed && indent <= 2 {
                below = Some(indent);
            }
        }
        if below.is_none() {
            kept += line;
            kept += "\n";
        }
    }
    kept
}

/// The key of a line, and its indent.
fn key(line: &str) -> Option<(&str, usize)> {
    let text = line.trim_start();
    let (key, _) = text.split_once(':')?;
    let is_key = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then_some((key, line.len() - text.len()))
}
