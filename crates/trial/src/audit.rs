//! The API server's audit log: the requests of each operator, with their times.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;

/// One answered request.
#[derive(Debug, Clone)]
pub struct AuditedRequest {
    /// The user.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `patch` …
    pub verb: String,
    /// Such as `deployments/scale`.
    pub resource: String,
    /// Namespace and name of the object.
    pub object: String,
    /// Its arrival.
    pub received: Timestamp,
    /// The time of the answer.
    pub answered: Timestamp,
    /// The HTTP status of the answer.
    pub code: i64,
    /// Its body, if the policy keeps it.
    pub body: Value,
}

impl AuditedRequest {
    /// Whether it changes an object.
    pub fn writes(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }

    /// Whether it belongs to the leader election.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }
}

/// The log, read piece by piece: that of a thousand queues has tens of megabytes.
#[derive(Debug)]
pub struct AuditTail {
    log: PathBuf,
    /// Where the next line begins.
    offset: u64,
}

impl AuditTail {
    /// The whole log, to begin with.
    pub fn new(log: &Path) -> Self {
        Self { log: log.to_owned(), offset: 0 }
    }

    /// The requests since the last call without those of the discovery, in the order of the
    /// answers.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn more(&mut self) -> Result<Vec<AuditedRequest>> {
        let mut text = Vec::new();
        let mut read = || {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut text)
        };
        read().with_context(|| format!("cannot read {}", self.log.display()))?;
        // The last line may be incomplete.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n');
        let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        Ok(events.filter_map(|event| parse(&event)).collect())
    }
}

/// The requests since `since` without those of the discovery, in the order of the answers.
///
/// # Errors
/// When the log cannot be read.
pub fn requests(log: &Path, since: Timestamp) -> Result<Vec<AuditedRequest>> {
    let mut all = AuditTail::new(log).more()?;
    all.retain(|request| request.received >= since);
    Ok(all)
}

fn parse(event: &Value) -> Option<AuditedRequest> {
    let word = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let resource = word("/objectRef/resource");
    if resource.is_empty() {
        return None;
    }
    let sub = word("/objectRef/subresource");
    Some(AuditedRequest {
        user: word("/user/username"),
        verb: word("/verb"),
        resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
        object: format!("{}/{}", word("/objectRef/namespace"), word("/objectRef/name")),
        received: word("/requestReceivedTimestamp").parse().ok()?,
        answered: word("/stageTimestamp").parse().ok()?,
        code: event.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or_default(),
        body: event.get("requestObject").cloned().unwrap_or_default(),
    })
}

/// The counts of each verb, resource and status, for a person.
pub fn table(requests: &[AuditedRequest], queues: usize) -> String {
    let mut counts: BTreeMap<(String, String, i64), usize> = BTreeMap::new();
    for request in requests {
        *counts
            .entry((request.verb.clone(), request.resource.clone(), request.code))
            .or_default() += 1;
    }
    let line = |((verb, resource, code), count): (&(String, String, i64), &usize)| {
        let each = *count as f64 / queues.max(1) as f64;
        format!("  {verb:<7} {resource:<24} {code}  {count:>7}  {each:>6.2} for each queue\n")
    };
    counts.iter().map(line).collect()
}
