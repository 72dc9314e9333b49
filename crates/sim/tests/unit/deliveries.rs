//! Repeated, late and missing updates.

use bookingq_core::{BookingState, QueueNumber};
use bookingq_proto::v1;
use bookingq_sim::deliveries::{ClientDeliveries, Deliveries};

fn update(number: u64, booking: &str, state: BookingState) -> v1::BookingUpdate {
    v1::BookingUpdate {
        sequence_ms: 1,
        sequence_number: number,
        client_id: "c".into(),
        booking_id: booking.into(),
        queue_number: 7,
        state: v1::BookingState::from(state).into(),
        ..Default::default()
    }
}

fn deliver(updates: Vec<v1::BookingUpdate>) -> ClientDeliveries {
    let mut deliveries = Deliveries::default();
    deliveries.record(&v1::PublishRequest { updates, ..Default::default() });
    deliveries.client("c").unwrap().clone()
}

#[test]
fn a_batch_that_is_sent_again_counts_as_repeats() {
    use BookingState::{Queued, Reserving};
    let batch = vec![update(1, "b", Queued), update(2, "b", Reserving)];
    let record = deliver([batch.clone(), batch].concat());
    assert_eq!((record.updates, record.repeats, record.out_of_order, record.missing), (2, 2, 0, 0));
    assert_eq!(record.state, Some(Reserving));
}

#[test]
fn an_old_update_that_comes_for_the_first_time_is_out_of_order() {
    use BookingState::{Queued, Reserving};
    let record = deliver(vec![update(2, "b", Queued), update(1, "b", Reserving)]);
    assert_eq!((record.out_of_order, record.state), (1, Some(Queued)));
}

#[test]
fn a_skipped_transition_is_missing() {
    use BookingState::{Confirmed, Queued, Reserved, Reserving};
    let skipped = deliver(vec![update(1, "b", Queued), update(2, "b", Reserved)]);
    assert_eq!(skipped.missing, 1);
    let no_start = deliver(vec![update(1, "b", Reserving)]);
    assert_eq!(no_start.missing, 1);
    let next_too_early = deliver(vec![update(1, "b", Queued), update(2, "b2", Queued)]);
    assert_eq!(next_too_early.missing, 1);
    let unended =
        deliver(vec![update(1, "b", Queued), update(2, "b", Confirmed), update(3, "b2", Queued)]);
    assert_eq!(unended.missing, 1, "the way to confirmed; the second booking is fine");
}

#[test]
fn the_newest_tick_is_kept() {
    let mut deliveries = Deliveries::default();
    for backlog in [5, 3] {
        let tick = v1::QueueTick { backlog, now_serving: 9, ..Default::default() };
        deliveries.record(&v1::PublishRequest { tick: Some(tick), ..Default::default() });
    }
    let tick = deliveries.tick().unwrap();
    assert_eq!((tick.backlog, tick.ticks, tick.now_serving), (3, 2, QueueNumber::new(9)));
}
