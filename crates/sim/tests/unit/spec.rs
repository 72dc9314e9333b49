//! Specs and shares as text.

use std::time::Duration;

use bookingq_sim::SimSpec;
use bookingq_sim::share::{SHARE_RULE, Share};
use bookingq_sim::spec::*;

#[test]
fn every_setting_is_read() {
    let spec: SimSpec = concat!(
        "simulate://booking?stock=5000&items=A:9,B:1&returns=A:3@20s,2@1m&sales=B:1@5s&counts=off",
        "&latency=20ms&jitter=10ms&errors=5%25&lost_replies=2%&rejects=1%&confirm_rejects=0.5%",
        "&lies=3%&ticket_lies=4%&keeps=1m&seed=7"
    )
    .parse()
    .unwrap();
    let scheduled = |item: &str, quantity, seconds| Scheduled {
        item: item.into(),
        quantity,
        after: Duration::from_secs(seconds),
    };
    let share = |text: &str| text.parse::<Share>().unwrap();
    let expected = BookingSpec {
        stock: 5000,
        items: [("A".into(), 9), ("B".into(), 1)].into(),
        returns: vec![scheduled("A", 3, 20), scheduled("", 2, 60)],
        sales: vec![scheduled("B", 1, 5)],
        counts: false,
        faults: Faults {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(10),
            errors: share("5%"),
            lost_replies: share("2%"),
        },
        refusals: Refusals {
            rejects: share("1%"),
            confirm_rejects: share("0.5%"),
            lies: share("3%"),
            ticket_lies: share("4%"),
        },
        keeps: Some(Duration::from_secs(60)),
        seed: 7,
    };
    assert_eq!(spec, SimSpec::Booking(expected));
}

#[test]
fn the_comma_list_and_an_endpoint_are_equal() {
    let list: BookingSpec = "stock=5, items=A:1, B:2, latency=1s500ms".parse().unwrap();
    let uri: SimSpec = "simulate://booking?stock=5&items=A:1,B:2&latency=1s500ms".parse().unwrap();
    assert_eq!(SimSpec::Booking(list), uri);
}

#[test]
fn settings_replace_single_ones_and_keep_the_others() {
    let manifest: BookingSpec = "stock=8000,latency=80ms,errors=1%".parse().unwrap();
    let spec = manifest.clone().with("errors=5%,lost_replies=2%", ',').unwrap();
    assert_eq!(spec, "stock=8000,latency=80ms,errors=5%,lost_replies=2%".parse().unwrap());
    assert_eq!(manifest.with("erors=5%", ',').unwrap_err().field, "key");
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
        ("simulate://booking?items=A", "items", ITEMS_RULE),
        ("simulate://booking?items=A:many", "items", ITEMS_RULE),
        ("simulate://booking?items=A:1,A:2", "items", "each item once"),
        ("simulate://booking?returns=A:3", "returns", SCHEDULE_RULE),
        ("simulate://booking?sales=A:x@3s", "sales", SCHEDULE_RULE),
        ("simulate://booking?sales=A:3@soon", "sales", DURATION_RULE),
        ("simulate://booking?counts=maybe", "counts", COUNTS_RULE),
        ("simulate://booking?stock", "setting", "key=value"),
        ("simulate://booking?stock=1&stock=2", "setting", "each key once"),
    ] {
        let error = refused(text);
        assert_eq!((&*error.field, error.allowed), (field, allowed), "{text}");
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
        assert_eq!((&*error.field, error.allowed), ("errors", SHARE_RULE), "{bad}");
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
