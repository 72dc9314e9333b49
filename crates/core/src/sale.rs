//! The rules of a sale: when it opens, how fast it serves, and what a sold out item means.
//!
//! The store keeps the rules, and decides by its own clock, so that they hold while the operator is
//! away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::details::Quantity;
use crate::ids::Invalid;
use crate::limits::MAX_SOLD_OUT_RULES;
use crate::time::Timestamp;

/// The rules of a sale. The defaults restrict nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaleRules {
    /// Before this moment clients join the line, and none is served.
    pub opens_at: Option<Timestamp>,
    /// How fast the line is served.
    pub outflow: Outflow,
    /// What a sold out item means for clients that want it.
    pub sold_out: SoldOutRules,
}

/// Limits of how fast the line is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outflow {
    /// At most this many bookings leave the line in any 60 seconds; at least 1.
    pub per_minute: Option<u32>,
    /// At most this many of them at once: 1 to `per_minute`. `None`: 1 and a hundredth of
    /// `per_minute`, which costs less than 2 % of the rate.
    pub burst: Option<u32>,
    /// At most this many bookings are reserving, reserved, confirming or releasing; at least 1.
    pub max_holds: Option<u32>,
}

/// The spacing that keeps a rate: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutflowPace {
    /// Time between two bookings, in microseconds.
    pub interval_us: u64,
    /// Bookings at once.
    pub burst: u64,
}

/// 95 % of a booking in each interval, in microseconds: an average of the recent past is seldom
/// exact.
const NEARLY: f64 = 950_000.0;

impl Outflow {
    /// Checks the limits.
    ///
    /// # Errors
    /// [`Invalid`], naming the field.
    pub fn validate(&self) -> Result<(), Invalid> {
        let most = self.per_minute.unwrap_or(u32::MAX);
        let wrong = |field, value: Option<u32>, allowed: &'static str| {
            Err(Invalid::new(field, &value.unwrap_or(0).to_string(), allowed))
        };
        match self {
            Self { per_minute: Some(0), .. } => {
                wrong("outflow.perMinute", self.per_minute, "at least 1; pause the queue instead")
            }
            Self { burst: Some(_), per_minute: None, .. } => {
                wrong("outflow.burst", self.burst, "nothing without outflow.perMinute")
            }
            Self { burst: Some(burst), .. } if *burst == 0 || *burst > most => {
                wrong("outflow.burst", self.burst, "1 to outflow.perMinute")
            }
            Self { max_holds: Some(0), .. } => {
                wrong("outflow.maxHolds", self.max_holds, "at least 1; pause the queue instead")
            }
            _ => Ok(()),
        }
    }

    /// The spacing of bookings; `None` without a rate.
    ///
    /// A closed window of 60 s holds at most `burst + 60 s / interval` bookings, rounded down, so
    /// this interval is the smallest that keeps it at `per_minute`.
    pub fn pace(&self) -> Option<OutflowPace> {
        let rate = u64::from(self.per_minute?.max(1));
        let burst = self.burst.map_or(1 + rate / 100, u64::from).clamp(1, rate);
        Some(OutflowPace { interval_us: 60_000_000 / (rate - burst + 1) + 1, burst })
    }

    /// Whether these limits decide how fast the line is served: bookings wait, and either they
    /// leave the line at nearly the rate that the limits keep, or as many are `unsettled`, which is
    /// reserving, reserved, confirming or releasing, as may be. `rate` is each second.
    pub fn is_reached(&self, waiting: u64, rate: f64, unsettled: u64) -> bool {
        let at_rate = self.pace().is_some_and(|pace| rate * pace.interval_us as f64 >= NEARLY);
        let at_holds = self.max_holds.is_some_and(|most| unsettled >= u64::from(most));
        waiting > 0 && (at_rate || at_holds)
    }
}

impl OutflowPace {
    /// How many bookings may leave the line at `now`, and the arrival time to go on from: `tat` is
    /// the theoretical arrival time of the next booking, in microseconds, as it was at `since`. A
    /// clock that was set back meanwhile finds it too far ahead; the burst limits it.
    pub fn tokens(self, tat: u64, since: Timestamp, now: Timestamp) -> (u64, u64) {
        let latest = micros(now).saturating_add(self.burst * self.interval_us);
        let tat = tat.max(micros(now));
        let tat = if now < since { tat.min(latest) } else { tat };
        (latest.saturating_sub(tat) / self.interval_us, tat)
    }

