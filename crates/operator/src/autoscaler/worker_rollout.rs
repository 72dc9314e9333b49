//! Whether all workers have the settings on which a change of Redis depends.

use serde_json::Value;

use crate::cached_object::CachedObject;
use crate::target::QueueTarget;

/// Whether all workers run the newest template, and that template waits for as many replicas as the
/// target. The watch may lag behind an apply, so the template itself is compared.
pub fn workers_follow(workers: &CachedObject, target: &QueueTarget) -> bool {
    let rolled_out = workers.status.as_ref().is_some_and(|status| status.is_rolled_out());
    let wanted = target.plan.store.redis().map_or(0, |redis| redis.acknowledge_replicas);
    rolled_out && replicas_waited_for(workers) == wanted
}

/// How many replicas the template of these workers waits for.
pub fn replicas_waited_for(workers: &CachedObject) -> u8 {
    argument(&workers.tree()).unwrap_or(0)
}

/// The argument about replicas in the template of the worker's container, if there is one.
fn argument(deployment: &Value) -> Option<u8> {
    let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
    let worker = containers.iter().find(|container| container["name"] == "worker")?;
    let mut words = worker["args"].as_array()?.iter().filter_map(Value::as_str);
    words.find_map(|word| word.strip_prefix("--redis-acknowledge-replicas="))?.parse().ok()
}
