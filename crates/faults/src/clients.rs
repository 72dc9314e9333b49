//! The crowd of a fault run: many clients at once, at an even pace, each with a behaviour that
//! follows from the seed.

use std::sync::Arc;
use std::time::Duration;

use bookingq_check::CallRecorder;
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_crowd::{
    ActionTiming, Arrivals, Behaviour, Behaviours, CrowdConfig, Following, Repeats,
};

/// How long a client is present, about: so many must be present at once for the wanted pace.
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

/// How many of a hundred.
fn behaviours() -> Behaviours {
    Behaviours::new([
        (Behaviour::Pays, 36),
        (Behaviour::PaysLate, 6),
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
