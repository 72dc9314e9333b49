//! Promises beside the truth, and what they are worth.

use bookingq_core::Timestamp;

/// When in a sale a promise was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SalePhase {
    /// In its first minute.
    FirstMinute,
    /// Later, while the line became longer.
    Growing,
    /// While it became shorter.
    Shrinking,
    /// Before the outage, which then fell into the wait.
    BeforeOutage,
    /// After the outage.
    AfterOutage,
}

impl SalePhase {
    /// All, with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::FirstMinute, "first minute"),
        (Self::Growing, "line grows"),
        (Self::Shrinking, "line shrinks"),
        (Self::BeforeOutage, "outage in the wait"),
        (Self::AfterOutage, "after outage"),
    ];
}

/// The ends of the horizons in seconds, with their names.
pub const HORIZONS: [(f64, &str); 5] = [
    (10.0, "< 10 s"),
    (60.0, "< 1 min"),
    (300.0, "< 5 min"),
    (1800.0, "< 30 min"),
    (f64::INFINITY, "more"),
];

/// What one client was promised, in seconds, and how long it waited from then on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// When.
    pub at: Timestamp,
    /// The phase of the sale.
    pub phase: SalePhase,
    /// Low, expected and high; `None`: no promise.
    pub range: Option<[f64; 3]>,
    /// By the mean pace alone.
    pub pace: Option<f64>,
    /// The truth.
    pub waited: f64,
    /// Whether a worker took the booking; `false`: its item was sold out first.
    pub served: bool,
}

/// Forecasts beside the truth: low, expected, high, waited.
#[derive(Debug, Default)]
pub struct PromiseScore {
    pairs: Vec<[f64; 4]>,
}

impl PromiseScore {
    /// Adds one.
    pub fn add(&mut self, [low, expected, high]: [f64; 3], waited: f64) {
        self.pairs.push([low, expected, high, waited]);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    fn mean(&self, of: impl Fn(&[f64; 4]) -> f64) -> f64 {
        self.pairs.iter().map(of).sum::<f64>() / self.pairs.len() as f64
    }

    /// The share of waits within the promised high, in percent.
    pub fn kept(&self) -> f64 {
        100.0 * self.mean(|[_, _, high, waited]| f64::from(u8::from(waited <= high)))
    }

    /// The share of waits below the promised low, in percent.
    pub fn below(&self) -> f64 {
        100.0 * self.mean(|[low, _, _, waited]| f64::from(u8::from(waited < low)))
    }

    /// Mean pinball loss at 0.5 and at 0.9, in seconds: half the mean error, and what a high costs
    /// that is too low or too high.
    pub fn pinball(&self) -> [f64; 2] {
        let loss = |level: f64, forecast: f64, waited: f64| {
            let error = waited - forecast;
            (level * error).max((level - 1.0) * error)
        };
        [self.mean(|p| loss(0.5, p[1], p[3])), self.mean(|p| loss(0.9, p[2], p[3]))]
    }

    /// Mean width of the range, in seconds.
    pub fn width(&self) -> f64 {
        self.mean(|[low, _, high, _]| high - low)
    }

    /// Median of |expected - waited| / waited, in percent; a second counts as nothing.
    pub fn error(&self) -> f64 {
        let mut errors: Vec<f64> = self
            .pairs
            .iter()
            .map(|[_, expected, _, waited]| (expected - waited).abs() / (waited + 1.0))
            .collect();
        errors.sort_by(f64::total_cmp);
        errors.get(errors.len() / 2).map_or(f64::NAN, |error| 100.0 * error)
    }
}
