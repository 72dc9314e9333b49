//! What the crowd saw: acknowledgements, latencies, broken promises.

use std::collections::BTreeMap;
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Place, RequestId};
use parking_lot::Mutex;
use serde::Serialize;

use super::progress::{Progress, ProgressView};
use crate::latency::{Latency, Summary};

/// Broken promises kept as examples.
const PROMISES_KEPT: usize = 100;

/// A client was told that it has a place in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Who.
    pub client: ClientId,
    /// For which request.
    pub request: RequestId,
    /// Under which booking.
    pub booking: BookingId,
    /// With which place.
    pub place: Place,
}

/// Something a client saw that must never be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenPromise {
    /// Who saw it.
    pub client: ClientId,
    /// What.
    pub what: String,
}

/// How long clients waited for answers, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CrowdLatency {
    /// The Enqueue call that was acknowledged.
    pub enqueue: Summary,
    /// From the first try of Enqueue to the acknowledgement, retries included.
    pub joined: Summary,
    /// From the acknowledgement until the client heard of its reservation, or that there is none.
    pub queued: Summary,
    /// The `ConfirmPayment` call that was answered.
    pub payment: Summary,
}

/// What became of the crowd.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdReport {
    /// The counters at the end.
    #[serde(flatten)]
    pub progress: ProgressView,
    /// How many clients saw their booking end in each final state.
    pub finals: BTreeMap<&'static str, u64>,
    /// Errors by reason; `TRANSPORT` are those of the connection.
    pub errors: BTreeMap<&'static str, u64>,
    /// How long clients waited.
    pub latency_ms: CrowdLatency,
    /// How many promises broke.
    pub promises_broken_total: u64,
    /// The first of them.
    pub promises_broken: Vec<BrokenPromise>,
    /// Every acknowledgement, for the checker.
    #[serde(skip)]
    pub acknowledged: Vec<Acknowledged>,
}

/// Where clients write what they see.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Sheet>);

#[derive(Debug, Default)]
struct Sheet {
    enqueue: Latency,
    joined: Latency,
    queued: Latency,
    payment: Latency,
    acknowledged: Vec<Acknowledged>,
    broken: Vec<BrokenPromise>,
    broken_total: u64,
}

impl Notes {
    /// `call` is the time of the acknowledged call, `joined` the time since the first try.
    pub(super) fn acknowledged(
        &self,
        acknowledged: Acknowledged,
        call: Duration,
        joined: Duration,
    ) {
        let mut sheet = self.0.lock();
        sheet.enqueue.record(call);
        sheet.joined.record(joined);
        sheet.acknowledged.push(acknowledged);
    }

    pub(super) fn decided(&self, after: Duration) {
        self.0.lock().queued.record(after);
    }

    pub(super) fn payment_answered(&self, after: Duration) {
        self.0.lock().payment.record(after);
    }

    pub(super) fn broken(&self, client: &ClientId, what: impl FnOnce() -> String) {
        let mut sheet = self.0.lock();
        sheet.broken_total += 1;
        if sheet.broken.len() < PROMISES_KEPT {
            sheet.broken.push(BrokenPromise { client: client.clone(), what: what() });
        }
    }

    /// Everything written so far; the acknowledgements are handed over.
    pub(super) fn report(&self, progress: &Progress) -> CrowdReport {
        let mut sheet = self.0.lock();
        CrowdReport {
            progress: progress.view(),
            finals: progress.finals(),
            errors: progress.errors(),
            latency_ms: CrowdLatency {
                enqueue: sheet.enqueue.summary(),
                joined: sheet.joined.summary(),
                queued: sheet.queued.summary(),
                payment: sheet.payment.summary(),
            },
            promises_broken_total: sheet.broken_total,
            promises_broken: std::mem::take(&mut sheet.broken),
            acknowledged: std::mem::take(&mut sheet.acknowledged),
        }
    }
}