    /// The arrival time to go on from when the limits change from `old` to these: no booking
    /// leaves before this burst, or what is left of the old one, is paid off. A minute around the
    /// change then has no more bookings than the larger limit allows.
    pub fn taking_over(self, old: Option<Self>, tat: u64, now: Timestamp) -> u64 {
        let ahead = tat.saturating_sub(micros(now));
        let debt = old.map_or(0, |old| ahead.div_ceil(old.interval_us).max(self.burst));
        micros(now) + debt * self.interval_us
    }

    /// Time until the next token, from the arrival time that [`Self::tokens`] returned and spent.
    pub fn wait(self, tat: u64, now: Timestamp) -> Duration {
        let at = (tat + self.interval_us).saturating_sub(self.burst * self.interval_us);
        Duration::from_micros(at.saturating_sub(micros(now)))
    }
}

fn micros(at: Timestamp) -> u64 {
    at.0.saturating_mul(1000)
}

/// What a sold out item means for clients that want it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SoldOutRule {
    /// They wait as long as reservations of it may come back.
    #[default]
    Wait,
    /// Their bookings end.
    End,
}

impl SoldOutRule {
    /// The word used in the store and in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "Wait",
            Self::End => "End",
        }
    }

    /// Parses [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Wait, Self::End].into_iter().find(|rule| rule.as_str() == word)
    }
}

/// The rule of each item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoldOutRules {
    /// Of every item that is not named.
    pub default: SoldOutRule,
    /// Of named items; at most [`MAX_SOLD_OUT_RULES`].
    pub items: BTreeMap<Arc<str>, SoldOutRule>,
}

impl SoldOutRules {
    /// The rule of an item.
    pub fn of(&self, item: &str) -> SoldOutRule {
        self.items.get(item).copied().unwrap_or(self.default)
    }

    /// Checks the number of named items.
    ///
    /// # Errors
    /// [`Invalid`] if there are too many.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.items.len() > MAX_SOLD_OUT_RULES {
            let found = format!("{} items", self.items.len());
            return Err(Invalid::new("soldOut.items", &found, "at most 64 items"));
        }
        Ok(())
    }
}

/// Counts the stock of an item that came back. A task carries the count of its claim, so that a
/// refusal from before a return closes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What the queue knows of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemState {
    /// The item, as Enqueue names it.
    pub item: Arc<str>,
    /// The smallest quantity that was refused; `None`: the item is open.
    pub refused: Option<Quantity>,
    /// Nothing can come back any more: sold out for good, for quantities from `refused` on.
    pub ended: bool,
    /// Quantity that came back and that no claim has used yet.
    pub credit: u64,
    /// Bookings of it that are reserving, reserved, confirming or releasing: what may come back.
    pub unsettled: u64,
    /// Parked bookings: they wait until the item is available again.
    pub waiting: u64,
    /// What the Booking Service or the Ticket Service last said to be left; `None` = unknown.
    pub left: Option<u64>,
}

impl ItemState {
    /// Of an item of which nothing is remembered.
    pub fn open(item: Arc<str>) -> Self {
        let (refused, ended, credit, unsettled, waiting, left) = (None, false, 0, 0, 0, None);
        Self { item, refused, ended, credit, unsettled, waiting, left }
    }

    /// Whether this quantity is sold out at the moment, or for good.
    pub fn refuses(&self, quantity: Quantity) -> bool {
        self.refused.is_some_and(|refused| quantity >= refused)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_of_a_minute_holds_more_than_the_rate(
            rate in 1u32..5000, share in 0u32..100, asked in 1u64..300,
            steps in prop::collection::vec(0u64..400, 1..600),
        ) {
            let burst = (share > 0).then(|| (rate * share / 100).max(1));
            let outflow = Outflow { per_minute: Some(rate), burst, max_holds: None };
            outflow.validate().unwrap();
            let pace = outflow.pace().unwrap();
            let (mut now, mut tat, mut window) = (Timestamp(1_800_000_000_000), 0, VecDeque::new());
            for step in steps {
                now = now + Duration::from_millis(step);
                let (tokens, from) = pace.tokens(tat, now, now);
                let taken = tokens.min(asked);
                tat = from + taken * pace.interval_us;
                window.extend((0..taken).map(|_| now));
                while now.since(*window.front().unwrap_or(&now)) > Duration::from_secs(60) {
                    window.pop_front();
                }
                prop_assert!(window.len() <= rate as usize, "{} of {rate}", window.len());
            }
        }
    }

