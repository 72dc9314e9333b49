//! The answers to clients, call by call, and the contradictions between them.

use std::collections::HashMap;

use bookingq_core::{BookingId, BookingState, ClientId, PaymentId, Place, RequestId};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};

use crate::logged::{reaches, reacquired_for};
use crate::violation::{Violation, Violations};
use crate::watched::WatchedView;

/// States kept of each booking: more than the overlapping calls of one client.
const STATES_KEPT: usize = 4;

/// The answers about one booking. Its flags are independent facts, not hidden states.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone)]
pub(crate) struct AnsweredBooking {
    pub(crate) client: ClientId,
    pub(crate) request: RequestId,
    pub(crate) place: Place,
    pub(crate) deadline_ms: Option<u64>,
    /// An Enqueue returned it.
    pub(crate) acknowledged: bool,
    /// A Cancel returned it as cancelled, or as released to become cancelled.
    pub(crate) cancelled: bool,
    /// A Cancel was sent.
    left: bool,
    /// The payments, each over all its calls.
    pub(crate) payments: Vec<SentPayment>,
    /// A payment was refused with `ALREADY_FINAL` before the deadline.
    final_early: bool,
    /// When the client first saw the hold.
    held: Option<u64>,
    /// The newest states, each with the arrival of its answer.
    states: Vec<(u64, BookingState)>,
    /// What its watches showed last.
    pub(crate) watched: Option<WatchedView>,
}

/// One payment, over all its calls.
#[derive(Debug, Clone)]
pub(crate) struct SentPayment {
    pub(crate) id: PaymentId,
    /// When its first call was sent.
    pub(crate) sent: u64,
    pub(crate) acknowledged: bool,
    /// A call's outcome is unknown.
    unknown: bool,
}

impl AnsweredBooking {
    fn new(client: &ClientId, shown: &BookingSnapshot) -> Self {
        Self {
            client: client.clone(),
            request: shown.request.clone(),
            place: shown.place,
            deadline_ms: None,
            acknowledged: false,
            cancelled: false,
            left: false,
            payments: Vec::new(),
            final_early: false,
            held: None,
            states: Vec::new(),
            watched: None,
        }
    }

    pub(crate) fn newest_states(&self) -> impl Iterator<Item = BookingState> {
        self.states.iter().map(|(_, state)| *state)
    }

    /// Whether the client's only action was one payment that never won and whose answers are all
    /// known: then only the deadline can have ended its hold.
    fn had_one_refused_payment(&self) -> bool {
        let mut payments = self.payments.iter();
        let refused = payments.next().is_some_and(|sent| !sent.acknowledged && !sent.unknown);
        refused && payments.next().is_none() && !self.left
    }
}

/// The acknowledgements of one client.
#[derive(Debug)]
struct Acknowledged {
    /// When its first booking was acknowledged.
    first: u64,
    /// Its newest booking, and when that was acknowledged.
    newest: (u64, Place),
}

/// All answers of a run.
#[derive(Debug)]
pub struct Answers {
    /// Start of the run, in milliseconds since 1970.
    epoch_ms: u64,
    /// Largest difference between the clients' clock and the store's.
    clock_margin_ms: u64,
    pub(crate) bookings: HashMap<BookingId, AnsweredBooking>,
    /// The first booking that each request made, with the end of that call.
    pub(crate) requests: HashMap<(ClientId, RequestId), (BookingId, u64)>,
    acknowledged: HashMap<ClientId, Acknowledged>,
    /// The last acknowledged places, ascending, with the end of each call.
    latest: Vec<(u64, Place)>,
    /// Enqueues refused because the queue was closed.
    pub(crate) refused_as_closed: u64,
    /// When the last fault ended, if clients watched from then on until the queue was at rest.
    pub(crate) healed: Option<u64>,
    violations: Violations,
}

