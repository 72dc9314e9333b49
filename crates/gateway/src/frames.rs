//! Frames of protocol 1: each is one JSON text, sent over a WebSocket or as a server-sent event.
//!
//! A frame is made once and shared by all connections that get it: cloning it copies no text.

use axum::extract::ws::Utf8Bytes;
use bookingq_core::EventSeq;
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Number;

use crate::close::CloseReason;
use crate::place_json::{AvailabilityJson, availability};

/// What comes before and after the JSON text in a server-sent event.
const EVENT: (&str, &str) = ("data: ", "\n\n");
/// The comment that keeps an event stream open.
pub(crate) const EVENT_PING: Bytes = Bytes::from_static(b":\n\n");

/// The kinds of frames; the label of their metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// The snapshot of a place.
    Hello,
    /// The line, for the places of a segment.
    Tick,
    /// A change of the client's own booking.
    News,
    /// A change of the item that the client wants.
    Item,
    /// A new hello follows.
    Sync,
    /// The answer to a client's ping.
    Pong,
    /// The connection ends.
    Bye,
}

impl FrameKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Hello, Self::Tick, Self::News, Self::Item, Self::Sync, Self::Pong, Self::Bye];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Tick => "tick",
            Self::News => "news",
            Self::Item => "item",
            Self::Sync => "sync",
            Self::Pong => "pong",
            Self::Bye => "bye",
        }
    }
}

/// A frame, ready for both transports.
#[derive(Debug, Clone)]
pub struct ReadyFrame {
    kind: FrameKind,
    /// As a server-sent event; the JSON text is a part of it.
    event: Bytes,
}

impl ReadyFrame {
    /// A frame of this JSON text.
    pub fn new(kind: FrameKind, json: &str) -> Self {
        Self { kind, event: Bytes::from([EVENT.0, json, EVENT.1].concat()) }
    }

    /// A frame of this value.
    pub(crate) fn of(kind: FrameKind, value: &impl Serialize) -> Self {
        // Plain structs with string keys: their serialization cannot fail.
        Self::new(kind, &serde_json::to_string(value).unwrap_or_default())
    }

    /// Its kind.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Length of the JSON text in bytes.
    pub(crate) fn json_len(&self) -> usize {
        self.event.len() - EVENT.0.len() - EVENT.1.len()
    }

    /// The JSON text.
    pub fn text(&self) -> Utf8Bytes {
        let json = self.event.slice(EVENT.0.len()..self.event.len() - EVENT.1.len());
        // Made of a `&str`, so it is UTF-8.
        Utf8Bytes::try_from(json).unwrap_or_default()
    }

    /// The server-sent event.
    pub fn event(&self) -> Bytes {
        self.event.clone()
    }
}

/// A new hello follows.
pub(crate) fn sync() -> ReadyFrame {
    ReadyFrame::new(FrameKind::Sync, r#"{"t":"sync"}"#)
}

/// The answer to a client's ping: its own number, and the store's clock.
pub fn pong(client_ms: &Number, now: u64) -> ReadyFrame {
    ReadyFrame::new(FrameKind::Pong, &format!(r#"{{"t":"pong","c":{client_ms},"now":{now}}}"#))
}

/// Why the connection ends, and when to connect again.
pub(crate) fn bye(reason: CloseReason, open: usize) -> ReadyFrame {
    let why = reason.as_str();
    let json = match reason.after(open) {
        Some((low, high)) => {
            let (low, high) = (low.as_millis(), high.as_millis());
            format!(r#"{{"t":"bye","why":"{why}","after":[{low},{high}]}}"#)
        }
        None => format!(r#"{{"t":"bye","why":"{why}"}}"#),
    };
    ReadyFrame::new(FrameKind::Bye, &json)
}

/// A sequence as clients compare it: the part before the hyphen, then the part after it.
pub(crate) fn sequence(seq: EventSeq) -> String {
    format!("{}-{}", seq.ms, seq.number)
}

/// The word of an admission.
pub(crate) fn admission_word(admission: v1::Admission) -> &'static str {
    match admission {
        v1::Admission::Open | v1::Admission::Unspecified => "open",
        v1::Admission::Paused => "paused",
        v1::Admission::Closed => "closed",
    }
}

/// The word for why no wait is known.
pub(crate) fn unknown_word(reason: v1::EtaUnknown) -> Option<&'static str> {
    match reason {
        v1::EtaUnknown::Unspecified => None,
        v1::EtaUnknown::NotOpen => Some("notOpen"),
        v1::EtaUnknown::Paused => Some("paused"),
        v1::EtaUnknown::Outage => Some("outage"),
        v1::EtaUnknown::SoldOut => Some("soldOut"),
        v1::EtaUnknown::NoData => Some("noData"),
    }
}

/// The word of a state.
pub(crate) fn state_word(state: v1::BookingState) -> Option<&'static str> {
    state.to_core().map(bookingq_core::BookingState::as_str)
}

#[derive(Serialize)]
struct NewsJson<'a> {
    t: &'static str,
    id: String,
    st: &'static str,
    bk: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    parked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
}

/// A change of a booking. `None` if this release does not know the state.
pub(crate) fn news(update: &v1::BookingUpdate) -> Option<ReadyFrame> {
    let json = NewsJson {
        t: "b",
        id: sequence(update.sequence()),
        st: state_word(update.state())?,
        bk: &update.booking_id,
        parked: update.parked,
        dl: update.deadline.as_ref().map(|at| from_timestamp(at).0),
        why: &update.reason,
    };
    Some(ReadyFrame::of(FrameKind::News, &json))
}

#[derive(Serialize)]
struct ItemNewsJson<'a> {
    t: &'static str,
    item: &'a str,
    av: AvailabilityJson,
    from: i32,
    u: u64,
}

/// A change of an item.
pub(crate) fn item(status: &v1::ItemStatus) -> ReadyFrame {
    let json = ItemNewsJson {
        t: "i",
        item: &status.item,
        av: availability(status.availability()),
        from: status.sold_out_from,
        u: status.unsettled,
    };
    ReadyFrame::of(FrameKind::Item, &json)
}
