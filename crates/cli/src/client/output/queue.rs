//! How a queue is shown.

use std::io;
use std::time::Duration;

use bookingq_proto::v1;
use serde::Serialize;

use super::{Output, about, moment, print_json, print_table, seconds};

/// A queue, with the field names of the contract.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)]
pub struct QueueOutput {
    /// Its name.
    pub queue: String,
    /// Open, Paused or Closed.
    pub admission: &'static str,
    /// Bookings in the line.
    pub backlog: u64,
    /// Bookings that a worker is processing.
    pub in_flight: u64,
    /// Reservations that wait for payment.
    pub holds: u64,
    /// The queue number at the front; 0 when the line is empty.
    pub now_serving: u64,
    /// How long the front has waited.
    pub oldest_wait_seconds: f64,
    /// Bookings that leave the front each second.
    pub rate: f64,
    /// Counters since the queue was created.
    pub totals: TotalsOutput,
    /// The store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// Counters since the queue was created.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct TotalsOutput {
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

impl From<v1::GetQueueResponse> for QueueOutput {
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
            totals: TotalsOutput {
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

impl QueueOutput {
    /// Prints it to stdout.
    pub fn print(&self, output: Output) -> io::Result<()> {
        if output == Output::Json {
            return print_json(self);
        }
        let totals = &self.totals;
        print_table(&[
            ("QUEUE", self.queue.clone()),
            ("ADMISSION", self.admission.to_owned()),
            ("WAITING", self.backlog.to_string()),
            ("IN FLIGHT", self.in_flight.to_string()),
            ("HOLDS", self.holds.to_string()),
            ("NOW SERVING", self.now_serving.to_string()),
            ("OLDEST", self.oldest()),
            ("RATE/S", format!("{:.1}", self.rate)),
            ("CONFIRMED", totals.confirmed.to_string()),
            ("EXPIRED", totals.expired.to_string()),
            ("CANCELLED", totals.cancelled.to_string()),
            ("SOLD OUT", totals.sold_out.to_string()),
            ("REJECTED", totals.rejected.to_string()),
            ("FAILED", totals.failed.to_string()),
        ])
    }

    /// How long the front has waited, in whole seconds.
    pub fn oldest(&self) -> String {
        about(Duration::from_secs_f64(self.oldest_wait_seconds.max(0.0)))
    }
}
