//! The figures of the operators' page. Counters grow since the start of the gateway, so that each
//! reader computes rates between its own two readings.

use std::collections::BTreeMap;
use std::time::Duration;

use bookingq_proto::v1;
use futures::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use super::workers::AdminWorkersJson;
use crate::frames::admission_word;
use crate::metrics::{SEND_LAG, Transport};
use crate::place_json::{ItemJson, WaitJson, WaitUnknownJson, rfc3339, seconds, wall_clock};
use crate::queue_reader::wait_at_the_end;
use crate::state::{GatewayState, QueueGateway};
use crate::view::LineNow;

/// A queue whose workers do not answer must not keep the others: the page shows that nothing comes
/// after five seconds.
const DEADLINE: Duration = Duration::from_millis(1500);

/// A gateway, now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminJson {
    /// Its name.
    pub gateway: String,
    /// The wall clock.
    pub now: String,
    /// Milliseconds since the start.
    pub elapsed: u64,
    /// Whether it shuts down.
    pub draining: bool,
    /// Open connections of places.
    pub connections: AdminSocketsJson,
    /// How many of them may be open.
    pub max_connections: usize,
    /// Connections that were asked for.
    pub handshakes: AdminHandshakesJson,
    /// How long after their arrival ticks and news were sent.
    pub send_lag: SendLagJson,
    /// Its queues, by name.
    pub queues: Vec<AdminQueueJson>,
}

/// Open connections of places, by transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminSocketsJson {
    /// WebSockets.
    pub websocket: i64,
    /// Event streams.
    pub events: i64,
}

/// Connections that were asked for since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AdminHandshakesJson {
    /// Those that were opened.
    pub ok: u64,
    /// All others.
    pub refused: u64,
}

/// A histogram of frames sent since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SendLagJson {
    /// In seconds, ascending.
    pub bounds: Vec<f64>,
    /// Frames sent within each bound and not within the one before; then those sent later.
    pub counts: Vec<u64>,
}

/// A queue, as this gateway serves it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminQueueJson {
    /// Its name.
    pub queue: String,
    /// Its title for people.
    pub title: String,
    /// Connections of its places at this gateway.
    pub connections: usize,
    /// Seconds since the last message of its workers.
    pub upstream_lag: f64,
    /// Times its data was found to be other data.
    pub epoch_changes: u64,
    /// The line; null while no worker answers.
    pub line: Option<AdminLineJson>,
}

/// The line of a queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminLineJson {
    /// `open`, `paused` or `closed`.
    pub admission: &'static str,
    /// Bookings in the line.
    pub waiting: u64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
    /// Bookings reserving, confirming or releasing.
    pub in_flight: u64,
    /// Reservations that wait for payment.
    pub holds: u64,
    /// Seconds that the front has waited.
    pub oldest_wait: u64,
    /// Bookings that leave the front each second.
    pub rate: f64,
    /// Whether the outflow decides the rate.
    pub limited: bool,
    /// The limits of the outflow.
    pub outflow: OutflowJson,
    /// Seconds until the sale opens; null if it has opened.
    pub opens_in: Option<u64>,
    /// The wait of a client that joins now; null if it is unknown.
    pub wait: Option<WaitJson>,
    /// Why it is unknown.
    pub wait_unknown: Option<WaitUnknownJson>,
    /// Items that are sold out, at the moment or for good.
    pub items: Vec<ItemJson>,
    /// The workers; null if no process that scales them has recorded any.
    pub workers: Option<AdminWorkersJson>,
    /// Counters since the queue was created.
    pub totals: AdminTotalsJson,
}

/// Limits of the outflow; 0: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutflowJson {
    /// Bookings a minute.
    pub per_minute: u32,
    /// Bookings at once.
    pub burst: u32,
    /// Bookings reserving, reserved, confirming or releasing.
    pub max_holds: u32,
}

/// Bookings since the queue was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminTotalsJson {
    /// Joined.
    pub enqueued: u64,
    /// Ended confirmed.
    pub confirmed: u64,
    /// Ended expired.
    pub expired: u64,
    /// Ended cancelled.
    pub cancelled: u64,
    /// Ended sold out.
    pub sold_out: u64,
    /// Ended rejected.
    pub rejected: u64,
    /// Ended failed.
    pub failed: u64,
}

impl AdminJson {
    /// Reads everything; of a queue whose workers do not answer, what the gateway knows itself.
    pub(super) async fn read(gateway: &str, state: &GatewayState) -> Self {
        let (metrics, fanout) = (&state.fanout.metrics, &state.fanout);
        let sorted: BTreeMap<_, _> = state.queues.iter().collect();
        let queues = join_all(sorted.into_values().map(|queue| AdminQueueJson::read(queue))).await;
        let (ok, refused) = metrics.handshakes_so_far();
        let open = |transport| metrics.connections(transport).get();
        Self {
            gateway: gateway.to_owned(),
            now: rfc3339(wall_clock()),
            elapsed: fanout.now(),
            draining: fanout.is_draining(),
            connections: AdminSocketsJson {
                websocket: open(Transport::Socket),
                events: open(Transport::Events),
            },
            max_connections: state.max_streams,
            handshakes: AdminHandshakesJson { ok, refused },
            send_lag: SendLagJson { bounds: SEND_LAG.to_vec(), counts: metrics.send_lag_so_far() },
            queues,
        }
    }
}

impl AdminQueueJson {
    async fn read(queue: &QueueGateway) -> Self {
        let (feed, line) = (&queue.feed, queue.feed.view.current());
        let reading = timeout(DEADLINE, queue.reader.read(&line)).await.ok().and_then(Result::ok);
        Self {
            queue: queue.name.to_string(),
            title: queue.settings.title.clone(),
            connections: feed.hub.count(),
            upstream_lag: feed.followed_since().as_secs_f64(),
            epoch_changes: feed.fanout.metrics.epoch_changes(queue.name.as_str()),
            line: reading.map(|reading| AdminLineJson::new(&reading.queue, &line)),
        }
    }
}

impl AdminLineJson {
    fn new(queue: &v1::GetQueueResponse, line: &LineNow) -> Self {
        let (wait, wait_unknown) = wait_at_the_end(queue, line);
        let outflow = queue.outflow.unwrap_or_default();
        let totals = queue.totals.unwrap_or_default();
        Self {
            admission: admission_word(queue.admission()),
            waiting: queue.backlog,
            parked: queue.parked,
            in_flight: queue.in_flight,
            holds: queue.holds,
            oldest_wait: queue.oldest_wait.as_ref().map_or(0, seconds),
            rate: queue.rate,
            limited: queue.is_limited(),
            outflow: OutflowJson {
                per_minute: outflow.per_minute,
                burst: outflow.burst,
                max_holds: outflow.max_holds,
            },
            opens_in: queue.opens_in.as_ref().map(seconds),
            wait,
            wait_unknown,
            items: queue.items.iter().map(ItemJson::from).collect(),
            workers: queue.workforce.as_ref().map(Into::into),
            totals: AdminTotalsJson {
                enqueued: totals.enqueued,
                confirmed: totals.confirmed,
                expired: totals.expired,
                cancelled: totals.cancelled,
                sold_out: totals.sold_out,
                rejected: totals.rejected,
                failed: totals.failed,
            },
        }
    }
}
