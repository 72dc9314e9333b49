//! Every metric of the gateway's connections, made in one place. Names and meaning:
//! docs/operations.md.

use std::sync::Arc;

use bookingq_serve::MetricsRegistry;
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

use crate::close::CloseReason;
use crate::frames::{FrameKind, ReadyFrame};

/// From a wake-up to a crowd that is served one after the other.
pub(crate) const SEND_LAG: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The outcome of a handshake: the connection was opened.
pub(crate) const OPENED: &str = "ok";
/// The outcome of a handshake: as many connections are open as may be.
pub(crate) const FULL: &str = "full";

/// How a place is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    Socket,
    /// Server-sent events.
    Events,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Socket, Self::Events];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "websocket",
            Self::Events => "events",
        }
    }
}

/// Why a snapshot is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResyncCause {
    /// The gateway began to follow the queue.
    Start,
    /// Updates are missing.
    Gap,
    /// The store lost data.
    Epoch,
    /// More news waited for a connection than it keeps.
    Overflow,
    /// The client has another booking.
    Booking,
}

impl ResyncCause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::Start, Self::Gap, Self::Epoch, Self::Overflow, Self::Booking];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Gap => "gap",
            Self::Epoch => "epoch",
            Self::Overflow => "overflow",
            Self::Booking => "booking",
        }
    }
}

/// The metrics of the gateway's connections. Each is exposed with the prefix
/// `bookingqueue_gateway_`.
pub struct GatewayMetrics {
    connections: IntGaugeVec,
    handshakes: IntCounterVec,
    frames: Vec<IntCounter>,
    bytes: IntCounter,
    send_lag: Vec<Histogram>,
    resyncs: Vec<IntCounter>,
    closes: IntCounterVec,
    snapshots: IntCounterVec,
    pub(crate) snapshot_batch: Histogram,
    upstream: UpstreamMetrics,
}

/// What arrives from workers.
struct UpstreamMetrics {
    lag: GaugeVec,
    updates: IntCounterVec,
    epoch_changes: IntCounterVec,
}

impl UpstreamMetrics {
    fn new(r: &MetricsRegistry) -> prometheus::Result<Self> {
        Ok(Self {
            lag: r.gauges(
                "upstream_lag_seconds",
                "Time since the last message of FollowQueue",
                &["queue"],
            )?,
            updates: r.counters(
                "updates_total",
                "Booking updates that arrived from workers",
                &["queue"],
            )?,
            epoch_changes: r.counters(
                "epoch_changes_total",
                "Times the data of a queue was found to be other data",
                &["queue"],
            )?,
        })
    }
}

