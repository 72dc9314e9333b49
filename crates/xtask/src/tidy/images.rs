//! The list of images for clusters without internet access names every image that is used by
//! default, and no other.

use std::collections::BTreeSet;

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// The list, one image a line.
const LIST: &str = "charts/bookingq/images.txt";
const CHART: &str = "charts/bookingq/Chart.yaml";
const VALUES: &str = "charts/bookingq/values.yaml";
/// Where the default image of a managed Redis stands.
const REDIS: &str = "crates/api/src/redis.rs";

/// Compares the list and the annotation `artifacthub.io/images` with the defaults.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.contains(LIST) {
        return Ok(Vec::new());
    }
    let (chart, values, redis) = (tree.text(CHART)?, tree.text(VALUES)?, tree.text(REDIS)?);
    let of = |text: &str, prefix: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(prefix));
        found.map(|value| value.trim_matches(['"', ',']).to_owned())
    };
    let repository = of(&values, "repository: ").unwrap_or_default();
    let version = of(&chart, "appVersion: ").unwrap_or_default();
    let redis = of(&redis, "image: \"").unwrap_or_default();
    let redis = redis.trim_end_matches("\".to_owned()").to_owned();
    let used = BTreeSet::from([format!("{repository}:{version}"), redis]);
    let list = tree.text(LIST)?;
    let listed: BTreeSet<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let mut findings = compare(LIST, &used, &listed);
    let annotated = chart.lines().filter_map(|line| line.trim().strip_prefix("image: "));
    findings.extend(compare(CHART, &used, &annotated.collect()));
    Ok(findings)
}

fn compare(file: &str, used: &BTreeSet<String>, listed: &BTreeSet<&str>) -> Vec<Finding> {
    let missing = used.iter().filter(|image| !listed.contains(image.as_str()));
    let missing = missing.map(|image| format!("{image} is used by default and not listed"));
    let unused = listed.iter().filter(|image| !used.contains(**image));
    let unused = unused.map(|image| format!("{image} is listed and not used by default"));
    missing.chain(unused).map(|what| Finding::in_file(file, what)).collect()
}
