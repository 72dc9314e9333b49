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
        // Only a booking that is parked goes back.
        let goes_back = !news.parked && stage(news.state) < stage(self.state);
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
