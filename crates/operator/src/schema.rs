//! The served schema: whether the CustomResourceDefinition that is installed has every field of the
//! operator's own types. The API server drops the fields that it does not know, so a limit that a
//! person has set would be missing here without a word.
//!
//! It is read from the API server's OpenAPI document, which every client that has logged in may
//! read: the operator needs no right for it.

use std::sync::Arc;
use std::time::Duration;

use bookingq_api::BookingQueue;
use futures::{Stream, stream};
use http::Request;
use kube::{Client, CustomResourceExt as _, Resource as _};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::error::{ApiCallError, call_within};
use crate::metrics::Metrics;

/// Time between two looks: a change is known within ten seconds.
const PERIOD: Duration = Duration::from_secs(4);
/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(3);
/// Fields that a message lists.
const SHOWN: usize = 12;

/// The fields that the served schema lacks, kept up to date. Cheap to clone.
#[derive(Clone)]
pub struct SchemaWatch(watch::Receiver<Option<Arc<[String]>>>);

impl SchemaWatch {
    /// Begins to look; ends when the last clone is dropped.
    pub fn start(client: Client, metrics: Metrics) -> Self {
        let (sender, receiver) = watch::channel(None);
        let mut look = SchemaLook { client, metrics, document: String::new(), failing: false };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => look.look(&sender).await,
                    () = sender.closed() => return,
                }
            }
        });
        Self(receiver)
    }

    /// Waits for the first look. Where the document cannot be read, nothing counts as missing.
    pub async fn looked(&self) {
        self.0.clone().wait_for(Option::is_some).await.ok();
    }

    /// The fields, sorted.
    pub fn missing(&self) -> Arc<[String]> {
        self.0.borrow().clone().unwrap_or_default()
    }

    /// An item for each change.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.0.clone(), async |mut fields| {
            fields.changed().await.ok()?;
            Some(((), fields))
        })
    }
}

struct SchemaLook {
    client: Client,
    metrics: Metrics,
    /// Address of the document that was read last; it contains a hash of it.
    document: String,
    failing: bool,
}

impl SchemaLook {
    async fn look(&mut self, sender: &watch::Sender<Option<Arc<[String]>>>) {
        match self.read().await {
            Ok(None) => self.failing = false,
            Ok(Some(missing)) => {
                self.failing = false;
                self.metrics.schema_missing_fields.set(missing.len() as i64);
                if missing.is_empty() {
                    info!("the installed CustomResourceDefinition has all fields");
                } else {
                    warn!(missing = list(&missing), "the CustomResourceDefinition is too old");
                }
                let missing: Arc<[String]> = missing.into();
                sender.send_if_modified(|known| {
                    let new = known.as_ref() != Some(&missing);
                    *known = Some(missing);
                    new
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(%error, "the served schema cannot be read; retrying");
                }
                // What was missing before stays missing.
                sender.send_if_modified(|known| {
                    let first = known.is_none();
                    known.get_or_insert_default();
                    first
                });
            }
        }
    }

    /// The missing fields; `None` while the document is the one that was read last.
    async fn read(&mut self) -> Result<Option<Vec<String>>, ApiCallError> {
        let index = self.get("/openapi/v3").await?;
        let version = format!("apis/{}", BookingQueue::api_version(&()));
        let document = index["paths"][&version]["serverRelativeURL"].as_str().unwrap_or_default();
        if document.is_empty() || document == self.document {
            return Ok(None);
        }
        let document = document.to_owned();
        let served = self.get(&document).await?;
        self.document = document;
        Ok(schema_of(&served).map(|served| missing_fields(&own_schema(), served)))
    }

    async fn get(&self, path: &str) -> Result<Value, ApiCallError> {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError);
        let answer = async { self.client.request(request?).await };
        call_within(DEADLINE, format!("read {path}"), answer).await
    }
}

/// The schema of the operator's own types.
pub fn own_schema() -> Value {
    let versions = BookingQueue::crd().spec.versions;
    let schema = versions.into_iter().next().and_then(|version| version.schema);
    serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema)).unwrap_or_default()
}

/// The schema of the kind in an OpenAPI document.
fn schema_of(document: &Value) -> Option<&Value> {
    let kind = BookingQueue::kind(&());
    let is_ours = |schema: &&Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|one| one["kind"] == *kind))
    };
    document["components"]["schemas"].as_object()?.values().find(is_ours)
}

/// The paths of the fields of spec and status that are in `own` and not in `served`.
pub fn missing_fields(own: &Value, served: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    for part in ["spec", "status"] {
        compare(part, &own["properties"][part], &served["properties"][part], &mut missing);
    }
    missing.sort();
    missing
}

fn compare(path: &str, own: &Value, served: &Value, missing: &mut Vec<String>) {
    if served["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, property) in own["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match served["properties"].get(name) {
            Some(found) => compare(&path, property, found, missing),
            None => missing.push(path),
        }
    }
    for (inner, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
        if own[inner].is_object() {
            compare(&format!("{path}{suffix}"), &own[inner], &served[inner], missing);
        }
    }
}

/// Whether fields of the spec are missing: what a person has set there may be lost.
pub fn holds_back(missing: &[String]) -> bool {
    missing.iter().any(|path| path.starts_with("spec"))
}

/// The fields in words; long lists are cut.
pub fn list(missing: &[String]) -> String {
    let shown = missing.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match missing.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
