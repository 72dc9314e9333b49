//! Saves objects, events and logs of the cluster when a step fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::cluster::{NAMESPACE, OPERATOR, kubectl, list};
use crate::tree;

/// Writes into a new folder and returns its path. A command that fails leaves its error.
pub fn write() -> Result<PathBuf> {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let folder = tree::root().join(format!("target/e2e/{second}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for namespace in [OPERATOR, NAMESPACE] {
        let within = ["--namespace", namespace];
        let asked: [(&str, &[&str]); 4] = [
            ("objects", &["get", "all,pvc,cronjobs,networkpolicies,leases", "--output=wide"]),
            ("queues", &["get", "bookingqueues,bookingqueuebackups", "--output=yaml"]),
            ("descriptions", &["describe", "bookingqueues,pods,deployments,statefulsets,jobs"]),
            ("events", &["get", "events", "--sort-by=.lastTimestamp"]),
        ];
        for (name, words) in asked {
            save(&folder, &format!("{namespace}-{name}.txt"), &[&within[..], words].concat())?;
        }
        for pod in list(&["pods", "--namespace", namespace]).unwrap_or_default() {
            let Some(name) = pod["metadata"]["name"].as_str() else { continue };
            let logs =
                [&["logs"], &within[..], &["--all-containers", "--timestamps", name]].concat();
            save(&folder, &format!("{namespace}-{name}.log"), &logs)?;
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
            if restarts.is_some_and(|restarts| restarts > 0) {
                save(
                    &folder,
                    &format!("{namespace}-{name}-before.log"),
                    &[&logs[..], &["--previous"]].concat(),
                )?;
            }
        }
    }
    Ok(folder)
}

fn save(folder: &Path, name: &str, words: &[&str]) -> Result<()> {
    let text = kubectl(words).unwrap_or_else(|error| format!("{error:#}\n"));
    fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
}
