//! Apply and prune: makes the cluster hold what was built, and writes only where it does not.

use std::collections::HashMap;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::build::names;
use crate::caches::{Caches, Kept};
use crate::error::{CallError, ReconcileError, call};
use crate::merge;

/// What applying one object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was as it should be; nothing was written.
    Unchanged,
    /// It was made, or follows a changed spec.
    Written,
    /// Somebody else had changed what is ours; it was put right.
    DriftCorrected,
}

/// A version that no object has: etcd counts from 2 on.
const NO_VERSION: &str = "1";

/// Names one object: kind, namespace, name.
type Name = (String, String, String);

/// Applies objects, and remembers what it has applied on top of what. Only their metadata is asked
/// for in return.
pub struct Applier {
    client: Client,
    caches: Caches,
    /// What was applied last to each object.
    done: Mutex<HashMap<Name, Done>>,
}

/// What was applied last to an object. As long as the watch shows the version of before, it lags
/// behind our own write; as long as it shows the one of afterwards, nobody else has written. In
/// both cases applying again would change nothing, even where the API server writes a value
/// differently than we do.
struct Done {
    digest: String,
    before: Option<String>,
    after: Option<String>,
}

impl Done {
    fn settles(&self, digest: &str, version: Option<&str>) -> bool {
        self.digest == digest
            && (self.before.as_deref() == version || self.after.as_deref() == version)
    }
}

impl Applier {
    /// Writes through `client`, compares with `caches`.
    pub fn new(client: Client, caches: Caches) -> Self {
        Self { client, caches, done: Mutex::default() }
    }

    /// Server-side applies `object`, which has an owner, unless the cluster holds it already.
    ///
    /// # Errors
    /// [`ReconcileError::Foreign`] if an object of that name belongs to somebody else; [`ReconcileError::Api`].
    pub async fn apply<K: Kept>(&self, object: &K) -> Result<Applied, ReconcileError> {
        let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
        let namespace = object.namespace().unwrap_or_default();
        let doing = format!("apply {kind} {name}");
        let (wanted, digest) = marked(object, &doing)?;
        let entry = (kind.clone(), namespace.clone(), name.clone());
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let live = self.caches.get::<K>(&namespace, &name);
        let mut put_right = false;
        if let Some(live) = &live {
            if !owners(object.meta()).all(|owner| live.belongs_to(owner)) {
                return Err(ReconcileError::Foreign { kind, name });
            }
            let version = live.version().map(str::to_owned);
            if self
                .done
                .lock()
                .get(&entry)
                .is_some_and(|done| done.settles(&digest, version.as_deref()))
            {
                return Ok(Applied::Unchanged);
            }
            if merge::contains(&live.tree(), &wanted) {
                self.done
                    .lock()
                    .insert(entry, Done { digest, before: version.clone(), after: version });
                return Ok(Applied::Unchanged);
            }
            put_right = live.applied() == Some(&digest);
        } else if let Some(after) = make(&api, object, &wanted).await? {
            self.done.lock().insert(entry, Done { digest, before: None, after: Some(after) });
            return Ok(Applied::Written);
        }
        let parameters = PatchParams::apply(names::MANAGER).force();
        let written =
            call(doing, api.patch_metadata(&name, &parameters, &Patch::Apply(&wanted))).await?;
        let before = live.and_then(|live| live.version().map(str::to_owned));
        self.done
            .lock()
            .insert(entry, Done { digest, before, after: written.metadata.resource_version });
        Ok(if put_right { Applied::DriftCorrected } else { Applied::Written })
    }

    /// Deletes the object of this name if it is ours; that it is gone already is as good.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn remove<K: Kept>(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
    ) -> Result<Applied, CallError> {
        let Some(live) = self.caches.get::<K>(namespace, name) else {
            return Ok(Applied::Unchanged);
        };
        if !live.belongs_to(owner) || live.is_leaving() {
            return Ok(Applied::Unchanged);
        }
        let kind = K::kind(&());
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let preconditions =
            Preconditions { uid: live.uid().map(str::to_owned), resource_version: None };
        let parameters = DeleteParams::background().preconditions(preconditions);
        match call(format!("delete {kind} {name}"), api.delete(name, &parameters)).await {
            Ok(_) => Ok(Applied::Written),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Applied::Unchanged),
            Err(error) => Err(error),
        }
    }

    /// Forgets the objects of a queue that is gone.
    pub fn forget(&self, namespace: &str, mut is_its: impl FnMut(&str) -> bool) {
        self.done.lock().retain(|(_, other, name), _| other != namespace || !is_its(name));
    }
}

/// Applies an object that seems not to be there, without looking first, and without touching one
/// that is there all the same: an apply that names a version is refused unless the object has it,
/// and no object has this one. Its version, if it was made; if not, it is there and ours, and the
/// watch lags behind.
async fn make<K: Kept>(
    api: &Api<K>,
    object: &K,
    wanted: &Value,
) -> Result<Option<String>, ReconcileError> {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    let mut new = wanted.clone();
    merge::overlay(&mut new, &json!({ "metadata": { "resourceVersion": NO_VERSION } }));
    let parameters = PatchParams::apply(names::MANAGER).force();
    match call(
        format!("make {kind} {name}"),
        api.patch_metadata(&name, &parameters, &Patch::Apply(&new)),
    )
    .await
    {
        Ok(made) => return Ok(Some(made.metadata.resource_version.unwrap_or_default())),
        Err(error) if error.code() == Some(409) => {}
        Err(error) => return Err(error.into()),
    }
    let found = call(format!("look for {kind} {name}"), api.get_metadata_opt(&name)).await?;
    match found {
        Some(found)
            if !owners(object.meta())
                .all(|owner| owners(&found.metadata).any(|one| one == owner)) =>
        {
            Err(ReconcileError::Foreign { kind, name })
        }
        _ => Ok(None),
    }
}

/// The object as it is applied, with its digest in an annotation.
fn marked<K: Kept>(object: &K, doing: &str) -> Result<(Value, String), CallError> {
    let fail = |error| CallError::Failed {
        doing: doing.to_owned(),
        cause: kube::Error::SerdeError(error),
    };
    let mut wanted = serde_json::to_value(object).map_err(fail)?;
    let digest = merge::digest(&wanted);
    merge::overlay(
        &mut wanted,
        &json!({ "metadata": { "annotations": { names::APPLIED: digest } } }),
    );
    Ok((wanted, digest))
}

/// The UIDs of an object's owners.
fn owners(meta: &ObjectMeta) -> impl Iterator<Item = &str> {
    meta.owner_references.iter().flatten().map(|owner| owner.uid.as_str())
}
