//! Which positions are true, and since when others are not.

use std::time::{Duration, Instant};

/// A line that people join before anything is measured, with queue numbers from 1 on, and leave only at
/// its front.
#[derive(Debug, Default)]
pub struct Truth {
    /// When the first left, the second, and so on.
    left_at: Vec<Instant>,
}

impl Truth {
    /// How many have left: the queue number of the newest of them.
    pub fn left(&self) -> u64 {
        self.left_at.len() as u64
    }

    /// So many more leave.
    pub fn leave(&mut self, count: u64, at: Instant) {
        self.left_at.extend(std::iter::repeat_n(at, count as usize));
    }

    /// How long the position that a queue number was told has not been true; 0 where it is. `None` for
    /// who has left.
    pub fn age(&self, number: u64, told: u64, now: Instant) -> Option<Duration> {
        if number <= self.left() {
            return None;
        }
        // True from when `number - told` had left, until the next one did.
        let ended = self.left_at.get(number.saturating_sub(told) as usize);
        Some(ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(*ended)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_old_since_the_next_one_left() {
        let mut truth = Truth::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(truth.age(5, 5, at(9)), Some(Duration::ZERO), "nobody has left");
        truth.leave(1, at(10));
        truth.leave(2, at(20));
        assert_eq!(truth.age(5, 5, at(30)), Some(Duration::from_secs(20)));
        assert_eq!(truth.age(5, 4, at(30)), Some(Duration::from_secs(10)));
        assert_eq!(
            truth.age(5, 3, at(30)),
            Some(Duration::from_secs(10)),
            "it was true for no time"
        );
        assert_eq!(truth.age(5, 2, at(30)), Some(Duration::ZERO));
        assert_eq!(truth.age(3, 3, at(30)), None, "it has left");
    }
}