impl Answers {
    /// No answers yet. The run starts at `epoch_ms`, in milliseconds since 1970.
    pub fn new(epoch_ms: u64, clock_margin_ms: u64) -> Self {
        Self {
            epoch_ms,
            clock_margin_ms,
            bookings: HashMap::new(),
            requests: HashMap::new(),
            acknowledged: HashMap::new(),
            latest: Vec::new(),
            refused_as_closed: 0,
            healed: None,
            violations: Violations::default(),
        }
    }

    /// Takes the next call, in the order of their ends.
    pub fn observe(&mut self, call: &RecordedCall) {
        match &call.answer {
            CallAnswer::Ok(shown) => {
                self.check_snapshot(call, shown);
                if let CallKind::Enqueue { request } = &call.kind {
                    self.enqueued(call, request, shown);
                }
            }
            CallAnswer::Refused { reason } => self.refused(call, reason),
            CallAnswer::Unknown { .. } => {}
        }
        match &call.kind {
            CallKind::Cancel { of } => self.left(*of, &call.answer),
            CallKind::Pay { of, payment, .. } => self.paid(call, *of, payment),
            CallKind::Enqueue { .. } | CallKind::Status | CallKind::Watch => {}
        }
    }

    /// The last fault ended at this moment, and clients watch until the queue is at rest.
    pub fn healed(&mut self, moment: u64) {
        self.healed = Some(moment);
    }

    /// The contradictions between answers, once every call has ended.
    pub fn violations(&self) -> Violations {
        let mut violations = self.violations.clone();
        for (booking, answered) in &self.bookings {
            if answered.final_early && answered.had_one_refused_payment() {
                let case = format!("{booking}: its only payment was refused before the deadline");
                violations.record(Violation::BrokenDeadline, case);
            }
            let end = answered.newest_states().find(|state| state.is_final());
            let Some(end) = end else { continue };
            let paid = answered.payments.iter().any(|payment| payment.acknowledged);
            let older = reacquired_for(&answered.request).and_then(|id| self.bookings.get(&id));
            let mut payments =
                answered.payments.iter().chain(older.into_iter().flat_map(|older| &older.payments));
            let may_be_paid = payments.any(|payment| payment.acknowledged || payment.unknown);
            let kept = match end {
                BookingState::Confirmed => may_be_paid,
                // The Booking Service may refuse the confirmation, and then the booking fails.
                BookingState::Failed => true,
                _ => !paid,
            };
            if !kept {
                let case = format!("{booking} ended as {end}, paid by {:?}", answered.payments);
                violations.record(Violation::BrokenPayment, case);
            }
        }
        violations
    }

