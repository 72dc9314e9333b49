//! Which view of the page fits a place and its queue, as `page/js/protocol.js` decides.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bookingq_core::{BookingState, Timestamp};

use super::glance::QueueGlance;
use crate::place_json::{AvailabilityJson, PlaceJson, WaitUnknownJson};

const PARTS_FILE: &str = include_str!("../../page/views.json");

/// The elements of each view.
static PARTS: LazyLock<BTreeMap<&str, Vec<&str>>> =
    // A test parses it.
    LazyLock::new(|| serde_json::from_str(PARTS_FILE).unwrap_or_default());

/// What the server knows when it renders the page.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageState<'a> {
    /// The client's place.
    pub place: Option<&'a PlaceJson>,
    /// Whether the request named a place that does not exist.
    pub unknown: bool,
    /// Whether the request named a place; without an answer for it the script asks again.
    pub named: bool,
    /// The queue, once a worker has reported it.
    pub queue: Option<&'a QueueGlance>,
    /// The store's clock.
    pub now: Timestamp,
    /// Why the form that was sent was refused, if it was.
    pub refusal: Option<&'a str>,
}

impl PageState<'_> {
    /// The name of the view, a key of `views.json`.
    pub(super) fn view(&self) -> &'static str {
        let opens = self.queue.and_then(|queue| queue.opens_at);
        let not_open = opens.is_some_and(|opens| opens > self.now);
        let paused = self.queue.is_some_and(|queue| queue.paused);
        let closed = self.queue.is_some_and(|queue| queue.closed);
        if self.unknown {
            return "unknown";
        }
        let Some(place) = self.place else {
            return match (self.named, closed, not_open) {
                (true, ..) => "loading",
                (_, true, _) => "closed",
                (.., true) => "notOpen",
                (.., false) => "join",
            };
        };
        match BookingState::parse(place.state) {
            Some(BookingState::Queued) if is_closed_for(place) => "parked",
            Some(BookingState::Queued) => match place.wait_unknown {
                Some(WaitUnknownJson::NotOpen) => "notOpen",
                _ if not_open => "notOpen",
                Some(WaitUnknownJson::Paused) => "paused",
                _ if paused => "paused",
                _ => "waiting",
            },
            Some(state) => after_the_line(state),
            None => "loading",
        }
    }
}

fn is_closed_for(place: &PlaceJson) -> bool {
    let item = &place.item;
    let closed = item.availability == AvailabilityJson::SoldOutAtTheMoment;
    place.parked || closed && place.quantity >= item.sold_out_from.unwrap_or(1)
}

fn after_the_line(state: BookingState) -> &'static str {
    match state {
        BookingState::Queued => "waiting",
        BookingState::Reserving => "reserving",
        BookingState::Reserved => "turn",
        BookingState::Confirming => "confirming",
        BookingState::Releasing => "releasing",
        BookingState::Confirmed => "paid",
        BookingState::Expired => "expired",
        BookingState::Cancelled => "cancelled",
        BookingState::SoldOut => "soldOut",
        BookingState::Rejected => "rejected",
        BookingState::Failed => "failed",
    }
}

/// The same table for the script.
pub(super) fn parts_json() -> String {
    serde_json::to_string(&*PARTS).unwrap_or_default()
}

/// Whether a view has an element.
pub(super) fn has(view: &str, part: &str) -> bool {
    PARTS.get(view).is_some_and(|parts| parts.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_view_with_texts_and_elements() {
        let strings = super::super::strings::Strings::new(super::super::Language::default());
        for state in BookingState::ALL {
            let view = after_the_line(state);
            assert!(PARTS.contains_key(view), "{view}");
            assert!(!strings.get(&format!("{view}.h")).is_empty(), "{view}");
        }
        for view in PARTS.keys() {
            assert!(!strings.get(&format!("{view}.h")).is_empty(), "{view}");
            assert!(!strings.get(&format!("{view}.p")).is_empty(), "{view}");
        }
    }
}
