//! The frames of one tick of the line: one for each segment between two boundaries, shared by all
//! connections whose places lie in it.

use std::fmt::Write as _;

use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;

use crate::frames::{FrameKind, ReadyFrame, admission_word, unknown_word};

/// The upper bound of the last segment: the line ends where its own formula ends.
const NO_BOUND: u64 = 999_999_999_999;
/// Time between two ticks of a booking that is not in the line, in ms.
pub(crate) const ASIDE_INTERVAL: u64 = 15_000;

/// The frame of a segment.
#[derive(Debug, Clone)]
pub struct SegmentFrame {
    /// The frame.
    pub frame: ReadyFrame,
    /// Time to the next tick of these places, in ms.
    pub interval: u64,
}

/// All frames of a tick.
#[derive(Debug, Clone)]
pub struct Segments {
    /// The queue number at which each segment begins, ascending.
    starts: Vec<u64>,
    frames: Vec<SegmentFrame>,
    aside: SegmentFrame,
}

/// Milliseconds between two ticks of a place: 1 s to place 100, and more behind it.
pub fn interval(position: u64) -> u64 {
    match position {
        0..=100 => 1000,
        // 1 s + place/2000 s.
        101..=28_000 => 1000 + position / 2,
        28_001..=300_000 => 15_000,
        _ => 60_000,
    }
}

/// The position that a client computes from its segment's frame.
pub fn position(segment: [u64; 3], number: u64) -> u64 {
    let [start, first, bound] = segment;
    first.saturating_add(number.saturating_sub(start)).min(bound)
}

impl Segments {
    /// The frames of this tick.
    pub fn new(tick: &v1::QueueTick) -> Self {
        let boundaries = &tick.boundaries;
        // A place of the segment is before the next boundary.
        let before = |next: &v1::Boundary| next.position.saturating_sub(1);
        let bounds = boundaries.iter().skip(1).map(before).chain([NO_BOUND]);
        let frames = boundaries.iter().zip(bounds).map(|(boundary, bound)| {
            let segment = [boundary.queue_number, boundary.position, bound];
            let interval = interval(boundary.position);
            SegmentFrame { frame: frame(tick, Some(segment), interval), interval }
        });
        Self {
            frames: frames.collect(),
            starts: boundaries.iter().map(|boundary| boundary.queue_number).collect(),
            aside: SegmentFrame {
                frame: frame(tick, None, ASIDE_INTERVAL),
                interval: ASIDE_INTERVAL,
            },
        }
    }

    /// The frame for a queue number; `None` if it is not in the line.
    pub fn of(&self, number: u64) -> Option<&SegmentFrame> {
        let after = self.starts.partition_point(|start| *start <= number);
        self.frames.get(after.checked_sub(1)?)
    }

    /// The frame for bookings that are not in the line.
    pub fn aside(&self) -> &SegmentFrame {
        &self.aside
    }
}

fn frame(tick: &v1::QueueTick, segment: Option<[u64; 3]>, interval: u64) -> ReadyFrame {
    let at = tick.at.as_ref().map_or(0, |at| from_timestamp(at).0);
    let mut json = format!(r#"{{"t":"k","at":{at}"#);
    if let Some([start, first, bound]) = segment {
        push(&mut json, format_args!(r#","s":[{start},{first},{bound}]"#));
    }
    push(&mut json, format_args!(r#","n":{}"#, tick.backlog));
    if let Some([_, first, bound]) = segment {
        let last = bound.min(tick.backlog.max(first));
        let waits = wait_at(&tick.etas, first).zip(wait_at(&tick.etas, last));
        if let Some(((low, high), (last_low, last_high))) = waits {
            push(&mut json, format_args!(r#","w":[{low},{high},{last_low},{last_high}]"#));
        } else if let Some(why) = unknown_word(tick.eta_unknown()) {
            push(&mut json, format_args!(r#","wu":"{why}""#));
        }
    }
    let admission = admission_word(tick.admission());
    push(&mut json, format_args!(r#","i":{interval},"adm":"{admission}"}}"#));
    ReadyFrame::new(FrameKind::Tick, &json)
}

fn push(json: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = json.write_fmt(text);
}

/// The range of the wait at a position in whole seconds, between the points next to it.
pub(crate) fn wait_at(points: &[v1::EtaPoint], position: u64) -> Option<(u64, u64)> {
    let after = points.partition_point(|point| point.position < position);
    let next = points.get(after).or_else(|| points.last())?;
    let before = after.checked_sub(1).and_then(|before| points.get(before)).unwrap_or(next);
    let share = match next.position.checked_sub(before.position) {
        None | Some(0) => 0.0,
        Some(width) => position.saturating_sub(before.position).min(width) as f64 / width as f64,
    };
    let (from, to) = (range(before)?, range(next)?);
    let mix = |from: f64, to: f64| (from + (to - from) * share).max(0.0);
    Some((mix(from.0, to.0).floor() as u64, mix(from.1, to.1).ceil() as u64))
}

fn range(point: &v1::EtaPoint) -> Option<(f64, f64)> {
    let range = point.range.as_ref()?;
    let seconds = |time: &prost_types::Duration| time.seconds as f64 + f64::from(time.nanos) / 1e9;
    Some((range.low.as_ref().map(seconds)?, range.high.as_ref().map(seconds)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    /// The segment that the frame of a number carries.
    fn segment(segments: &Segments, number: u64) -> Option<[u64; 3]> {
        let text = segments.of(number)?.frame.text().to_string();
        let frame: Value = serde_json::from_str(&text).unwrap();
        Some([0, 1, 2].map(|part| frame["s"][part].as_u64().unwrap()))
    }

    #[test]
    fn the_position_from_a_frame_is_that_of_the_test_vectors() {
        let vectors = include_str!("../../core/tests/vectors/positions.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let mut checked = 0;
        for line in vectors["lines"].as_array().unwrap() {
            let boundary = |pair: &Value| v1::Boundary {
                queue_number: pair[0].as_u64().unwrap(),
                position: pair[1].as_u64().unwrap(),
            };
            let boundaries = line["boundaries"].as_array().unwrap().iter().map(boundary).collect();
            let segments = Segments::new(&v1::QueueTick { boundaries, ..v1::QueueTick::default() });
            for client in line["clients"].as_array().unwrap() {
                let number = client["number"].as_u64().unwrap();
                let shown = segment(&segments, number).map(|found| position(found, number));
                assert_eq!(shown, client["position"].as_u64(), "{client} of {}", line["name"]);
                checked += 1;
            }
        }
        assert!(checked > 100);
    }
}
