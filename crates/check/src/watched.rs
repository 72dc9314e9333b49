//! What watches showed of one booking, update by update: it never goes back.

use bookingq_core::BookingState;
use bookingq_crowd::call::{BookingSnapshot, RecordedCall, ShownVersion};

use crate::logged::reaches;
use crate::violation::{Violation, Violations};

/// What a client was shown last of a booking, by a WatchStatus stream or a WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct WatchedView {
    /// When the stream or socket was opened.
    pub(crate) opened: u64,
    pub(crate) state: BookingState,
    /// The first update with this state.
    pub(crate) since: u64,
    /// The newest update.
    pub(crate) until: u64,
    /// The newest position; `None` once it is in the line no more.
    position: Option<u64>,
    /// Whether a failover may take it back.
    pub(crate) is_hint: bool,
    /// `None` for WatchStatus.
    pub(crate) version: Option<ShownVersion>,
}

impl WatchedView {
    /// Takes the next update about the booking, and compares it with the one before.
    pub(crate) fn update(
        view: &mut Option<Self>,
        call: &RecordedCall,
        shown: &BookingSnapshot,
        violations: &mut Violations,
    ) {
        if let Some(before) = view.as_ref().filter(|before| !before.is_hint) {
            before.compare(call, shown, &Self::new(call, shown), violations);
        }
        Self::replace(view, call, shown);
    }

    /// Takes an update that a failover may take back: it is compared with nothing, and counts as
    /// what the client was shown last.
    pub(crate) fn hint(view: &mut Option<Self>, call: &RecordedCall, shown: &BookingSnapshot) {
        *view = Some(Self { is_hint: true, ..Self::new(call, shown) });
    }

    fn replace(view: &mut Option<Self>, call: &RecordedCall, shown: &BookingSnapshot) {
        let next = Self::new(call, shown);
        let Some(before) = view else {
            *view = Some(next);
            return;
        };
        let in_line = is_in_line(shown);
        let since = if before.state == next.state { before.since } else { next.since };
        let kept =
            before.position.filter(|_| in_line && !before.is_hint && before.has_line_of(&next));
        *view = Some(Self { since, position: next.position.or(kept), ..next });
    }

    fn new(call: &RecordedCall, shown: &BookingSnapshot) -> Self {
        Self {
            opened: call.start,
            state: shown.state,
            since: call.end,
            until: call.end,
            position: shown.position.filter(|_| is_in_line(shown)),
            is_hint: false,
            version: shown.version.clone(),
        }
    }

    fn compare(
        &self,
        call: &RecordedCall,
        shown: &BookingSnapshot,
        next: &Self,
        violations: &mut Violations,
    ) {
        let (booking, client) = (shown.booking, &call.client);
        if let (Some(before), Some(now)) = (self.position, next.position)
            && self.has_line_of(next)
            && now > before
        {
            let case = format!("{booking} of {client} went back in line from {before} to {now}");
            violations.record(Violation::MovedPlace, case);
        }
        if self.opened != next.opened {
            return;
        }
        let (before, now) = (self.state, next.state);
        if !reaches(before, now) {
            let case =
                format!("a watch showed {booking} of {client} as {before}, and then as {now}");
            violations.record(Violation::StaleView, case);
        }
        if let (Some(before), Some(now)) = (&self.version, &next.version)
            && before.epoch == now.epoch
            && before.sequence > now.sequence
        {
            let (before, now) = (before.sequence, now.sequence);
            let case =
                format!("a socket showed {client} the events up to {before}, and then up to {now}");
            violations.record(Violation::StaleView, case);
        }
    }

    /// Whether both positions count the same line: those of a watch, and, since the hello of a
    /// socket has the store's, those of all sockets that show the same data.
    fn has_line_of(&self, next: &Self) -> bool {
        match (&self.version, &next.version) {
            (Some(before), Some(now)) => before.epoch == now.epoch,
            _ => self.opened == next.opened,
        }
    }
}

fn is_in_line(shown: &BookingSnapshot) -> bool {
    shown.state == BookingState::Queued && !shown.parked
}
