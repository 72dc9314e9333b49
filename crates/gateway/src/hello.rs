//! The first frame of a connection: the place as it is now, and where the line stands.

use std::time::Duration;

use bookingq_proto::v1;
use serde::Serialize;

use crate::frames::{FrameKind, ReadyFrame, admission_word, sequence};
use crate::place_json::{PlaceJson, PlaceReading};
use crate::snapshots::PlaceSnapshot;
use crate::view::LineNow;

#[derive(Serialize)]
struct HelloJson<'a> {
    t: &'static str,
    v: u32,
    now: u64,
    e: &'a str,
    id: String,
    b: PlaceJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<LineJson>,
    ka: u64,
}

#[derive(Serialize)]
struct LineJson {
    n: u64,
    adm: &'static str,
}

/// The hello of a snapshot; `ping` is the time between two pings.
pub(crate) fn frame(
    booking: &v1::Booking,
    snapshot: &PlaceSnapshot,
    line: &LineNow,
    ping: Duration,
) -> ReadyFrame {
    let (epoch, now) = (&*snapshot.epoch, snapshot.now);
    let hello = HelloJson {
        t: "hello",
        v: 1,
        now: now.0,
        e: epoch,
        id: sequence(snapshot.after),
        b: PlaceJson::new(booking, PlaceReading { epoch, now }),
        q: line
            .tick
            .as_ref()
            .map(|tick| LineJson { n: tick.backlog, adm: admission_word(tick.admission()) }),
        ka: ping.as_millis() as u64,
    };
    ReadyFrame::of(FrameKind::Hello, &hello)
}
