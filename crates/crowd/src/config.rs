//! The configuration of a crowd.

use std::sync::Arc;
use std::time::Duration;

use bookingq_client::ChannelConfig;
use bookingq_core::backoff::Backoff;
use bookingq_core::{Quantity, QueueName};
use tokio::sync::Semaphore;

use crate::behaviour::{ActionTiming, Arrivals, Behaviours, Following, Repeats};
use crate::call::Recorder;
use crate::gateway::GatewayAccess;
use crate::weights::Weights;

/// Connections to each worker for calls.
const CONNECTIONS: usize = 4;
const CALLS_AT_ONCE: usize = 1024;
/// As in the page.
const REOPEN_WITHIN: Duration = Duration::from_secs(30);

/// How many clients arrive, when, and how they behave.
#[derive(Debug, Clone)]
pub struct CrowdConfig {
    /// The queue they join.
    pub queue: QueueName,
    /// The number of clients.
    pub clients: u32,
    /// All of them arrive within this time.
    pub arrive: Duration,
    /// How their arrivals are spread over that time.
    pub arrivals: Arrivals,
    /// Limit of clients at the same time; above it, the next one arrives when another has finished.
    pub present: usize,
    /// What they want, as the Booking Service names it.
    pub items: Weights<Arc<str>>,
    /// How many of it.
    pub quantities: Weights<Quantity>,
    /// How common each behaviour is.
    pub behaviours: Behaviours,
    /// When they act.
    pub timing: ActionTiming,
    /// Repetitions on top of the behaviour.
    pub repeats: Repeats,
    /// How they follow their bookings.
    pub following: Following,
    /// Client ids begin with this; at most 100 bytes without control characters.
    pub prefix: String,
    /// Seeds every draw: arrivals, items, behaviours and moments.
    pub seed: u64,
    /// Deadline of each call, from the moment it is sent.
    pub timeout: Duration,
    /// Wait before a call is retried or a watch is reopened.
    pub backoff: Backoff,
    /// How to connect. The number of watches follows from `clients`.
    pub channels: ChannelConfig,
    /// Longest wait before a WebSocket is reopened; it grows to that with each failure. A gateway
    /// may ask for a longer one.
    pub reopen_within: Duration,
    /// Come through gateways instead of calling workers.
    pub gateway: Option<GatewayAccess>,
    /// Records every call with its answer.
    pub recorder: Option<Arc<dyn Recorder>>,
}

impl CrowdConfig {
    /// `clients` that arrive within `arrive`, with the default mix of behaviours.
    pub fn new(queue: QueueName, clients: u32, arrive: Duration) -> Self {
        Self {
            queue,
            clients,
            arrive,
            arrivals: Arrivals::Random,
            present: Semaphore::MAX_PERMITS,
            items: Weights::all(Arc::from("")),
            quantities: Weights::all(Quantity::ONE),
            behaviours: Behaviours::default(),
            timing: ActionTiming::default(),
            repeats: Repeats::default(),
            following: Following::Watch,
            prefix: "client".to_owned(),
            seed: 1,
            timeout: Duration::from_secs(10),
            backoff: Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) },
            channels: ChannelConfig {
                connections: CONNECTIONS,
                calls_at_once: CALLS_AT_ONCE,
                ..ChannelConfig::default()
            },
            reopen_within: REOPEN_WITHIN,
            gateway: None,
            recorder: None,
        }
    }
}
