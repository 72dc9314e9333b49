//! The arithmetic of one rate limit: the generic cell rate algorithm (GCRA), with one number for
//! each limit.

/// A sustained rate with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRate {
    /// Requests a second.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

impl AddressRate {
    /// So many times as much.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self { per_second: self.per_second * factor, burst: self.burst * factor }
    }

    /// Between two requests at the sustained rate, in microseconds.
    fn interval(self) -> u64 {
        1_000_000 / u64::from(self.per_second.max(1))
    }

    /// How far ahead of the time the theoretical arrival may be.
    fn tolerance(self) -> u64 {
        u64::from(self.burst.saturating_sub(1)) * self.interval()
    }

    /// The next theoretical arrival, in microseconds, if a request conforms, else the time to wait.
    pub(crate) fn conform(self, arrival: u64, now: u64) -> Result<u64, u64> {
        let begin = arrival.max(now);
        let ahead = begin - now;
        match ahead.checked_sub(self.tolerance()) {
            Some(wait) if wait > 0 => Err(wait),
            _ => Ok(begin + self.interval()),
        }
    }
}
