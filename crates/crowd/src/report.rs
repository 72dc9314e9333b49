//! The report of a crowd: its counters and latencies.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::demand::{CrowdDemand, Wanted};
use crate::latency::{Latency, LatencySummary};
use crate::progress::{CrowdCounters, ProgressView};

/// The waits of clients, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CrowdLatency<T = LatencySummary> {
    /// The acknowledged Enqueue call.
    pub enqueue: T,
    /// From the first try of Enqueue to the acknowledgement, retries included.
    pub joined: T,
    /// From the acknowledgement until the client saw its reservation or its refusal.
    pub queued: T,
    /// The answered ConfirmPayment call.
    pub payment: T,
    /// From the loss of a WebSocket until the next one has shown the place again.
    pub reconnected: T,
}

/// The counters and latencies of a crowd.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdReport {
    /// The counters at the end.
    #[serde(flatten)]
    pub progress: ProgressView,
    /// The number of bookings that clients saw end in each final state.
    pub finals: BTreeMap<&'static str, u64>,
    /// What they wanted, and what they learned of it.
    #[serde(serialize_with = "crate::demand::as_list")]
    pub demand: BTreeMap<Wanted, CrowdDemand>,
    /// Errors by reason; `TRANSPORT` counts those without one of our reasons.
    pub errors: BTreeMap<&'static str, u64>,
    /// The waits of clients.
    pub latency_ms: CrowdLatency,
}

/// The latencies that clients measure.
#[derive(Debug, Default)]
pub struct CrowdLatencies(Mutex<CrowdLatency<Latency>>);

impl CrowdLatencies {
    /// `call` is the time of the acknowledged call, `joined` the time since the first try.
    pub fn acknowledged(&self, call: Duration, joined: Duration) {
        let mut histograms = self.0.lock();
        histograms.enqueue.record(call);
        histograms.joined.record(joined);
    }

    /// A client saw its reservation, or its refusal, `after` its acknowledgement.
    pub fn decided(&self, after: Duration) {
        self.0.lock().queued.record(after);
    }

    /// A payment was answered.
    pub fn payment_answered(&self, after: Duration) {
        self.0.lock().payment.record(after);
    }

    /// A client whose WebSocket was lost sees its place again `after` that.
    pub fn reconnected(&self, after: Duration) {
        self.0.lock().reconnected.record(after);
    }

    /// Everything so far.
    pub fn report(&self, progress: &CrowdCounters) -> CrowdReport {
        let histograms = self.0.lock();
        CrowdReport {
            progress: progress.view(),
            finals: progress.finals(),
            demand: progress.demand(),
            errors: progress.errors(),
            latency_ms: CrowdLatency {
                enqueue: histograms.enqueue.summary(),
                joined: histograms.joined.summary(),
                queued: histograms.queued.summary(),
                payment: histograms.payment.summary(),
                reconnected: histograms.reconnected.summary(),
            },
        }
    }
}
