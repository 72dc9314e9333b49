//! What all connections of the process share: the timer wheel, the metrics, the limits of a
//! connection, and the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::seq::SliceRandom as _;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::info;

use crate::close::CloseReason;
use crate::hub::PlaceHub;
use crate::metrics::{GatewayMetrics, Transport};
use crate::subscriber::PlaceSubscriber;
use crate::timers::TimerWheel;

/// Time between two steps of a drain.
const STEP: Duration = Duration::from_millis(100);
/// How long a drain waits for connections that were asked to close.
const LAST_CLOSES: Duration = Duration::from_secs(4);

/// Limits of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanoutSettings {
    /// Time between two pings, ± 20 %. Who answers none of two is cut.
    pub ping: Duration,
    /// Age at which a connection is closed, so that new replicas get their share.
    pub lifetime: Duration,
    /// What is added to or taken from it at random.
    pub lifetime_spread: Duration,
    /// How long a client may leave unread what was written.
    pub slow: Duration,
}

impl Default for FanoutSettings {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(25),
            lifetime: Duration::from_secs(15 * 60),
            lifetime_spread: Duration::from_secs(5 * 60),
            slow: Duration::from_secs(30),
        }
    }
}

/// What all connections share.
pub struct Fanout {
    /// Their metrics.
    pub metrics: Arc<GatewayMetrics>,
    pub(crate) settings: FanoutSettings,
    pub(crate) wheel: TimerWheel,
    /// The connections of each queue.
    hubs: Mutex<Vec<Arc<PlaceHub>>>,
    open: AtomicUsize,
    draining: AtomicBool,
    /// The last connection has ended.
    empty: Notify,
}

impl Fanout {
    /// Without connections. [`Self::run`] must run for their timers.
    pub fn new(metrics: Arc<GatewayMetrics>, settings: FanoutSettings) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            settings,
            wheel: TimerWheel::new(),
            hubs: Mutex::default(),
            open: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            empty: Notify::new(),
        })
    }

    /// The connections of one more queue.
    pub(crate) fn add_hub(&self) -> Arc<PlaceHub> {
        let hub = Arc::new(PlaceHub::new());
        self.hubs.lock().push(Arc::clone(&hub));
        hub
    }

    /// Turns the timers of all connections, until dropped.
    pub async fn run(self: Arc<Self>) {
        self.wheel.run().await;
    }

    /// Connections of places that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether new connections are refused, because the process ends.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Milliseconds since the start: the clock of all connections.
    pub(crate) fn now(&self) -> u64 {
        self.wheel.now()
    }

    pub(crate) fn opened(self: &Arc<Self>, transport: Transport) -> OpenConnection {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.metrics.connections(transport).inc();
        OpenConnection { fanout: Arc::clone(self), transport }
    }

    /// Refuses new connections, and closes the open ones evenly over this time, in random order.
    /// Returns when all have ended, or some seconds after the time is over.
    pub async fn drain(&self, over: Duration) {
        self.draining.store(true, Ordering::Release);
        let mut all = self.connections();
        all.shuffle(&mut rand::rng());
        info!(connections = all.len(), ?over, "closing the connections of all places");
        let begin = Instant::now();
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut closed = 0;
        while closed < all.len() {
            steps.tick().await;
            // By the clock, so that late steps do not add up.
            let share = begin.elapsed().div_duration_f64(over.max(STEP)).min(1.0);
            let until = (all.len() as f64 * share).ceil() as usize;
            close(&all[closed..until], CloseReason::Drain);
            closed = until;
        }
        drop(all);
        // Connections whose handshake was under way when the drain began.
        close(&self.connections(), CloseReason::Drain);
        let all_ended = async {
            while self.open() > 0 {
                self.empty.notified().await;
            }
        };
        let _ = timeout(LAST_CLOSES, all_ended).await;
    }

    /// Drops every connection at once.
    pub fn cut(&self) {
        self.draining.store(true, Ordering::Release);
        close(&self.connections(), CloseReason::Cut);
    }

    fn connections(&self) -> Vec<Arc<PlaceSubscriber>> {
        self.hubs.lock().iter().flat_map(|hub| hub.all()).collect()
    }
}

fn close(connections: &[Arc<PlaceSubscriber>], reason: CloseReason) {
    for connection in connections {
        connection.close(reason);
    }
}

/// Counts a connection while it is open.
pub(crate) struct OpenConnection {
    fanout: Arc<Fanout>,
    transport: Transport,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.fanout.metrics.connections(self.transport).dec();
        if self.fanout.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.fanout.empty.notify_one();
        }
    }
}
