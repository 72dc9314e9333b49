//! The state machine, and the values of a booking.

use bookingq_core::ids::ID_RULE;
use bookingq_core::{BookingState, ClientId, Details, Outcome, Place, Quantity, QueueName};

#[test]
fn every_state_is_reachable_and_every_end_is_final() {
    let mut reached = vec![BookingState::Queued];
    let mut next = 0;
    while let Some(&state) = reached.get(next) {
        for &successor in state.successors() {
            if !reached.contains(&successor) {
                reached.push(successor);
            }
        }
        next += 1;
    }
    assert_eq!(reached.len(), BookingState::ALL.len());
    assert_eq!(BookingState::ALL.into_iter().filter(|s| s.is_final()).count(), 6);
}

#[test]
fn words_can_be_read_back() {
    for state in BookingState::ALL {
        assert_eq!(BookingState::parse(state.as_str()), Some(state));
    }
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        assert!(BookingState::Releasing.may_become(outcome.state()));
    }
    assert_eq!(Outcome::parse("confirmed"), None);
}

#[test]
fn an_id_is_refused_when_empty_long_or_with_control_characters() {
    for bad in ["", "a\nb", "\u{0}", "\u{7f}", "\u{85}", &"x".repeat(129)] {
        let error = ClientId::new(bad).unwrap_err();
        assert_eq!(error.field, "client_id");
        assert_eq!(error.allowed, ID_RULE);
    }
    for good in ["a", "klient 7", "客户", &"x".repeat(128)] {
        assert_eq!(ClientId::new(good).unwrap().as_str(), good);
    }
}

#[test]
fn a_refusal_never_repeats_a_large_input() {
    let error = ClientId::new(&"x".repeat(1 << 20)).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
}

#[test]
fn a_queue_name_cannot_break_out_of_the_hash_tag() {
    for bad in ["", "{a}", "a}b", "-a", "a-", "A", "a b", "a:b", &"a".repeat(128)] {
        assert_eq!(QueueName::new(bad).unwrap_err().field, "queue", "{bad}");
    }
    for good in ["a", "concert", "summer.concert-2026"] {
        assert!(QueueName::new(good).is_ok(), "{good}");
    }
}

#[test]
fn each_bad_field_is_named() {
    assert_eq!(Details::new("a\tb", 1, b"").unwrap_err().field, "item");
    assert_eq!(Details::new("", -1, b"").unwrap_err().field, "quantity");
    assert_eq!(Details::new("", 101, b"").unwrap_err().field, "quantity");
    assert_eq!(Details::new("", 1, &[0; 4097]).unwrap_err().field, "payload");
    assert_eq!(Details::new("", 0, b"").unwrap().quantity, Quantity::ONE);
}

#[test]
fn a_smaller_number_of_the_same_lane_goes_first() {
    assert!(Place::START < Place::numbered(1));
    assert!(Place::numbered(9) < Place::numbered(10));
}

#[test]
fn a_place_is_one_word_and_reads_as_its_number() {
    assert_eq!(size_of::<Place>(), 8);
    assert_eq!(Place::numbered(7).to_string(), "7");
}
