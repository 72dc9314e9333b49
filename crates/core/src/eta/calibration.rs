//! How far forecasts were off, and what the next ones must add: conformal prediction.
//!
//! A sample is a place in the line with the forecast that its client got. Its score is the
//! logarithm of true wait / expected wait, in units of the spread that was forecast. Each horizon
//! keeps its newest scores: their quantiles are the limits of new forecasts. A normal distribution
//! stands for the scores that a horizon does not have yet. The middle stays where the fluid has it:
//! to move it by the median of the scores made forecasts worse in every kind of simulated sale,
//! because a bias that comes from a change is over when it is known.
//!
//! The share of scores outside of a limit adapts. After a wait above `high` it falls, after any
//! other it rises, so that in the long run the wanted share is above, however the sale drifts:
//! `share -= STEP·(above − ABOVE)`.
//!
//! Time is that of the [service clock](super::service_clock): an outage makes no sample late.
//!
//! A sample counts when its time has come, `high` after its forecast, and not when it leaves.
//! Otherwise the samples that leave early would be the first ones known, and every sale would
//! begin with the lesson that waits are short.

use std::collections::{HashMap, VecDeque};

use super::bootstrap::GRAIN;
use crate::line::Line;
use crate::place::Place;
use crate::time::Timestamp;

/// The horizons end here, in seconds; the last one has no end.
const ENDS: [f64; 4] = [10.0, 60.0, 300.0, 1800.0];
/// Seconds between two samples of a horizon.
const EVERY: [u64; 5] = [1, 1, 2, 5, 20];
/// Samples followed in a horizon.
const FOLLOWED: usize = 512;
/// Scores kept in a horizon.
const SCORES: usize = 200;
/// How fast a level adapts.
const STEP: f64 = 0.03;
/// The wanted share below `low`, and above `high`.
const BELOW: f64 = 0.1;
/// Less than 1 of 10, because outages, which do not count here, come on top.
const ABOVE: f64 = 0.08;
/// The same before the first outcome. While the first workers start, nearly all waits turn out
/// shorter than expected.
const FIRST_ABOVE: f64 = 0.13;
/// A greater score says no more: the wait was out of reach of the forecast.
const MOST: f64 = 2.5;
/// A level beyond all scores moves a limit by this many spreads for each unit.
const BEYOND: f64 = 10.0;
/// The limits of a level: from well beyond all scores to the middle.
const LEVELS: (f64, f64) = (-0.3, 0.4);
/// A normal distribution, as the middles of 20 equal parts; the other half is negative.
const NORMAL: [f64; 10] = [0.06, 0.19, 0.32, 0.45, 0.60, 0.76, 0.93, 1.15, 1.44, 1.96];

/// Low, expected and high, in seconds.
pub(super) type Quantiles = [f64; 3];

/// The forecast at one position.
#[derive(Debug, Clone, Copy)]
pub(super) struct EtaRow {
    pub position: u64,
    /// Seconds, before calibration.
    pub mean: f64,
    /// Standard deviation of the logarithm, before calibration.
    pub spread: f64,
    /// Calibrated.
    pub waits: Quantiles,
}

/// Learns from the samples of one queue.
#[derive(Debug, Default)]
pub(super) struct Calibrator {
    horizons: [Horizon; 5],
    samples: HashMap<Place, EtaSample>,
}

/// The scores of one horizon.
#[derive(Debug)]
struct Horizon {
    scores: VecDeque<f64>,
    /// The same, ascending.
    sorted: Vec<f64>,
    /// The share of the scores outside of each limit, as adapted.
    low: f64,
    high: f64,
    followed: usize,
    sampled: Timestamp,
    turn: usize,
}

/// A forecast that is followed.
#[derive(Debug, Clone, Copy)]
struct EtaSample {
    at: Timestamp,
    horizon: usize,
    row: EtaRow,
    /// The true wait, in seconds, once it is known.
    left: Option<f64>,
    /// Its time has come.
    counted: bool,
}

impl Default for Horizon {
    fn default() -> Self {
        let scores: VecDeque<f64> = NORMAL.iter().flat_map(|score| [*score, -score]).collect();
        let sorted = ascending(&scores);
        let sampled = Timestamp(0);
        Self { scores, sorted, low: BELOW, high: FIRST_ABOVE, followed: 0, sampled, turn: 0 }
    }
}

impl Horizon {
    fn learn(&mut self, score: f64) {
        self.scores.push_back(score);
        if self.scores.len() > SCORES {
            self.scores.pop_front();
        }
        self.sorted = ascending(&self.scores);
    }

