//! Manifests: YAML files with one or several documents, of which the `BookingQueue`s are run.

use std::path::{Path, PathBuf};

use bookingq_api::crd::{NEXT, STORED};
use bookingq_api::plan::StorePlan;
use bookingq_api::strict::unknown_fields;
use bookingq_api::{BookingQueue, Plan, Problems};
use serde_json::Value;

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages explain the fields")]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Read { file: PathBuf, cause: std::io::Error },
    /// It is not YAML, or not of the shape of a `BookingQueue`.
    #[error("{} (document {document}): {}", file.display(), cause.to_string().trim_start_matches("error: "))]
    Shape { file: PathBuf, document: usize, cause: Box<serde_saphyr::Error> },
    /// A field is not as it must be.
    #[error("{} (document {document}, BookingQueue {name}):\n{problems}", file.display())]
    Refused {
        file: PathBuf,
        document: usize,
        /// `metadata.name`.
        name: String,
        problems: Problems,
    },
    /// It has no `BookingQueue`.
    #[error("{} has no BookingQueue; allowed: YAML documents with apiVersion bookingqueue.dev/v1alpha1 or v1beta1 and kind BookingQueue", file.display())]
    Empty { file: PathBuf },
    /// Two have one name.
    #[error("{} has two BookingQueues named {name}; allowed: each name once", file.display())]
    Twice { file: PathBuf, name: String },
}

/// Reads the queues of a file. It skips documents of other kinds, so that a file for `kubectl
/// apply` works as it is.
///
/// # Errors
/// [`ManifestError`], with the file, the document and the field.
pub fn read(file: &Path) -> Result<Vec<Plan>, ManifestError> {
    parse(file, &text(file)?)
}

/// The text of a file.
///
/// # Errors
/// [`ManifestError::Read`].
pub fn text(file: &Path) -> Result<String, ManifestError> {
    std::fs::read_to_string(file)
        .map_err(|cause| ManifestError::Read { file: file.to_owned(), cause })
}

/// The queues of a text that name a store, with the field that does and what `--store` calls its
/// kind. A run takes its store from the command line instead.
pub fn named_stores(text: &str) -> Vec<(String, &'static str, &'static str)> {
    let mut named = Vec::new();
    for document in documents(text) {
        let Ok(Some(value)) = serde_saphyr::from_str::<Option<Value>>(&document) else { continue };
        let Some(name) = value["metadata"]["name"].as_str().filter(|_| is_ours(&value)) else {
            continue;
        };
        for (kind, field) in [("redis", "spec.redis"), ("kafka", "spec.kafka")] {
            if !value["spec"][kind].is_null() {
                named.push((name.to_owned(), field, kind));
            }
        }
    }
    named
}

fn is_ours(value: &Value) -> bool {
    let version = value["apiVersion"].as_str().and_then(|it| it.strip_prefix("bookingqueue.dev/"));
    value["kind"] == "BookingQueue" && version.is_some_and(|it| [STORED, NEXT].contains(&it))
}

/// Parses the queues of a file's text; `file` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(file: &Path, text: &str) -> Result<Vec<Plan>, ManifestError> {
    let mut plans: Vec<Plan> = Vec::new();
    for (index, document) in documents(text).into_iter().enumerate() {
        let Some(plan) = parse_document(file, index + 1, &document)? else { continue };
        if plans.iter().any(|other| other.queue == plan.queue) {
            return Err(ManifestError::Twice {
                file: file.to_owned(),
                name: plan.queue.to_string(),
            });
        }
        plans.push(plan);
    }
    if plans.is_empty() { Err(ManifestError::Empty { file: file.to_owned() }) } else { Ok(plans) }
}

fn parse_document(file: &Path, document: usize, text: &str) -> Result<Option<Plan>, ManifestError> {
    let shape =
        |cause| ManifestError::Shape { file: file.to_owned(), document, cause: Box::new(cause) };
    let Some(value) = serde_saphyr::from_str::<Option<Value>>(text).map_err(shape)? else {
        return Ok(None);
    };
    if !is_ours(&value) {
        return Ok(None);
    }
    let name = value["metadata"]["name"].as_str().unwrap_or("without a name").to_owned();
    let refused = |problems| ManifestError::Refused {
        file: file.to_owned(),
        document,
        name: name.clone(),
        problems,
    };
    let unknown = unknown_fields(&value);
    if !unknown.is_empty() {
        return Err(refused(Problems(unknown)));
    }
    // Read again from the text, not from the value, so that an error shows its line.
    let queue: BookingQueue = serde_saphyr::from_str(text).map_err(shape)?;
    let resolved = queue.spec.resolve(queue.metadata.name.as_deref().unwrap_or_default());
    let mut plan = resolved.map_err(refused)?;
    // The store comes from the command line, and it need not have the replicas of the resource.
    match &mut plan.store {
        StorePlan::Redis(redis) => redis.acknowledge_replicas = 0,
        StorePlan::Kafka(_) => plan.store = StorePlan::default(),
    }
    Ok(Some(plan))
}

/// The documents of a YAML stream. Each is preceded by as many empty lines as it has lines before
/// it, so that the line numbers of its errors are those of the file. (A line `---` at column 0
/// always separates, even within a block text.)
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        let separates = line == "---" || line.starts_with("--- ");
        if separates {
            documents.push("\n".repeat(number + 1));
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents.retain(|document| {
        document.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))
    });
    documents
}