impl GatewayMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When another family has one of the names.
    pub fn new(r: &MetricsRegistry) -> prometheus::Result<Arc<Self>> {
        let frames = r.counters("frames_total", "Frames sent, by type", &["type"])?;
        let lag: HistogramVec = r.histograms(
            "send_lag_seconds",
            "Time from the arrival of news, or from when a tick was due and had arrived, until it is written",
            &SEND_LAG,
            &["type"],
        )?;
        let resyncs = r.counters(
            "resyncs_total",
            "Snapshots read again for a connection, by cause",
            &["cause"],
        )?;
        let kinds = FrameKind::ALL.map(FrameKind::as_str);
        let metrics = Self {
            connections: r.int_gauges(
                "connections",
                "Open connections of places",
                &["transport"],
            )?,
            handshakes: r.counters(
                "handshakes_total",
                "Connections of places that were asked for, by outcome",
                &["transport", "outcome"],
            )?,
            frames: kinds.iter().map(|kind| frames.with_label_values(&[kind])).collect(),
            bytes: r.counter("sent_bytes_total", "Bytes of JSON in the frames sent")?,
            send_lag: kinds.iter().map(|kind| lag.with_label_values(&[kind])).collect(),
            resyncs: ResyncCause::ALL
                .iter()
                .map(|cause| resyncs.with_label_values(&[cause.as_str()]))
                .collect(),
            closes: r.counters("closes_total", "Connections that ended, by code", &["code"])?,
            snapshots: r.counters(
                "snapshots_total",
                "Clients whose booking was read, by outcome",
                &["outcome"],
            )?,
            snapshot_batch: r.histogram(
                "snapshot_batch_size",
                "Clients in a call of GetStatusBatch",
                &[1.0, 4.0, 16.0, 64.0, 256.0, 1000.0],
            )?,
            upstream: UpstreamMetrics::new(r)?,
        };
        for transport in Transport::ALL {
            metrics.connections(transport).set(0);
            // A counter that appears with its first event shows no increase.
            for outcome in [OPENED, FULL] {
                metrics.handshakes.with_label_values(&[transport.as_str(), outcome]);
            }
        }
        Ok(Arc::new(metrics))
    }

    pub(crate) fn connections(&self, transport: Transport) -> IntGauge {
        self.connections.with_label_values(&[transport.as_str()])
    }

    /// Counts a connection that was asked for.
    pub fn handshake(&self, transport: Transport, outcome: &str) {
        self.handshakes.with_label_values(&[transport.as_str(), outcome]).inc();
    }

    pub(crate) fn sent(&self, frame: &ReadyFrame) {
        self.frames[frame.kind() as usize].inc();
        self.bytes.inc_by(frame.json_len() as u64);
    }

    /// `millis` after the content of the frame had arrived.
    pub(crate) fn lag(&self, kind: FrameKind, millis: u64) {
        self.send_lag[kind as usize].observe(millis as f64 / 1000.0);
    }

    pub(crate) fn resynced(&self, cause: ResyncCause) {
        self.resyncs[cause as usize].inc();
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        self.closes.with_label_values(&[&reason.code().to_string()]).inc();
    }

    /// The client ended the connection with this code.
    pub(crate) fn left(&self, code: u16) {
        // Of browsers and libraries, of what could not be read, and 4408 of the kernel's limit. All
        // others are the client's own.
        let label = match code {
            1000..=1002 | 1005..=1007 | 1009 | 4408 => code.to_string(),
            _ => "other".to_owned(),
        };
        self.closes.with_label_values(&[&label]).inc();
    }

    pub(crate) fn snapshots(&self, outcome: &str, count: usize) {
        self.snapshots.with_label_values(&[outcome]).inc_by(count as u64);
    }

    pub(crate) fn upstream_lag(&self, queue: &str, seconds: f64) {
        self.upstream.lag.with_label_values(&[queue]).set(seconds);
    }

    pub(crate) fn updates(&self, queue: &str, count: usize) {
        self.upstream.updates.with_label_values(&[queue]).inc_by(count as u64);
    }

    pub(crate) fn epoch_changed(&self, queue: &str) {
        self.upstream.epoch_changes.with_label_values(&[queue]).inc();
    }

    /// How often the data of a queue was found to be other data.
    pub(crate) fn epoch_changes(&self, queue: &str) -> u64 {
        self.upstream.epoch_changes.with_label_values(&[queue]).get()
    }

    /// Connections that were opened so far, and those that were refused.
    pub(crate) fn handshakes_so_far(&self) -> (u64, u64) {
        let (mut opened, mut refused) = (0, 0);
        let families = self.handshakes.collect();
        for series in families.iter().flat_map(MetricFamily::get_metric) {
            let ok = series.get_label().iter().any(|label| label.value() == OPENED);
            *(if ok { &mut opened } else { &mut refused }) +=
                series.get_counter().get_value() as u64;
        }
        (opened, refused)
    }

    /// Frames of all types so far, by the bound of [`SEND_LAG`] within which they were sent; then
    /// those that were sent later.
    pub(crate) fn send_lag_so_far(&self) -> Vec<u64> {
        let mut counts = vec![0; SEND_LAG.len() + 1];
        for histogram in &self.send_lag {
            let families = histogram.collect();
            for series in families.iter().flat_map(MetricFamily::get_metric) {
                let read = series.get_histogram();
                let (mut below, buckets) = (0, read.get_bucket());
                for (index, bucket) in buckets.iter().enumerate().take(SEND_LAG.len()) {
                    counts[index] += bucket.cumulative_count() - below;
                    below = bucket.cumulative_count();
                }
                counts[SEND_LAG.len()] += read.get_sample_count() - below;
            }
        }
        counts
    }
}
