//! Server-side apply and delete. Writes only where the cluster differs from the manifest.

use std::collections::HashMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::build::component::ObjectKind;
use crate::build::{Manifest, names};
use crate::cached_object::owners;
use crate::error::{ApiCallError, ReconcileError, call};
use crate::merge;
use crate::object_cache::{ObjectCache, ObjectName};

/// Outcome of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The object was up to date.
    Unchanged,
    /// The object was created, or follows a changed spec.
    Written,
    /// Another writer had changed fields that the operator owns; they were restored.
    DriftCorrected,
}

/// A version that no object has: etcd counts from 2 on.
const NO_VERSION: &str = "1";

/// Applies objects, and remembers the last apply of each.
pub struct Applier {
    client: Client,
    objects: ObjectCache,
    last: Mutex<HashMap<ObjectName, LastApply>>,
}

/// The last apply of an object. While the watch shows the version `before`, it lags behind that
/// apply; while it shows `after`, there was no other write since. In both cases a repetition would
/// change nothing, even where the API server stores a value in another form than ours.
struct LastApply {
    digest: String,
    before: Option<String>,
    after: Option<String>,
}

impl LastApply {
    fn covers(&self, digest: &str, version: Option<&str>) -> bool {
        self.digest == digest
            && (self.before.as_deref() == version || self.after.as_deref() == version)
    }
}

impl Applier {
    /// Writes through `client` and compares with `objects`.
    pub fn new(client: Client, objects: ObjectCache) -> Self {
        Self { client, objects, last: Mutex::default() }
    }

    /// Applies `manifest`, which belongs to the queue with the UID `owner`.
    pub async fn apply(&self, manifest: &Manifest, owner: &str) -> Result<Applied, ReconcileError> {
        let object = ObjectName::of(manifest);
        let (wanted, digest) = with_digest(&manifest.value);
        let api = self.api(manifest.namespace(), manifest.kind);
        let live = self.objects.get(&object);
        let version = live.as_ref().and_then(|live| live.version.as_deref().map(str::to_owned));
        let mut drifted = false;
        if let Some(live) = &live {
            if !live.belongs_to(owner) {
                return Err(conflict(manifest));
            }
            let covered = |last: &LastApply| last.covers(&digest, version.as_deref());
            if self.last.lock().get(&object).is_some_and(covered) {
                return Ok(Applied::Unchanged);
            }
            if merge::contains(&live.tree(), &wanted) {
                let last = LastApply { digest, before: version.clone(), after: version };
                self.last.lock().insert(object, last);
                return Ok(Applied::Unchanged);
            }
            if is_made_again(manifest, &live.tree()) {
                if !live.deleting {
                    self.orphan(&object, live.uid.as_deref()).await?;
                }
                // Its deletion wakes the queue.
                return Ok(Applied::Written);
            }
            drifted = live.applied.as_deref() == Some(&digest);
        } else if let Some(after) = create(&api, manifest, &wanted, owner).await? {
            let last = LastApply { digest, before: None, after: Some(after) };
            self.last.lock().insert(object, last);
            return Ok(Applied::Written);
        }
        let written = patch(&api, "apply", manifest, &wanted).await?;
        let last = LastApply { digest, before: version, after: Some(written) };
        self.last.lock().insert(object, last);
        Ok(if drifted { Applied::DriftCorrected } else { Applied::Written })
    }

    /// Creates an object that can never be changed, unless it exists and belongs to `owner`.
    pub async fn create_once(
        &self,
        manifest: &Manifest,
        owner: &str,
    ) -> Result<(), ReconcileError> {
        let api = self.api(manifest.namespace(), manifest.kind);
        create(&api, manifest, &manifest.value, owner).await.map(|_| ())
    }

    /// Deletes the object if it still has this UID.
    pub async fn delete(&self, object: &ObjectName, uid: Option<&str>) -> Result<(), ApiCallError> {
        self.delete_with(object, uid, DeleteParams::background()).await
    }

    /// Deletes the object, and leaves its Pods and volumes to its successor of the same name.
    async fn orphan(&self, object: &ObjectName, uid: Option<&str>) -> Result<(), ApiCallError> {
        self.delete_with(object, uid, DeleteParams::orphan()).await
    }

    async fn delete_with(
        &self,
        object: &ObjectName,
        uid: Option<&str>,
        parameters: DeleteParams,
    ) -> Result<(), ApiCallError> {
        let preconditions = Preconditions { uid: uid.map(str::to_owned), resource_version: None };
        let parameters = parameters.preconditions(preconditions);
        let api = self.api(&object.namespace, object.kind);
        let action = format!("delete {} {}", object.kind.name, object.name);
        match call(action, api.delete(&object.name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets the objects of a deleted queue. To forget another one as well costs a comparison.
    pub fn forget(&self, namespace: &str, queue: &str) {
        self.last.lock().retain(|object, _| !object.may_be_of(namespace, queue));
    }

    fn api(&self, namespace: &str, kind: &ObjectKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}

/// Creates an object that seems to be missing, without a read before: the API server rejects an
/// apply that names a version unless the object has that version, which none has. Returns the new
/// version, or `None` if the object exists and is ours: then the watch lags behind.
async fn create(
    api: &Api<DynamicObject>,
    manifest: &Manifest,
    wanted: &Value,
    owner: &str,
) -> Result<Option<String>, ReconcileError> {
    let mut new = wanted.clone();
    merge::overlay(&mut new, &json!({ "metadata": { "resourceVersion": NO_VERSION } }));
    match patch(api, "create", manifest, &new).await {
        Ok(version) => return Ok(Some(version)),
        Err(error) if error.code() == Some(409) => {}
        Err(error) => return Err(error.into()),
    }
    let (kind, name) = (manifest.kind.name, manifest.name());
    let found = call(format!("read {kind} {name}"), api.get_metadata_opt(name)).await?;
    match found {
        Some(found) if !owners(&found.metadata).any(|uid| uid == owner) => Err(conflict(manifest)),
        _ => Ok(None),
    }
}

/// Whether the object must be deleted and created, because a field differs that cannot be changed:
/// one and three Pods of Redis start in different orders.
fn is_made_again(manifest: &Manifest, live: &Value) -> bool {
    let policy = |object: &Value| {
        let policy = object.pointer("/spec/podManagementPolicy").and_then(Value::as_str);
        policy.unwrap_or("OrderedReady").to_owned()
    };
    manifest.kind == ObjectKind::of::<StatefulSet>() && policy(live) != policy(&manifest.value)
}

/// Applies by force and returns the new version.
async fn patch(
    api: &Api<DynamicObject>,
    verb: &str,
    manifest: &Manifest,
    wanted: &Value,
) -> Result<String, ApiCallError> {
    let name = manifest.name();
    let action = format!("{verb} {} {name}", manifest.kind.name);
    let parameters = PatchParams::apply(names::MANAGER).force();
    let written =
        call(action, api.patch_metadata(name, &parameters, &Patch::Apply(wanted))).await?;
    Ok(written.metadata.resource_version.unwrap_or_default())
}

fn conflict(manifest: &Manifest) -> ReconcileError {
    ReconcileError::NameConflict { kind: manifest.kind.name, name: manifest.name().to_owned() }
}

/// The object with its digest in an annotation, and the digest.
fn with_digest(object: &Value) -> (Value, String) {
    let digest = merge::digest(object);
    let mut wanted = object.clone();
    let annotations = json!({ "metadata": { "annotations": { names::APPLIED: digest } } });
    merge::overlay(&mut wanted, &annotations);
    (wanted, digest)
}
