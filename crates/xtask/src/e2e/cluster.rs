//! The cluster in KUBECONFIG, through kubectl and helm.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::prerequisites::HELM;
use crate::shell;
use crate::within::{self, Look, until};

/// Namespace of the operator, as in README.md.
pub const OPERATOR: &str = "bookingq-system";
/// Namespace of the sample.
pub const NAMESPACE: &str = "bookingq-demo";
/// Queue of the sample.
pub const QUEUE: &str = "concert";

/// Deadline of one request to the API server.
const REQUEST: Duration = Duration::from_secs(30);
/// Time that kubectl and helm get beyond their own time-out.
const MARGIN: Duration = Duration::from_secs(15);

/// Fails with installation instructions if a tool is missing.
pub fn check_tools() -> Result<()> {
    if !shell::has("kubectl") {
        bail!("kubectl is missing; install it: https://kubernetes.io/docs/tasks/tools/");
    }
    HELM.require()
}

/// Runs kubectl and returns its output.
pub fn kubectl(words: &[&str]) -> Result<String> {
    call("kubectl", words, None, REQUEST)
}

/// Runs a kubectl command that waits by itself, for at most `limit`.
pub fn kubectl_waiting(words: &[&str], limit: Duration) -> Result<String> {
    let timeout = format!("--timeout={}s", limit.as_secs());
    call("kubectl", &[words, &[timeout.as_str()]].concat(), None, limit + MARGIN)
}

/// Runs a helm command that waits by itself, for at most `limit`.
pub fn helm(words: &[&str], limit: Duration) -> Result<String> {
    let timeout = format!("--timeout={}s", limit.as_secs());
    call("helm", &[words, &[timeout.as_str()]].concat(), None, limit + MARGIN)
}

/// Applies objects in YAML or JSON.
pub fn apply(text: &str) -> Result<()> {
    call("kubectl", &["apply", "--filename=-"], Some(text), REQUEST).map(drop)
}

/// Sends JSON to a path of the API server with PUT.
pub fn replace_raw(path: &str, json: &str) -> Result<()> {
    call("kubectl", &["replace", "--raw", path, "--filename=-"], Some(json), REQUEST).map(drop)
}

/// An object in the namespace of the sample, such as `pod/a`.
pub fn get(object: &str) -> Result<Value> {
    read(&["--namespace", NAMESPACE, object])
}

/// The JSON output of kubectl get.
pub fn read(words: &[&str]) -> Result<Value> {
    let text = kubectl(&[&["get", "--output=json"], words].concat())?;
    serde_json::from_str(&text).context("kubectl printed something that is not JSON")
}

/// The items of kubectl get.
pub fn list(words: &[&str]) -> Result<Vec<Value>> {
    match read(words)?["items"].take() {
        Value::Array(items) => Ok(items),
        _ => bail!("kubectl get {} printed no list", words.join(" ")),
    }
}

/// The names of the objects that kubectl get finds, as `kind/name`.
pub fn names(words: &[&str]) -> Result<Vec<String>> {
    let text = kubectl(&[&["get", "--output=name", "--ignore-not-found"], words].concat())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Every kind that can be listed, namespaced or not, except for events.
pub fn kinds(namespaced: bool) -> Result<Vec<String>> {
    let scope = format!("--namespaced={namespaced}");
    let text = kubectl(&["api-resources", "--verbs=list,delete", "--output=name", &scope])?;
    let kinds = text.lines().filter(|kind| !kind.starts_with("events"));
    Ok(kinds.map(str::to_owned).collect())
}

/// Waits until a queue is Ready.
pub fn wait_until_ready(queue: &str, limit: Duration) -> Result<()> {
    let queue = format!("bookingqueue/{queue}");
    let wait = ["wait", "--namespace", NAMESPACE, "--for=condition=Ready", &queue];
    kubectl_waiting(&wait, limit).map(drop)
}

/// Waits until kubectl get finds nothing.
pub fn wait_until_deleted(what: &str, words: &[&str], limit: Duration) -> Result<()> {
    until(format!("{what} to be deleted"), limit, || {
        let left = names(words)?;
        Ok(if left.is_empty() { Look::Done(()) } else { Look::NotYet(left.join(", ")) })
    })
}

fn call(program: &str, words: &[&str], input: Option<&str>, limit: Duration) -> Result<String> {
    within::run(&[&[program], words].concat(), input, limit)
}
