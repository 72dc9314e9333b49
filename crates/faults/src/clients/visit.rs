//! What one client does: joins, waits, and then pays, pays late, pays twice, leaves, or forgets
//! about it.

use std::time::Duration;

use bookingq_core::{BookingId, BookingState, PaymentId, RequestId};
use rand::Rng as _;
use tokio::time::sleep;

use super::caller::Caller;
use bookingq_faults::record::{Operation, Outcome, Seen};

/// Between two looks at its booking, at first; grows with each.
const LOOK: Duration = Duration::from_millis(150);
const LONGEST_LOOK: Duration = Duration::from_millis(1500);

/// What a client has in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mind {
    Pays,
    PaysLate,
    PaysAtTheDeadline,
    PaysTwice,
    PaysWithTwoCards,
    Forgets,
    LeavesTheLine,
    LeavesLater,
    GivesTheHoldBack,
    LeavesAfterPaying,
}

/// How many of a hundred.
const MINDS: [(Mind, u32); 10] = [
    (Mind::Pays, 36),
    (Mind::PaysLate, 6),
    (Mind::PaysAtTheDeadline, 8),
    (Mind::PaysTwice, 8),
    (Mind::PaysWithTwoCards, 8),
    (Mind::Forgets, 8),
    (Mind::LeavesTheLine, 7),
    (Mind::LeavesLater, 7),
    (Mind::GivesTheHoldBack, 7),
    (Mind::LeavesAfterPaying, 5),
];

impl Caller {
    /// The booking of the newest of its requests, until its end or until the client loses interest.
    /// False when it never got a place.
    pub(super) async fn visit(&mut self, requests: &[RequestId]) -> bool {
        let Some(request) = requests.last() else { return false };
        let Some(booking) = self.join(request).await else { return false };
        let mind = self.draw_mind();
        self.act(mind, booking).await;
        self.repeat(requests).await;
        let ended = self.wait(BookingState::is_final).await.is_some();
        self.repeat(requests).await;
        ended
    }

    /// Sometimes, and on purpose, one of its requests again: it is the same place, whatever became
    /// of it since.
    async fn repeat(&mut self, requests: &[RequestId]) {
        if self.chance.random_bool(0.15) {
            let request = requests[self.chance.random_range(0..requests.len())].clone();
            self.insist(&Operation::Enqueue { request }).await;
        }
    }

    async fn join(&mut self, request: &RequestId) -> Option<BookingId> {
        let operation = Operation::Enqueue { request: request.clone() };
        if self.chance.random_bool(0.05) {
            // An impatient one sends it twice, and cares only for one answer.
            let mut twin = self.clone();
            twin.chance = rand::SeedableRng::seed_from_u64(self.chance.random());
            let (first, _) = tokio::join!(self.insist(&operation), twin.send(&operation));
            return booking_of(first?);
        }
        booking_of(self.insist(&operation).await?)
    }

    async fn act(&mut self, mind: Mind, booking: BookingId) {
        match mind {
            Mind::Forgets => {}
            Mind::LeavesTheLine => self.leave(booking).await,
            Mind::LeavesLater => {
                let wait = Duration::from_millis(self.chance.random_range(10..1500));
                sleep(wait).await;
                self.leave(booking).await;
            }
            Mind::GivesTheHoldBack => {
                if self.hold().await.is_some() {
                    self.leave(booking).await;
                }
            }
            Mind::Pays => self.pay_in_time(booking).await,
            Mind::PaysLate => self.pay_at(booking, 20..800).await,
            Mind::PaysAtTheDeadline => self.pay_at(booking, -40..40).await,
            Mind::PaysTwice => self.pay_twice(booking, ["card", "card"]).await,
            Mind::PaysWithTwoCards => self.pay_twice(booking, ["card", "other-card"]).await,
            Mind::LeavesAfterPaying => {
                self.pay_in_time(booking).await;
                self.leave(booking).await;
            }
        }
    }

    async fn leave(&mut self, booking: BookingId) {
        self.insist(&Operation::Cancel { of: booking }).await;
    }

    async fn pay_in_time(&mut self, booking: BookingId) {
        if self.hold().await.is_some() {
            self.pay(booking, "card").await;
        }
    }

    async fn pay(&mut self, booking: BookingId, card: &str) {
        if let Some(operation) = payment(booking, card) {
            self.insist(&operation).await;
        }
    }

    /// Pays so many milliseconds after the deadline.
    async fn pay_at(&mut self, booking: BookingId, after: std::ops::Range<i64>) {
        let Some(deadline) = self.hold().await.and_then(|seen| seen.deadline_ms) else { return };
        let when = deadline.saturating_add_signed(self.chance.random_range(after));
        let wait = when.saturating_sub(self.hall.recorder.today());
        sleep(Duration::from_millis(wait)).await;
        self.pay(booking, "card").await;
    }

    /// Pays twice, at once or one after the other.
    async fn pay_twice(&mut self, booking: BookingId, cards: [&str; 2]) {
        if self.hold().await.is_none() {
            return;
        }
        let mut twin = self.clone();
        twin.chance = rand::SeedableRng::seed_from_u64(self.chance.random());
        if self.chance.random() {
            tokio::join!(self.pay(booking, cards[0]), twin.pay(booking, cards[1]));
        } else {
            self.pay(booking, cards[0]).await;
            twin.pay(booking, cards[1]).await;
        }
    }

    /// Waits for its hold; `None` when it will have none.
    async fn hold(&mut self) -> Option<Seen> {
        let seen = self
            .wait(|state| !matches!(state, BookingState::Queued | BookingState::Reserving))
            .await?;
        (seen.state == BookingState::Reserved).then_some(seen)
    }

    /// Looks until its booking is where it waits for.
    async fn wait(&mut self, enough: impl Fn(BookingState) -> bool) -> Option<Seen> {
        let mut look = LOOK;
        loop {
            match self.insist(&Operation::Status).await? {
                Outcome::Ok(seen) if enough(seen.state) => return Some(seen),
                Outcome::Ok(_) => {}
                _ => return None,
            }
            let over = self.hall.over.clone();
            over.run_until_cancelled(sleep(look)).await?;
            look = (look * 3 / 2).min(LONGEST_LOOK);
        }
    }

    fn draw_mind(&mut self) -> Mind {
        let mut left =
            self.chance.random_range(0..MINDS.iter().map(|(_, share)| share).sum::<u32>());
        for (mind, share) in MINDS {
            if left < share {
                return mind;
            }
            left -= share;
        }
        Mind::Pays
    }
}

fn booking_of(outcome: Outcome) -> Option<BookingId> {
    match outcome {
        Outcome::Ok(seen) => Some(seen.booking),
        _ => None,
    }
}

fn payment(of: BookingId, card: &str) -> Option<Operation> {
    let payment = PaymentId::new(&format!("{card}-{of}")).ok()?;
    Some(Operation::Pay { of, payment })
}
