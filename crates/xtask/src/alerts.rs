//! `cargo xtask alerts`: renders the alerts of the chart and runs their tests with promtool.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::prerequisites::{HELM, PROMTOOL};
use crate::{manifests, shell, tree};

/// The tests, in promtool's format.
const TESTS: &str = "tests/alerts/alerts.yaml";
/// Where the rules and a copy of the tests are written.
const FOLDER: &str = "target/alerts";

/// Nothing can be chosen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:  cargo xtask alerts")]
pub struct Args {}

/// Checks the rules, then tests them.
pub fn run(_: &Args) -> Result<()> {
    HELM.require()?;
    PROMTOOL.require()?;
    let folder = tree::root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {FOLDER}"))?;
    let mut helm = manifests::helm_template();
    helm.args(["--set", "prometheusRule.enabled=true"]);
    helm.args(["--show-only", "templates/prometheusrule.yaml"]);
    let rules = spec(&shell::read(&mut helm)?);
    fs::write(folder.join("rules.yaml"), rules).context("cannot write the rules")?;
    fs::write(folder.join("alerts.yaml"), tree::read(TESTS)?).context("cannot copy the tests")?;
    let promtool = |words: &[&str]| {
        let mut promtool = Command::new("promtool");
        shell::run(promtool.current_dir(&folder).args(words))
    };
    promtool(&["check", "rules", "rules.yaml"])?;
    promtool(&["test", "rules", "alerts.yaml"])
}

/// The groups of rules inside a PrometheusRule: what Prometheus itself reads.
pub fn spec(resource: &str) -> String {
    let lines = resource.lines().skip_while(|line| *line != "spec:").skip(1);
    lines.flat_map(|line| [line.strip_prefix("  ").unwrap_or(line), "\n"]).collect()
}
