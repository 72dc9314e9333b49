//! The crowds of a fault run: concurrent clients at a constant rate, with seeded behaviours. One
//! calls workers and asks for its status, the other comes through gateways and follows WebSockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_check::CallRecorder;
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_crowd::{
    ActionTiming, Arrivals, Behaviour, Behaviours, Crowd, CrowdConfig, CrowdCounters, Following,
    GatewayAccess, Repeats,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sale;
use crate::testbed::Testbed;

/// Typical seconds from a client's arrival to its end, which give the number of concurrent clients.
const STAY: f64 = 6.0;
const FEWEST: usize = 20;
const MOST: usize = 3000;
/// One of so many clients comes through a gateway, if there are any.
const THROUGH_GATEWAYS: u32 = 3;
/// Longest wait before a client reopens its WebSocket.
const REOPEN_WITHIN: Duration = Duration::from_secs(2);

/// All clients of a run.
#[derive(Debug)]
pub struct FaultCrowds(Vec<FaultCrowd>);

#[derive(Debug)]
struct FaultCrowd {
    /// How its clients come.
    route: &'static str,
    counters: Arc<CrowdCounters>,
    closed: CancellationToken,
    over: CancellationToken,
    task: JoinHandle<()>,
    /// Ends with the crowd.
    _endpoints: watch::Sender<Vec<SocketAddr>>,
}

impl FaultCrowds {
    /// Starts so many clients, which arrive within the time.
    pub fn start(
        queue: &QueueName,
        (clients, time): (u32, Duration),
        seed: u64,
        recorder: &Arc<CallRecorder>,
        testbed: &Testbed,
    ) -> Self {
        let gateways = testbed.gateways();
        let through = if gateways.is_some() { clients / THROUGH_GATEWAYS } else { 0 };
        let config = |clients, seed| crowd(queue.clone(), clients, time, seed, recorder.clone());
        let direct = config(clients - through, seed);
        let mut crowds = vec![FaultCrowd::start("workers", direct, testbed.endpoints())];
        if let Some((access, public)) = gateways {
            // With the same seed, both crowds would want and do the same.
            let config = through_gateways(config(through, !seed), access);
            crowds.push(FaultCrowd::start("gateways", config, public));
        }
        Self(crowds)
    }

    /// Clients that have arrived.
    pub fn arrived(&self) -> u64 {
        self.0.iter().map(|crowd| crowd.counters.view().arrived).sum()
    }

    /// No further clients arrive.
    pub fn close(&self) {
        for crowd in &self.0 {
            crowd.closed.cancel();
        }
    }

    /// Waits until every client has seen the end of its bookings, or until `rest`; then ends those
    /// that still wait, and returns how they came.
    pub async fn finish(&mut self, rest: impl Future<Output = ()>) -> Vec<&'static str> {
        let over: Vec<_> = self.0.iter().map(|crowd| crowd.over.clone()).collect();
        let ends = async {
            for crowd in &mut self.0 {
                // A panic of the crowd shows in its records.
                let _ = (&mut crowd.task).await;
            }
        };
        tokio::select! {
            () = ends => return Vec::new(),
            () = rest => over.iter().for_each(CancellationToken::cancel),
        }
        let mut unserved = Vec::new();
        for crowd in self.0.iter_mut().filter(|crowd| !crowd.task.is_finished()) {
            unserved.push(crowd.route);
            let _ = (&mut crowd.task).await;
        }
        unserved
    }
}

impl FaultCrowd {
    fn start(route: &'static str, config: CrowdConfig, endpoints: Vec<SocketAddr>) -> Self {
        let crowd = Crowd::new(config);
        let (counters, closed) = (crowd.progress(), crowd.closed());
        let over = CancellationToken::new();
        let (sender, endpoints) = watch::channel(endpoints);
        let run = crowd.run(endpoints, over.clone());
        let task = tokio::spawn(async move { drop(run.await) });
        Self { route, counters, closed, over, task, _endpoints: sender }
    }
}

/// A crowd that comes through gateways, as browsers do.
fn through_gateways(crowd: CrowdConfig, access: GatewayAccess) -> CrowdConfig {
    CrowdConfig {
        following: Following::Watch,
        prefix: "g".to_owned(),
        reopen_within: REOPEN_WITHIN,
        gateway: Some(access),
        ..crowd
    }
}

/// `clients` that arrive evenly over `time`.
fn crowd(
    queue: QueueName,
    clients: u32,
    time: Duration,
    seed: u64,
    recorder: Arc<CallRecorder>,
) -> CrowdConfig {
    let gap = time.as_secs_f64() / f64::from(clients.max(1));
    let mut config = CrowdConfig {
        arrivals: Arrivals::Even,
        present: ((STAY / gap.max(1e-6)) as usize).clamp(FEWEST, MOST),
        items: sale::items(),
        quantities: sale::quantities(),
        behaviours: behaviours(),
        timing: ActionTiming {
            think: (0.0, 0.0),
            leave_within: Duration::from_millis(1500),
            late_within: Duration::from_millis(800),
        },
        repeats: Repeats { twin_request: 0.05, repeat_request: 0.15, join_again: 0.3 },
        following: Following::Poll,
        prefix: "c".to_owned(),
        seed,
        timeout: Duration::from_secs(2),
        backoff: Backoff { initial: Duration::from_millis(20), max: Duration::from_secs(1) },
        recorder: Some(recorder),
        ..CrowdConfig::new(queue, clients, time)
    };
    config.channels.calls_at_once = MOST;
    config
}

/// The behaviours, in percent.
fn behaviours() -> Behaviours {
    Behaviours::new([
        (Behaviour::Pays, 36),
        (Behaviour::PaysLate, 3),
        (Behaviour::Reacquires, 3),
        (Behaviour::PaysAtDeadline, 8),
        (Behaviour::PaysTwice, 8),
        (Behaviour::PaysWithTwoCards, 8),
        (Behaviour::NeverPays, 8),
        (Behaviour::LeavesAtOnce, 7),
        (Behaviour::Leaves, 7),
        (Behaviour::GivesHoldBack, 7),
        (Behaviour::LeavesAfterPaying, 5),
    ])
}
