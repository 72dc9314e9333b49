//! Converge: dereference, build, apply, prune. No object that fails or hangs delays another one.

use std::sync::Arc;
use std::time::Duration;

use bookingq_api::status::BookingQueueStatus;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolumeClaim};
use kube::Api;
use kube::runtime::events::EventType;
use tokio::time::timeout;

use crate::apply::Applied;
use crate::autoscaler::worker_rollout::replicas_waited_for;
use crate::autoscaler::{DesiredState, WriteScope};
use crate::build::component::ObjectKind;
use crate::build::{self, BuildInputs, Manifest, names};
use crate::dereference::dereference;
use crate::error::{ReconcileError, call};
use crate::object_cache::ObjectName;
use crate::queue::QueueKey;
use crate::reconcile::ReconcileContext;
use crate::target::QueueTarget;

/// The next object does not wait longer for the one before it: with twenty objects, that is less
/// than five seconds.
const NEXT_AFTER: Duration = Duration::from_millis(200);
/// Deadline of one object, so that the next change of the spec is not held up for longer.
const APPLIED_WITHIN: Duration = Duration::from_millis(4500);

impl ReconcileContext {
    /// How many replicas of Redis the workers wait for that there are; `None`: there are none yet.
    pub(crate) fn present_wait(&self, target: &QueueTarget) -> Option<u8> {
        let workers = names::worker(&target.name);
        let kind = ObjectKind::of::<Deployment>();
        let workers = self.objects.get(&ObjectName::new(kind, &target.namespace, &workers))?;
        Some(replicas_waited_for(&workers))
    }

    /// Returns the kinds of objects that the cluster lacks.
    pub(crate) async fn converge(
        &self,
        key: &QueueKey,
        target: &QueueTarget,
        about: &ObjectReference,
        before: Option<&BookingQueueStatus>,
    ) -> Result<Vec<&'static ObjectKind>, ReconcileError> {
        let found = dereference(&self.secret_cache, &self.objects, target).await?;
        let inputs =
            BuildInputs { target, secrets: &found.secrets, environment: &self.environment };
        let manifests = build::build(&inputs).map_err(ReconcileError::InvalidSpec)?;
        self.check_volumes(target).await?;
        if !self.conflicts(target, &manifests) {
            // First, so that an object that cannot be applied delays no setting and no failover.
            let desired = DesiredState {
                target: Arc::new(target.clone()),
                store: found.store,
                scope: WriteScope::All,
                partial: false,
                redis_password: found.redis_password,
                about: about.clone(),
            };
            self.autoscaler.update(key, desired, before);
        }
        let missing = self.apply_all(target, &manifests, about).await;
        let pruned = self.prune(target, &manifests).await;
        let missing = missing?;
        pruned?;
        Ok(missing)
    }

    /// Whether an object of another owner has the name of one of these.
    fn conflicts(&self, target: &QueueTarget, manifests: &[Manifest]) -> bool {
        manifests.iter().any(|manifest| {
            let object = ObjectName::new(manifest.kind, manifest.namespace(), manifest.name());
            self.objects.get(&object).is_some_and(|found| !found.belongs_to(&target.owner.uid))
        })
    }

    /// Applies all in their order; one that the API server does not answer, or rejects, holds none
    /// of the others up. Returns the kinds that the cluster lacks, or the first error.
    async fn apply_all(
        &self,
        target: &QueueTarget,
        manifests: &[Manifest],
        about: &ObjectReference,
    ) -> Result<Vec<&'static ObjectKind>, ReconcileError> {
        let mut running = FuturesUnordered::new();
        let mut done = Vec::with_capacity(manifests.len());
        for (place, manifest) in manifests.iter().enumerate() {
            running.push(async move {
                let applied = timeout(APPLIED_WITHIN, self.apply(manifest, target, about)).await;
                let applied = applied.unwrap_or_else(|_| {
                    let action = format!("apply {} {}", manifest.kind.name, manifest.name());
                    Err(ReconcileError::late(action, APPLIED_WITHIN))
                });
                (place, applied)
            });
            // Those that came in time are done before the next one begins.
            let next = async {
                while let Some(applied) = running.next().await {
                    done.push(applied);
                }
            };
            timeout(NEXT_AFTER, next).await.ok();
        }
        done.extend(running.collect::<Vec<_>>().await);
        done.sort_by_key(|(place, _)| *place);
        let mut missing = Vec::new();
        for (place, applied) in done {
            match applied {
                Err(ReconcileError::Api(error)) if error.lacks(manifests[place].kind) => {
                    missing.push(manifests[place].kind);
                }
                applied => applied?,
            }
        }
        Ok(missing)
    }

    /// A new queue adopts the volumes that a deleted one of its name has left. One Pod would adopt
    /// the first of three volumes, which may not be the newest. New is who has no StatefulSet: the
    /// status may be that of an error before it.
    async fn check_volumes(&self, target: &QueueTarget) -> Result<(), ReconcileError> {
        let redis = ObjectKind::of::<StatefulSet>();
        let redis = ObjectName::new(redis, &target.namespace, &names::redis(&target.name));
        let new = self.objects.get(&redis).is_none();
        if !new || target.failover.is_some() || target.managed_redis().is_none() {
            return Ok(());
        }
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &target.namespace);
        let second = names::redis_volume(&target.name, 1);
        match call("read a volume claim", claims.get_metadata_opt(&second)).await? {
            Some(_) => Err(ReconcileError::VolumesOfThree(second)),
            None => Ok(()),
        }
    }

    async fn apply(
        &self,
        manifest: &Manifest,
        target: &QueueTarget,
        about: &ObjectReference,
    ) -> Result<(), ReconcileError> {
        if self.applier.apply(manifest, &target.owner.uid).await? == Applied::DriftCorrected {
            let (kind, name) = (manifest.kind.name, manifest.name());
            let note = format!(
                "{kind} {name} differed from the spec and was restored; change the BookingQueue \
                 instead"
            );
            let action = format!("Apply{kind}");
            self.events.publish(EventType::Warning, about, "DriftCorrected", &action, note).await;
        }
        Ok(())
    }

    /// Deletes the objects of the queue that it no longer needs. All cached objects carry the
    /// operator's label.
    async fn prune(
        &self,
        target: &QueueTarget,
        manifests: &[Manifest],
    ) -> Result<(), ReconcileError> {
        let QueueTarget { name, namespace, owner, .. } = target;
        let objects = self.objects.of_queue(namespace, name, &owner.uid);
        let gone = objects.iter().filter(|(object, cached)| {
            let needed = manifests
                .iter()
                .any(|manifest| manifest.kind == object.kind && *manifest.name() == *object.name);
            !needed && !cached.deleting
        });
        let deletions =
            gone.map(|(object, cached)| self.applier.delete(object, cached.uid.as_deref()));
        let deleted = join_all(deletions).await.into_iter().collect::<Result<Vec<_>, _>>();
        deleted.map(|_| ()).map_err(Into::into)
    }
}
