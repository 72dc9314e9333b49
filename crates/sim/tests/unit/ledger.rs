//! The rules of the ledger, one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bookingq_core::Timestamp;
use bookingq_sim::ledger::{
    ConfirmAnswer, Ledger, LedgerState, ReleaseAnswer, ReserveAnswer, Ruling,
};
use proptest::prelude::*;

const ALREADY_RELEASED: &str = "this booking was released before";
const NOT_ALLOWED: &str = "simulated: not allowed for this booking";
const NOT_CONFIRMED: &str = "simulated: the confirmation is refused";

fn reserve(ledger: &mut Ledger, booking: &str, client: &str, quantity: u64) -> ReserveAnswer {
    ledger.reserve(booking, "q", client, "", quantity, Ruling::Allow)
}

fn is_reserved(answer: &ReserveAnswer) -> bool {
    matches!(answer, ReserveAnswer::Reserved { .. })
}

fn sold_out(left: u64) -> ReserveAnswer {
    ReserveAnswer::SoldOut { left, held_elsewhere: 0 }
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
fn a_booking_that_was_sold_out_gets_released_tickets_with_a_later_reserve() {
    let mut ledger = Ledger::new(5);
    assert!(is_reserved(&reserve(&mut ledger, "b1", "c1", 3)));
    assert_eq!(reserve(&mut ledger, "b2", "c2", 3), sold_out(2));
    for _ in 0..2 {
        ledger.release("b1", "q", "c1");
    }
    assert_eq!(ledger.totals().released, 3, "a repeated release gives nothing back twice");
    assert!(is_reserved(&reserve(&mut ledger, "b2", "c2", 3)), "the answer was not kept");
    assert_eq!(ledger.confirm("b2", Ruling::Allow), ConfirmAnswer::Confirmed);
    assert_eq!(reserve(&mut ledger, "b3", "c3", 5), sold_out(2));
    let totals = ledger.totals();
    assert_eq!((totals.confirmed, totals.held, totals.available), (3, 0, 2));
    assert_eq!((totals.confirmed_bookings, totals.sold_out_bookings), (1, 1));
}

#[test]
fn a_lie_reserves_nothing_and_never_denies_a_reservation() {
    let mut ledger = Ledger::new(2);
    let lie = |ledger: &mut Ledger| ledger.reserve("b1", "q", "c1", "", 1, Ruling::Lie);
    assert_eq!(lie(&mut ledger), sold_out(0));
    assert!(is_reserved(&reserve(&mut ledger, "b1", "c1", 1)));
    assert!(is_reserved(&lie(&mut ledger)), "a repeated call gets its reservation");
    assert_eq!((ledger.items()[""].lies, ledger.totals().held), (1, 1));
}

#[test]
fn other_channels_announce_return_and_sell() {
    let mut ledger = Ledger::with_items(7, &BTreeMap::from([(Arc::from("A"), 1)]));
    assert_eq!((ledger.available("A"), ledger.available("B")), (1, 7));
    assert_eq!(ledger.withdraw("A", 5), 1, "what is left");
    ledger.announce("A", 2);
    let ask = |ledger: &mut Ledger| ledger.reserve("b1", "q", "c1", "A", 2, Ruling::Allow);
    assert_eq!(ask(&mut ledger), ReserveAnswer::SoldOut { left: 0, held_elsewhere: 2 });
    ledger.restock("A", 3);
    let stock = &ledger.items()["A"];
    assert_eq!((stock.stock, stock.held_elsewhere, stock.restocked, stock.withdrawn), (3, 0, 1, 1));
    assert_eq!(stock.returned_after(Timestamp(0)), 3);
    assert!(is_reserved(&ask(&mut ledger)));
    assert_eq!(ledger.totals().stock, 3);
}

#[test]
fn what_came_back_after_a_moment_is_remembered() {
    let mut ledger = Ledger::new(5);
    for (booking, quantity) in [("b1", 1), ("b2", 4)] {
        reserve(&mut ledger, booking, booking, quantity);
    }
    ledger.release("b2", "q", "b2");
    let after_release = ledger.items()[""].returns[0].at;
    assert_eq!(ledger.items()[""].returned_after(Timestamp(after_release.0 - 1)), 4);
    assert_eq!(ledger.items()[""].returned_after(after_release), 0);
    ledger.release("b1", "q", "b1");
    assert_eq!(ledger.items()[""].returned_after(Timestamp(0)), 5);
    assert_eq!(ledger.items()[""].returns.len(), 1, "the second return made more available");
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
    let refused = ledger.reserve("b1", "q", "c1", "", 1, Ruling::Refuse);
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
    assert!(is_reserved(&reserve(&mut ledger, "b1", "c1", 1)), "it stays sold");
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

proptest! {
    #[test]
    fn no_item_is_ever_oversold(
        calls in prop::collection::vec((0u8..6, 0usize..12, 1u64..5), 1..200),
    ) {
        let mut ledger = Ledger::with_items(3, &BTreeMap::from([(Arc::from("A"), 9)]));
        for (call, number, quantity) in calls {
            let (id, item) = (format!("b{number}"), ["A", "B"][number % 2]);
            match call {
                0 | 1 => drop(ledger.reserve(&id, "q", &id, item, quantity, Ruling::Allow)),
                2 => drop(ledger.confirm(&id, Ruling::Allow)),
                3 => drop(ledger.release(&id, "q", &id)),
                4 => ledger.restock(item, quantity),
                _ => drop(ledger.withdraw(item, quantity)),
            }
            for (item, stock) in ledger.items() {
                let of_item = |state| ledger.entries().iter().filter(move |entry| {
                    entry.item == *item && entry.state == state
                }).map(|entry| entry.quantity).sum::<u64>();
                prop_assert_eq!(stock.held, of_item(LedgerState::Held));
                prop_assert_eq!(stock.confirmed, of_item(LedgerState::Confirmed));
                prop_assert_eq!(stock.held + stock.confirmed + stock.available, stock.stock);
            }
            let stock: u64 = ledger.items().values().map(|stock| stock.stock).sum();
            prop_assert_eq!(ledger.totals().stock, stock);
        }
    }
}
