//! What `top` shows of gateways, read from their admin ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bookingq_client::WorkerEndpoints;
use bookingq_core::QueueName;
use bookingq_serve::admin_client;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::failure::Failure;

/// The figures of a gateway.
const PATH: &str = "/admin/data";
/// Deadline of one gateway.
const DEADLINE: Duration = Duration::from_secs(2);
/// Limit of the figures of one gateway: items are most of them, at most 128 for each queue.
const MAX_BODY: usize = 4 << 20;
/// The send lag that is shown is that of this share of the frames.
const SHARE: f64 = 0.99;

/// Gateways as they were read. Unknown fields are those of a newer gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReading {
    elapsed: u64,
    max_connections: u64,
    connections: ReadSockets,
    handshakes: ReadHandshakes,
    send_lag: ReadLag,
    queues: Vec<ReadQueue>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct ReadSockets {
    websocket: u64,
    events: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct ReadHandshakes {
    ok: u64,
    refused: u64,
}

/// A histogram since the start of the gateway.
#[derive(Debug, Clone, Deserialize)]
struct ReadLag {
    bounds: Vec<f64>,
    counts: Vec<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadQueue {
    queue: String,
    connections: u64,
    upstream_lag: f64,
    epoch_changes: u64,
}

/// How late 99 of 100 frames were sent, of those since the last reading; at the first reading,
/// since the gateway's start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SendLag {
    /// At most this many seconds.
    Within(f64),
    /// More than this.
    Over(f64),
}

/// All gateways of a queue together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GatewaysOutput {
    /// Gateways that are known.
    pub known: usize,
    /// Those that answered.
    pub answered: usize,
    /// Those that serve the queue.
    pub serving: usize,
    /// Open WebSockets, of all queues.
    pub websockets: u64,
    /// Open event streams, of all queues.
    pub event_streams: u64,
    /// How many of both may be open.
    pub max_connections: u64,
    /// Both, of this queue.
    pub of_this_queue: u64,
    /// Connections opened each second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connecting_per_second: Option<f64>,
    /// Connections refused each second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_per_second: Option<f64>,
    /// Absent if no frame was sent.
    #[serde(rename = "send_lag_seconds", skip_serializing_if = "Option::is_none")]
    pub send_lag: Option<SendLag>,
    /// Time since the last message of the workers, at the gateway where it is longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_lag_seconds: Option<f64>,
    /// Times the data of the queue was found to be other data, at the gateway with the most.
    pub epoch_changes: u64,
}

/// Reads gateways again and again.
pub struct GatewayReader {
    queue: QueueName,
    endpoints: Vec<watch::Receiver<Vec<SocketAddr>>>,
    last: BTreeMap<SocketAddr, GatewayReading>,
}

impl GatewayReader {
    /// Resolves the names of the gateways.
    pub async fn new(
        queue: QueueName,
        urls: Vec<WorkerEndpoints>,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let mut endpoints = Vec::new();
        for url in urls {
            endpoints.push(url.resolve(limit).await?);
        }
        Ok(Self { queue, endpoints, last: BTreeMap::new() })
    }

    /// The gateways now; `None` if none was named.
    pub async fn read(&mut self) -> Option<GatewaysOutput> {
        if self.endpoints.is_empty() {
            return None;
        }
        let known: Vec<_> = self.endpoints.iter().flat_map(|all| all.borrow().clone()).collect();
        let answers = join_all(known.iter().map(|&address| read_one(address))).await;
        let now: BTreeMap<_, _> = known.iter().copied().zip(answers).collect();
        let known = now.len();
        let now = now.into_iter().filter_map(|(address, answer)| Some((address, answer?)));
        let now: BTreeMap<_, _> = now.collect();
        let output = summary(self.queue.as_str(), known, &self.last, &now);
        self.last = now;
        Some(output)
    }
}

async fn read_one(address: SocketAddr) -> Option<GatewayReading> {
    let text = admin_client::get(address, PATH, MAX_BODY, DEADLINE).await;
    let read = |text: String| Ok(serde_json::from_str(&text)?);
    match text.map_err(anyhow::Error::from).and_then(read) {
        Ok(reading) => Some(reading),
        Err(error) => {
            tracing::debug!(%address, %error, "a gateway cannot be read");
            None
        }
    }
}

type Readings = BTreeMap<SocketAddr, GatewayReading>;

