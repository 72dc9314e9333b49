//! The server's own settings: what is unsafe for bookings, said in words.

use std::collections::HashMap;

use ::redis::{Cmd, Value};

use super::decode::text;

/// Asks for the settings that matter. Some services forbid it.
pub(super) fn call() -> Cmd {
    let mut call = ::redis::cmd("CONFIG");
    call.arg("GET").arg("maxmemory-policy").arg("appendonly").arg("appendfsync");
    call
}

/// The warnings that follow from an answer.
pub(super) fn warnings(answer: &Value) -> Vec<String> {
    let Some(settings) = read(answer) else { return vec![unknown()] };
    let of = |name: &str| settings.get(name).copied().unwrap_or("unknown");
    let mut warnings = Vec::new();
    if of("maxmemory-policy") != "noeviction" {
        warnings.push(format!(
            "maxmemory-policy is {}: Redis may throw away bookings when its memory is full; set it to noeviction",
            of("maxmemory-policy")
        ));
    }
    if of("appendonly") != "yes" {
        warnings.push(format!(
            "appendonly is {}: a restart of Redis loses every booking since its last snapshot; set it to yes",
            of("appendonly")
        ));
    } else if of("appendfsync") != "always" {
        warnings.push(format!(
            "appendfsync is {}: a crash of Redis's machine loses what was acknowledged in the last second or more; \
             set it to always",
            of("appendfsync")
        ));
    }
    warnings
}

/// When the server does not tell.
pub(super) fn unknown() -> String {
    "Redis does not show its settings (CONFIG GET is refused): make sure that maxmemory-policy is noeviction, \
     appendonly is yes and appendfsync is always"
        .to_owned()
}

fn read(answer: &Value) -> Option<HashMap<&str, &str>> {
    let pair = |name, value| Some((text(name).ok()??, text(value).ok()??));
    match answer {
        Value::Array(values) => {
            values.chunks_exact(2).map(|both| pair(&both[0], &both[1])).collect()
        }
        Value::Map(pairs) => pairs.iter().map(|(name, value)| pair(name, value)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(policy: &str, appendonly: &str, appendfsync: &str) -> Value {
        let texts =
            ["maxmemory-policy", policy, "appendonly", appendonly, "appendfsync", appendfsync];
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn safe_settings_are_passed_in_silence_and_each_unsafe_one_is_named() {
        assert!(warnings(&answer("noeviction", "yes", "always")).is_empty());
        for (policy, appendonly, appendfsync, named) in [
            ("allkeys-lru", "yes", "always", "maxmemory-policy"),
            ("noeviction", "no", "everysec", "appendonly"),
            ("noeviction", "yes", "everysec", "appendfsync"),
        ] {
            let warnings = warnings(&answer(policy, appendonly, appendfsync));
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].starts_with(named), "{warnings:?}");
        }
        assert_eq!(warnings(&Value::Nil), [unknown()]);
    }
}
