//! What clients were told, call by call, and where one call already contradicts another.

use std::collections::HashMap;

use bookingq_core::{BookingId, BookingState, ClientId, PaymentId, Place, RequestId};
use bookingq_sim::crowd::Acknowledged;

use super::findings::Findings;
use crate::record::{Call, Operation, Outcome, Seen};

/// States remembered of each booking: more than one client's calls that overlap.
const REMEMBERED: usize = 4;
/// Redis tells milliseconds, and so its clock may be behind ours by one.
const GRAIN_MS: u64 = 1;

/// What clients were told of one booking.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) client: ClientId,
    pub(super) request: RequestId,
    pub(super) place: Place,
    pub(super) deadline_ms: Option<u64>,
    /// An Enqueue was answered with it.
    pub(super) acknowledged: bool,
    /// A Cancel was answered with "cancelled", or that this follows.
    pub(super) cancelled: bool,
    /// Payments sent, acknowledged or not, each with when its first call was sent.
    pub(super) payments: Vec<Payment>,
    /// The newest states: when the answer was there, and what it said.
    states: Vec<(u64, BookingState)>,
}

impl Told {
    pub(super) fn newest_states(&self) -> impl Iterator<Item = BookingState> {
        self.states.iter().map(|(_, state)| *state)
    }
}

/// One payment, over all its calls.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) id: PaymentId,
    pub(super) sent: u64,
    pub(super) acknowledged: bool,
}

/// All promises of a run.
#[derive(Debug)]
pub struct Promises {
    /// When the run began: milliseconds since 1970.
    epoch_ms: u64,
    told: HashMap<BookingId, Told>,
    /// What each request was answered with first, of the bookings it made, and when.
    requests: HashMap<(ClientId, RequestId), (BookingId, u64)>,
    /// When each client's first place was acknowledged.
    placed: HashMap<ClientId, u64>,
    /// The last place acknowledged until then, whenever a later one was.
    highest: Vec<(u64, Place)>,
    findings: Findings,
}

impl Promises {
    /// Nothing was promised yet. The run began at `epoch_ms`, in milliseconds since 1970.
    pub fn new(epoch_ms: u64) -> Self {
        Self {
            epoch_ms,
            told: HashMap::new(),
            requests: HashMap::new(),
            placed: HashMap::new(),
            highest: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Takes the next call, in order of their ends.
    pub fn observe(&mut self, call: &Call) {
        match (&call.operation, &call.outcome) {
            (operation, Outcome::Ok(seen)) => {
                self.see(call, seen);
                match operation {
                    Operation::Enqueue { request } => self.place(call, request, seen),
                    Operation::Cancel { of } => self.leave(*of, seen),
                    Operation::Pay { of, payment } => self.pay(call, *of, payment, true),
                    Operation::Status => {}
                }
            }
            (Operation::Pay { of, payment }, Outcome::Refused { reason }) => {
                self.pay(call, *of, payment, false);
                self.refuse(call, reason);
            }
            (Operation::Pay { of, payment }, Outcome::Unknown { .. }) => {
                self.pay(call, *of, payment, false);
            }
            (_, Outcome::Refused { reason }) => self.refuse(call, reason),
            (_, Outcome::Unknown { .. }) => {}
        }
    }

    /// Enqueues that were answered with the booking they had made.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        let acknowledged = self.told.iter().filter(|(_, told)| told.acknowledged);
        acknowledged
            .map(|(booking, told)| Acknowledged {
                client: told.client.clone(),
                request: told.request.clone(),
                booking: *booking,
                place: told.place,
            })
            .collect()
    }

    /// Where calls contradict each other.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    pub(super) fn told(&self) -> &HashMap<BookingId, Told> {
        &self.told
    }

    /// When the run began: milliseconds since 1970.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }

    fn entry(&mut self, client: &ClientId, seen: &Seen) -> &mut Told {
        self.told.entry(seen.booking).or_insert_with(|| Told {
            client: client.clone(),
            request: seen.request.clone(),
            place: seen.place,
            deadline_ms: None,
            acknowledged: false,
            cancelled: false,
            payments: Vec::new(),
            states: Vec::new(),
        })
    }