    #[test]
    fn a_line_that_waits_gets_nearly_the_whole_rate() {
        for rate in [1, 2, 7, 60, 600, 10_000, 100_000] {
            let pace = Outflow { per_minute: Some(rate), ..Outflow::default() }.pace().unwrap();
            let (start, mut tat, mut taken) = (Timestamp(1_800_000_000_000), 0, 0);
            let mut now = start;
            while now.since(start) < Duration::from_secs(600) {
                let (tokens, from) = pace.tokens(tat, now, now);
                tat = from + tokens * pace.interval_us;
                taken += tokens;
                now = now + pace.wait(tat, now).max(Duration::from_millis(1));
            }
            assert!(taken as f64 >= 0.98 * 10.0 * f64::from(rate), "{taken} at {rate} a minute");
        }
    }

    /// Whatever the old burst and the new one are, and however much of the old one is used.
    #[test]
    fn a_changed_burst_gives_no_second_burst() {
        let pace_of = |burst| {
            let outflow = Outflow { per_minute: Some(60), burst: Some(burst), max_holds: None };
            outflow.pace().unwrap()
        };
        for (old, new) in [(60, 1), (1, 60), (30, 1), (1, 30), (20, 40)] {
            let (mut now, mut tat, mut taken) = (Timestamp(1_800_000_000_000), 0, Vec::new());
            for second in 0..240u64 {
                let pace = pace_of(if second < 90 { old } else { new });
                if second == 90 {
                    tat = pace.taking_over(Some(pace_of(old)), tat, now);
                }
                let (tokens, from) = pace.tokens(tat, now, now);
                tat = from + tokens * pace.interval_us;
                taken.extend((0..tokens).map(|_| now));
                let minute = taken.iter().filter(|at| now.since(**at) <= Duration::from_secs(60));
                assert!(minute.count() <= 60, "{old} to {new} after {second} s");
                now = now + Duration::from_secs(1);
            }
        }
    }

    #[test]
    fn a_clock_set_back_costs_at_most_one_burst() {
        let pace = Outflow { per_minute: Some(60), ..Outflow::default() }.pace().unwrap();
        let later = Timestamp(1_800_000_000_000);
        let (tokens, tat) = pace.tokens(0, later, later);
        let tat = tat + tokens * pace.interval_us;
        let before = Timestamp(1_700_000_000_000);
        let (tokens, tat) = pace.tokens(tat, later, before);
        assert_eq!(tokens, 0);
        assert!(pace.wait(tat, before) <= Duration::from_secs(2));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        let outflow = |per_minute, burst, max_holds| Outflow { per_minute, burst, max_holds };
        for (wrong, field) in [
            (outflow(Some(0), None, None), "outflow.perMinute"),
            (outflow(None, Some(1), None), "outflow.burst"),
            (outflow(Some(10), Some(11), None), "outflow.burst"),
            (outflow(Some(10), Some(0), None), "outflow.burst"),
            (outflow(None, None, Some(0)), "outflow.maxHolds"),
        ] {
            assert!(wrong.validate().unwrap_err().to_string().contains(field), "{field}");
        }
    }

    #[test]
    fn the_limits_decide_at_nearly_their_rate_or_at_their_holds_and_only_while_bookings_wait() {
        let rate = Outflow { per_minute: Some(600), ..Outflow::default() };
        // The burst of 7 costs a little of the 10 a second.
        assert!(rate.is_reached(1, 9.6, 0) && !rate.is_reached(1, 9.0, 0));
        assert!(!rate.is_reached(0, 10.0, 0), "no booking waits");
        let holds = Outflow { max_holds: Some(50), ..Outflow::default() };
        assert!(holds.is_reached(1, 0.0, 50) && !holds.is_reached(1, 99.0, 49));
        assert!(!Outflow::default().is_reached(1, 1000.0, 1000));
    }
}
