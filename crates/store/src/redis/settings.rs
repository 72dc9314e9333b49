//! The server's own settings: warnings about values that are unsafe for bookings.

use std::collections::HashMap;

use ::redis::Cmd;

use crate::MissingReplicas;

/// Reads the relevant settings. Some managed services refuse it.
pub(super) fn call() -> Cmd {
    let mut call = ::redis::cmd("CONFIG");
    call.arg("GET").arg("maxmemory-policy").arg("appendonly").arg("appendfsync");
    call
}

/// One warning for each unsafe setting.
pub(super) fn warnings(settings: &HashMap<String, String>) -> Vec<String> {
    let of = |name: &str| settings.get(name).map_or("unknown", String::as_str);
    let (policy, appendonly, appendfsync) =
        (of("maxmemory-policy"), of("appendonly"), of("appendfsync"));
    let mut warnings = Vec::new();
    if policy != "noeviction" {
        warnings.push(format!(
            "maxmemory-policy is {policy}: Redis may evict bookings when its memory is full; set \
             it to noeviction"
        ));
    }
    if appendonly != "yes" {
        warnings.push(format!(
            "appendonly is {appendonly}: a restart of Redis loses every booking since its last \
             snapshot; set it to yes"
        ));
    } else if appendfsync != "always" {
        warnings.push(format!(
            "appendfsync is {appendfsync}: a crash of Redis's machine loses what was acknowledged \
             in the last second or more; set it to always"
        ));
    }
    warnings
}

/// The warning for a server that refuses to show its settings.
pub(super) fn hidden() -> String {
    "Redis does not show its settings (CONFIG GET is refused): make sure that maxmemory-policy is \
     noeviction, appendonly is yes and appendfsync is always"
        .to_owned()
}

/// The replicas in an answer of INFO, if fewer than `wanted` follow the server.
pub(super) fn missing_replicas(info: &str, wanted: u8) -> Option<MissingReplicas> {
    info.lines().find(|line| line.starts_with("connected_slaves:"))?;
    // One that still copies the data counts for no call.
    let online = |line: &&str| line.starts_with("slave") && line.contains("state=online");
    let connected = info.lines().filter(online).count() as u8;
    (connected < wanted).then_some(MissingReplicas { wanted, connected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_missing_where_fewer_follow_than_a_call_waits_for() {
        let info = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    slave0:ip=a,port=1,state=online,offset=1,lag=0\r\n\
                    slave1:ip=b,port=1,state=wait_bgsave,offset=0,lag=0\r\n";
        assert_eq!(missing_replicas(info, 1), None);
        let missing = MissingReplicas { wanted: 2, connected: 1 };
        assert_eq!(missing_replicas(info, 2), Some(missing));
        assert_eq!(missing_replicas("", 2), None, "a server that does not say");
    }

    #[test]
    fn safe_settings_give_no_warning_and_each_unsafe_one_is_named() {
        let of = |policy: &str, appendonly: &str, appendfsync: &str| {
            let settings = [
                ("maxmemory-policy", policy),
                ("appendonly", appendonly),
                ("appendfsync", appendfsync),
            ];
            warnings(&settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        assert!(of("noeviction", "yes", "always").is_empty());
        for (policy, appendonly, appendfsync, named) in [
            ("allkeys-lru", "yes", "always", "maxmemory-policy"),
            ("noeviction", "no", "everysec", "appendonly"),
            ("noeviction", "yes", "everysec", "appendfsync"),
        ] {
            let warnings = of(policy, appendonly, appendfsync);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].starts_with(named), "{warnings:?}");
        }
    }
}
