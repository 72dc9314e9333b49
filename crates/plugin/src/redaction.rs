//! Leaves secrets out of what is written into an archive.
//!
//! Three rules, because each misses something: the values of Secrets are never written; values of
//! environment variables whose names look secret are not either; and whatever a Secret of the queue
//! contains is replaced wherever else it occurs, such as in a log line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value, json};

/// What stands in the place of a secret.
pub const LEFT_OUT: &str = "(left out)";
/// Shorter values are too common to be replaced in texts.
const SHORTEST: usize = 6;
/// Parts of names whose values are secret.
const SECRET_NAMES: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "apikey"];

/// The secrets that are known.
#[derive(Debug, Default)]
pub struct Redaction {
    /// Longest first, so that no part of a longer one remains.
    values: Vec<String>,
}

impl Redaction {
    /// Knows what these Secrets contain: whole values, their lines, and both in base64.
    pub fn of(secrets: &[Secret]) -> Self {
        let mut values = Vec::new();
        let data = secrets.iter().flat_map(|secret| secret.data.iter().flatten());
        for (_, bytes) in data {
            values.push(STANDARD.encode(&bytes.0));
            let text = String::from_utf8_lossy(&bytes.0);
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            values.extend(lines.map(str::to_owned));
            values.push(text.trim().to_owned());
        }
        values.retain(|value| value.len() >= SHORTEST);
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// A text without the known secrets, and without passwords in URLs.
    pub fn text(&self, text: &str) -> String {
        let known = |text: String, value: &String| text.replace(value.as_str(), LEFT_OUT);
        without_userinfo(&self.values.iter().fold(text.to_owned(), known))
    }

    /// An object without secrets, and without what only the API server reads.
    pub fn object(&self, mut object: Value) -> Value {
        let is_secret = object["kind"] == "Secret";
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            // A copy of the whole object as it was applied.
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
        if let (true, Some(fields)) = (is_secret, object.as_object_mut()) {
            fields.remove("stringData");
            if let Some(Value::Object(data)) = fields.get_mut("data") {
                data.values_mut().for_each(|value| *value = json!(LEFT_OUT));
            }
        }
        self.value(&mut object);
        object
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                hide_secret_variable(fields);
                fields.values_mut().for_each(|field| self.value(field));
            }
            _ => {}
        }
    }
}

/// `{name: REDIS_PASSWORD, value: …}`, as in the `env` of a container.
fn hide_secret_variable(fields: &mut Map<String, Value>) {
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let name = name.replace(['_', '-'], "");
    if SECRET_NAMES.iter().any(|part| name.contains(part))
        && let Some(value @ Value::String(_)) = fields.get_mut("value")
    {
        *value = json!(LEFT_OUT);
    }
}

/// `scheme://user:password@host` without user and password.
fn without_userinfo(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#' | '<' | '>');
        let end = after.find(ends).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str(LEFT_OUT);
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}
