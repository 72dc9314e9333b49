//! The autoscaler: for each queue a loop that reads its store once a second, plans, and scales its
//! workers.
//!
//! ```text
//!   reconcile ──DesiredState──> queue loop ── store::snapshot ─> core::autoscale ─> PATCH /scale
//!       ^                           |
//!       '──────── wakes ──── Observation (input of the status)
//! ```
//!
//! The queue loop alone writes the number of workers; the reconciler writes everything else.

mod context;
pub mod observation;
mod queue_loop;
pub mod scaling;
pub mod settings;

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_api::status::LastScaling;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::queue::QueueKey;
pub use context::{DesiredState, LoopContext};
use observation::Observation;

/// The queue loops.
pub struct Autoscaler {
    context: Arc<LoopContext>,
    loops: Mutex<HashMap<QueueKey, LoopHandle>>,
}

struct LoopHandle {
    desired: watch::Sender<DesiredState>,
    observed: watch::Receiver<Observation>,
}

impl Autoscaler {
    /// Without queues.
    pub fn new(context: LoopContext) -> Self {
        Self { context: Arc::new(context), loops: Mutex::default() }
    }

    /// Starts the loop of a queue, or passes a changed state to it. `before` is the last scaling in
    /// the queue's status.
    pub fn update(&self, key: &QueueKey, desired: DesiredState, before: Option<LastScaling>) {
        let mut loops = self.loops.lock();
        if let Some(handle) = loops.get(key).filter(|handle| !handle.desired.is_closed()) {
            handle.desired.send_if_modified(|current| {
                let changed = *current != desired;
                if changed {
                    *current = desired;
                }
                changed
            });
            return;
        }
        let (sender, receiver) = watch::channel(desired);
        let (observing, observed) = watch::channel(Observation::starting(before));
        tokio::spawn(queue_loop::run(self.context.clone(), key.clone(), receiver, observing));
        loops.insert(key.clone(), LoopHandle { desired: sender, observed });
    }

    /// The last observation of a queue's loop.
    pub fn observation(&self, key: &QueueKey) -> Option<Observation> {
        self.loops.lock().get(key).map(|handle| handle.observed.borrow().clone())
    }

    /// Removes the loops that have ended because their queues were deleted, and returns their keys.
    pub fn remove_ended(&self) -> Vec<QueueKey> {
        let mut loops = self.loops.lock();
        let ended = loops.extract_if(|_, handle| handle.desired.is_closed());
        ended.map(|(key, _)| key).collect()
    }
}
