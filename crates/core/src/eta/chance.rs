//! The chance of a ticket: the demand ahead against what is left.

/// How likely a booking gets what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chance {
    /// At least 90 %.
    Likely,
    /// Between the two.
    Uncertain,
    /// At most 10 %.
    Unlikely,
}

/// The demand for an item that comes before a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// How many the bookings ahead want.
    pub ahead: u64,
    /// How many are reserved and unpaid: they may come back.
    pub unsettled: u64,
    /// How many are left besides; `None`: unknown.
    pub left: Option<u64>,
    /// How many this booking wants.
    pub quantity: u64,
    /// Decided bookings that were confirmed …
    pub confirmed: u64,
    /// … of all that were reserved and are decided.
    pub decided: u64,
}

/// Up to this demand the distribution is summed exactly.
const EXACT: u64 = 1000;

impl Demand {
    /// The chance; `None` if it is not known what is left.
    pub fn chance(&self) -> Option<Chance> {
        let probability = self.probability()?;
        Some(if probability >= 0.9 {
            Chance::Likely
        } else if probability <= 0.1 {
            Chance::Unlikely
        } else {
            Chance::Uncertain
        })
    }

    /// The probability that the stock is enough for all that come before and this booking.
    ///
    /// Each of those before keeps its ticket with the share `confirmed / decided`. That share is
    /// itself known from `decided` bookings only, so their number has a beta-binomial distribution:
    /// a binomial one when many are decided. Large ones are normal, with continuity correction.
    pub fn probability(&self) -> Option<f64> {
        let stock = self.left?.saturating_add(self.unsettled);
        let Some(spare) = stock.checked_sub(self.quantity.max(1)) else { return Some(0.0) };
        let demand = self.ahead.saturating_add(self.unsettled);
        let kept = self.confirmed as f64 + 1.0;
        let returned = self.decided.saturating_sub(self.confirmed) as f64 + 1.0;
        Some(if spare >= demand {
            1.0
        } else if demand <= EXACT {
            summed(demand, spare, kept, returned)
        } else {
            normal(demand as f64, spare as f64, kept, returned)
        })
    }
}

/// P(X <= most) for a beta-binomial X of `n` trials, by the ratio of successive terms.
fn summed(n: u64, most: u64, kept: f64, returned: f64) -> f64 {
    // P(0) may be too small for a number: the terms are logarithms.
    let n = n as f64;
    let zero: f64 =
        (0..n as u64).map(|i| ((returned + i as f64) / (kept + returned + i as f64)).ln()).sum();
    let terms = (0..most).scan(zero, |term, k| {
        let k = k as f64;
        *term += ((n - k) / (k + 1.0) * (kept + k) / (returned + n - k - 1.0)).ln();
        Some(*term)
    });
    std::iter::once(zero).chain(terms).map(f64::exp).sum::<f64>().min(1.0)
}

fn normal(n: f64, most: f64, kept: f64, returned: f64) -> f64 {
    let trials = kept + returned;
    let share = kept / trials;
    let variance = n * share * (1.0 - share) * (trials + n) / (trials + 1.0);
    let z = (most + 0.5 - n * share) / variance.sqrt();
    // The logistic function is within 0.01 of the normal distribution: enough for three answers.
    1.0 / (1.0 + (-1.5976 * z - 0.070_56 * z.powi(3)).exp())
}
