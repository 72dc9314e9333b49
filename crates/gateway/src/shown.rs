//! What a client has been shown of its booking, and which news add to it.

use bookingq_core::{BookingState, EventSeq, Timestamp};
use bookingq_proto::v1;

use crate::segments::{SegmentFrame, Segments};
use crate::snapshots::PlaceSnapshot;
use crate::subscriber::BookingNews;

/// What a client has been shown.
#[derive(Debug)]
pub(crate) struct Shown {
    number: u64,
    state: v1::BookingState,
    parked: bool,
    /// Everything up to here is shown.
    after: EventSeq,
    /// The generation of the line that its number belongs to.
    pub(crate) generation: u32,
    /// The store's clock of what is shown of the line.
    pub(crate) ticked: Timestamp,
}

/// What to do with news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewsUse {
    Send,
    /// It is shown already, or older than what is.
    Known,
    /// It is about a newer booking of the client.
    OtherBooking,
}

impl Shown {
    pub(crate) fn new(booking: &v1::Booking, snapshot: &PlaceSnapshot) -> Self {
        Self {
            number: booking.queue_number,
            state: booking.state(),
            parked: booking.parked,
            after: snapshot.after,
            generation: snapshot.generation,
            ticked: snapshot.now,
        }
    }

    /// Whether nothing follows.
    pub(crate) fn is_final(&self) -> bool {
        self.state.to_core().is_some_and(BookingState::is_final)
    }

    /// Takes the news over, if they add something. A snapshot may contain updates that arrive after
    /// it: those go back in the life of the booking, or say what it says.
    pub(crate) fn apply(&mut self, news: &BookingNews) -> NewsUse {
        if news.seq <= self.after || news.number < self.number {
            return NewsUse::Known;
        }
        if news.number > self.number {
            return NewsUse::OtherBooking;
        }
        let repeats = news.state == self.state && news.parked == self.parked;
        // Only a booking that is being reserved goes back, when it is parked.
        let is_refused = news.parked && self.state == v1::BookingState::Reserving;
        let goes_back = !is_refused && stage(news.state) < stage(self.state);
        if repeats || goes_back {
            return NewsUse::Known;
        }
        (self.state, self.parked, self.after) = (news.state, news.parked, news.seq);
        NewsUse::Send
    }

    /// The frame of its segment, or of bookings that are not in the line; `None` if there is
    /// nothing to say.
    pub(crate) fn segment<'a>(&self, segments: &'a Segments) -> Option<&'a SegmentFrame> {
        if self.is_final() {
            None
        } else if self.state == v1::BookingState::Queued && !self.parked {
            segments.of(self.number)
        } else {
            Some(segments.aside())
        }
    }
}

/// How far a booking is in its life.
fn stage(state: v1::BookingState) -> u8 {
    match state {
        v1::BookingState::Unspecified | v1::BookingState::Queued => 0,
        v1::BookingState::Reserving => 1,
        v1::BookingState::Reserved => 2,
        v1::BookingState::Confirming => 3,
        v1::BookingState::Releasing => 4,
        v1::BookingState::Confirmed
        | v1::BookingState::Expired
        | v1::BookingState::Cancelled
        | v1::BookingState::SoldOut
        | v1::BookingState::Rejected
        | v1::BookingState::Failed => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frames::sync;

    fn news(number: u64, state: v1::BookingState, parked: bool) -> BookingNews {
        let seq = EventSeq { ms: number, number: 0 };
        BookingNews { frame: sync(), seq, number: 7, state, parked, received: 0 }
    }

    /// What a client was shown when its gateway had received no news of the booking.
    fn shown(state: v1::BookingState) -> Shown {
        let booking =
            v1::Booking { queue_number: 7, state: state.into(), ..v1::Booking::default() };
        let snapshot = PlaceSnapshot {
            booking: None,
            epoch: Arc::from("e"),
            now: Timestamp(100),
            after: EventSeq::START,
            generation: 0,
            item_changes: 0,
        };
        Shown::new(&booking, &snapshot)
    }

    #[test]
    fn what_happened_before_a_reading_is_not_shown_after_it() {
        use v1::BookingState as S;
        let mut held = shown(S::Reserved);
        for (seq, state, parked) in [
            (1, S::Reserving, false),
            (2, S::Queued, true),
            (3, S::Reserving, false),
            (4, S::Reserved, false),
        ] {
            assert_eq!(held.apply(&news(seq, state, parked)), NewsUse::Known, "{state:?}");
        }
        assert_eq!(held.apply(&news(5, S::Confirming, false)), NewsUse::Send);
        assert_eq!(shown(S::SoldOut).apply(&news(1, S::Queued, true)), NewsUse::Known);
    }

    #[test]
    fn a_refused_booking_waits_again() {
        use v1::BookingState as S;
        let mut refused = shown(S::Reserving);
        assert_eq!(refused.apply(&news(1, S::Queued, true)), NewsUse::Send);
        assert_eq!(refused.apply(&news(2, S::Reserving, false)), NewsUse::Send);
        assert_eq!(refused.apply(&news(3, S::Queued, false)), NewsUse::Known);
    }
}
