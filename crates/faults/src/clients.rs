//! The crowd of a fault run: concurrent clients at a constant rate, with seeded behaviours.

use std::sync::Arc;
use std::time::Duration;

use bookingq_check::CallRecorder;
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_crowd::{
    ActionTiming, Arrivals, Behaviour, Behaviours, CrowdConfig, Following, Repeats,
};

use crate::sale;

/// Typical seconds from a client's arrival to its end, which give the number of concurrent clients.
const STAY: f64 = 6.0;
const FEWEST: usize = 20;
const MOST: usize = 3000;

/// `clients` that arrive evenly over `time`.
pub fn crowd(
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
