//! Which positions are correct, and since when others are not.

use std::time::{Duration, Instant};

/// A line with the queue numbers from 1 on, that clients leave only at its front.
#[derive(Debug, Default)]
pub struct Truth {
    /// When the first client left, the second, and so on.
    left_at: Vec<Instant>,
}

impl Truth {
    /// How many clients have left: the queue number of the last one.
    pub fn left(&self) -> u64 {
        self.left_at.len() as u64
    }

    /// Records that `count` more have left.
    pub fn leave(&mut self, count: u64, at: Instant) {
        self.left_at.extend(std::iter::repeat_n(at, count as usize));
    }

    /// How long the position `shown` to a queue number has been wrong; 0 while it is correct.
    /// `None` for a client that has left.
    pub fn age(&self, number: u64, shown: u64, now: Instant) -> Option<Duration> {
        if number <= self.left() {
            return None;
        }
        // It was correct from when `number - shown` clients had left until the next one did.
        let ended = self.left_at.get(number.saturating_sub(shown) as usize);
        Some(ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(*ended)))
    }
}
