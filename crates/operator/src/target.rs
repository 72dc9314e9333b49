//! Validate: from a `BookingQueue` to its target, with the rules that only hold in a cluster.

use bookingq_api::downstream::Endpoint;
use bookingq_api::plan::{RedisPlan, RedisSource, StorePlan};
use bookingq_api::redis::ManagedRedis;
use bookingq_api::status::BookingQueueStatus;
use bookingq_api::{BookingQueue, FieldProblem, Plan, Problems};
use bookingq_core::QueueName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};

use crate::build::names::{self, Part};
use crate::redis_failover::view::FailoverGoal;
use crate::secrets::{SecretPurpose, SecretReference, references};

/// A valid queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueTarget {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// Owner reference for its objects.
    pub owner: OwnerReference,
    /// The Secrets that it uses.
    pub secrets: Vec<SecretReference>,
    /// The validated spec. `plan.queue` is the name in the store: `metadata.name` in a managed
    /// Redis, and `namespace.name` in one that several namespaces may share, or in Kafka.
    pub plan: Plan,
    /// What is wanted of its managed Redis of three; `None` for any other Redis.
    pub failover: Option<FailoverGoal>,
    /// `spec.redis.acknowledge.replicas`. In `plan` is the number that workers wait for: in a
    /// managed Redis it stays below while fewer have copied the data for the first time.
    pub acknowledge_wanted: u8,
    /// The update that may begin at once, from the annotation.
    pub approved_update: Option<String>,
}

/// Longest name of a queue: the names of its objects extend it, and labels hold 63 bytes.
const MAX_NAME: usize = 40;

impl QueueTarget {
    /// Validates the whole resource.
    ///
    /// # Errors
    /// [`Problems`]: all of them.
    pub fn resolve(queue: &BookingQueue) -> Result<Self, Problems> {
        let (name, namespace) = (queue.name_any(), queue.namespace().unwrap_or_default());
        let resolved = queue.spec.resolve(&name);
        let mut problems = match &resolved {
            Ok(plan) => cluster_problems(plan),
            Err(Problems(found)) => found.clone(),
        };
        problems.extend(name_problem(&name));
        problems.extend(pause_problem(queue));
        let owner = queue.controller_owner_ref(&());
        let (Ok(mut plan), Some(owner), []) = (resolved, owner, problems.as_slice()) else {
            return Err(Problems(problems));
        };
        let mut secrets = references(&queue.spec);
        let redis = plan.store.redis();
        if redis.is_some_and(|redis| matches!(redis.source, RedisSource::Managed(_))) {
            secrets.push(SecretReference {
                name: names::redis(&name),
                keys: vec![names::PASSWORD_KEY.to_owned()],
                field: "spec.redis.managed",
                purpose: SecretPurpose::RedisPassword,
            });
        } else {
            let shared = format!("{namespace}.{name}");
            plan.queue = QueueName::new(&shared).map_err(|invalid| {
                Problems(vec![problem("metadata.name", invalid.value, invalid.allowed)])
            })?;
        }
        let failover = failover(&plan, queue.status.as_ref());
        let mut acknowledge_wanted = 0;
        if let StorePlan::Redis(redis) = &mut plan.store {
            acknowledge_wanted = redis.acknowledge_replicas;
            if failover.is_some() {
                // Workers that waited for replicas before there are any would refuse every join.
                redis.acknowledge_replicas = acknowledge_wanted.min(copies(queue.status.as_ref()));
            }
        }
        let approved_update = queue.annotations().get(names::UPDATE).cloned();
        Ok(Self {
            name,
            namespace,
            owner,
            secrets,
            plan,
            failover,
            acknowledge_wanted,
            approved_update,
        })
    }

    /// Keeps the number of replicas that the workers of a Redis of three wait for at least at
    /// `present`, which is that of the workers that there are. `None`: there are none yet. A new
    /// queue accepts nothing before a replica follows, so its workers may wait for replicas from
    /// the beginning; with fewer at first, all of them would be replaced when these have copied.
    pub fn keep_waiting_for(&mut self, present: Option<u8>) {
        if self.failover == Some(FailoverGoal::Three)
            && let StorePlan::Redis(redis) = &mut self.plan.store
        {
            let present = present.unwrap_or(u8::MAX).min(self.acknowledge_wanted);
            redis.acknowledge_replicas = present.max(redis.acknowledge_replicas);
        }
    }

    /// Metadata of an object of the queue.
    pub fn metadata(&self, name: String, part: Part) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(names::labels(&self.name, part)),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// The Redis to run for the queue; `None` if the spec names another one.
    pub fn managed_redis(&self) -> Option<&ManagedRedis> {
        match &self.plan.store.redis()?.source {
            RedisSource::Managed(managed) => Some(managed),
            _ => None,
        }
    }

