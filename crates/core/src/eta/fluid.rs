//! The line as a fluid: when the front reaches a position.

use super::flow::{FlowHistory, FlowPace};
use super::reading::EtaReading;

/// A front that moves less than once in 1,000 seconds has no wait: "never" is not a time.
const SLOWEST: f64 = 0.001;
/// At most this share is parked: the rest of a line is never free.
const MOST_PARKED: f64 = 0.99;
/// How far the pace of a sale may change, whatever was measured: standard deviation of the
/// logarithm of a wait …
const CHANGE: f64 = 0.06;
/// … and how long its front may stand still, in seconds …
const STANDS: f64 = 10.0;
/// … within this standard deviation, since that is rare within a short wait.
const MOST_STANDS: f64 = 0.1;
/// The same while a cap holds the pace, for everything.
const CAPPED: f64 = 0.003;
/// Beyond this standard deviation a range is of no use.
const MOST: f64 = 0.5;

/// The near future of the line.
#[derive(Debug)]
pub(super) struct Fluid {
    /// Places that the front passes each second.
    speed: f64,
    /// The share of the waiting bookings that cancels, each second.
    cancelling: f64,
    /// How far the speed may be off: standard deviation of its logarithm. `None`: a cap holds the
    /// pace, and is exact.
    doubt: Option<f64>,
}

impl Fluid {
    /// `None` if the pace is unknown, or nearly zero.
    pub fn new(flow: &FlowHistory, reading: &EtaReading, line: u64) -> Option<Self> {
        let cap = reading.outflow.pace();
        let cap = cap.map_or(f64::INFINITY, |pace| 1e6 / pace.interval_us as f64);
        let measured = flow.pace();
        let (served, doubt) = match &measured {
            // Slots are free, so the pace is what arrives, not what could be served.
            _ if line == 0 => {
                (flow.per_slot()? * flow.in_flight().max(reading.slots as f64), Some(MOST))
            }
            Some(pace) if capped(pace, cap) => (cap, None),
            Some(pace) => {
                let doubt = pace.served.sqrt().recip().hypot(CHANGE);
                (scaled(pace, flow.in_flight()), Some(doubt))
            }
            None => return None,
        };
        let parked = measured.as_ref().map_or(0.0, |pace| pace.parked).min(MOST_PARKED);
        let speed = served.min(cap) / (1.0 - parked);
        (speed > SLOWEST).then(|| Self { speed, cancelling: flow.cancelling(), doubt })
    }

    /// Seconds until the booking at a position leaves the line. While it waits, the front passes
    /// `v` places each second and a share `c` of those ahead cancels: `a' = -v - c·a`.
    pub fn wait(&self, position: u64) -> f64 {
        let cancels = self.cancelling.max(1e-9);
        (position as f64 * cancels / self.speed).ln_1p() / cancels
    }

    /// Whether a cap holds the pace.
    pub fn is_capped(&self) -> bool {
        self.doubt.is_none()
    }

    /// The standard deviation of the logarithm of a wait, of which `noise` is known.
    pub fn spread(&self, wait: f64, noise: f64) -> f64 {
        let Some(doubt) = self.doubt else { return CAPPED };
        let stands = (STANDS / wait.max(1.0)).min(MOST_STANDS);
        noise.hypot(doubt).hypot(stands).min(MOST)
    }
}

/// Whether the cap holds the pace: nothing else is likely to bring it so close.
fn capped(pace: &FlowPace, cap: f64) -> bool {
    pace.served + 2.0 >= 0.93 * cap * pace.seconds
}

/// The pace with the present number of tasks. More of them than chance explains mean that workers
/// came. Fewer mean little: after an outage those of the retries are gone.
fn scaled(pace: &FlowPace, tasks: f64) -> f64 {
    let grown = tasks > pace.tasks + 2.0 * pace.tasks.sqrt() + 1.0;
    pace.served / pace.seconds * if grown && pace.tasks > 0.0 { tasks / pace.tasks } else { 1.0 }
}