fn summary(queue: &str, known: usize, last: &Readings, now: &Readings) -> GatewaysOutput {
    let mut sum = GatewaysOutput { known, answered: now.len(), ..Default::default() };
    let mut lag: BTreeMap<u64, u64> = BTreeMap::new();
    for (address, reading) in now {
        // One that was restarted counts from the start.
        let before = last.get(address).filter(|before| before.elapsed < reading.elapsed);
        sum.websockets += reading.connections.websocket;
        sum.event_streams += reading.connections.events;
        sum.max_connections += reading.max_connections;
        for served in reading.queues.iter().filter(|one| one.queue == queue) {
            sum.serving += 1;
            sum.of_this_queue += served.connections;
            sum.epoch_changes = sum.epoch_changes.max(served.epoch_changes);
            let longest = sum.upstream_lag_seconds.unwrap_or_default().max(served.upstream_lag);
            sum.upstream_lag_seconds = Some(longest);
        }
        if let Some(before) = before {
            let seconds = (reading.elapsed - before.elapsed) as f64 / 1000.0;
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
            let (to, from) = (reading.handshakes, before.handshakes);
            *sum.connecting_per_second.get_or_insert_default() += rate(to.ok, from.ok);
            *sum.refused_per_second.get_or_insert_default() += rate(to.refused, from.refused);
        }
        add_lag(&mut lag, &reading.send_lag, before.map(|before| &before.send_lag));
    }
    sum.send_lag = share_within(&lag);
    sum
}

/// Adds the frames since `before`, by the bits of their bound: those of positive numbers sort as
/// the numbers do.
fn add_lag(frames: &mut BTreeMap<u64, u64>, lag: &ReadLag, before: Option<&ReadLag>) {
    let bounds = lag.bounds.iter().copied().chain([f64::INFINITY]);
    for (index, (bound, count)) in bounds.zip(&lag.counts).enumerate() {
        let then = before.and_then(|before| before.counts.get(index)).copied().unwrap_or(0);
        *frames.entry(bound.to_bits()).or_default() += count.saturating_sub(then);
    }
}

/// The smallest bound of enough frames.
fn share_within(frames: &BTreeMap<u64, u64>) -> Option<SendLag> {
    let all: u64 = frames.values().sum();
    let (mut seen, mut last) = (0, 0.0);
    for (&bits, count) in frames {
        seen += count;
        let bound = f64::from_bits(bits);
        if all > 0 && seen as f64 >= all as f64 * SHARE {
            return Some(if bound.is_finite() {
                SendLag::Within(bound)
            } else {
                SendLag::Over(last)
            });
        }
        last = bound;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// With this number of frames within 1 ms, within 5 s, and later.
    fn reading(elapsed: u64, ok: u64, frames: [u64; 3]) -> GatewayReading {
        let figures = json!({
            "gateway": "g", "elapsed": elapsed, "maxConnections": 100, "new": {"field": 1},
            "connections": {"websocket": 7, "events": 1},
            "handshakes": {"ok": ok, "refused": 2},
            "sendLag": {"bounds": [0.001, 5.0], "counts": frames},
            "queues": [
                {"queue": "concert", "connections": 6, "upstreamLag": 0.5, "epochChanges": 1},
                {"queue": "festival", "connections": 2, "upstreamLag": 9.0, "epochChanges": 4}
            ]
        });
        serde_json::from_value(figures).unwrap()
    }

    fn at(readings: &[(u8, GatewayReading)]) -> Readings {
        let address = |last| SocketAddr::from(([127, 0, 0, last], 8081));
        readings.iter().map(|(last, reading)| (address(*last), reading.clone())).collect()
    }

    #[test]
    fn gateways_add_up_and_rates_are_between_two_readings() {
        let first = at(&[(1, reading(1000, 10, [50, 0, 9])), (2, reading(5000, 10, [0, 0, 0]))]);
        // The second one was restarted: its counters are of no use for a rate.
        let next = at(&[(1, reading(3000, 30, [149, 1, 9])), (2, reading(900, 4, [0, 0, 0]))]);
        let sum = summary("concert", 3, &first, &next);
        assert_eq!((sum.known, sum.answered, sum.serving), (3, 2, 2));
        assert_eq!((sum.websockets, sum.event_streams, sum.of_this_queue), (14, 2, 12));
        assert_eq!((sum.max_connections, sum.epoch_changes), (200, 1));
        assert_eq!(sum.upstream_lag_seconds, Some(0.5));
        assert_eq!(sum.connecting_per_second, Some(10.0));
        assert_eq!(sum.refused_per_second, Some(0.0));
        assert_eq!(sum.send_lag, Some(SendLag::Within(0.001)));
    }

    #[test]
    fn one_late_frame_of_fifty_is_more_than_one_of_a_hundred() {
        let of =
            |frames| summary("concert", 1, &at(&[]), &at(&[(1, reading(1, 0, frames))])).send_lag;
        assert_eq!(of([49, 1, 0]), Some(SendLag::Within(5.0)));
        assert_eq!(of([49, 0, 1]), Some(SendLag::Over(5.0)));
        assert_eq!(of([0, 0, 0]), None);
    }

    #[test]
    fn a_gateway_that_serves_other_queues_is_counted_apart() {
        let sum = summary("match", 1, &at(&[]), &at(&[(1, reading(1, 0, [0; 3]))]));
        assert_eq!((sum.answered, sum.serving, sum.upstream_lag_seconds), (1, 0, None));
    }
}
