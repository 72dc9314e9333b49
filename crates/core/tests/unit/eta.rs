//! Waits as ranges, and the chance of a ticket.

use bookingq_core::eta::{
    Chance, Demand, Departure, Eta, EtaRange, EtaReading, EtaUnknown, Forecaster,
};
use bookingq_core::line::Line;
use bookingq_core::{Admission, Outflow, Place, Timestamp};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_800_000_000_000);

/// A line that moves as a test says.
#[derive(Default)]
struct MovingLine {
    line: Line,
    forecaster: Forecaster,
    joined: u64,
    served: u64,
    reading: Option<EtaReading>,
}

impl MovingLine {
    fn of(joined: u64) -> Self {
        let mut moving = Self::default();
        moving.join(joined);
        moving
    }

    fn join(&mut self, count: u64) {
        for _ in 0..count {
            self.joined += 1;
            self.line.join(Place::numbered(self.joined));
        }
    }

    fn reading(&mut self) -> &mut EtaReading {
        self.reading.get_or_insert(EtaReading {
            at: START,
            in_flight: 10,
            slots: 10,
            admission: Admission::Open,
            opens_at: None,
            outage: false,
            outflow: Outflow::default(),
        })
    }

    fn leave(&mut self, place: Option<Place>, departure: Departure) {
        let Some(place) = place else { return };
        // In the middle of the second.
        let at = Timestamp(self.reading().at.0 + 500);
        self.line.leave(place);
        self.served += u64::from(departure == Departure::Served);
        self.forecaster.left(place, departure, at);
    }

    /// One second in which the front serves some.
    fn second(&mut self, served: u64) {
        for _ in 0..served {
            self.leave(self.line.at(1), Departure::Served);
        }
        self.read();
    }

    fn read(&mut self) {
        self.reading().at.0 += 1000;
        let reading = *self.reading();
        self.forecaster.observe(&reading, &self.line);
    }

    fn range(&self, position: u64) -> [f64; 3] {
        match self.forecaster.eta(position) {
            Eta::Range(EtaRange { low, expected, high }) => {
                [low, expected, high].map(|wait| wait.as_secs_f64())
            }
            Eta::Unknown(reason) => panic!("{reason:?}"),
        }
    }

    fn expected(&self, position: u64) -> f64 {
        self.range(position)[1]
    }

    /// By how many seconds a wait may be longer than expected.
    fn room(&self, position: u64) -> f64 {
        let [_, expected, high] = self.range(position);
        high - expected
    }
}

#[test]
fn a_line_that_does_not_serve_promises_nothing_and_says_why() {
    let mut moving = MovingLine::of(5000);
    moving.read();
    assert_eq!(moving.forecaster.eta(1), Eta::Unknown(EtaUnknown::NoData));
    (0..20).for_each(|_| moving.second(10));
    assert!((moving.expected(100) - 10.0).abs() < 0.5);
    let (opens, ago) = (Timestamp(u64::MAX), Some(START));
    for (admission, opens_at, outage, reason) in [
        (Admission::Paused, ago, true, EtaUnknown::Paused),
        (Admission::Open, Some(opens), false, EtaUnknown::NotOpen),
        (Admission::Open, ago, true, EtaUnknown::Outage),
    ] {
        let open = *moving.reading();
        *moving.reading() = EtaReading { admission, opens_at, outage, ..open };
        moving.read();
        assert_eq!(moving.forecaster.eta(1), Eta::Unknown(reason));
        assert!(moving.forecaster.points(32).is_empty());
        *moving.reading() = EtaReading { at: moving.reading().at, ..open };
    }
    // The pace from before still holds.
    moving.second(10);
    moving.second(10);
    assert!((moving.expected(100) - 10.0).abs() < 0.5);
}

#[test]
fn a_line_that_stops_for_no_known_reason_promises_nothing() {
    let mut moving = MovingLine::of(1000);
    (0..20).for_each(|_| moving.second(5));
    assert!(matches!(moving.forecaster.eta(50), Eta::Range(_)));
    (0..15).for_each(|_| moving.second(0));
    assert_eq!(moving.forecaster.eta(50), Eta::Unknown(EtaUnknown::NoData));
}

#[test]
fn a_store_that_was_away_or_set_its_clock_back_changes_no_forecast() {
    let mut moving = MovingLine::of(5000);
    (0..20).for_each(|_| moving.second(10));
    for away in [30_000, -3_600_000] {
        let at = &mut moving.reading().at.0;
        *at = at.checked_add_signed(away).unwrap();
        moving.second(0);
        moving.second(10);
        assert!((moving.expected(100) - 10.0).abs() < 0.5, "{}", moving.expected(100));
    }
}

