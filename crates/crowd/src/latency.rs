//! The histogram behind every reported latency.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer latencies count as this one.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Latencies, to about 1 %, in microseconds.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

/// Percentiles of a [`Latency`], in milliseconds; all 0 if nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencySummary {
    /// The number of records.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Nothing recorded.
    // The bounds are constants, so it cannot panic.
    #[allow(clippy::missing_panics_doc)]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_max(LONGEST.as_micros() as u64, 2);
        Self(histogram.expect("a maximum above 2 and 2 digits are always accepted"))
    }

    /// Records one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds the records of another one.
    pub fn merge(&mut self, other: &Self) {
        for bucket in other.0.iter_recorded() {
            self.0.saturating_record_n(bucket.value_iterated_to(), bucket.count_at_value());
        }
    }

    /// The percentiles.
    pub fn summary(&self) -> LatencySummary {
        let ms = |micros: u64| micros as f64 / 1000.0;
        LatencySummary {
            count: self.0.len(),
            p50: ms(self.0.value_at_quantile(0.5)),
            p99: ms(self.0.value_at_quantile(0.99)),
            max: ms(self.0.max()),
        }
    }
}
