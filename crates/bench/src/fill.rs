//! Fills a queue: clients that join, and tasks that become holds, in calls of one size.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use bookingq_core::{BookingId, BookingState, ClientId, Details, RequestId, ReservationId};
use bookingq_store::{Enqueue, Settled, Settlement, Store, Task, TaskOutcome};

/// Bookings in one call: every call of a filled queue has this size, so that none meets a line that
/// was made in another way.
pub const BATCH: u64 = 64;

/// The client of this number.
pub fn client(number: u64) -> Result<ClientId> {
    Ok(ClientId::new(&format!("client-{number:08}"))?)
}

/// They join, each for the first time.
pub async fn enqueue(store: &dyn Store, numbers: Range<u64>) -> Result<()> {
    let details = Details::new("stalls", 1, &[b'x'; 64])?;
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + BATCH);
        let ask = |number| {
            Ok(Enqueue {
                client: client(number)?,
                request: RequestId::new(&format!("request-{number:08}"))?,
                booking: BookingId::generate(),
                details: details.clone(),
                trace: None,
            })
        };
        for answer in store.enqueue((next..end).map(ask).collect::<Result<_>>()?).await? {
            ensure!(!answer?.existing, "a new client had a booking already");
        }
        next = end;
    }
    Ok(())
}

/// Tasks become holds, each of the length that `hold` says.
pub async fn reserve(
    store: &dyn Store,
    tasks: &[Task],
    hold: impl Fn(&Task) -> Duration,
) -> Result<()> {
    let reserved = tasks.iter().map(|task| {
        let reservation = ReservationId::new(&format!("reservation-{}", task.place))?;
        let outcome = TaskOutcome::Reserved { reservation, hold: hold(task) };
        Ok(Settlement { lease: task.lease(), outcome, busy: Duration::from_millis(1) })
    });
    for settled in store.settle(reserved.collect::<Result<_>>()?).await? {
        ensure!(
            settled == Settled::Applied(BookingState::Reserved),
            "a settlement was {settled:?}"
        );
    }
    Ok(())
}
