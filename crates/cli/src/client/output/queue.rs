//! How a queue is shown.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bookingq_proto::v1;
use serde::{Serialize, Serializer};

use super::{
    ItemOutput, Output, WaitOutput, WorkersOutput, about, chance_word, item_name, moment,
    outflow_words, print_json, print_table, seconds,
};

/// A queue, with the field names of the contract.
#[derive(Debug, Serialize)]
pub struct QueueOutput {
    /// Its name.
    pub queue: String,
    /// Open, Paused or Closed.
    pub admission: &'static str,
    /// Bookings in the line.
    pub backlog: u64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
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
    /// Whether the outflow decides the rate.
    pub limited: bool,
    /// The expected wait of a client that joins now.
    #[serde(flatten)]
    wait: WaitOutput,
    /// Its chance of a ticket, by item.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    chances: BTreeMap<String, &'static str>,
    /// When the sale opens, and the time until then; absent once it has opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_in_seconds: Option<f64>,
    /// Limits of how fast the line is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    outflow: Option<String>,
    /// Items that are sold out, at the moment or for good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemOutput>,
    /// The workers, where a process that scales them has recorded them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersOutput>,
    /// Counters since the queue was created.
    #[serde(serialize_with = "as_map")]
    totals: [(&'static str, u64); 9],
    /// The store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

fn as_map<S: Serializer>(totals: &[(&str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(totals.iter().copied())
}

impl From<v1::GetQueueResponse> for QueueOutput {
    fn from(queue: v1::GetQueueResponse) -> Self {
        let admission = match queue.admission() {
            v1::Admission::Unspecified => "unknown",
            v1::Admission::Open => "Open",
            v1::Admission::Paused => "Paused",
            v1::Admission::Closed => "Closed",
        };
        let wait =
            WaitOutput::new(queue.eta.as_ref(), queue.eta_range.as_ref(), queue.eta_unknown());
        let chance = |of: v1::ItemChance| Some((of.item.clone(), chance_word(of.chance())?));
        let limited = queue.is_limited();
        let totals = queue.totals.unwrap_or_default();
        Self {
            admission,
            backlog: queue.backlog,
            parked: queue.parked,
            in_flight: queue.in_flight,
            holds: queue.holds,
            now_serving: queue.now_serving,
            oldest_wait_seconds: queue.oldest_wait.as_ref().map(seconds).unwrap_or_default(),
            rate: queue.rate,
            wait,
            chances: queue.chances.into_iter().filter_map(chance).collect(),
            opens_at: queue.opens_in.and(queue.opens_at).as_ref().map(moment),
            opens_in_seconds: queue.opens_in.as_ref().map(seconds),
            limited,
            outflow: queue.outflow.and_then(|outflow| outflow_words(&outflow.to_core())),
            items: queue.items.into_iter().map(Into::into).collect(),
            workers: queue
                .workforce
                .map(|workforce| WorkersOutput::new(workforce, queue.now.as_ref())),
            totals: [
                ("enqueued", totals.enqueued),
                ("dispatched", totals.dispatched),
                ("reserved", totals.reserved),
                ("confirmed", totals.confirmed),
                ("expired", totals.expired),
                ("cancelled", totals.cancelled),
                ("sold_out", totals.sold_out),
                ("rejected", totals.rejected),
                ("failed", totals.failed),
            ],
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
        let columns = [
            ("queue", self.queue.clone()),
            ("admission", self.admission.to_owned()),
            ("waiting", self.backlog.to_string()),
            ("in_flight", self.in_flight.to_string()),
            ("holds", self.holds.to_string()),
            ("now_serving", self.now_serving.to_string()),
            ("oldest", self.oldest()),
            ("rate/s", format!("{:.1}", self.rate)),
            ("wait", self.wait()),
            ("parked", if self.parked > 0 { self.parked.to_string() } else { String::new() }),
            ("sale", self.sale().join("; ")),
            ("workers", self.workers.as_ref().map(WorkersOutput::count).unwrap_or_default()),
        ];
        let finals = self.finals().iter().map(|(state, count)| (*state, count.to_string()));
        let cells: Vec<_> = columns.into_iter().chain(finals).collect();
        print_table(&cells)?;
        self.item_lines().for_each(|line| println!("{line}"));
        Ok(())
    }

    /// The expected wait of a client that joins now, or why there is none.
    pub fn wait(&self) -> String {
        match self.wait.explain_halt() {
            _ if self.wait.is_known() => self.wait.words(),
            "" => "unknown".to_owned(),
            halt => halt.to_owned(),
        }
    }

    /// A line for each item that is sold out, then one for each chance.
    pub fn item_lines(&self) -> impl Iterator<Item = String> {
        let chance = |(item, chance): (&String, &&str)| {
            format!("{}: a ticket is {chance} for a client that joins now", item_name(item))
        };
        let closed = self.items.iter().map(ToString::to_string);
        closed.chain(self.chances.iter().map(chance))
    }

    /// The opening and the outflow in words.
    pub fn sale(&self) -> Vec<String> {
        let opens = |seconds: f64| {
            let left = Duration::from_secs_f64(seconds.max(0.0));
            format!("opens in {}", about(left))
        };
        let outflow = self.outflow.as_ref().map(|outflow| format!("outflow {outflow}"));
        self.opens_in_seconds.map(opens).into_iter().chain(outflow).collect()
    }

    /// Bookings that ended, by their final state.
    pub fn finals(&self) -> &[(&'static str, u64)] {
        &self.totals[3..]
    }

    /// How long the front has waited, in whole seconds.
    pub fn oldest(&self) -> String {
        about(Duration::from_secs_f64(self.oldest_wait_seconds.max(0.0)))
    }
}