    /// A booking was shown: it is the same as before, and is not further back in its life than it
    /// was already seen.
    fn see(&mut self, call: &Call, seen: &Seen) {
        let told = self.entry(&call.client, seen);
        let same =
            (&told.client, &told.request, told.place) == (&call.client, &seen.request, seen.place);
        let back = told
            .states
            .iter()
            .find(|(end, state)| *end < call.start && !reaches(*state, seen.state));
        let back = back.map(|(_, state)| *state);
        let moved = told.deadline_ms.zip(seen.deadline_ms).filter(|(before, now)| before != now);
        told.deadline_ms = told.deadline_ms.or(seen.deadline_ms);
        if told.states.len() == REMEMBERED {
            told.states.remove(0);
        }
        told.states.push((call.end, seen.state));
        let (booking, client) = (seen.booking, &call.client);
        if !same {
            self.findings
                .note(8, || format!("{booking} of {client} changed its client, request or place"));
        }
        if let Some(before) = back {
            let now = seen.state;
            self.findings.note(8, || {
                format!("{booking} of {client} was {before}, and {now} in a later call")
            });
        }
        if let Some((before, now)) = moved {
            self.findings
                .note(7, || format!("the deadline of {booking} moved from {before} to {now}"));
        }
    }

    fn place(&mut self, call: &Call, request: &RequestId, seen: &Seen) {
        let key = (call.client.clone(), request.clone());
        // Another request while one was active is answered with that one's booking, which promises
        // nothing new. But what has made a booking is answered with it ever after.
        if seen.request != *request {
            if let Some((first, _)) = self.requests.get(&key).filter(|(_, end)| *end < call.start) {
                let (client, second) = (&call.client, seen.booking);
                self.findings.note(1, || {
                    format!(
                        "request {request} of {client} became {first}, and was later answered with {second}"
                    )
                });
            }
            return;
        }
        self.entry(&call.client, seen).acknowledged = true;
        self.placed.entry(call.client.clone()).or_insert(call.end);
        let (first, _) = *self.requests.entry(key).or_insert((seen.booking, call.end));
        if first != seen.booking {
            let (client, second) = (&call.client, seen.booking);
            self.findings
                .note(1, || format!("request {request} of {client} became {first} and {second}"));
        }
        if !seen.existing {
            self.order(call, seen);
        }
    }

    /// Whoever was answered before somebody else asked has the earlier place.
    fn order(&mut self, call: &Call, seen: &Seen) {
        let before = self.highest.partition_point(|(end, _)| *end < call.start);
        if let Some((end, place)) = before.checked_sub(1).map(|last| self.highest[last])
            && place >= seen.place
        {
            let (booking, own, start) = (seen.booking, seen.place, call.start);
            self.findings.note(2, || {
                format!("{booking} was asked for at {start} µs and got place {own}; place {place} was given by {end} µs")
            });
        }
        if self.highest.last().is_none_or(|(_, place)| *place < seen.place) {
            self.highest.push((call.end, seen.place));
        }
    }

    fn leave(&mut self, of: BookingId, seen: &Seen) {
        let cancelled =
            seen.state == BookingState::Cancelled || seen.follows == Some(BookingState::Cancelled);
        if cancelled && let Some(told) = self.told.get_mut(&of) {
            told.cancelled = true;
        }
    }

    fn pay(&mut self, call: &Call, of: BookingId, payment: &PaymentId, acknowledged: bool) {
        let Some(told) = self.told.get_mut(&of) else { return };
        if let Some(known) = told.payments.iter_mut().find(|known| known.id == *payment) {
            known.sent = known.sent.min(call.start);
            known.acknowledged |= acknowledged;
        } else {
            told.payments.push(Payment { id: payment.clone(), sent: call.start, acknowledged });
        }
    }

    fn refuse(&mut self, call: &Call, reason: &str) {
        let client = &call.client;
        let had = self.placed.get(client).is_some_and(|end| *end < call.start);
        match (&call.operation, reason) {
            (_, "BOOKING_NOT_FOUND") if had => {
                self.findings.note(1, || {
                    format!("{client} has an acknowledged place, and was told it has none")
                });
            }
            (Operation::Pay { of, .. }, "HOLD_EXPIRED") => {
                let deadline = self.told.get(of).and_then(|told| told.deadline_ms);
                let heard = self.epoch_ms + call.end / 1000;
                if let Some(deadline) = deadline.filter(|deadline| heard + GRAIN_MS < *deadline) {
                    self.findings.note(5, || {
                        format!("{of} was refused as expired at {heard}, before {deadline}")
                    });
                }
            }
            (_, "INVALID_ARGUMENT" | "QUEUE_NOT_FOUND" | "QUEUE_CLOSED") => {
                self.findings
                    .note(8, || format!("{client} was refused with {reason}, which cannot be"));
            }
            _ => {}
        }
    }
}

/// Whether a booking can come from one state to another, or stay where it is.
pub(super) fn reaches(from: BookingState, to: BookingState) -> bool {
    from == to || from.successors().iter().any(|&next| next != from && reaches(next, to))
}
