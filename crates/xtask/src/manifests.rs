//! `cargo xtask manifests`: manifests/install.yaml is the chart, rendered for people without Helm.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::generated::Args;
use crate::prerequisites::HELM;
use crate::{shell, tree};

const CHART: &str = "charts/bookingq";
const FILE: &str = "manifests/install.yaml";
/// Where it is installed.
const NAMESPACE: &str = "bookingq-system";
/// Rendered for this version, whatever the Helm at hand was built for.
const KUBERNETES: &str = "1.34.0";
/// The chart's version is ours.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const HEADER: &str = "\
# bookingq without Helm:
#
#   kubectl apply -f manifests/install.yaml
#
# Applying a newer release's file upgrades. `kubectl delete -f` on this file deletes every BookingQueue in the cluster, with
# its data: docs/kubernetes.md says how to uninstall without that. Generated from charts/bookingq by `cargo xtask manifests`.
";

/// Writes or checks it.
pub fn run(args: &Args) -> Result<()> {
    check_versions(&tree::read(&format!("{CHART}/Chart.yaml"))?)?;
    HELM.require()?;
    let mut helm = Command::new("helm");
    helm.current_dir(tree::root()).args(["template", "bookingq", CHART, "--skip-tests"]);
    helm.args(["--namespace", NAMESPACE, "--kube-version", KUBERNETES]);
    let rendered = shell::read(&mut helm)?;
    args.settle(
        FILE,
        &format!("{HEADER}{}{}", namespace(), without_helm(&rendered)),
        "cargo xtask manifests",
    )
}

/// One release has one version, of the chart as of the program.
fn check_versions(chart: &str) -> Result<()> {
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

/// The operator needs no rights that the strictest of the Pod Security Standards does not give.
fn namespace() -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// What only Helm reads is left out.
fn without_helm(rendered: &str) -> String {
    let rendered = rendered.replace("  annotations:\n    helm.sh/resource-policy: keep\n", "");
    let helms = |line: &str| {
        let line = line.trim_start();
        line.starts_with("# Source: ")
            || line.starts_with("helm.sh/chart: ")
            || line == "app.kubernetes.io/managed-by: Helm"
    };
    rendered.lines().filter(|line| !helms(line)).flat_map(|line| [line.trim_end(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
