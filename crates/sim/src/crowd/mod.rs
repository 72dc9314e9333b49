//! Many clients who behave like people, through the real gRPC door of workers that come and go.
//!
//! ```text
//!   Crowd::run ── arrivals ──> client (one light task each): join ── watch ──> hold: pay | leave | wait ──> final
//!       |                         |  plan: behaviour      |  door: shared channels to the workers
//!       '── report <── notes <────'                       '  progress: counters for a live view
//! ```

mod behaviour;
mod call;
mod client;
mod door;
mod progress;
mod report;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Details, QueueName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::behaviour::{Plan, arrivals};
use self::client::Client;
use self::door::Door;
use self::report::Notes;

pub use self::behaviour::{Behaviour, Behaviours, Manners};
pub use self::door::Connecting;
pub use self::progress::{Progress, ProgressView};
pub use self::report::{Acknowledged, BrokenPromise, CrowdLatency, CrowdReport};

/// Who comes, when, and how they behave.
#[derive(Debug, Clone)]
pub struct CrowdConfig {
    /// The line they join.
    pub queue: QueueName,
    /// How many come.
    pub clients: u32,
    /// They all come within this time.
    pub arrive: Duration,
    /// What each of them books.
    pub details: Details,
    /// How common each behaviour is.
    pub behaviours: Behaviours,
    /// When they act.
    pub manners: Manners,
    /// Their names begin with this; at most 100 bytes without control characters.
    pub prefix: String,
    /// What chance is drawn from: arrivals, behaviours and moments.
    pub seed: u64,
    /// Deadline of each call, from the moment it is sent.
    pub timeout: Duration,
    /// Calls sent and not answered yet, at most, of all clients together; the others wait their
    /// turn. Without it, calls that time out in an overloaded worker's queue would be repeated
    /// until nothing else is done.
    pub calls_at_once: usize,
    /// Wait before a call is repeated or a watch is opened again.
    pub backoff: Backoff,
    /// How they connect.
    pub connecting: Connecting,
}

impl CrowdConfig {
    /// So many clients within so long, who behave as people do.
    pub fn new(queue: QueueName, clients: u32, arrive: Duration) -> Self {
        Self {
            queue,
            clients,
            arrive,
            details: Details::default(),
            behaviours: Behaviours::default(),
            manners: Manners::default(),
            prefix: "client".to_owned(),
            seed: 1,
            timeout: Duration::from_secs(10),
            calls_at_once: 1024,
            backoff: Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) },
            connecting: Connecting::default(),
        }
    }
}

/// What all clients share.
#[derive(Debug)]
struct Scene {
    config: CrowdConfig,
    door: Door,
    progress: Arc<Progress>,
    notes: Notes,
}

/// A crowd about to come.
#[derive(Debug)]
pub struct Crowd {
    scene: Arc<Scene>,
}

impl Crowd {
    /// Gathers it.
    pub fn new(config: CrowdConfig) -> Self {
        let door = Door::new(config.clients, config.calls_at_once, config.connecting.clone());
        let scene = Scene { config, door, progress: Arc::default(), notes: Notes::default() };
        Self { scene: Arc::new(scene) }
    }

    /// How far it is, also while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        self.scene.progress.clone()
    }

    /// Lets it come: ends when every client's booking is final, or at `stop`. `endpoints` are the
    /// workers' gRPC addresses; they may change at any time, and there may be none for a while.
    pub async fn run(
        self,
        endpoints: watch::Receiver<Vec<SocketAddr>>,
        stop: CancellationToken,
    ) -> CrowdReport {
        let scene = self.scene;
        let clients = TaskTracker::new();
        tokio::select! {
            // The door first, so that the first client finds it open.
            biased;
            () = scene.door.follow(endpoints) => {}
            () = come(&scene, &clients, &stop) => {}
        }
        scene.notes.report(&scene.progress)
    }
}

/// Starts each client when its time comes, and waits for all of them.
async fn come(scene: &Arc<Scene>, clients: &TaskTracker, stop: &CancellationToken) {
    let CrowdConfig { clients: count, arrive, seed, behaviours, manners, .. } = &scene.config;
    let start = Instant::now();
    for (index, time) in (0..).zip(arrivals(*seed, *count, *arrive)) {
        if stop.run_until_cancelled(sleep_until(start + time)).await.is_none() {
            break;
        }
        let plan = Plan::draw(*seed, index, behaviours, manners);
        match Client::new(scene.clone(), index, plan) {
            Ok(client) => {
                let stop = stop.clone();
                clients.spawn(async move { stop.run_until_cancelled_owned(client.live()).await });
            }
            Err(invalid) => {
                tracing::error!(%invalid, "the crowd's prefix does not make a client id")
            }
        }
    }
    clients.close();
    clients.wait().await;
}