    /// The score that a share `outside` of the scores is above.
    fn above(&self, outside: f64) -> f64 {
        let last = self.sorted.len() - 1;
        let rank = ((1.0 - outside) * self.sorted.len() as f64).clamp(0.0, last as f64);
        self.sorted[rank as usize] + BEYOND * (-outside).max(0.0)
    }

    /// The score that a share `outside` of the scores is below.
    fn below(&self, outside: f64) -> f64 {
        let last = self.sorted.len() - 1;
        let rank = (outside * self.sorted.len() as f64).clamp(0.0, last as f64);
        self.sorted[rank as usize] - BEYOND * (-outside).max(0.0)
    }
}

impl Calibrator {
    /// The calibrated wait.
    pub fn waits(&self, mean: f64, spread: f64) -> Quantiles {
        let horizon = &self.horizons[horizon(mean)];
        let scores =
            [horizon.below(horizon.low).min(0.0), 0.0, horizon.above(horizon.high).max(0.0)];
        scores.map(|score| ((mean + GRAIN) * (spread * score).exp() - GRAIN).max(0.0))
    }

    /// Follows some of the forecasts.
    pub fn sample(&mut self, now: Timestamp, table: &[EtaRow], line: &Line) {
        let rows = table.iter().take_while(|row| row.position <= line.len());
        let mut of: [Vec<&EtaRow>; 5] = Default::default();
        rows.for_each(|row| of[horizon(row.mean)].push(row));
        for (index, rows) in of.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let horizon = &mut self.horizons[index];
            let due = now.since(horizon.sampled).as_secs() >= EVERY[index];
            if !due || horizon.followed >= FOLLOWED {
                continue;
            }
            // One position after the other: all of a horizon get their share.
            horizon.turn += 1;
            let row = *rows[horizon.turn % rows.len()];
            let Some(place) = line.at(row.position) else { continue };
            if let std::collections::hash_map::Entry::Vacant(free) = self.samples.entry(place) {
                free.insert(EtaSample { at: now, horizon: index, row, left: None, counted: false });
                horizon.followed += 1;
                horizon.sampled = now;
            }
        }
    }

    /// A place left the line at its front.
    pub fn left(&mut self, place: Place, at: Timestamp) {
        if let Some(sample) = self.samples.get_mut(&place) {
            sample.left = Some(at.since(sample.at).as_secs_f64());
        }
    }

    /// A place will never be at the front.
    pub fn cancelled(&mut self, place: Place) {
        if let Some(sample) = self.samples.remove(&place) {
            self.horizons[sample.horizon].followed -= 1;
        }
    }

    /// Gives up what is followed; what was learned stays.
    pub fn forget(&mut self) {
        self.samples.clear();
        for horizon in &mut self.horizons {
            (horizon.followed, horizon.sampled) = (0, Timestamp(0));
        }
    }

    /// Learns from the samples whose time has come. Those of one moment come in the order of their
    /// places, so that the same calls give the same result.
    pub fn learn(&mut self, now: Timestamp) {
        let mut due: Vec<Place> = self
            .samples
            .iter()
            .filter(|(_, sample)| {
                now.since(sample.at).as_secs_f64() >= sample.row.waits[2]
                    && (!sample.counted || sample.left.is_some())
            })
            .map(|(place, _)| *place)
            .collect();
        due.sort_unstable();
        for place in due {
            let Some(sample) = self.samples.get_mut(&place) else { continue };
            let horizon = &mut self.horizons[sample.horizon];
            if !std::mem::replace(&mut sample.counted, true) {
                adapt(horizon, sample);
            }
            if let Some(left) = sample.left {
                let EtaRow { mean, spread, .. } = sample.row;
                let score = ((left + GRAIN) / (mean + GRAIN)).ln() / spread;
                horizon.learn(score.clamp(-MOST, MOST));
                horizon.followed -= 1;
                self.samples.remove(&place);
            }
        }
    }
}

fn adapt(horizon: &mut Horizon, sample: &EtaSample) {
    let [low, _, high] = sample.row.waits;
    let outside = |is: bool| f64::from(u8::from(is));
    let above = sample.left.is_none_or(|left| left > high);
    let below = sample.left.is_some_and(|left| left < low);
    let (least, most) = LEVELS;
    horizon.high = (horizon.high - STEP * (outside(above) - ABOVE)).clamp(least, most);
    horizon.low = (horizon.low - STEP * (outside(below) - BELOW)).clamp(least, most);
}

fn horizon(wait: f64) -> usize {
    ENDS.partition_point(|end| *end <= wait)
}

fn ascending(scores: &VecDeque<f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = scores.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}
