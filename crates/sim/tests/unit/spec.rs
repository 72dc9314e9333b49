//! Specs and shares as text.

use std::time::Duration;

use bookingq_sim::SimSpec;
use bookingq_sim::share::{SHARE_RULE, Share};
use bookingq_sim::spec::*;

const WHOLE: &str = concat!(
    "simulate://booking?stock=5000&latency=20ms&jitter=10ms&errors=5%&lost_replies=2%",
    "&rejects=1%&confirm_rejects=0%&seed=7"
);

#[test]
fn an_endpoint_displays_as_it_was_written() {
    let spec: SimSpec = WHOLE.parse().unwrap();
    let SimSpec::Booking(booking) = spec else { panic!("{spec:?}") };
    assert_eq!((booking.stock, booking.seed), (5000, 7));
    assert_eq!(booking.faults.latency, Duration::from_millis(20));
    assert_eq!(booking.faults.errors, Share::percent(5));
    assert_eq!(booking.refusals.rejects, Share::percent(1));
    assert_eq!(spec.to_string(), WHOLE);
}

#[test]
fn the_comma_list_and_a_strict_uri_are_equal() {
    let list: BookingSpec = "stock=5, latency=1s500ms, errors=0.05".parse().unwrap();
    let uri: SimSpec = "simulate://booking?stock=5&latency=1s500ms&errors=5%25".parse().unwrap();
    assert_eq!(SimSpec::Booking(list), uri);
    assert_eq!(list.to_string().parse::<BookingSpec>().unwrap(), list);
}

#[test]
fn the_defaults_have_no_faults() {
    let SimSpec::Booking(booking) = "simulate://booking".parse().unwrap() else { panic!() };
    assert_eq!(booking, BookingSpec::default());
    let SimSpec::Realtime(realtime) = "simulate://realtime?latency=0".parse().unwrap() else {
        panic!()
    };
    assert_eq!(realtime.faults, Faults::default());
}

#[test]
fn each_error_names_the_allowed_values() {
    let refused = |text: &str| text.parse::<SimSpec>().unwrap_err();
    for (text, field, allowed) in [
        ("http://booking", "endpoint", SPEC_RULE),
        ("simulate://bookings", "endpoint", SPEC_RULE),
        ("simulate://booking?stok=5", "key", BOOKING_KEYS),
        ("simulate://ticket?stock=5", "key", SERVICE_KEYS), // the Ticket Service
        ("simulate://realtime?rejects=5%", "key", SERVICE_KEYS),
        ("simulate://booking?stock=-1", "stock", STOCK_RULE),
        ("simulate://booking?latency=fast", "latency", DURATION_RULE),
        ("simulate://booking?jitter=2h", "jitter", DURATION_RULE),
        ("simulate://booking?errors=120%", "errors", SHARE_RULE),
        ("simulate://booking?seed=x", "seed", SEED_RULE),
        ("simulate://booking?stock", "setting", "key=value"),
        ("simulate://booking?stock=1&stock=2", "setting", "each key once"),
    ] {
        let error = refused(text);
        assert_eq!((error.field, error.allowed), (field, allowed), "{text}");
    }
    assert!(refused("simulate://booking?latency=fast").to_string().contains("\"fast\""));
}

#[test]
fn percent_and_fraction_are_equal_and_display_as_percent() {
    for (text, shown) in [
        ("5%", "5%"),
        ("0.05", "5%"),
        ("1", "100%"),
        ("0", "0%"),
        ("0.25%", "0.25%"),
        ("12.5 %", "12.5%"),
    ] {
        let share: Share = text.parse().unwrap();
        assert_eq!(share.to_string(), shown, "{text}");
        assert_eq!(shown.parse::<Share>().unwrap(), share);
    }
}

#[test]
fn other_text_is_refused_with_the_accepted_notations() {
    for bad in ["", "5", "101%", "-1%", "NaN", "inf", "five", "%"] {
        let error = Share::parse("errors", bad).unwrap_err();
        assert_eq!((error.field, error.allowed), ("errors", SHARE_RULE), "{bad}");
    }
}

#[test]
fn none_takes_nothing_and_all_takes_everything() {
    for chance in [0.0, 0.5, 0.999_999_9] {
        assert!(!Share::NONE.takes(chance));
        assert!(Share::ALL.takes(chance));
    }
    assert!(Share::percent(5).takes(0.049));
    assert!(!Share::percent(5).takes(0.05));
}
