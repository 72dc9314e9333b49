//! Three servers that the operator looks after, for faults that are measured one by one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_harness::sentinels::hosts;
use bookingq_harness::{Fsync, Process, RedisOptions, RedisServer, Restart};
use tokio::time::{Instant, sleep};

use super::decider::{FailoverDecider, StartedServers, managed};
use super::operator::OperatorTask;
use super::state::states;
use crate::proxy::Proxy;

/// Longest wait until all servers agree.
const WHOLE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// As a kubelet, only faster.
const RESTART: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_millis(200) };

/// The servers; each has a proxy for clients, and one for the others and the operator.
#[derive(Debug)]
pub(crate) struct ManagedTrio {
    servers: Arc<[RedisServer; 3]>,
    operator: OperatorTask,
    proxies: Vec<Proxy>,
    fronts: Vec<Proxy>,
    /// Any key of the queue.
    key: String,
}

impl ManagedTrio {
    /// Starts them, with data that ends with them.
    pub(crate) async fn start(queue: &QueueName) -> Result<Self> {
        let options = |_| {
            let restart = Restart::Always(RESTART);
            Ok(RedisOptions { restart, ..RedisOptions::new(Fsync::Always) })
        };
        let StartedServers { decider, proxies, fronts } = managed(queue, options).await?;
        let FailoverDecider::Operator(servers, operator) = decider else {
            bail!("no operator looks after these servers");
        };
        let key = format!("booking-meta:{{{queue}}}");
        Ok(Self { servers, operator, proxies, fronts, key })
    }

    /// How clients find the primary.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", hosts(self.fronts.iter().map(Proxy::address)))
    }

    /// How clients find this server only.
    pub(crate) fn front_url(&self, node: usize) -> String {
        format!("redis://{}", self.fronts[node].address())
    }

    pub(crate) fn process(&self, node: usize) -> &Process {
        self.servers[node].process()
    }

    /// What the others and the operator come through.
    pub(crate) fn proxy(&self, node: usize) -> &Proxy {
        &self.proxies[node]
    }

    pub(crate) fn operator(&self) -> &OperatorTask {
        &self.operator
    }

    /// Whether the server says that it is a primary, if it answers.
    pub(crate) async fn is_primary(&self, node: usize) -> Option<bool> {
        let states = states(&self.servers[node..=node], &self.key).await;
        states.first().copied().flatten().map(|state| state.is_primary)
    }

    /// Waits until the primary of the record has two replicas with all its data on their disks.
    pub(crate) async fn wait_whole(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let (record, states) =
                (self.operator.elected(), states(&self.servers[..], &self.key).await);
            let whole = states.iter().enumerate().all(|(node, state)| {
                let leads = record.is_some_and(|record| record.primary == node);
                state.is_some_and(|state| {
                    let role = if leads { state.replicas == 2 } else { state.is_linked };
                    state.on_disk && state.is_primary == leads && role
                })
            });
            if whole && record.is_some_and(|record| record.copies == 2) {
                return Ok(());
            }
            if start.elapsed() > WHOLE {
                bail!("after {WHOLE:?} not all servers agree: {record:?}, {states:?}");
            }
            sleep(LOOK).await;
        }
    }
}
