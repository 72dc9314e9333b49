//! The clients: they come at an even pace, many at once, each with a mind of its own that follows
//! from the seed.

mod caller;
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bookingq_core::{ClientId, RequestId};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::caller::Caller;
pub use self::caller::Hall;

/// How long a client is there, about: so many must be there at once for the wanted pace.
const STAY: f64 = 6.0;
const FEWEST: u64 = 20;
const MOST: u64 = 3000;
/// Of those whose booking has ended, so many come again.
const AGAIN: f64 = 0.3;

/// How many bookings begin, evenly over how long.
pub struct Pace {
    wanted: u64,
    begun: AtomicU64,
    start: Instant,
    gap: Duration,
    /// Nobody begins any more.
    enough: CancellationToken,
}

impl Pace {
    /// `wanted` bookings, evenly over `time`, until `enough`.
    pub fn new(wanted: u64, time: Duration, enough: CancellationToken) -> Arc<Self> {
        let gap = time.div_f64(wanted.max(1) as f64);
        Arc::new(Self { wanted, begun: AtomicU64::new(0), start: Instant::now(), gap, enough })
    }

    /// Bookings that were begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed).min(self.wanted)
    }

    fn crowd(&self) -> u64 {
        ((STAY / self.gap.as_secs_f64().max(1e-6)) as u64)
            .clamp(FEWEST, MOST)
            .min(self.wanted.max(1))
    }

    /// The number of the next booking; `None` when there are enough.
    async fn next(&self) -> Option<u64> {
        if self.enough.is_cancelled() {
            return None;
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        if number >= self.wanted {
            return None;
        }
        let when = self.start + self.gap.mul_f64(number as f64);
        if self.enough.run_until_cancelled(sleep_until(when)).await.is_none() {
            self.begun.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(number)
    }
}

/// Sends clients until there were enough, and waits until all have left.
pub async fn come(hall: Arc<Hall>, pace: Arc<Pace>, seed: u64) {
    let mut crowd = JoinSet::new();
    for _ in 0..pace.crowd() {
        let (hall, pace) = (Arc::clone(&hall), Arc::clone(&pace));
        crowd.spawn(async move {
            while let Some(number) = pace.next().await {
                one(&hall, seed, number).await;
            }
        });
    }
    while crowd.join_next().await.is_some() {}
}

/// One client: one booking, and perhaps another one when that has ended.
async fn one(hall: &Arc<Hall>, seed: u64, number: u64) {
    let Ok(client) = ClientId::new(&format!("c{number}")) else { return };
    let chance = SmallRng::seed_from_u64(seed.rotate_left(32) ^ number);
    let mut caller = Caller { hall: Arc::clone(hall), client, chance };
    let mut requests = Vec::new();
    for time in 1..=3 {
        let Ok(request) = RequestId::new(&format!("r{time}")) else { return };
        requests.push(request);
        if !caller.visit(&requests).await || !caller.chance.random_bool(AGAIN) {
            return;
        }
    }
}
