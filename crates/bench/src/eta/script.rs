//! The sales: each is drawn from a seed, so that no rule is fitted to one of them.

use std::time::Duration;

use bookingq_core::Outflow;
use bookingq_core::autoscale::Policy;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How a sale goes.
#[derive(Debug, Clone)]
pub struct SaleScript {
    /// When clients join, in seconds from the start, ascending.
    pub joins: Vec<f64>,
    /// Mean time of a Reserve call, in seconds.
    pub service: f64,
    /// How the queue scales.
    pub policy: Policy,
    /// Its limits.
    pub outflow: Outflow,
    /// The Booking Service does not answer from the one to the other, in seconds.
    pub outage: Option<(f64, f64)>,
    /// What there is to sell.
    pub stock: u64,
    /// The share of clients that pays.
    pub pays: f64,
    /// Mean time in seconds after which a client gives up; 0: none does.
    pub cancels_after: f64,
}

/// Kinds of sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleKind {
    /// Arrivals keep a line of about the same length.
    Steady,
    /// Arrivals rise for minutes, then fall.
    Ramp,
    /// All join at once; the Booking Service fails for a while.
    Outage,
    /// All join at once; the outflow is capped.
    Capped,
    /// All join at once, for less than half of them.
    SellingOut,
}

impl SaleKind {
    /// All, with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Steady, "steady"),
        (Self::Ramp, "ramp"),
        (Self::Outage, "step, outage"),
        (Self::Capped, "capped"),
        (Self::SellingOut, "selling out"),
    ];

    /// One sale of this kind.
    pub fn draw(self, seed: u64) -> SaleScript {
        let mut rng = StdRng::seed_from_u64(seed);
        let policy = Policy {
            max: rng.random_range(3..=8),
            concurrency: 8,
            drain_target: Duration::from_secs(rng.random_range(10..180)),
            ..Policy::DEFAULT
        };
        let service = rng.random_range(0.2..0.8);
        // Bookings that the largest number of workers serves each second, payments included.
        let most = f64::from(policy.max * policy.concurrency) / (service * 1.3);
        let seconds = rng.random_range(200.0..700.0);
        let mut script = SaleScript {
            joins: self.joins(most, seconds, &mut rng),
            service,
            policy,
            outflow: Outflow::default(),
            outage: None,
            stock: u64::MAX,
            pays: rng.random_range(0.6..0.95),
            cancels_after: if rng.random_bool(0.5) { rng.random_range(900.0..4000.0) } else { 0.0 },
        };
        match self {
            Self::Outage => {
                let from = rng.random_range(0.1..0.7) * seconds;
                script.outage = Some((from, from + rng.random_range(10.0..60.0)));
            }
            Self::Capped => {
                let cap = 60.0 * most * rng.random_range(0.3..0.8);
                script.outflow.per_minute = Some(cap as u32);
            }
            Self::SellingOut => {
                script.stock = (most * seconds * rng.random_range(0.2..0.5)) as u64;
            }
            Self::Steady | Self::Ramp => {}
        }
        script
    }

    /// When clients join: `most` are served each second, and serving all takes about `seconds`.
    fn joins(self, most: f64, seconds: f64, rng: &mut StdRng) -> Vec<f64> {
        let mut joins: Vec<f64> = match self {
            Self::Steady => {
                let first = at_once(most * rng.random_range(20.0..120.0), rng);
                let rate = most * rng.random_range(0.8..1.0);
                let later = (0..(rate * 900.0) as usize).map(|_| rng.random_range(0.0..900.0));
                first.into_iter().chain(later).collect()
            }
            Self::Ramp => {
                let (rise, fall) = (rng.random_range(120.0..400.0), rng.random_range(60.0..300.0));
                let peak = most * rng.random_range(1.3..3.0);
                let mut join = || {
                    let share = rng.random::<f64>().sqrt();
                    if rng.random::<f64>() * (rise + fall) < rise {
                        rise * share
                    } else {
                        rise + fall * (1.0 - share)
                    }
                };
                (0..(peak * (rise + fall) / 2.0) as usize).map(|_| join()).collect()
            }
            Self::Outage | Self::Capped | Self::SellingOut => at_once(most * seconds, rng),
        };
        joins.sort_by(f64::total_cmp);
        joins
    }
}

/// A crowd that joins within 15 seconds, most of it at the beginning.
fn at_once(crowd: f64, rng: &mut StdRng) -> Vec<f64> {
    (0..crowd as usize).map(|_| 15.0 * rng.random::<f64>().powi(2)).collect()
}
