//! Joining the line, and one's place in it.

use bookingq_core::{Admission, BookingState, Place, Refusal};

use super::Subject;
use super::scene::{Scene, client, enqueue};
use crate::TaskOutcome;

/// Repeated while waiting and after the end, a request always finds its first booking.
pub async fn invariant_1_the_same_request_is_the_same_booking(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let first = scene.joins("anna").await;
    assert!(!first.existing);
    let again = scene.joins("anna").await;
    assert!(again.existing);
    assert_eq!(again.booking, first.booking);

    let task = scene.claims_one().await;
    scene.settles(&task, TaskOutcome::SoldOut).await;
    let at_the_end = scene.joins("anna").await;
    assert!(at_the_end.existing);
    assert_eq!(at_the_end.booking.id, first.booking.id);
    assert_eq!(at_the_end.booking.state, BookingState::SoldOut);
}

/// A request that comes late, when its client has had other bookings since, is answered with the
/// booking it made.
pub async fn invariant_1_an_earlier_request_never_makes_another_booking(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let mut ended = Vec::new();
    for request in ["r1", "r2"] {
        let made = scene.asks(enqueue("anna", request)).await.unwrap();
        assert!(!made.existing);
        let task = scene.claims_one().await;
        scene.settles(&task, TaskOutcome::Rejected { reason: request.to_owned() }).await;
        ended.push(scene.booking("anna").await);
    }
    let newest = scene.asks(enqueue("anna", "r3")).await.unwrap().booking;
    scene.store().set_admission(Admission::Closed).await.unwrap();

    let late = |name| {
        vec![enqueue(name, "r1"), enqueue(name, "r2"), enqueue(name, "r3"), enqueue(name, "r4")]
    };
    let while_one_waits = scene.store().enqueue(late("anna")).await.unwrap();
    let found: Vec<_> = while_one_waits.into_iter().map(|place| place.unwrap()).collect();
    assert!(found.iter().all(|place| place.existing));
    let found: Vec<_> = found.into_iter().map(|place| place.booking).collect();
    assert_eq!(found, [&ended[0], &ended[1], &newest, &newest].map(Clone::clone));
    assert_eq!(scene.booking("anna").await, newest, "looking back changes nothing");

    scene.leaves("anna").await.unwrap();
    for (request, booking) in [("r1", &ended[0]), ("r2", &ended[1])] {
        let late = scene.asks(enqueue("anna", request)).await.unwrap();
        assert_eq!((late.existing, &late.booking), (true, booking));
    }
    assert_eq!(
        scene.asks(enqueue("anna", "r3")).await.unwrap().booking.state,
        BookingState::Cancelled
    );
    assert_eq!(
        scene.asks(enqueue("ben", "r1")).await,
        Err(Refusal::QueueClosed),
        "requests are their client's"
    );
    assert_eq!(scene.store().snapshot().await.unwrap().totals.enqueued, 3);
}

/// A batch is as if its entries came one after the other.
pub async fn invariant_1_two_requests_of_one_client_in_one_batch_are_one_booking(
    subject: &dyn Subject,
) {
    let scene = Scene::new(subject);
    let batch = vec![
        enqueue("anna", "r1"),
        enqueue("anna", "r1"),
        enqueue("anna", "r2"),
        enqueue("ben", "r1"),
    ];
    let places: Vec<_> = scene
        .store()
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
    assert_eq!(scene.store().snapshot().await.unwrap().backlog, 2);
}

/// Positions are exactly 1 to N, whatever the size of the batch.
pub async fn invariant_1_every_acknowledged_place_is_in_the_line(subject: &dyn Subject) {
    const CROWD: usize = 700;
    let scene = Scene::new(subject);
    let names: Vec<String> = (0..CROWD).map(|n| format!("client {n}")).collect();
    let batch = names.iter().map(|name| enqueue(name, name)).collect();
    let places = scene.store().enqueue(batch).await.unwrap();
    let bookings =
        scene.store().status(names.iter().map(|name| client(name)).collect()).await.unwrap();
    for (n, (place, booking)) in places.into_iter().zip(bookings).enumerate() {
        let place = place.unwrap();
        assert_eq!(place.booking.position, Some(n as u64 + 1));
        assert_eq!(booking.as_ref(), Some(&place.booking));
    }
    assert_eq!(scene.store().snapshot().await.unwrap().totals.enqueued, CROWD as u64);
}

/// One active booking for each client.
pub async fn another_request_of_a_waiting_client_finds_its_place(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let first = scene.joins("anna").await;
    let other = scene.asks(enqueue("anna", "another")).await.unwrap();
    assert!(other.existing);
    assert_eq!(other.booking, first.booking);
}

/// Nothing of the old booking is left in the new one.
pub async fn a_client_whose_booking_is_final_joins_again_at_the_end(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let old = scene.joins("anna").await.booking;
    let task = scene.claims_one().await;
    scene.settles(&task, TaskOutcome::Rejected { reason: "no".to_owned() }).await;
    scene.joins("ben").await;
    let new = scene.asks(enqueue("anna", "another")).await.unwrap();
    assert!(!new.existing);
    assert_ne!(new.booking.id, old.id);
    assert_eq!((new.booking.position, new.booking.reason.as_str()), (Some(2), ""));
    assert_eq!(scene.booking("anna").await, new.booking);
}

/// A repeat must get its answer even when the door has closed meanwhile.
pub async fn a_closed_queue_takes_nobody_new_but_answers_repeats(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("anna").await;
    scene.store().set_admission(Admission::Closed).await.unwrap();
    assert!(scene.joins("anna").await.existing);
    assert_eq!(scene.asks(enqueue("ben", "r")).await, Err(Refusal::QueueClosed));
    assert_eq!(scene.claims(5).await.len(), 1, "those in line are served");
    scene.store().set_admission(Admission::Open).await.unwrap();
    assert!(!scene.joins("ben").await.existing);
}

/// In order, without holes, as often as it takes.
pub async fn the_line_can_be_read_in_pieces(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for name in ["a", "b", "c", "d", "e"] {
        scene.joins(name).await;
    }
    scene.leaves("b").await.unwrap();
    let piece = scene.store().waiting(Place::START, 2).await.unwrap();
    assert_eq!(piece, [Place::numbered(1), Place::numbered(3)]);
    assert_eq!(
        scene.store().waiting(piece[1], 9).await.unwrap(),
        [Place::numbered(4), Place::numbered(5)]
    );
    assert!(scene.store().waiting(Place::numbered(5), 9).await.unwrap().is_empty());
}

/// Not an error, not somebody else's.
pub async fn an_unknown_client_has_no_booking(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("anna").await;
    let found = scene.store().status(vec![client("ben"), client("anna")]).await.unwrap();
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().map(|booking| booking.place), Some(Place::numbered(1)));
    assert_eq!(scene.leaves("ben").await, Err(Refusal::BookingNotFound));
}
