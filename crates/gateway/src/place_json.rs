//! A place as browsers and apps see it: the JSON of every answer, and of `hello` on a WebSocket.

use std::fmt::Display;
use std::time::Duration;

use bookingq_core::{BookingState, Timestamp};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

/// When and from which data a booking was read.
#[derive(Debug, Clone, Copy)]
pub struct PlaceReading<'a> {
    /// Identifies the data of the queue; empty while unknown.
    pub epoch: &'a str,
    /// The store's clock.
    pub now: Timestamp,
}

/// A wait as a range, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Wait)]
pub struct WaitJson {
    /// The wait is shorter for about 1 of 10.
    pub low: u64,
    /// The expected wait.
    pub expected: u64,
    /// The wait is longer for about 1 of 10.
    pub high: u64,
}

/// Why no wait is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WaitUnknown)]
pub enum WaitUnknownJson {
    /// The sale has not opened.
    NotOpen,
    /// The queue is paused.
    Paused,
    /// The Booking Service does not answer.
    Outage,
    /// The item is sold out at the moment.
    SoldOut,
    /// Too little of the line has been seen.
    NoData,
}

/// Whether an item is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Availability)]
pub enum AvailabilityJson {
    /// Available, as far as is known.
    Open,
    /// Sold out, but some of it may come back.
    SoldOutAtTheMoment,
    /// Sold out for good.
    SoldOut,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Item)]
pub struct ItemJson {
    /// Its name.
    pub name: String,
    /// Whether it is available.
    pub availability: AvailabilityJson,
    /// The smallest quantity that is sold out; smaller ones may be available.
    pub sold_out_from: Option<u32>,
    /// Number of bookings of it whose payment is open: what may come back.
    pub unsettled: u64,
    /// Number of bookings that wait for it to be available again.
    pub waiting: u64,
    /// Number left, if known.
    pub left: Option<u64>,
}

/// The chance of getting what is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chance)]
pub enum ChanceJson {
    /// At least 90 %.
    Likely,
    /// Between the two.
    Uncertain,
    /// At most 10 %.
    Unlikely,
}

/// A place: one booking of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Place)]
pub struct PlaceJson {
    /// Name of the queue.
    pub queue: String,
    /// ID of the booking.
    pub booking_id: String,
    /// ID of the request that made it: the Idempotency-Key of the join.
    pub request_id: String,
    /// Order in the line: a smaller number goes first.
    pub number: u64,
    /// `queued`, `reserving`, `reserved`, `confirming`, `releasing`, `confirmed`, `expired`,
    /// `cancelled`, `sold_out`, `rejected` or `failed`.
    pub state: &'static str,
    /// Exact position, 1 is next; null unless queued.
    pub position: Option<u64>,
    /// The wait; null if it is unknown, or the booking is not queued.
    pub wait: Option<WaitJson>,
    /// Why the wait is unknown.
    pub wait_unknown: Option<WaitUnknownJson>,
    /// Whether it waits for an item that is sold out at the moment; it keeps its number.
    pub parked: bool,
    /// What is booked.
    pub item: ItemJson,
    /// Number of items.
    pub quantity: u32,
    /// The chance of getting it, if known.
    pub chance: Option<ChanceJson>,
    /// Until when the payment must arrive, by the queue's clock; null without a reservation.
    pub deadline: Option<String>,
    /// When the client joined.
    pub joined_at: Option<String>,
    /// Why the booking was rejected or has failed; may be empty.
    pub reason: String,
    /// The state that follows a release.
    pub outcome: Option<&'static str>,
    /// Identifies the data of the queue: positions of two epochs cannot be compared.
    pub epoch: String,
    /// The queue's clock at this reading.
    pub now: String,
    /// Seconds after which a client without a WebSocket may ask again.
    pub poll_after: u64,
}

impl PlaceJson {
    /// The place of a booking that was just read.
    pub fn new(booking: &v1::Booking, reading: PlaceReading<'_>) -> Self {
        let state = booking.state().to_core();
        let queued = state == Some(BookingState::Queued);
        Self {
            queue: booking.queue.clone(),
            booking_id: booking.booking_id.clone(),
            request_id: booking.request_id.clone(),
            number: booking.queue_number,
            state: state.map_or("unknown", BookingState::as_str),
            position: (queued && booking.position > 0).then_some(booking.position),
            wait: wait(booking.eta.as_ref(), booking.eta_range.as_ref()),
            wait_unknown: wait_unknown(booking.eta_unknown()),
            parked: booking.parked,
            item: item_of(booking),
            quantity: u32::try_from(booking.quantity).unwrap_or(1).max(1),
            chance: chance(booking.chance()),
            deadline: booking.deadline.as_ref().map(|at| rfc3339(from_timestamp(at))),
            joined_at: booking.enqueued_at.as_ref().map(|at| rfc3339(from_timestamp(at))),
            reason: booking.reason.clone(),
            outcome: booking.outcome().to_core().map(BookingState::as_str),
            epoch: reading.epoch.to_owned(),
            now: rfc3339(reading.now),
            poll_after: poll_after(state, booking.position),
        }
    }
}

/// Near the front things change every second; far away they do not, and most clients are there.
fn poll_after(state: Option<BookingState>, position: u64) -> u64 {
    match state {
        Some(BookingState::Queued) => (2 + position / 500).min(60),
        Some(state) if state.is_final() => 60,
        _ => 2,
    }
}

/// A moment in RFC 3339, UTC, with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    // Out of range only after the year 9999.
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

/// Whole seconds, rounded up; saturates.
pub fn seconds(duration: &prost_types::Duration) -> u64 {
    let whole = u64::try_from(duration.seconds).unwrap_or(0);
    whole.saturating_add(u64::from(duration.nanos > 0))
}

