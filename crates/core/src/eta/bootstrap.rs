//! How far a forecast may be off before any of it has come true: a block bootstrap of the
//! departures per second.
//!
//! The next seconds are made of blocks of past ones, so that what comes in bursts stays in bursts.
//! The seed is fixed: the same past gives the same range, and a range does not flicker.

/// Futures that are drawn.
const PATHS: usize = 48;
/// Seconds of a block.
const BLOCK: usize = 10;
/// Seconds of a future; what lies beyond goes on as it went until then.
const LONGEST: f64 = 400.0;
/// One second: below it a wait is too short to compare, since a queue is read once a second.
pub(super) const GRAIN: f64 = 1.0;
/// Standard deviations between the middle and the limit of 1 of 10.
const TENTH: f64 = 1.281_6;

/// The standard deviation of the logarithm of each wait, for `means` in seconds, ascending, from
/// the past (`pulse`: seconds and departures of successive intervals).
pub(super) fn spreads(pulse: &[(f64, f64)], means: &[f64]) -> Vec<f64> {
    let (seconds, departures) =
        pulse.iter().fold((0.0, 0.0), |(s, d), (seconds, left)| (s + seconds, d + left));
    if departures <= 0.0 {
        return vec![0.0; means.len()];
    }
    let rate = departures / seconds;
    let past: Vec<(f64, f64)> =
        pulse.iter().map(|(seconds, left)| (*seconds, left / rate)).collect();
    let mut draw = Draw(1);
    let mut hits = vec![Vec::with_capacity(PATHS); means.len()];
    for _ in 0..PATHS {
        walk(&past, means, &mut draw, &mut hits);
    }
    let spread = |mut hits: Vec<f64>| {
        hits.sort_by(f64::total_cmp);
        let limit = |share: f64| (hits[(share * PATHS as f64) as usize] + GRAIN).ln();
        (limit(0.9) - limit(0.1)) / (2.0 * TENTH)
    };
    hits.into_iter().map(spread).collect()
}

/// One future: when it reaches each of the `means`, in the time of an even pace.
fn walk(past: &[(f64, f64)], means: &[f64], draw: &mut Draw, hits: &mut [Vec<f64>]) {
    let (mut passed, mut work, mut next) = (0.0, 0.0, 0);
    while next < means.len() && passed < LONGEST {
        let start = draw.below(past.len());
        for (seconds, left) in past.iter().cycle().skip(start).take(BLOCK) {
            while next < means.len() && means[next] <= work + left {
                hits[next].push(passed + seconds * (means[next] - work) / left.max(1e-9));
                next += 1;
            }
            passed += seconds;
            work += left;
        }
    }
    for (mean, hits) in means.iter().zip(hits).skip(next) {
        hits.push(mean * passed / work.max(1e-3 * passed));
    }
}

/// Numbers that look random and are always the same: SplitMix64 (Steele, Lea, Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
