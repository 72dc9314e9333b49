//! Whether all workers have the settings on which a change of Redis depends.

use serde_json::Value;

use crate::build::arguments;
use crate::cached_object::CachedObject;
use crate::target::QueueTarget;

/// Whether all workers run the newest template, and that template waits for as many replicas as the
/// target. The watch may lag behind an apply, so the template itself is compared.
pub fn workers_follow(workers: &CachedObject, target: &QueueTarget) -> bool {
    let rolled_out = workers.status.as_ref().is_some_and(|status| status.is_rolled_out());
    rolled_out && argument(&workers.tree()) == arguments::replicas_waited_for(target)
}

/// How many replicas the template of these workers waits for.
pub fn replicas_waited_for(workers: &CachedObject) -> u8 {
    let argument = argument(&workers.tree());
    let number = argument.as_ref().and_then(|argument| argument.rsplit('=').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The argument about replicas in the template of the worker's container.
fn argument(deployment: &Value) -> Option<String> {
    let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
    let worker = containers.iter().find(|container| container["name"] == "worker")?;
    let words = worker["args"].as_array()?.iter().filter_map(Value::as_str);
    arguments::find_replicas_argument(words).map(str::to_owned)
}