/// A wait with its range; `None` if it is unknown.
pub fn wait(eta: Option<&prost_types::Duration>, range: Option<&v1::EtaRange>) -> Option<WaitJson> {
    let expected = seconds(eta?);
    let low = range.and_then(|range| range.low.as_ref()).map_or(expected, seconds);
    let high = range.and_then(|range| range.high.as_ref()).map_or(expected, seconds);
    Some(WaitJson { low: low.min(expected), expected, high: high.max(expected) })
}

/// Why a wait is unknown; `None` if it is known or does not apply.
pub fn wait_unknown(reason: v1::EtaUnknown) -> Option<WaitUnknownJson> {
    match reason {
        v1::EtaUnknown::Unspecified => None,
        v1::EtaUnknown::NotOpen => Some(WaitUnknownJson::NotOpen),
        v1::EtaUnknown::Paused => Some(WaitUnknownJson::Paused),
        v1::EtaUnknown::Outage => Some(WaitUnknownJson::Outage),
        v1::EtaUnknown::SoldOut => Some(WaitUnknownJson::SoldOut),
        v1::EtaUnknown::NoData => Some(WaitUnknownJson::NoData),
    }
}

fn chance(chance: v1::Chance) -> Option<ChanceJson> {
    match chance {
        v1::Chance::Unspecified => None,
        v1::Chance::Likely => Some(ChanceJson::Likely),
        v1::Chance::Uncertain => Some(ChanceJson::Uncertain),
        v1::Chance::Unlikely => Some(ChanceJson::Unlikely),
    }
}

/// The availability in the words of this API.
pub fn availability(availability: v1::ItemAvailability) -> AvailabilityJson {
    match availability {
        v1::ItemAvailability::Unspecified | v1::ItemAvailability::Open => AvailabilityJson::Open,
        v1::ItemAvailability::SoldOutAtTheMoment => AvailabilityJson::SoldOutAtTheMoment,
        v1::ItemAvailability::SoldOut => AvailabilityJson::SoldOut,
    }
}

impl From<&v1::ItemStatus> for ItemJson {
    fn from(item: &v1::ItemStatus) -> Self {
        Self {
            name: item.item.clone(),
            availability: availability(item.availability()),
            sold_out_from: u32::try_from(item.sold_out_from).ok().filter(|&from| from > 0),
            unsettled: item.unsettled,
            waiting: item.waiting,
            left: item.left,
        }
    }
}

fn item_of(booking: &v1::Booking) -> ItemJson {
    match &booking.item_status {
        Some(item) => item.into(),
        None => ItemJson {
            name: booking.item.clone(),
            availability: AvailabilityJson::Open,
            sold_out_from: None,
            unsettled: 0,
            waiting: 0,
            left: None,
        },
    }
}

/// The wall clock, for a gateway that has not seen the store's clock yet.
pub fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(bookingq_core::time::millis(since.unwrap_or(Duration::ZERO)))
}

/// A value as JSON. The types of this file always serialize.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| never(&error))
}

fn never(error: &impl Display) -> String {
    tracing::error!(%error, "cannot serialize an answer");
    "null".to_owned()
}

#[cfg(test)]
mod tests {
    use bookingq_proto::convert::{duration, timestamp};
    use serde_json::json;

    use super::*;

    const READING: PlaceReading<'_> =
        PlaceReading { epoch: "e1", now: Timestamp(1_700_000_000_123) };

    fn queued() -> v1::Booking {
        v1::Booking {
            queue: "concert".to_owned(),
            client_id: "ann".to_owned(),
            booking_id: "b".to_owned(),
            state: v1::BookingState::Queued.into(),
            queue_number: 7,
            position: 3,
            enqueued_at: Some(timestamp(Timestamp(1_700_000_000_000))),
            item: "seat".to_owned(),
            quantity: 2,
            eta: Some(duration(Duration::from_millis(4500))),
            eta_range: Some(v1::EtaRange {
                low: Some(duration(Duration::from_secs(2))),
                high: Some(duration(Duration::from_secs(9))),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_waiting_place_has_its_position_and_the_range_of_its_wait() {
        let place = serde_json::to_value(PlaceJson::new(&queued(), READING)).unwrap();
        let expected = json!({
            "queue": "concert", "bookingId": "b", "requestId": "", "number": 7, "state": "queued", "position": 3,
            "wait": {"low": 2, "expected": 5, "high": 9}, "waitUnknown": null, "parked": false,
            "item": {"name": "seat", "availability": "open", "soldOutFrom": null, "unsettled": 0,
                     "waiting": 0, "left": null},
            "quantity": 2, "chance": null, "deadline": null,
            "joinedAt": "2023-11-14T22:13:20.000Z", "reason": "", "outcome": null, "epoch": "e1",
            "now": "2023-11-14T22:13:20.123Z", "pollAfter": 2
        });
        assert_eq!(place, expected);
    }

    #[test]
    fn a_reserved_place_has_a_deadline_and_no_position() {
        let booking = v1::Booking {
            state: v1::BookingState::Reserved.into(),
            position: 0,
            eta: None,
            eta_range: None,
            deadline: Some(timestamp(Timestamp(1_700_000_300_000))),
            ..queued()
        };
        let place = PlaceJson::new(&booking, READING);
        assert_eq!((place.position, place.wait), (None, None));
        assert_eq!(place.deadline.as_deref(), Some("2023-11-14T22:18:20.000Z"));
        assert_eq!((place.state, place.poll_after), ("reserved", 2));
    }

    #[test]
    fn the_client_id_is_not_shown() {
        let place = to_json(&PlaceJson::new(&queued(), READING));
        assert!(!place.contains("ann"), "{place}");
    }
}
