//! A cluster, through kubectl and helm: whatever KUBECONFIG points at.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::prerequisites::HELM;
use crate::shell;
use crate::within::{self, Look, until};

/// One request to the API server.
const REQUEST: Duration = Duration::from_secs(30);
/// What a wait of kubectl or helm may take beyond its own time-out.
const BEYOND: Duration = Duration::from_secs(15);

/// Fails, with what to install, if the tools are missing.
pub fn check_tools() -> Result<()> {
    if !shell::has("kubectl") {
        bail!("kubectl is missing; install it: https://kubernetes.io/docs/tasks/tools/");
    }
    HELM.require()
}

/// kubectl with these words; its output.
pub fn kubectl(words: &[&str]) -> Result<String> {
    call("kubectl", words, None, REQUEST)
}

/// kubectl that waits by itself, for at most `limit`.
pub fn kubectl_waiting(words: &[&str], limit: Duration) -> Result<String> {
    let timeout = format!("--timeout={}s", limit.as_secs());
    call("kubectl", &[words, &[timeout.as_str()]].concat(), None, limit + BEYOND)
}

/// helm that waits by itself, for at most `limit`.
pub fn helm(words: &[&str], limit: Duration) -> Result<String> {
    let timeout = format!("--timeout={}s", limit.as_secs());
    call("helm", &[words, &[timeout.as_str()]].concat(), None, limit + BEYOND)
}

/// Makes objects as YAML or JSON text says.
pub fn apply(text: &str) -> Result<()> {
    call("kubectl", &["apply", "--filename=-"], Some(text), REQUEST).map(drop)
}

/// Puts a JSON text to a path of the API server.
pub fn replace_raw(path: &str, json: &str) -> Result<()> {
    call("kubectl", &["replace", "--raw", path, "--filename=-"], Some(json), REQUEST).map(drop)
}

/// kubectl get, as JSON.
pub fn get(words: &[&str]) -> Result<Value> {
    let text = kubectl(&[&["get", "--output=json"], words].concat())?;
    serde_json::from_str(&text).context("kubectl printed something that is not JSON")
}

/// The items of kubectl get.
pub fn list(words: &[&str]) -> Result<Vec<Value>> {
    match get(words)?["items"].take() {
        Value::Array(items) => Ok(items),
        _ => bail!("kubectl get {} printed no list", words.join(" ")),
    }
}

/// The names of the objects that kubectl get finds, as `kind/name`.
pub fn names(words: &[&str]) -> Result<Vec<String>> {
    let text = kubectl(&[&["get", "--output=name", "--ignore-not-found"], words].concat())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Every kind that can be listed, in a namespace or outside of all, as kubectl names them. Events
/// are not things.
pub fn kinds(namespaced: bool) -> Result<Vec<String>> {
    let scope = format!("--namespaced={namespaced}");
    let text = kubectl(&["api-resources", "--verbs=list,delete", "--output=name", &scope])?;
    let things = text.lines().filter(|kind| !kind.starts_with("events"));
    Ok(things.map(str::to_owned).collect())
}

/// Waits until kubectl get finds nothing.
pub fn wait_until_gone(what: &str, words: &[&str], limit: Duration) -> Result<()> {
    until(format!("{what} to be gone"), limit, || {
        let left = names(words)?;
        Ok(if left.is_empty() { Look::Done(()) } else { Look::NotYet(left.join(", ")) })
    })
}

fn call(program: &str, words: &[&str], input: Option<&str>, limit: Duration) -> Result<String> {
    within::run(&[&[program], words].concat(), input, limit)
}
