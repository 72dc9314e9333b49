//! Joining the line, and places in it.

use bookingq_core::{Admission, BookingState, Place, Refusal};

use super::testbed::{Testbed, client, enqueue};
use bookingq_store::TaskOutcome;

/// A repeated request returns its first booking, while that waits and after its end.
pub async fn invariant_1_the_same_request_is_the_same_booking(testbed: &Testbed<'_>) {
    let first = testbed.join("anna").await;
    assert!(!first.existing);
    let again = testbed.join("anna").await;
    assert!(again.existing);
    assert_eq!(again.booking, first.booking);

    let task = testbed.claim_one().await;
    testbed.settle(&task, TaskOutcome::SOLD_OUT).await;
    let at_the_end = testbed.join("anna").await;
    assert!(at_the_end.existing);
    assert_eq!(at_the_end.booking.id, first.booking.id);
    assert_eq!(at_the_end.booking.state, BookingState::SoldOut);
}

/// A late request returns the booking that it made, even if its client has had others since.
pub async fn invariant_1_an_earlier_request_never_makes_another_booking(testbed: &Testbed<'_>) {
    let mut ended = Vec::new();
    for request in ["r1", "r2"] {
        let made = testbed.enqueue(enqueue("anna", request)).await.unwrap();
        assert!(!made.existing);
        let task = testbed.claim_one().await;
        testbed.settle(&task, TaskOutcome::Rejected { reason: request.to_owned() }).await;
        ended.push(testbed.booking("anna").await);
    }
    let newest = testbed.enqueue(enqueue("anna", "r3")).await.unwrap().booking;
    testbed.store.set_admission(Admission::Closed).await.unwrap();

    let late = |name| {
        vec![enqueue(name, "r1"), enqueue(name, "r2"), enqueue(name, "r3"), enqueue(name, "r4")]
    };
    let while_one_waits = testbed.store.enqueue(late("anna")).await.unwrap();
    let found: Vec<_> = while_one_waits.into_iter().map(|place| place.unwrap()).collect();
    assert!(found.iter().all(|place| place.existing));
    let found: Vec<_> = found.into_iter().map(|place| place.booking).collect();
    assert_eq!(found, [&ended[0], &ended[1], &newest, &newest].map(Clone::clone));
    assert_eq!(testbed.booking("anna").await, newest, "late requests change nothing");

    testbed.cancel("anna").await.unwrap();
    for (request, booking) in [("r1", &ended[0]), ("r2", &ended[1])] {
        let late = testbed.enqueue(enqueue("anna", request)).await.unwrap();
        assert_eq!((late.existing, &late.booking), (true, booking));
    }
    assert_eq!(
        testbed.enqueue(enqueue("anna", "r3")).await.unwrap().booking.state,
        BookingState::Cancelled
    );
    assert_eq!(
        testbed.enqueue(enqueue("ben", "r1")).await,
        Err(Refusal::QueueClosed),
        "request ids belong to one client"
    );
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.enqueued, 3);
}

/// A batch acts like its entries one after the other.
pub async fn invariant_1_two_requests_of_one_client_in_one_batch_are_one_booking(
    testbed: &Testbed<'_>,
) {
    let batch = vec![
        enqueue("anna", "r1"),
        enqueue("anna", "r1"),
        enqueue("anna", "r2"),
        enqueue("ben", "r1"),
    ];
    let places: Vec<_> = testbed
        .store
        .enqueue(batch)
        .await
        .unwrap()
        .into_iter()
        .map(|place| place.unwrap())
        .collect();
    assert_eq!(
        places.iter().map(|place| place.existing).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert!(places[..3].iter().all(|place| place.booking.id == places[0].booking.id));
    assert_eq!(places[2].booking.position, Some(1));
    assert_eq!(places[3].booking.position, Some(2));
    assert_eq!(testbed.store.snapshot().await.unwrap().backlog, 2);
}

/// Positions are exactly 1 to N, also across the steps of a large batch.
pub async fn invariant_1_every_acknowledged_place_is_in_the_line(testbed: &Testbed<'_>) {
    const CROWD: usize = 700;
    let names: Vec<String> = (0..CROWD).map(|n| format!("client {n}")).collect();
    let batch = names.iter().map(|name| enqueue(name, name)).collect();
    let places = testbed.store.enqueue(batch).await.unwrap();
    let bookings =
        testbed.store.status(names.iter().map(|name| client(name)).collect()).await.unwrap();
    for (n, (place, booking)) in places.into_iter().zip(bookings).enumerate() {
        let place = place.unwrap();
        assert_eq!(place.booking.position, Some(n as u64 + 1));
        assert_eq!(booking.as_ref(), Some(&place.booking));
    }
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.enqueued, CROWD as u64);
}

/// One active booking for each client.
pub async fn another_request_of_a_waiting_client_returns_its_booking(testbed: &Testbed<'_>) {
    let first = testbed.join("anna").await;
    let other = testbed.enqueue(enqueue("anna", "another")).await.unwrap();
    assert!(other.existing);
    assert_eq!(other.booking, first.booking);
}

/// The new booking keeps nothing of the old one.
pub async fn a_client_whose_booking_is_final_joins_again_at_the_end(testbed: &Testbed<'_>) {
    let old = testbed.join("anna").await.booking;
    let task = testbed.claim_one().await;
    testbed.settle(&task, TaskOutcome::Rejected { reason: "no".to_owned() }).await;
    testbed.join("ben").await;
    let new = testbed.enqueue(enqueue("anna", "another")).await.unwrap();
    assert!(!new.existing);
    assert_ne!(new.booking.id, old.id);
    assert_eq!((new.booking.position, new.booking.reason.as_str()), (Some(2), ""));
    assert_eq!(testbed.booking("anna").await, new.booking);
}

/// A client whose answer was lost must get it after the queue has closed, too.
pub async fn a_closed_queue_refuses_new_clients_but_answers_repeats(testbed: &Testbed<'_>) {
    testbed.join("anna").await;
    testbed.store.set_admission(Admission::Closed).await.unwrap();
    assert!(testbed.join("anna").await.existing);
    assert_eq!(testbed.enqueue(enqueue("ben", "r")).await, Err(Refusal::QueueClosed));
    assert_eq!(testbed.claim(5).await.len(), 1, "a closed queue serves its line");
    testbed.store.set_admission(Admission::Open).await.unwrap();
    assert!(!testbed.join("ben").await.existing);
}

/// In order and without holes.
pub async fn the_line_can_be_read_page_by_page(testbed: &Testbed<'_>) {
    for name in ["a", "b", "c", "d", "e"] {
        testbed.join(name).await;
    }
    testbed.cancel("b").await.unwrap();
    let page = testbed.store.waiting(None, Place::START, 2).await.unwrap();
    assert_eq!(page, [Place::numbered(1), Place::numbered(3)]);
    assert_eq!(
        testbed.store.waiting(None, page[1], 9).await.unwrap(),
        [Place::numbered(4), Place::numbered(5)]
    );
    assert!(testbed.store.waiting(None, Place::numbered(5), 9).await.unwrap().is_empty());
}

/// Neither an error nor the booking of another client.
pub async fn an_unknown_client_has_no_booking(testbed: &Testbed<'_>) {
    testbed.join("anna").await;
    let found = testbed.store.status(vec![client("ben"), client("anna")]).await.unwrap();
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().map(|booking| booking.place), Some(Place::numbered(1)));
    assert_eq!(testbed.cancel("ben").await, Err(Refusal::BookingNotFound));
}