    /// Every client with a recorded booking.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &ClientId> {
        self.bookings.values().map(|answered| &answered.client)
    }

    /// A moment of the run's clock in milliseconds since 1970.
    pub(crate) fn time_of_day_ms(&self, moment: u64) -> u64 {
        self.epoch_ms.saturating_add(moment / 1000)
    }

    /// Whether a moment of the run's clock is surely after a moment of the store's.
    pub(crate) fn is_after(&self, moment: u64, store_ms: u64) -> bool {
        self.time_of_day_ms(moment) > store_ms.saturating_add(self.clock_margin_ms)
    }

    fn is_before(&self, moment: u64, store_ms: u64) -> bool {
        self.time_of_day_ms(moment).saturating_add(self.clock_margin_ms) < store_ms
    }

    /// A booking keeps its client, request and place, and its state never goes back.
    fn check_snapshot(&mut self, call: &RecordedCall, shown: &BookingSnapshot) {
        let (booking, client) = (shown.booking, &call.client);
        let answered =
            self.bookings.entry(booking).or_insert_with(|| AnsweredBooking::new(client, shown));
        let same = (&answered.client, &answered.request, answered.place)
            == (client, &shown.request, shown.place);
        let later = |(end, state): &&(u64, _)| *end < call.start && !reaches(*state, shown.state);
        let back = answered.states.iter().find(later).map(|(_, state)| *state);
        let deadlines = answered.deadline_ms.zip(shown.deadline_ms);
        let moved = deadlines.filter(|(before, now)| before != now);
        if call.kind == CallKind::Watch {
            WatchedView::update(&mut answered.watched, call, shown, &mut self.violations);
        }
        answered.deadline_ms = answered.deadline_ms.or(shown.deadline_ms);
        if answered.states.len() == STATES_KEPT {
            answered.states.remove(0);
        }
        answered.states.push((call.end, shown.state));
        if shown.state == BookingState::Reserved {
            answered.held.get_or_insert(call.end);
        }
        let violations = &mut self.violations;
        if !same {
            let case = format!("{booking} of {client} has another client, request or place");
            violations.record(Violation::Disagreement, case);
        }
        if let Some(before) = back {
            let now = shown.state;
            let case = format!("{booking} of {client} was {before}, and {now} in a later call");
            violations.record(Violation::Disagreement, case);
        }
        if let Some((before, now)) = moved {
            let case = format!("the deadline of {booking} moved from {before} to {now}");
            violations.record(Violation::WrongClock, case);
        }
        if shown.state == BookingState::Reserved && shown.deadline_ms.is_none() {
            let case = format!("{booking} is held without a deadline");
            violations.record(Violation::WrongClock, case);
        }
        self.check_newest(call, shown);
    }

    /// A client's status is that of its newest booking.
    fn check_newest(&mut self, call: &RecordedCall, shown: &BookingSnapshot) {
        let Some(Acknowledged { newest: (end, place), .. }) = self.acknowledged.get(&call.client)
        else {
            return;
        };
        let reads = matches!(call.kind, CallKind::Status | CallKind::Watch);
        if reads && *end < call.start && shown.place < *place {
            let (client, booking) = (&call.client, shown.booking);
            let case =
                format!("{client} was shown {booking}, which is older than its place {place}");
            self.violations.record(Violation::Lost, case);
        }
    }

    fn enqueued(&mut self, call: &RecordedCall, request: &RequestId, shown: &BookingSnapshot) {
        let key = (call.client.clone(), request.clone());
        let (client, booking) = (&call.client, shown.booking);
        // Another request while a booking is active is answered with that booking, which promises
        // nothing new. But a request that made a booking is answered with it ever after.
        if shown.request != *request {
            if let Some((first, _)) = self.requests.get(&key).filter(|(_, end)| *end < call.start) {
                let case = format!(
                    "request {request} of {client} became {first}, and was later answered \
                         with {booking}"
                );
                self.violations.record(Violation::Duplicated, case);
            }
            return;
        }
        if let Some(answered) = self.bookings.get_mut(&booking) {
            answered.acknowledged = true;
        }
        let newest = (call.end, shown.place);
        let acknowledged = self
            .acknowledged
            .entry(client.clone())
            .or_insert(Acknowledged { first: call.end, newest });
        if acknowledged.newest.1 < shown.place {
            acknowledged.newest = newest;
        }
        let (first, _) = *self.requests.entry(key).or_insert((booking, call.end));
        if first != booking {
            let case = format!("request {request} of {client} became {first} and {booking}");
            self.violations.record(Violation::Duplicated, case);
        }
        if !shown.existing {
            self.check_order(call, shown);
        }
    }

    /// If one Enqueue ended before another one started, its place is the earlier one.
    fn check_order(&mut self, call: &RecordedCall, shown: &BookingSnapshot) {
        let before = self.latest.partition_point(|(end, _)| *end < call.start);
        if let Some((end, place)) = before.checked_sub(1).map(|last| self.latest[last])
            && place >= shown.place
        {
            let (booking, own, start) = (shown.booking, shown.place, call.start);
            let case = format!(
                "{booking} was asked for at {start} µs and got place {own}; place {place} was \
                     given by {end} µs"
            );
            self.violations.record(Violation::UnorderedPlace, case);
        }
        if self.latest.last().is_none_or(|(_, place)| *place < shown.place) {
            self.latest.push((call.end, shown.place));
        }
    }

    fn left(&mut self, of: BookingId, answer: &CallAnswer) {
        let Some(answered) = self.bookings.get_mut(&of) else { return };
        answered.left = true;
        if let CallAnswer::Ok(shown) = answer {
            let cancelled = Some(BookingState::Cancelled);
            answered.cancelled |= Some(shown.state) == cancelled || shown.follows == cancelled;
        }
    }

    fn paid(&mut self, call: &RecordedCall, of: BookingId, payment: &PaymentId) {
        use BookingState as S;
        let (of, acknowledged, unknown) = match &call.answer {
            // Another booking was made for the payment, and has it once it is reserved; if it ends
            // before that, the payment is to be returned.
            CallAnswer::Ok(shown) if shown.booking != of => {
                let acknowledged = matches!(shown.state, S::Confirming | S::Confirmed);
                (shown.booking, acknowledged, shown.state == S::Reserving)
            }
            answer => {
                let unknown = matches!(answer, CallAnswer::Unknown { .. });
                (of, matches!(answer, CallAnswer::Ok(_)), unknown)
            }
        };
        let Some(answered) = self.bookings.get_mut(&of) else { return };
        let known = answered.payments.iter_mut().find(|known| known.id == *payment);
        let sent = if let Some(known) = known {
            known.sent = known.sent.min(call.start);
            known.acknowledged |= acknowledged;
            known.unknown |= unknown;
            known.sent
        } else {
            let (id, sent) = (payment.clone(), call.start);
            answered.payments.push(SentPayment { id, sent, acknowledged, unknown });
            sent
        };
        let late = answered.deadline_ms.filter(|deadline| self.is_after(sent, *deadline));
        if let Some(deadline) = late.filter(|_| acknowledged) {
            let case =
                format!("{of}: payment {payment} was sent after the deadline {deadline}, and won");
            self.violations.record(Violation::BrokenDeadline, case);
        }
    }

    fn refused(&mut self, call: &RecordedCall, reason: &str) {
        let client = &call.client;
        let earlier = |end: &u64| *end < call.start;
        let had = self.acknowledged.get(client).is_some_and(|known| earlier(&known.first));
        let found = match (&call.kind, reason) {
            (_, "OVERLOADED") | (CallKind::Cancel { .. }, "ALREADY_FINAL") => None,
            (_, "BOOKING_NOT_FOUND") => had.then_some(Violation::Lost),
            (CallKind::Enqueue { request }, _) => {
                let known = self.requests.get(&(client.clone(), request.clone()));
                if reason == "QUEUE_CLOSED" {
                    self.refused_as_closed += 1;
                    known.filter(|(_, end)| earlier(end)).map(|_| Violation::Lost)
                } else {
                    Some(Violation::UnexpectedRefusal)
                }
            }
            (CallKind::Pay { of, .. }, "HOLD_EXPIRED" | "ALREADY_FINAL") => {
                return self.refused_as_late(call, *of, reason);
            }
            (CallKind::Pay { of, .. }, "NOT_RESERVED") => {
                let held = self.bookings.get(of).and_then(|answered| answered.held);
                held.filter(earlier).map(|_| Violation::BrokenPayment)
            }
            _ => Some(Violation::UnexpectedRefusal),
        };
        if let Some(kind) = found {
            let call = &call.kind;
            self.violations.record(kind, format!("{client} was refused {call:?} with {reason}"));
        }
    }

    fn refused_as_late(&mut self, call: &RecordedCall, of: BookingId, reason: &str) {
        let deadline = self.bookings.get(&of).and_then(|answered| answered.deadline_ms);
        let early = deadline.filter(|deadline| self.is_before(call.end, *deadline));
        let Some(deadline) = early else { return };
        if reason == "HOLD_EXPIRED" {
            let answered_ms = self.time_of_day_ms(call.end);
            let case = format!("{of} expired at {answered_ms}, before the deadline {deadline}");
            self.violations.record(Violation::BrokenDeadline, case);
        } else if let Some(answered) = self.bookings.get_mut(&of) {
            // Another call that is still in flight may have ended the hold: decided at the end.
            answered.final_early = true;
        }
    }
}
