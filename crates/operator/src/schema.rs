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
use tracing::{info, warn};

use crate::error::{ApiCallError, call_within};
use crate::metrics::Metrics;

/// Time between two looks: a change is known within ten seconds.
const PERIOD: Duration = Duration::from_secs(4);
/// Time between two looks before one has succeeded: every queue waits for it.
const RETRY: Duration = Duration::from_millis(500);
/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(3);
/// Time in which a look that begins later has ended: one may be under way, and each asks twice.
pub const LOOKED_WITHIN: Duration = Duration::from_secs(PERIOD.as_secs() + 4 * DEADLINE.as_secs());
/// Fields that a message lists.
const SHOWN: usize = 12;

/// What is known of the served schema.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ServedSchema {
    /// Not looked yet.
    New,
    /// No look has succeeded yet, though one may.
    Unread,
    /// The fields that it lacks, sorted; none where the API server does not let this client look.
    Lacks(Arc<[String]>),
}

/// The fields that the served schema lacks, kept up to date. Cheap to clone.
#[derive(Clone)]
pub struct SchemaWatch(watch::Receiver<ServedSchema>);

impl SchemaWatch {
    /// Begins to look; ends when the last clone is dropped.
    pub fn start(client: Client, metrics: Metrics) -> Self {
        let (sender, receiver) = watch::channel(ServedSchema::New);
        let mut look = SchemaLook { client, metrics, document: String::new(), failing: false };
        tokio::spawn(async move {
            loop {
                look.look(&sender).await;
                let known = matches!(*sender.borrow(), ServedSchema::Lacks(_));
                tokio::select! {
                    () = tokio::time::sleep(if known { PERIOD } else { RETRY }) => {}
                    () = sender.closed() => return,
                }
            }
        });
        Self(receiver)
    }

    /// Waits for the first look, successful or not.
    pub async fn looked(&self) {
        self.0.clone().wait_for(|served| *served != ServedSchema::New).await.ok();
    }

    /// The fields, sorted.
    pub fn missing(&self) -> Arc<[String]> {
        match &*self.0.borrow() {
            ServedSchema::Lacks(fields) => fields.clone(),
            _ => Arc::default(),
        }
    }

    /// Whether no look has succeeded yet.
    pub fn is_unread(&self) -> bool {
        !matches!(*self.0.borrow(), ServedSchema::Lacks(_))
    }

    /// Whether what a person has set in a spec may be lost.
    pub fn holds_back(&self) -> bool {
        self.is_unread() || holds_back(&self.missing())
    }

    /// An item for each change.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.0.clone(), async |mut fields| {
            fields.changed().await.ok()?;
            Some(((), fields))
        })
    }
}

/// Why a look found nothing.
#[derive(Debug, thiserror::Error)]
enum SchemaError {
    #[error(transparent)]
    Api(#[from] ApiCallError),
    #[error("the API server does not list {0} yet")]
    NotListed(String),
    #[error("{0} has no schema of a BookingQueue")]
    NotInDocument(String),
}

impl SchemaError {
    /// Whether the API server says that this client may not look, or that it has no documents.
    fn is_final(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(error.code(), Some(401 | 403 | 404)))
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
    async fn look(&mut self, sender: &watch::Sender<ServedSchema>) {
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
                set(sender, ServedSchema::Lacks(missing.into()));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(%error, "the served schema cannot be read; retrying");
                }
                // What was missing before stays missing.
                if matches!(*sender.borrow(), ServedSchema::Lacks(_)) {
                    return;
                }
                // Only an answer that says so: a spec that lacks fields must not be followed.
                set(
                    sender,
                    if error.is_final() {
                        ServedSchema::Lacks(Arc::default())
                    } else {
                        ServedSchema::Unread
                    },
                );
            }
        }
    }

    /// The missing fields; `None` while the document is the one that was read last.
    async fn read(&mut self) -> Result<Option<Vec<String>>, SchemaError> {
        let index = self.get("/openapi/v3").await?;
        let version = format!("apis/{}", BookingQueue::api_version(&()));
        let Some(document) = index["paths"][&version]["serverRelativeURL"].as_str() else {
            return Err(SchemaError::NotListed(version));
        };
        if document == self.document {
            return Ok(None);
        }
        let served = self.get(document).await.map_err(|error| match error.code() {
            // The index may be older than the documents.
            Some(404) => SchemaError::NotListed(version.clone()),
            _ => error.into(),
        })?;
        let Some(schema) = schema_of(&served) else {
            return Err(SchemaError::NotInDocument(version));
        };
        document.clone_into(&mut self.document);
        Ok(Some(missing_fields(&own_schema(), schema)))
    }

    async fn get(&self, path: &str) -> Result<Value, ApiCallError> {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError);
        let answer = async { self.client.request(request?).await };
        call_within(DEADLINE, format!("read {path}"), answer).await
    }
}

/// Passes on what differs from before.
fn set(sender: &watch::Sender<ServedSchema>, now: ServedSchema) {
    sender.send_if_modified(|before| {
        let differs = *before != now;
        *before = now;
        differs
    });
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
