//! Manifests of an older version of the resource, written for the newer one. The text stays as it
//! is, with its comments; only the `apiVersion` of each `BookingQueue` changes.

use serde_json::Value;

use crate::crd::{NEXT, STORED};

/// A text that is no YAML.
#[derive(Debug, thiserror::Error)]
#[error("the file is no YAML: {0}")]
pub struct NoYaml(#[from] serde_saphyr::Error);

/// The key whose value is replaced.
const KEY: &str = "apiVersion";
/// The group of the resource, with the slash before its version.
const GROUP: &str = "bookingqueue.dev/";

/// The text with each `BookingQueue` of version v1alpha1 as v1beta1, which has the same fields, and
/// the number of those that were changed.
///
/// # Errors
/// [`NoYaml`].
pub fn convert(text: &str) -> Result<(String, usize), NoYaml> {
    let mut left = old_queues(text)?;
    let all = left;
    let mut converted = text.to_owned();
    let old = format!("{GROUP}{STORED}");
    let places: Vec<usize> = text.match_indices(&old).map(|(place, _)| place).collect();
    // From the end, so that the places before stay where they are.
    for place in places.into_iter().rev() {
        if left == 0 {
            break;
        }
        if !is_value_of_the_key(&text[..place]) {
            continue;
        }
        let mut candidate = converted.clone();
        let version = place + GROUP.len();
        candidate.replace_range(version..version + STORED.len(), NEXT);
        // A comment, a text, or an object of another kind: nothing changes for a queue.
        if old_queues(&candidate)? == left - 1 {
            (converted, left) = (candidate, left - 1);
        }
    }
    Ok((converted, all - left))
}

/// Whether what ends here is the key, with or without quotes around it and around its value.
fn is_value_of_the_key(before: &str) -> bool {
    let before = before.trim_end_matches(['"', '\'']).trim_end();
    let key = before.strip_suffix(':').map(|key| key.trim_end().trim_end_matches(['"', '\'']));
    key.is_some_and(|key| key.ends_with(KEY))
}

/// The number of queues of the older version, in lists too.
fn old_queues(text: &str) -> Result<usize, NoYaml> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(documents.iter().map(count).sum())
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => {
            let version = fields.get(KEY).and_then(Value::as_str);
            let version = version.and_then(|version| version.strip_prefix(GROUP));
            let is_queue = fields.get("kind").and_then(Value::as_str) == Some("BookingQueue");
            usize::from(is_queue && version == Some(STORED))
                + fields.values().map(count).sum::<usize>()
        }
        _ => 0,
    }
}
