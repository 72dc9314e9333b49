//! Leader election on a Lease: of several operators one writes, and two never do.
//!
//! - Each write is a PUT with the resourceVersion that was read: of two that try at once, the API
//!   server refuses one.
//! - A lease counts as expired when it has not been seen to change for its whole duration by our
//!   own monotonic clock: the clocks of two machines are never compared.
//! - A leader that could not renew gives up before others may take over: its fence closes by
//!   itself, and its process ends.

use std::time::{Duration, Instant};

use bookingq_core::backoff::Backoff;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::CallError;
use crate::fence::Fence;

/// How an election is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The Lease's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Names this candidate; unique among them, also over restarts.
    pub identity: String,
    /// Others wait so long after the last sign of life.
    pub lease: Duration,
    /// The leader gives up when its last renewal is so old; shorter than `lease`, so that it has
    /// stopped by then.
    pub give_up: Duration,
    /// Between two tries, about.
    pub retry: Duration,
}

impl Election {
    /// With the usual times: 10 s, 7 s and 1.5 s. A leader that dies is followed within 15 s: its
    /// last renewal is seen within one retry, is believed for the lease, and the next try comes
    /// within another one.
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

/// How leading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadershipEnd {
    /// We were asked to leave.
    Left,
    /// The lease could not be renewed in time, or is somebody else's: the process must end.
    Lost,
}

/// What one try found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseState {
    Ours,
    Theirs,
}

/// One candidate.
pub struct Candidate {
    election: Election,
    api: Api<Lease>,
    fence: Fence,
    /// The lease as it was seen last, and since when it has not changed.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    /// `client` must not be behind `fence`: the lease itself is written before the fence opens.
    pub fn new(client: Client, election: Election, fence: Fence) -> Self {
        let api = Api::namespaced(client, &election.namespace);
        Self { election, api, fence, seen: None }
    }

    /// Waits until this candidate leads; `false` if `leaving` came first.
    pub async fn lead(&mut self, leaving: &CancellationToken) -> bool {
        info!(lease = self.election.name, identity = self.election.identity, "waiting to lead");
        loop {
            let started = Instant::now();
            match self.attempt().await {
                Ok(LeaseState::Ours) => {
                    self.fence.open_until(started + self.election.give_up);
                    info!(lease = self.election.name, "leading");
                    return true;
                }
                Ok(LeaseState::Theirs) => {}
                Err(error) => warn!(%error, "the lease could not be asked for"),
            }
            if !self.pause(leaving).await {
                return false;
            }
        }
    }

    /// Renews until the end. The lease is given back if we were asked to leave.
    pub async fn hold(mut self, leaving: &CancellationToken) -> LeadershipEnd {
        let mut renewed = Instant::now();
        while self.pause(leaving).await {
            let started = Instant::now();
            match self.attempt().await {
                // Counted from before the request: what it took is not ours.
                Ok(LeaseState::Ours) => {
                    renewed = started;
                    self.fence.open_until(renewed + self.election.give_up);
                }
                Ok(LeaseState::Theirs) => return self.lost("somebody else holds the lease"),
                Err(error) => warn!(%error, "the lease was not renewed"),
            }
            if renewed.elapsed() >= self.election.give_up {
                return self.lost("the lease could not be renewed in time");
            }
        }
        LeadershipEnd::Left
    }

    /// Gives the lease back, so that the next leader need not wait; call when nothing writes any
    /// more.
    pub async fn resign(client: Client, election: &Election, fence: &Fence) {
        fence.close();
        let api: Api<Lease> = Api::namespaced(client, &election.namespace);
        let release = async {
            let mut lease = api.get(&election.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&election.identity) {
                spec.holder_identity = None;
                spec.renew_time = None;
                api.replace(&election.name, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        match tokio::time::timeout(election.retry, release).await {
            Ok(Ok(())) => info!(lease = election.name, "the lease is given back"),
            Ok(Err(error)) => warn!(%error, "the lease was not given back; it runs out by itself"),
            Err(_) => warn!("the lease was not given back in time; it runs out by itself"),
        }
    }

    fn lost(&self, why: &str) -> LeadershipEnd {
        self.fence.close();
        warn!(lease = self.election.name, why, "not the leader any more");
        LeadershipEnd::Lost
    }

    /// A jittered wait; `false` if `leaving` came first.
    async fn pause(&self, leaving: &CancellationToken) -> bool {
        let retry = Backoff { initial: self.election.retry, max: self.election.retry };
        tokio::select! {
            () = tokio::time::sleep(retry.delay(1, rand::random())) => true,
            () = leaving.cancelled() => false,
        }
    }

    /// Takes or renews the lease if it is free, expired or ours.
    async fn attempt(&mut self) -> Result<LeaseState, CallError> {
        // Half of what is left after one pause: a request that hangs must leave time for another.
        let deadline = self.election.give_up.saturating_sub(self.election.retry) / 2;
        let attempt = self.ask();
        match tokio::time::timeout(deadline, attempt).await {
            Ok(answer) => answer
                .map_err(|cause| CallError::Failed { doing: "take the lease".to_owned(), cause }),
            Err(_) => Err(CallError::Timeout { doing: "take the lease".to_owned() }),
        }
    }

    async fn ask(&mut self) -> kube::Result<LeaseState> {
        let Some(lease) = self.api.get_opt(&self.election.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.election.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.ours(&LeaseSpec::default())),
            };
            return settled(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if !self.may_take(&spec, Instant::now()) {
            return Ok(LeaseState::Theirs);
        }
        let renewed = Lease { spec: Some(self.ours(&spec)), ..lease };
        settled(self.api.replace(&self.election.name, &PostParams::default(), &renewed).await)
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
        // What the holder has promised; ours if it has promised nothing.
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

/// A conflict means that somebody else was faster.
fn settled(written: kube::Result<Lease>) -> kube::Result<LeaseState> {
    match written {
        Ok(_) => Ok(LeaseState::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(LeaseState::Theirs),
        Err(error) => Err(error),
    }
}
