//! Converge: dereference, build, apply, prune.

use std::sync::Arc;

use bookingq_api::status::BookingQueueStatus;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolumeClaim};
use kube::Api;

use crate::applying::ObjectWriter;
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
        let mut manifests = build::build(&inputs).map_err(ReconcileError::InvalidSpec)?;
        self.defer_updates(key, target, &mut manifests, about, before).await;
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
                awaits_idle: self.updates.of(key).awaits_idle(),
            };
            self.autoscaler.update(key, desired, before);
        }
        let writer = ObjectWriter {
            applier: Arc::clone(&self.applier),
            events: self.events.clone(),
            owner: target.owner.uid.clone(),
            about: about.clone(),
        };
        let missing = self.in_flight.apply_all(&writer, &manifests).await?;
        // Only now: what replaces an object that is no longer needed is there.
        self.prune(target, &manifests).await?;
        Ok(missing)
    }

    /// Whether an object of another owner has the name of one of these.
    fn conflicts(&self, target: &QueueTarget, manifests: &[Manifest]) -> bool {
        manifests.iter().any(|manifest| {
            let live = self.objects.get(&ObjectName::of(manifest));
            live.is_some_and(|found| !found.belongs_to(&target.owner.uid))
        })
    }

    /// A new queue adopts the volumes that a deleted one of its name has left. One Pod would adopt
    /// the first of three volumes, which may not be the newest. A queue without a
    /// StatefulSet is new; its status may come from an earlier error.
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
        deleted.map(|_| ()).map_err(ReconcileError::Apply)
    }
}
