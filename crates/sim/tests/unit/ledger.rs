//! The rules of the ledger, one by one.

use bookingq_sim::ledger::{ConfirmAnswer, Ledger, ReleaseAnswer, ReserveAnswer, Ruling};

const ALREADY_RELEASED: &str = "this booking was released before";
const NOT_ALLOWED: &str = "simulated: not allowed for this booking";
const NOT_CONFIRMED: &str = "simulated: the confirmation is refused";

fn reserve(ledger: &mut Ledger, booking: &str, client: &str, quantity: u64) -> ReserveAnswer {
    ledger.reserve(booking, "q", client, quantity, Ruling::Allow)
}

#[test]
fn a_repeated_reserve_gets_the_same_reservation_and_takes_nothing_more() {
    let mut ledger = Ledger::new(10);
    let first = reserve(&mut ledger, "b1", "c1", 3);
    assert_eq!(reserve(&mut ledger, "b1", "c1", 3), first);
    assert_eq!((ledger.totals().held, ledger.totals().available), (3, 7));
    let entry = ledger.entry("b1").cloned();
    assert_eq!(entry.map(|e| (e.reservations, e.calls.reserve)), Some((1, 2)));
}

#[test]
fn release_is_final_even_if_it_comes_first() {
    let mut ledger = Ledger::new(10);
    ledger.release("b1", "q", "c1");
    assert_eq!(reserve(&mut ledger, "b1", "c1", 1), ReserveAnswer::Rejected(ALREADY_RELEASED));
    assert_eq!(ledger.confirm("b1", Ruling::Allow), ConfirmAnswer::Rejected(ALREADY_RELEASED));
    assert_eq!((ledger.totals().released, ledger.totals().released_bookings), (0, 1));
}

#[test]
fn released_tickets_are_sold_again_but_never_more_than_the_stock() {
    let mut ledger = Ledger::new(5);
    assert!(matches!(reserve(&mut ledger, "b1", "c1", 3), ReserveAnswer::Reserved(_)));
    assert_eq!(reserve(&mut ledger, "b2", "c2", 3), ReserveAnswer::SoldOut);
    ledger.release("b1", "q", "c1");
    ledger.release("b1", "q", "c1");
    assert_eq!(ledger.totals().released, 3, "a repeated release gives nothing back twice");
    assert_eq!(
        reserve(&mut ledger, "b2", "c2", 3),
        ReserveAnswer::SoldOut,
        "a repeated call gets the same answer"
    );
    assert!(matches!(reserve(&mut ledger, "b3", "c3", 5), ReserveAnswer::Reserved(_)));
    assert_eq!(ledger.confirm("b3", Ruling::Allow), ConfirmAnswer::Confirmed);
    let totals = ledger.totals();
    assert_eq!((totals.confirmed, totals.held, totals.available), (5, 0, 0));
    assert_eq!((totals.confirmed_bookings, totals.sold_out_bookings), (1, 1));
}

#[test]
fn a_refused_confirmation_stays_refused_and_holds_until_released() {
    let mut ledger = Ledger::new(1);
    reserve(&mut ledger, "b1", "c1", 1);
    assert_eq!(ledger.confirm("b1", Ruling::Refuse), ConfirmAnswer::Rejected(NOT_CONFIRMED));
    assert_eq!(ledger.confirm("b1", Ruling::Allow), ConfirmAnswer::Rejected(NOT_CONFIRMED));
    assert_eq!(ledger.totals().held, 1);
    ledger.release("b1", "q", "c1");
    assert_eq!((ledger.totals().held, ledger.totals().available), (0, 1));
}

#[test]
fn a_rejected_booking_stays_rejected() {
    let mut ledger = Ledger::new(1);
    let refused = ledger.reserve("b1", "q", "c1", 1, Ruling::Refuse);
    assert_eq!(refused, ReserveAnswer::Rejected(NOT_ALLOWED));
    assert_eq!(reserve(&mut ledger, "b1", "c1", 1), refused);
    assert_eq!(ledger.totals().rejected_bookings, 1);
}

#[test]
fn defects_of_the_caller_are_counted() {
    let mut ledger = Ledger::new(10);
    reserve(&mut ledger, "b1", "c1", 1);
    reserve(&mut ledger, "b2", "c1", 1);
    assert_eq!((ledger.totals().overlaps, &*ledger.overlaps()[0].booking_id), (1, "b2"));
    ledger.confirm("b1", Ruling::Allow);
    for _ in 0..2 {
        assert_eq!(ledger.release("b1", "q", "c1"), ReleaseAnswer::Confirmed);
    }
    let totals = ledger.totals();
    assert_eq!(
        (totals.released_after_confirm_bookings, totals.confirmed, totals.released),
        (1, 1, 0)
    );
    assert!(
        matches!(reserve(&mut ledger, "b1", "c1", 1), ReserveAnswer::Reserved(_)),
        "it stays sold"
    );
}

#[test]
fn a_client_may_book_again_once_the_first_is_sold_or_released() {
    let mut ledger = Ledger::new(10);
    for booking in ["b1", "b2", "b3"] {
        reserve(&mut ledger, booking, "c1", 1);
        if booking == "b1" {
            ledger.confirm(booking, Ruling::Allow);
        } else {
            ledger.release(booking, "q", "c1");
        }
    }
    assert_eq!(ledger.totals().overlaps, 0);
}
