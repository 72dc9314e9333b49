//! The line and the parked bookings as this process sees them: exact positions from the events, the
//! pace at which the line moves, and the waits that are expected.

use bookingq_core::eta::{Departure, Eta, EtaRange, EtaReading, Forecaster};
use bookingq_core::line::Line;
use bookingq_core::pace::Pace;
use bookingq_core::{
    Admission, BookingState, Event, ItemChange, ItemEvent, OutboxEvent, Outflow, Place, Timestamp,
};
use parking_lot::Mutex;

use crate::parked::ParkedView;

/// Shared by one writer and many readers.
#[derive(Debug, Default)]
pub struct LineView {
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    line: Line,
    parked: ParkedView,
    pace: Pace,
    forecaster: Forecaster,
    /// The last reading of what serves and limits the line.
    read: Option<EtaReading>,
}

/// Where a booking waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the line; 1 = next.
    InLine(u64),
    /// Parked; 1 = first of those that wait for its item.
    Parked(u64),
}

impl Standing {
    /// The position in the line, or among those that wait for the item.
    pub fn position(self) -> u64 {
        match self {
            Self::InLine(position) | Self::Parked(position) => position,
        }
    }

    /// Whether the booking is parked.
    pub fn is_parked(self) -> bool {
        matches!(self, Self::Parked(_))
    }
}

/// The line as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct LineOverview {
    /// The store's clock at the last reading.
    pub at: Timestamp,
    /// Bookings in the line.
    pub backlog: u64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
    /// Bookings that leave the front each second; 0 while unknown.
    pub rate: f64,
    /// `(place, position)`, ascending, the front first: see
    /// [`Line::boundaries`](bookingq_core::line::Line::boundaries).
    pub boundaries: Vec<(Place, u64)>,
}

impl LineView {
    /// Replaces the line and the parked places with what was just read.
    pub(crate) fn replace(&self, line: Line, parked: ParkedView) {
        let mut state = self.state.lock();
        (state.line, state.parked) = (line, parked);
        state.forecaster.reset();
    }

    /// Applies events, oldest first.
    pub(crate) fn apply(&self, events: &[OutboxEvent]) {
        let mut state = self.state.lock();
        for event in events {
            match event {
                OutboxEvent::Booking(event) => state.apply(event),
                OutboxEvent::Item(ItemEvent { item, change, .. }) => {
                    if let ItemChange::Parked { places, .. } = change {
                        for place in places {
                            state.leave_line(*place, Departure::Parked, event.at());
                        }
                        state.parked.join(item, places.iter().copied());
                    }
                }
            }
        }
    }

    /// Takes a reading of the queue, for the pace and the waits; `dispatched`: how many bookings
    /// have left the line so far.
    pub fn observe(&self, read: EtaReading, dispatched: u64) {
        let mut state = self.state.lock();
        let LineState { line, pace, forecaster, .. } = &mut *state;
        pace.observe(read.at, dispatched);
        forecaster.observe(&read, line);
        state.read = Some(read);
    }

    /// Whether the admission or the rules of the sale limit the line, as of the last reading.
    pub fn is_limited(&self) -> bool {
        self.state.lock().read.is_some_and(|read| {
            read.admission == Admission::Paused
                || read.outflow != Outflow::default()
                || read.opens_at.is_some_and(|opens_at| read.at < opens_at)
        })
    }

    /// When the sale opens, if that is to come.
    pub fn opens_at(&self) -> Option<Timestamp> {
        let read = self.state.lock().read?;
        read.opens_at.filter(|opens_at| read.at < *opens_at)
    }

    /// Whether the line is empty, as far as this process knows.
    pub fn is_empty(&self) -> bool {
        self.state.lock().line.is_empty()
    }

    /// The store's clock at the last reading.
    pub fn now(&self) -> Timestamp {
        self.state.lock().now()
    }

    /// Where the booking at this place waits; `None` when it does not, as far as this process
    /// knows.
    pub fn standing(&self, place: Place) -> Option<Standing> {
        let state = self.state.lock();
        let in_line = state.line.position(place).map(Standing::InLine);
        in_line.or_else(|| state.parked.position(place).map(Standing::Parked))
    }

    /// The expected wait at a position in the line.
    pub fn eta(&self, position: u64) -> Eta {
        self.state.lock().forecaster.eta(position)
    }

    /// At most `count` positions in the line and their expected waits, ascending. Empty while the
    /// wait is unknown.
    pub fn eta_points(&self, count: usize) -> Vec<(u64, EtaRange)> {
        self.state.lock().forecaster.points(count)
    }

    /// Bookings that leave the front each second; 0 while unknown.
    pub fn rate(&self) -> f64 {
        self.state.lock().pace.rate().unwrap_or(0.0)
    }

    /// The line as a whole.
    pub fn summary(&self) -> LineOverview {
        let state = self.state.lock();
        LineOverview {
            at: state.now(),
            backlog: state.line.len(),
            parked: state.parked.len(),
            rate: state.pace.rate().unwrap_or(0.0),
            boundaries: state.line.boundaries(),
        }
    }
}

impl LineState {
    fn now(&self) -> Timestamp {
        self.read.map(|read| read.at).unwrap_or_default()
    }

    fn apply(&mut self, event: &Event) {
        match (event.to, &event.parked) {
            (BookingState::Queued, None) => {
                self.parked.leave(event.place);
                self.line.join(event.place);
            }
            (BookingState::Queued, Some(parked)) => {
                self.line.leave(event.place);
                self.parked.join(&parked.item, [event.place]);
            }
            (to, _) if event.from == Some(BookingState::Queued) => {
                let departure = match to {
                    BookingState::Reserving => Departure::Served,
                    BookingState::SoldOut => Departure::Parked,
                    _ => Departure::Cancelled,
                };
                self.leave_line(event.place, departure, event.at);
                self.parked.leave(event.place);
            }
            _ => {}
        }
    }

    /// Removes a place from the line, if it is there, and reports it to the forecaster.
    fn leave_line(&mut self, place: Place, departure: Departure, at: Timestamp) {
        if self.line.position(place).is_some() {
            self.line.leave(place);
            self.forecaster.left(place, departure, at);
        }
    }
}
