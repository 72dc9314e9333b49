//! What a client computes from the frame of its segment: never better than the truth.

#![allow(missing_docs, clippy::unwrap_used)]

use bookingq_core::Place;
use bookingq_core::line::Line;
use bookingq_gateway::frames::ReadyFrame;
use bookingq_gateway::segments::{Segments, interval, position};
use bookingq_proto::v1;
use proptest::prelude::*;
use serde_json::{Value, json};

fn tick(line: &Line) -> v1::QueueTick {
    let boundary = |(place, position): (Place, u64)| v1::Boundary {
        queue_number: place.number.get(),
        position,
    };
    v1::QueueTick {
        backlog: line.len(),
        boundaries: line.boundaries().into_iter().map(boundary).collect(),
        ..Default::default()
    }
}

fn json_of(frame: &ReadyFrame) -> Value {
    serde_json::from_str(&frame.text()).unwrap()
}

/// As a page does it.
fn shown(frame: &ReadyFrame, number: u64) -> u64 {
    let frame = json_of(frame);
    let part = |index: usize| frame["s"][index].as_u64().unwrap();
    position([part(0), part(1), part(2)], number)
}

proptest! {
    #[test]
    fn a_position_is_never_better_than_the_truth_and_exact_at_the_front(
        length in 1u64..3000,
        gone in prop::collection::vec(1u64..3000, 0..2000),
    ) {
        let mut line = Line::new();
        (1..=length).for_each(|number| line.join(Place::numbered(number)));
        for number in gone {
            line.leave(Place::numbered(number));
        }
        let segments = Segments::new(&tick(&line));
        for place in (1..=line.len()).filter_map(|position| line.at(position)) {
            let (number, truth) = (place.number.get(), line.position(place).unwrap());
            let shown = shown(&segments.of(number).unwrap().frame, number);
            prop_assert!(shown >= truth, "{number} is {truth}, shown {shown}");
            prop_assert!(truth > 1 || shown == 1, "the front is exact");
        }
        // A booking that joins after the tick is behind all of them.
        if let Some(segment) = segments.of(length + 10) {
            prop_assert!(shown(&segment.frame, length + 10) > line.len());
        }
    }
}

#[test]
fn a_number_before_the_front_has_no_segment() {
    let mut line = Line::new();
    (5..9).for_each(|number| line.join(Place::numbered(number)));
    let segments = Segments::new(&tick(&line));
    assert!(segments.of(4).is_none());
    assert!(segments.of(5).is_some());
    assert!(Segments::new(&tick(&Line::new())).of(5).is_none(), "the line is empty");
    assert!(json_of(&segments.aside().frame).get("s").is_none());
}

#[test]
fn the_wait_is_interpolated_between_the_points_of_the_engine() {
    let point = |position, low, high| v1::EtaPoint {
        position,
        eta: None,
        range: Some(v1::EtaRange {
            low: Some(prost_types::Duration { seconds: low, nanos: 0 }),
            high: Some(prost_types::Duration { seconds: high, nanos: 0 }),
        }),
    };
    let mut line = Line::new();
    (1..=1000).for_each(|number| line.join(Place::numbered(number)));
    let mut tick = tick(&line);
    tick.boundaries = vec![
        v1::Boundary { queue_number: 1, position: 1 },
        v1::Boundary { queue_number: 501, position: 501 },
    ];
    tick.etas = vec![point(1, 0, 10), point(1001, 100, 1010)];
    let segments = Segments::new(&tick);
    assert_eq!(json_of(&segments.of(7).unwrap().frame)["w"], json!([0, 10, 49, 509]));
    assert_eq!(json_of(&segments.of(600).unwrap().frame)["w"], json!([50, 510, 99, 1009]));
    tick.etas.clear();
    tick.set_eta_unknown(v1::EtaUnknown::Paused);
    let frame = json_of(&Segments::new(&tick).of(7).unwrap().frame);
    assert_eq!((frame.get("w"), &frame["wu"]), (None, &json!("paused")));
}

#[test]
fn ticks_come_each_second_to_place_100_and_more_slowly_behind_it() {
    let expected = [
        (1, 1000),
        (100, 1000),
        (2000, 2000),
        (28_000, 15_000),
        (300_000, 15_000),
        (400_000, 60_000),
    ];
    for (place, pause) in expected {
        assert_eq!(interval(place), pause, "place {place}");
    }
}

#[test]
fn a_frame_fits_in_one_small_packet() {
    let tick = v1::QueueTick {
        backlog: 1_000_000,
        boundaries: vec![v1::Boundary { queue_number: 12_345_678, position: 999_999 }],
        ..Default::default()
    };
    let segments = Segments::new(&tick);
    let frame = &segments.of(12_345_700).unwrap().frame;
    assert!(frame.text().len() < 125, "{}", frame.text());
}