#[test]
fn a_cap_is_exact_and_a_lower_one_counts_at_once() {
    let mut moving = MovingLine::of(5000);
    let cap = |per_minute| Outflow { per_minute: Some(per_minute), ..Outflow::default() };
    moving.reading().outflow = cap(600);
    (0..20).for_each(|_| moving.second(10));
    assert!((moving.expected(1000) - 101.0).abs() < 1.0, "{}", moving.expected(1000));
    moving.reading().outflow = cap(60);
    moving.second(1);
    assert!((moving.expected(100) - 100.0).abs() < 2.0, "{}", moving.expected(100));
}

#[test]
fn a_wait_under_a_cap_is_known_almost_to_the_second_from_the_first_minute_on() {
    let mut moving = MovingLine::of(20_000);
    moving.reading().outflow = Outflow { per_minute: Some(600), ..Outflow::default() };
    (0..20).for_each(|_| moving.second(10));
    let [low, _, high] = moving.range(1000);
    assert!(high - low < 3.0, "{low} to {high} s for 100 s");
}

#[test]
fn an_outage_makes_no_sample_late_so_that_short_waits_stay_as_certain_as_before() {
    let mut moving = MovingLine::of(20_000);
    (0..300).for_each(|second| moving.second(8 + second % 5));
    let before = moving.room(300);
    moving.reading().outage = true;
    (0..60).for_each(|_| moving.second(0));
    moving.reading().outage = false;
    (0..60).for_each(|second| moving.second(8 + second % 5));
    let after = moving.room(300);
    assert!(after < before + 2.0, "{after} s after the outage, {before} s before it");
}

#[test]
fn a_long_wait_leaves_room_for_an_outage_and_less_the_longer_there_was_none() {
    let mut moving = MovingLine::of(200_000);
    (0..60).for_each(|_| moving.second(10));
    let (short, long) = (moving.room(100), moving.room(3000));
    assert!(short < 5.0 && (60.0..120.0).contains(&long), "{short} s of 10, {long} s of 300");
    (0..1500).for_each(|_| moving.second(10));
    let later = moving.room(3000);
    assert!(later < long / 2.0, "{later} s after half an hour, {long} s at first");
}

#[test]
fn clients_that_cancel_and_those_that_are_parked_shorten_the_wait_of_the_others() {
    let mut moving = MovingLine::of(20_000);
    for _ in 0..60 {
        // One in 1,000 cancels each second.
        for _ in 0..moving.line.len() / 1000 {
            let last = moving.line.at(moving.line.len());
            moving.leave(last, Departure::Cancelled);
        }
        moving.second(10);
    }
    // 1000·ln(1 + 10,000/10,000) instead of 1,000 s.
    assert!((moving.expected(10_000) - 693.0).abs() < 30.0, "{}", moving.expected(10_000));
    for _ in 0..20 {
        (0..30).for_each(|_| moving.leave(moving.line.at(1), Departure::Parked));
        moving.second(10);
    }
    assert!(moving.expected(1000) < 27.0, "{}", moving.expected(1000));
}

#[test]
fn more_tasks_in_progress_shorten_the_wait_before_the_pace_shows_it() {
    let mut moving = MovingLine::of(5000);
    (0..20).for_each(|_| moving.second(10));
    moving.reading().in_flight = 100;
    (0..3).for_each(|_| moving.second(100));
    assert!((moving.expected(1000) - 10.0).abs() < 1.0, "{}", moving.expected(1000));
}

#[test]
fn free_slots_serve_the_next_client_at_once() {
    let mut moving = MovingLine::default();
    for _ in 0..20 {
        moving.join(2);
        moving.reading().in_flight = 1;
        moving.second(2);
    }
    assert!(moving.expected(1) < 0.1, "{}", moving.expected(1));
}