    /// Whether the queue has Pods of this part.
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Worker => true,
            Part::Sweeper => self.plan.sweep.is_some(),
            Part::Redis => self.managed_redis().is_some(),
            Part::Gateway => self.plan.gateway.is_some(),
        }
    }

    /// The Secret for this purpose.
    pub fn secret(&self, purpose: SecretPurpose) -> Option<&SecretReference> {
        self.secrets.iter().find(|secret| secret.purpose == purpose)
    }
}

/// A queue with a record of an election has three Redis Pods until its first one is the primary.
fn failover(plan: &Plan, status: Option<&BookingQueueStatus>) -> Option<FailoverGoal> {
    let RedisSource::Managed(managed) = &plan.store.redis()?.source else { return None };
    let elected = status.is_some_and(|status| status.redis.is_some());
    match managed.replicas {
        1 => elected.then_some(FailoverGoal::Shrink),
        _ => Some(FailoverGoal::Three),
    }
}

/// How many replicas have had a copy at the same time.
fn copies(status: Option<&BookingQueueStatus>) -> u8 {
    let election = status.and_then(|status| status.redis.as_ref());
    election.and_then(|election| u8::try_from(election.copies).ok()).unwrap_or(0)
}

fn name_problem(name: &str) -> Option<FieldProblem> {
    let bytes = name.as_bytes();
    let word = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    let ends = bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.last() != Some(&b'-');
    let fits = word && ends && bytes.len() <= MAX_NAME;
    let allowed = "1 to 40 lower-case letters, digits and '-', starting with a letter";
    (!fits).then(|| problem("metadata.name", format!("{name:?}"), allowed))
}

/// Whether the annotation [`PAUSED`](names::PAUSED) keeps the operator from writing.
pub fn is_paused(meta: &ObjectMeta) -> bool {
    meta.annotations.as_ref().and_then(|all| all.get(names::PAUSED)).is_some_and(|it| it == "true")
}

fn pause_problem(queue: &BookingQueue) -> Option<FieldProblem> {
    let value = queue.annotations().get(names::PAUSED)?;
    let path = "metadata.annotations[bookingqueue.dev/paused]";
    let allowed = "true or false, in quotes";
    (!matches!(value.as_str(), "true" | "false")).then(|| problem(path, value.as_str(), allowed))
}

/// Settings that only `bookingq up` supports, and those that do not fit the store.
fn cluster_problems(plan: &Plan) -> Vec<FieldProblem> {
    let services = [
        ("spec.booking.endpoint", Some(&plan.booking)),
        ("spec.ticket.endpoint", plan.ticket.as_ref()),
        ("spec.realtime.endpoint", plan.realtime.as_ref()),
    ];
    let simulated = services.into_iter().filter_map(|(path, service)| match &service?.endpoint {
        Endpoint::Simulated(endpoint) => Some(problem(
            path,
            endpoint.clone(),
            "in a cluster, http://HOST[:PORT] or https://HOST[:PORT]",
        )),
        Endpoint::Grpc(_) => None,
    });
    let set = plan.store.redis().map(redis_problems).unwrap_or_default();
    simulated.chain(set).collect()
}

/// Settings that do not fit the kind of Redis.
fn redis_problems(plan: &RedisPlan) -> Vec<FieldProblem> {
    let redis = match &plan.source {
        RedisSource::Managed(_) if plan.password.is_some() => Some((
            "spec.redis.passwordSecret",
            "only with url, sentinel or cluster: a managed Redis has its own",
        )),
        RedisSource::Managed(managed) if managed.replicas == 1 && plan.acknowledge_replicas > 0 => {
            let allowed = "0, or spec.redis.managed.replicas: 3: one Pod has no replica";
            Some(("spec.redis.acknowledge.replicas", allowed))
        }
        _ => None,
    };
    let tls = plan.tls.as_ref().and_then(|tls| match &plan.source {
        RedisSource::Managed(_) => Some(("spec.redis.tls", "absent: a managed Redis has no TLS")),
        RedisSource::Url(url) if !url.starts_with("rediss://") => {
            Some(("spec.redis.tls", "only with rediss://HOST:PORT[/DB] in spec.redis.url"))
        }
        _ if tls.server_name.is_some() => Some((
            "spec.redis.tls.serverName",
            "absent: the certificate must name the host of the address",
        )),
        _ => None,
    });
    let set = redis.into_iter().chain(tls).map(|(path, allowed)| problem(path, "set", allowed));
    set.collect()
}

/// A field with a value that is not allowed.
pub(crate) fn problem(path: &str, value: impl Into<String>, allowed: &str) -> FieldProblem {
    FieldProblem { path: path.to_owned(), value: value.into(), allowed: allowed.to_owned() }
}
