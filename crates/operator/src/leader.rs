//! Leader election on a Lease. At most one operator writes.
//!
//! - Each write of the Lease is a PUT with the resourceVersion of the last read: the API server
//!   rejects one of two concurrent writes.
//! - A lease is expired when a candidate has seen no change for its whole duration on its own
//!   monotonic clock. Clocks of two machines are never compared.
//! - A leader that cannot renew gives up before another candidate may take over: its fence closes,
//!   and its process exits.

use std::time::{Duration, Instant};

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::{ApiCallError, call_within};
use crate::leader_fence::LeaderFence;

/// Between two lines about a lease that cannot be read.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// The parameters of an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// Name of the Lease.
    pub name: String,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of this candidate, unique over all candidates and restarts.
    pub identity: String,
    /// Time after the last renewal that was seen, after which another candidate takes over.
    pub lease: Duration,
    /// Age of its last renewal at which the leader gives up. Shorter than `lease`, so that it has
    /// stopped by then.
    pub give_up: Duration,
    /// Mean time between two attempts.
    pub retry: Duration,
}

impl Election {
    /// With a lease of 10 s, giving up after 7 s, retrying every 1.5 s. A leader that dies is
    /// replaced within 15 s: its last renewal is seen within one retry and believed for the
    /// lease, and the next attempt follows within another retry.
    pub fn new(name: &str, namespace: &str, identity: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            lease: Duration::from_secs(10),
            give_up: Duration::from_secs(7),
            retry: Duration::from_millis(1500),
        }
    }
}

/// How leadership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadershipEnd {
    /// By a graceful shutdown.
    Left,
    /// The lease could not be renewed in time, or another candidate holds it: the process must
    /// exit.
    Lost,
}

/// The holder that one attempt found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseHolder {
    Us,
    Other,
}

/// Attempts that have failed one after the other: the API server may be away for hours.
#[derive(Default)]
struct FailedAttempts {
    logged: Option<Instant>,
    /// Those since then.
    unlogged: u64,
}

impl FailedAttempts {
    /// Logs the first one, and one a minute.
    fn log(&mut self, error: &ApiCallError) {
        if self.logged.is_some_and(|at| at.elapsed() < LOG_AGAIN) {
            self.unlogged += 1;
            return;
        }
        let unlogged = std::mem::take(&mut self.unlogged);
        self.logged = Some(Instant::now());
        warn!(%error, unlogged, "the lease could not be read or written; trying again");
    }
}

/// One candidate.
pub struct Candidate {
    election: Election,
    api: Api<Lease>,
    fence: LeaderFence,
    /// The lease as it was last seen, and since when it has not changed.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    /// `client` must not be behind `fence`: the lease itself is written before the fence opens.
    pub fn new(client: Client, election: Election, fence: LeaderFence) -> Self {
        let api = Api::namespaced(client, &election.namespace);
        Self { election, api, fence, seen: None }
    }

    /// Waits until this candidate is the leader. Returns `false` if `leaving` came first.
    pub async fn lead(&mut self, leaving: &CancellationToken) -> bool {
        info!(lease = self.election.name, identity = self.election.identity, "waiting to lead");
        let (mut retry, mut failures) = (self.retry(), FailedAttempts::default());
        loop {
            let started = Instant::now();
            match self.attempt().await {
                Ok(LeaseHolder::Us) => {
                    self.fence.open_until(started + self.election.give_up);
                    info!(lease = self.election.name, "leading");
                    return true;
                }
                Ok(LeaseHolder::Other) => failures = FailedAttempts::default(),
                Err(error) => failures.log(&error),
            }
            if !pause(&mut retry, leaving).await {
                return false;
            }
        }
    }

    /// Renews the lease until leadership ends.
    pub async fn hold(&mut self, leaving: &CancellationToken) -> LeadershipEnd {
        let mut renewed = Instant::now();
        let mut retry = self.retry();
        while pause(&mut retry, leaving).await {
            let started = Instant::now();
            match self.attempt().await {
                // The lease may date from the start of the request.
                Ok(LeaseHolder::Us) => {
                    renewed = started;
                    self.fence.open_until(renewed + self.election.give_up);
                }
                Ok(LeaseHolder::Other) => return self.lost("another candidate holds the lease"),
                Err(error) => warn!(%error, "the lease was not renewed"),
            }
            if renewed.elapsed() >= self.election.give_up {
                return self.lost("the lease could not be renewed in time");
            }
        }
        LeadershipEnd::Left
    }

    /// Releases the lease, so that the next leader need not wait. Call it after the last write.
    pub async fn resign(self) {
        self.fence.close();
        let Election { name, identity, retry, .. } = &self.election;
        let release = async {
            let mut lease = self.api.get(name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_ref() == Some(identity) {
                spec.holder_identity = None;
                spec.renew_time = None;
                self.api.replace(name, &PostParams::default(), &lease).await?;
            }
            Ok(())
        };
        match call_within(*retry, "release the lease", release).await {
            Ok(()) => info!(lease = name, "the lease is released"),
            Err(error) => warn!(%error, "the lease was not released; it will expire"),
        }
    }

    fn lost(&self, why: &str) -> LeadershipEnd {
        self.fence.close();
        warn!(lease = self.election.name, why, "lost the leadership");
        LeadershipEnd::Lost
    }

    /// Attempts follow each other at this pace, with jitter.
    fn retry(&self) -> Retry {
        Retry::forever(Backoff { initial: self.election.retry, max: self.election.retry })
    }

    /// Takes or renews the lease if it is free, expired or ours.
    async fn attempt(&mut self) -> Result<LeaseHolder, ApiCallError> {
        // Half of the time after one pause: a request that hangs must leave time for another.
        let deadline = self.election.give_up.saturating_sub(self.election.retry) / 2;
        call_within(deadline, "take the lease", self.take()).await
    }

    async fn take(&mut self) -> kube::Result<LeaseHolder> {
        let Some(lease) = self.api.get_opt(&self.election.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.election.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.ours(&LeaseSpec::default())),
            };
            return written(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if !self.may_take(&spec, Instant::now()) {
            return Ok(LeaseHolder::Other);
        }
        let renewed = Lease { spec: Some(self.ours(&spec)), ..lease };
        written(self.api.replace(&self.election.name, &PostParams::default(), &renewed).await)
    }

    /// Whether the lease is free, ours, or has not changed for its whole duration.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.election.identity {
            return true;
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        };
        // The holder's own duration, where it has one.
        let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        now.duration_since(since) > promised.map_or(self.election.lease, Duration::from_secs)
    }

    fn ours(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let kept = before.holder_identity.as_deref() == Some(&self.election.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.election.identity.clone()),
            lease_duration_seconds: Some(self.election.lease.as_secs() as i32),
            acquire_time: if kept { before.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if kept { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// Waits before the next attempt. Returns `false` if `leaving` came first.
async fn pause(retry: &mut Retry, leaving: &CancellationToken) -> bool {
    tokio::select! {
        () = leaving.cancelled() => false,
        waited = retry.wait() => waited,
    }
}

/// A conflict means that another candidate was faster.
fn written(answer: kube::Result<Lease>) -> kube::Result<LeaseHolder> {
    match answer {
        Ok(_) => Ok(LeaseHolder::Us),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(LeaseHolder::Other),
        Err(error) => Err(error),
    }
}
