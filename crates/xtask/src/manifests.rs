//! `cargo xtask manifests`: renders the chart to manifests/install.yaml, for installations without
//! Helm.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::generated::Args;
use crate::prerequisites::HELM;
use crate::{reused_values, shell, tree};

const CHART: &str = "charts/bookingq";
const FILE: &str = "manifests/install.yaml";
/// The namespace of the operator.
const NAMESPACE: &str = "bookingq-system";
/// Rendered for this version, independent of the version of Helm.
const KUBERNETES: &str = "1.34.0";
/// The version of the chart and the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const HEADER: &str = "\
# bookingq without Helm:
#
#   kubectl apply -f manifests/install.yaml
#
# Applying a newer release's file upgrades. `kubectl delete -f` on this file deletes every BookingQueue in the cluster:
# docs/kubernetes.md says how to uninstall without that. Generated from charts/bookingq by `cargo xtask manifests`.
";

/// Writes or checks it. Returns what was rendered, without what only Helm needs.
pub fn run(args: &Args) -> Result<String> {
    check_versions(&tree::read(&format!("{CHART}/Chart.yaml"))?)?;
    HELM.require()?;
    let rendered = without_helm(&shell::read(&mut helm_template())?);
    args.settle(FILE, &format!("{HEADER}{}{rendered}", namespace()), "cargo xtask manifests")?;
    if args.checks() {
        reused_values::check(CHART, KUBERNETES)?;
    }
    Ok(rendered)
}

/// `helm template` of the chart, as the release `bookingq`.
pub fn helm_template() -> Command {
    let mut helm = Command::new("helm");
    helm.current_dir(tree::root()).args(["template", "bookingq", CHART, "--skip-tests"]);
    helm.args(["--namespace", NAMESPACE, "--kube-version", KUBERNETES]);
    helm
}

/// Fails unless the chart and the program have one version.
pub fn check_versions(chart: &str) -> Result<()> {
    for field in ["version", "appVersion"] {
        let prefix = format!("{field}: ");
        let found = chart.lines().find_map(|line| line.strip_prefix(&prefix));
        let found = found.with_context(|| format!("{CHART}/Chart.yaml has no {field}"))?;
        if found != VERSION {
            bail!("{CHART}/Chart.yaml: {field} is {found}, not {VERSION} as in Cargo.toml");
        }
    }
    Ok(())
}

/// The operator works under the strictest of the Pod Security Standards.
fn namespace() -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// Removes what only Helm reads.
pub fn without_helm(rendered: &str) -> String {
    let rendered = rendered.replace("  annotations:\n    helm.sh/resource-policy: keep\n", "");
    let helms = |line: &str| {
        let line = line.trim_start();
        line.starts_with("# Source: ")
            || line.starts_with("helm.sh/chart: ")
            || line == "app.kubernetes.io/managed-by: Helm"
    };
    rendered.lines().filter(|line| !helms(line)).flat_map(|line| [line.trim_end(), "\n"]).collect()
}
