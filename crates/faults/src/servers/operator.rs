//! The operator's failover of a managed Redis, in this process: its own planner and driver, with a
//! record that outlives them. It can end after any step; then another one begins.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_operator::redis_failover::driver::{FailoverDriver, NodeAddress};
use bookingq_operator::redis_failover::surroundings::{
    DesiredFailover, FailoverSurroundings, SurroundingsError,
};
use bookingq_operator::redis_failover::view::{FailoverGoal, NODES, NodeIndex, PrimaryRecord};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Between two passes with nothing to do, as in the operator.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the end of an operator and the beginning of the next.
const AWAY: Duration = Duration::from_secs(2);
/// Time to replace a Pod.
const REPLACED: Duration = Duration::from_millis(500);

/// What lasts when an operator ends.
#[derive(Debug, Default)]
struct LastingState {
    record: Option<PrimaryRecord>,
    /// The nodes with an older template.
    outdated: [bool; NODES],
    /// The node whose Pod was deleted.
    deleted: Option<NodeIndex>,
    /// The operator ends after so many more steps.
    ends_after: Option<usize>,
    /// For how long there is none, then.
    away: Duration,
    /// When the newest election was recorded.
    elected: Option<Instant>,
    /// Whether each step takes a period.
    slow: bool,
}

/// The primary of the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elected {
    pub(crate) term: u64,
    pub(crate) primary: NodeIndex,
    /// Replicas with a copy.
    pub(crate) copies: u8,
    /// When it was recorded.
    pub(crate) since: Instant,
}

/// One operator after the other.
#[derive(Debug)]
pub(crate) struct OperatorTask {
    state: Arc<Mutex<LastingState>>,
    _task: AbortOnDropHandle<()>,
}

struct LastingSurroundings(Arc<Mutex<LastingState>>);

impl FailoverSurroundings for LastingSurroundings {
    fn may_act(&self) -> bool {
        self.0.lock().ends_after != Some(0)
    }

    async fn read_record(&mut self) -> Result<Option<PrimaryRecord>, SurroundingsError> {
        Ok(self.0.lock().record)
    }

    async fn replace_record(
        &mut self,
        old: Option<PrimaryRecord>,
        new: Option<PrimaryRecord>,
    ) -> Result<bool, SurroundingsError> {
        let mut state = self.0.lock();
        let is_old = state.record == old;
        if is_old {
            let election = |record: Option<PrimaryRecord>| record.map(|record| record.election());
            if election(new) != election(old) {
                state.elected = Some(Instant::now());
            }
            state.record = new;
        }
        Ok(is_old)
    }

    async fn replace_pod(&mut self, node: NodeIndex) -> Result<(), SurroundingsError> {
        let mut state = self.0.lock();
        state.outdated[node] = false;
        state.deleted = Some(node);
        Ok(())
    }
}

impl OperatorTask {
    /// Looks after the servers at these addresses. `replace` ends the process of a node, which
    /// starts again with its data after the time.
    pub(super) fn start(
        queue: QueueName,
        addresses: [NodeAddress; NODES],
        replace: impl Fn(NodeIndex, Duration) + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(LastingState::default()));
        let lasting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let surroundings = LastingSurroundings(Arc::clone(&lasting));
                let driver =
                    FailoverDriver::new(queue.clone(), addresses.clone(), None, surroundings);
                operate(driver, &lasting, &replace).await;
                let away = {
                    let mut state = lasting.lock();
                    state.ends_after = None;
                    std::mem::take(&mut state.away).max(AWAY)
                };
                sleep(away).await;
            }
        });
        Self { state, _task: AbortOnDropHandle::new(task) }
    }

    /// Lets the operator end after so many more steps.
    pub(super) fn end_after(&self, steps: usize) {
        self.state.lock().ends_after = Some(steps);
    }

    /// Ends the operator at its next step; the next one begins after the time.
    pub(crate) fn end_for(&self, time: Duration) {
        let mut state = self.state.lock();
        (state.ends_after, state.away) = (Some(0), time);
    }

    /// Lets the operator do one step in each period, as with a slow API server.
    pub(crate) fn set_slow(&self, slow: bool) {
        self.state.lock().slow = slow;
    }

    /// The primary of the record.
    pub(crate) fn elected(&self) -> Option<Elected> {
        let state = self.state.lock();
        let PrimaryRecord { term, primary, copies } = state.record?;
        Some(Elected { term, primary, copies, since: state.elected? })
    }

    /// Gives the node's Pod a newer template: a primary hands over first.
    pub(super) fn outdate(&self, node: NodeIndex) {
        self.state.lock().outdated[node] = true;
    }

    /// Nothing ends the operator any more.
    pub(super) fn clear(&self) {
        self.state.lock().ends_after = None;
    }
}

/// One operator, until it ends.
async fn operate(
    mut driver: FailoverDriver<LastingSurroundings>,
    lasting: &Mutex<LastingState>,
    replace: &(impl Fn(NodeIndex, Duration) + Sync),
) {
    loop {
        let (outdated, limit, slow) = {
            let state = lasting.lock();
            (state.outdated, state.ends_after.or(state.slow.then_some(1)), state.slow)
        };
        let (goal, ready) = (FailoverGoal::Three, [true; NODES]);
        let desired = DesiredFailover { goal, outdated, ready, workers_follow: true };
        let report = driver.pass(desired, limit.unwrap_or(usize::MAX)).await;
        let deleted = {
            let mut state = lasting.lock();
            // It may have been set since the pass began.
            if let Some(left) = &mut state.ends_after {
                *left = left.saturating_sub(report.done);
                if *left == 0 {
                    return;
                }
            }
            state.deleted.take()
        };
        if let Some(node) = deleted {
            replace(node, REPLACED);
        }
        if report.done == 0 || slow {
            sleep(PERIOD).await;
        }
    }
}