/// How many of the promises at a position were kept: a line whose pace is `pace(second)`.
fn kept(seconds: u64, from: u64, pace: impl Fn(u64) -> u64) -> f64 {
    let mut moving = MovingLine::of(200_000);
    let (mut promises, mut kept) = (Vec::new(), Vec::new());
    for second in 0..seconds {
        moving.second(pace(second));
        for position in [100, 400, 1600] {
            if let Eta::Range(range) = moving.forecaster.eta(position) {
                promises.push((moving.served + position, second, range.high.as_secs_f64()));
            }
        }
        promises.retain(|&(place, at, high)| {
            let waits = moving.served < place;
            if !waits && at >= from {
                kept.push(f64::from(u8::from((second - at) as f64 - 0.5 <= high)));
            }
            waits
        });
    }
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// A number in 0..100 that looks random.
fn noise(second: u64) -> u64 {
    (second.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % 100
}

#[test]
fn nine_of_ten_promises_are_kept_while_the_pace_drifts() {
    let drifting = |second: u64| {
        let wave = (second as f64 / 150.0).sin();
        (20.0 * (1.0 + 0.5 * wave)) as u64 * (50 + noise(second)) / 100
    };
    let share = kept(1500, 300, drifting);
    assert!((0.85..=0.95).contains(&share), "{share}");
}

#[test]
fn a_pace_that_falls_for_ever_costs_a_few_promises_only() {
    // After each minute 4 % slower: every forecast by the past is too short.
    let falling = |second: u64| (40.0 * 0.96f64.powf(second as f64 / 60.0)).ceil() as u64;
    let share = kept(1500, 300, falling);
    assert!(share >= 0.85, "{share}");
}

proptest! {
    #[test]
    fn any_forecast_is_ordered_grows_with_the_position_and_repeats(
        seconds in prop::collection::vec((0u64..40, 0u64..60, 0u64..3, 0u64..200), 1..80),
        cap in prop::option::of(1u32..2000),
        halted in 0usize..100,
    ) {
        let run = || {
            let mut moving = MovingLine::of(300);
            moving.reading().outflow.per_minute = cap;
            for (second, &(served, joined, cancelled, tasks)) in seconds.iter().enumerate() {
                moving.join(joined);
                for _ in 0..cancelled {
                    let middle = moving.line.at(moving.line.len() / 2 + 1);
                    moving.leave(middle, Departure::Cancelled);
                }
                moving.reading().in_flight = tasks;
                moving.reading().outage = second == halted;
                moving.second(served);
            }
            moving
        };
        let (one, two) = (run(), run());
        let mut least = None;
        for position in (0..300).chain([1000, 5000, 1_000_000, u64::MAX]) {
            let eta = one.forecaster.eta(position);
            prop_assert_eq!(eta, two.forecaster.eta(position));
            if let Eta::Range(range) = eta {
                prop_assert!(range.low <= range.expected && range.expected <= range.high);
                let least = least.replace(range).unwrap_or(range);
                prop_assert!(least.low <= range.low && least.high <= range.high, "{}", position);
                prop_assert!(least.expected <= range.expected, "{}", position);
            }
        }
        let points = one.forecaster.points(32);
        prop_assert!(points.len() <= 32 && points.is_sorted());
        prop_assert_eq!(points.is_empty(), matches!(one.forecaster.eta(1), Eta::Unknown(_)));
    }

    #[test]
    fn the_chance_never_grows_with_the_demand_nor_falls_with_the_stock(
        ahead in 0u64..3000, unsettled in 0u64..200, left in 0u64..3000,
        confirmed in 0u64..500, lost in 0u64..500,
    ) {
        let demand = Demand {
            ahead, unsettled, left: Some(left), quantity: 1, confirmed, decided: confirmed + lost,
        };
        let of = |demand: Demand| demand.probability().unwrap();
        let probability = of(demand);
        prop_assert!((0.0..=1.0).contains(&probability));
        // The sum and the normal distribution meet within 0.02.
        let (behind, restocked) =
            (Demand { ahead: ahead + 1, ..demand }, Demand { left: Some(left + 1), ..demand });
        prop_assert!(of(behind) <= probability + 0.02);
        prop_assert!(of(restocked) >= probability - 1e-9);
        prop_assert_eq!(Demand { left: None, ..demand }.chance(), None);
    }
}

#[test]
fn the_chance_is_that_of_a_binomial_demand_when_many_are_decided() {
    let demand = Demand {
        ahead: 10,
        unsettled: 0,
        left: Some(8),
        quantity: 1,
        confirmed: 800_000_000,
        decided: 1_000_000_000,
    };
    // P(X <= 7) for X of 10 trials at 0.8.
    assert!((demand.probability().unwrap() - 0.322_2).abs() < 1e-4);
    assert_eq!(demand.chance(), Some(Chance::Uncertain));
    assert_eq!(Demand { left: Some(11), ..demand }.chance(), Some(Chance::Likely));
    assert_eq!(Demand { left: Some(5), ..demand }.chance(), Some(Chance::Unlikely));
    // More than all that is left and can come back.
    assert_eq!(Demand { quantity: 9, ..demand }.probability(), Some(0.0));
    // Unless the only reservation comes back.
    let last = Demand { quantity: 9, unsettled: 1, ahead: 0, ..demand };
    assert!((last.probability().unwrap() - 0.2).abs() < 1e-4);
}
