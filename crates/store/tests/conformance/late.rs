//! Payments that come after the deadline, from clients who want the item all the same.

use bookingq_core::{BookingId, BookingState, Outcome, Refusal};

use super::testbed::{HOLD, LEASE, Testbed, reserved};
use bookingq_store::{Confirmed, Settled, Task, TaskKind, TaskOutcome};

fn new_id() -> BookingId {
    BookingId::from_u128(7)
}

/// Pays late; the answer must be a new booking with a task.
async fn reacquire(testbed: &Testbed<'_>, name: &str) -> Task {
    match testbed.confirm(name, None, "p", Some(new_id())).await {
        Ok(Confirmed::Reacquired(Some(task), booking)) => {
            assert_eq!((booking.id, booking.state), (new_id(), BookingState::Reserving));
            assert_eq!(booking.payment, Some(bookingq_core::PaymentId::new("p").unwrap()));
            *task
        }
        other => panic!("a new booking must be made: {other:?}"),
    }
}

/// Takes a client to an expired booking. Returns its id.
async fn expire(testbed: &Testbed<'_>, name: &str) -> BookingId {
    let task = testbed.hold(name).await;
    testbed.advance(HOLD).await;
    testbed.store.sweep(9).await.unwrap();
    assert_eq!(testbed.release(name).await, BookingState::Expired);
    task.booking
}

/// The late payer releases the old hold, then reserves and confirms a new booking.
pub async fn a_late_payment_reacquires_what_can_still_be_had(testbed: &Testbed<'_>) {
    let held = testbed.hold("a").await;
    testbed.join("b").await;
    testbed.advance(HOLD).await;
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::HoldExpired), "without being asked");
    let release = match testbed.confirm("a", Some(held.booking), "p", Some(new_id())).await {
        Ok(Confirmed::Releasing(task)) => *task,
        other => panic!("the overdue hold must be released first: {other:?}"),
    };
    assert!(matches!(release.kind, TaskKind::Release { outcome: Outcome::Expired, .. }));
    let meanwhile = testbed.confirm("a", Some(held.booking), "p", Some(new_id())).await;
    assert_eq!(meanwhile, Err(Refusal::HoldExpired), "the release is under way");
    testbed.settle(&release, TaskOutcome::Released).await;

    let task = reacquire(testbed, "a").await;
    assert_eq!((&task.kind, task.first), (&TaskKind::Reserve, true));
    assert_eq!(
        (&task.details, task.generation.0),
        (&held.details, 0),
        "nothing else is remembered"
    );
    assert!(task.place > testbed.booking("b").await.place);
    assert_eq!(testbed.item("stalls").await.unsettled, 1);
    assert_eq!(
        testbed.settle(&task, reserved()).await,
        Settled::Applied(BookingState::Confirming),
        "it is paid"
    );
    let confirm = testbed.claim(1).await.remove(0);
    assert_eq!((confirm.client.as_str(), confirm.kind.as_str()), ("a", "confirm"));
    assert_eq!(
        testbed.settle(&confirm, TaskOutcome::Confirmed).await,
        Settled::Applied(BookingState::Confirmed)
    );
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.totals.reacquired, snapshot.totals.reserved), (1, 2));
    let old = testbed.enqueue(super::testbed::enqueue("a", "a")).await.unwrap();
    assert_eq!((old.booking.id, old.booking.state), (held.booking, BookingState::Expired));
}

/// By the old id, the new id or none, in whatever state the new booking is.
pub async fn invariant_8_a_repeated_late_payment_finds_the_new_booking(testbed: &Testbed<'_>) {
    let old = expire(testbed, "a").await;
    let task = reacquire(testbed, "a").await;
    let repeat = async |state| {
        for booking in [Some(old), Some(new_id()), None] {
            let another = Some(BookingId::from_u128(8));
            let again = testbed.confirm("a", booking, "p", another).await;
            assert_eq!(again, Ok(Confirmed::Repeated(testbed.booking("a").await)));
            let other = testbed.confirm("a", booking, "another payment", None).await;
            assert_eq!(other, Err(Refusal::AlreadyFinal(state)));
        }
        assert_eq!(testbed.state("a").await, state);
    };
    repeat(BookingState::Reserving).await;
    let cancelled = testbed.cancel("a").await;
    assert_eq!(cancelled, Err(Refusal::AlreadyFinal(BookingState::Reserving)), "it is paid");
    testbed.settle(&task, reserved()).await;
    repeat(BookingState::Confirming).await;
    let confirm = testbed.claim_one().await;
    testbed.settle(&confirm, TaskOutcome::Confirmed).await;
    repeat(BookingState::Confirmed).await;
    let unknown = testbed.confirm("a", Some(BookingId::from_u128(9)), "p", Some(new_id())).await;
    assert_eq!(unknown, Err(Refusal::BookingNotFound));
}

/// At once, without a call, if the item is known to be sold out; else when the Booking Service says
/// so. Who has paid never waits.
pub async fn a_late_payment_for_a_sold_out_item_ends_sold_out(testbed: &Testbed<'_>) {
    let refused = TaskOutcome::SoldOut { left: None, elsewhere: 5 };
    expire(testbed, "a").await;
    let task = reacquire(testbed, "a").await;
    assert_eq!(
        testbed.settle(&task, refused.clone()).await,
        Settled::Applied(BookingState::SoldOut)
    );

    testbed.store.restocked("stalls".into(), None).await.unwrap();
    expire(testbed, "b").await;
    testbed.join("c").await;
    let task = testbed.claim_one().await;
    assert_eq!(testbed.settle(&task, refused).await, Settled::Applied(BookingState::Queued));
    let answer = testbed.confirm("b", None, "p", Some(BookingId::from_u128(8))).await;
    let booking = testbed.booking("b").await;
    assert_eq!(answer, Ok(Confirmed::Reacquired(None, booking.clone())));
    assert_eq!((booking.state, booking.quantity.get()), (BookingState::SoldOut, 1));
    let again = testbed.confirm("b", None, "p", Some(BookingId::from_u128(9))).await;
    assert_eq!(again, Ok(Confirmed::Repeated(booking)));
    assert_eq!(testbed.item("stalls").await.unsettled, 0);
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.sold_out, 2);
}

/// A dead caller's task is done by others.
pub async fn a_reacquired_booking_survives_its_worker(testbed: &Testbed<'_>) {
    expire(testbed, "a").await;
    let lost = reacquire(testbed, "a").await;
    testbed.advance(LEASE).await;
    let task = testbed.claim_one().await;
    assert_eq!((task.booking, task.kind.as_str(), task.first), (new_id(), "reserve", false));
    assert_eq!(testbed.settle(&lost, reserved()).await, Settled::Stale);
    let gone = TaskOutcome::GiveUp { reason: "five tries".to_owned() };
    assert_eq!(testbed.settle(&task, gone).await, Settled::Applied(BookingState::Releasing));
    assert_eq!(testbed.release("a").await, BookingState::Failed);
    let again = testbed.confirm("a", None, "p", Some(BookingId::from_u128(8))).await;
    assert!(matches!(again, Ok(Confirmed::Repeated(_))));
}
