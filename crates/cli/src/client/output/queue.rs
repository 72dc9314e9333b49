//! The line as a whole as it is shown.

use std::io;
use std::time::Duration;

use bookingq_proto::v1;
use serde::Serialize;

use super::{Output, about, moment, print_json, print_table, seconds};

/// The line as a whole, in the words of the contract.
#[derive(Debug, Serialize)]
// The names are those of the contract.
#[allow(clippy::struct_field_names)]
pub struct Queue {
    /// Its name.
    pub queue: String,
    /// Open, Paused or Closed.
    pub admission: &'static str,
    /// In the line.
    pub backlog: u64,
    /// In workers' hands.
    pub in_flight: u64,
    /// Waiting for payment.
    pub holds: u64,
    /// The queue number at the front; 0 when nobody waits.
    pub now_serving: u64,
    /// How long the front has waited.
    pub oldest_wait_seconds: f64,
    /// Leaving the front each second.
    pub rate: f64,
    /// Counters since the queue exists.
    pub totals: Totals,
    /// The store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// Counters since the queue exists.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Totals {
    pub enqueued: u64,
    pub dispatched: u64,
    pub reserved: u64,
    pub confirmed: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub sold_out: u64,
    pub rejected: u64,
    pub failed: u64,
}

impl From<v1::GetQueueResponse> for Queue {
    fn from(queue: v1::GetQueueResponse) -> Self {
        let admission = match queue.admission() {
            v1::Admission::Unspecified => "unknown",
            v1::Admission::Open => "Open",
            v1::Admission::Paused => "Paused",
            v1::Admission::Closed => "Closed",
        };
        let totals = queue.totals.unwrap_or_default();
        Self {
            admission,
            backlog: queue.backlog,
            in_flight: queue.in_flight,
            holds: queue.holds,
            now_serving: queue.now_serving,
            oldest_wait_seconds: queue.oldest_wait.as_ref().map(seconds).unwrap_or_default(),
            rate: queue.rate,
            totals: Totals {
                enqueued: totals.enqueued,
                dispatched: totals.dispatched,
                reserved: totals.reserved,
                confirmed: totals.confirmed,
                expired: totals.expired,
                cancelled: totals.cancelled,
                sold_out: totals.sold_out,
                rejected: totals.rejected,
                failed: totals.failed,
            },
            now: queue.now.as_ref().map(moment),
            queue: queue.queue,
        }
    }
}

impl Queue {
    /// Shows it.
    pub fn print(&self, output: Output) -> io::Result<()> {
        match output {
            Output::Json => print_json(self),
            Output::Table => print_table(
                &[
                    "QUEUE",
                    "ADMISSION",
                    "WAITING",
                    "IN FLIGHT",
                    "HOLDS",
                    "NOW SERVING",
                    "OLDEST",
                    "RATE/S",
                    "CONFIRMED",
                    "EXPIRED",
                    "CANCELLED",
                    "SOLD OUT",
                    "REJECTED",
                    "FAILED",
                ],
                &[vec![
                    self.queue.clone(),
                    self.admission.to_owned(),
                    self.backlog.to_string(),
                    self.in_flight.to_string(),
                    self.holds.to_string(),
                    self.now_serving.to_string(),
                    self.oldest(),
                    format!("{:.1}", self.rate),
                    self.totals.confirmed.to_string(),
                    self.totals.expired.to_string(),
                    self.totals.cancelled.to_string(),
                    self.totals.sold_out.to_string(),
                    self.totals.rejected.to_string(),
                    self.totals.failed.to_string(),
                ]],
            ),
        }
    }

    /// How long the front has waited, for a person.
    pub fn oldest(&self) -> String {
        about(Duration::from_secs_f64(self.oldest_wait_seconds.max(0.0)))
    }
}
