//! Parsers of the resource: durations, quantities and endpoints.
#![allow(clippy::unwrap_used)]

use bookingq_api::downstream::{Endpoint, Role};
use bookingq_api::{DurationString, TimeString};
use bookingq_core::Timestamp;

#[test]
fn a_duration_is_parsed_and_formatted_the_same() {
    for (text, millis) in
        [("200ms", 200), ("30s", 30_000), ("1h30m", 5_400_000), ("1m500ms", 60_500), ("0s", 0)]
    {
        let duration: DurationString = text.parse().unwrap();
        assert_eq!(duration, DurationString::from_millis(millis), "{text}");
        assert_eq!(duration.to_string(), text);
    }
    assert_eq!("90s".parse::<DurationString>().unwrap().to_string(), "1m30s");
}

#[test]
fn any_other_duration_is_refused_with_the_allowed_format() {
    for bad in [
        "",
        "5",
        "s",
        "-5s",
        "1.5s",
        "5 s",
        "5S",
        "5s3m",
        "5s5s",
        "99999999999999999999s",
        "5d",
        "18446744073709551615h",
        "5\u{663}s",
    ] {
        let error = bad.parse::<DurationString>().unwrap_err();
        assert!(error.to_string().contains("such as 200ms"), "{bad}: {error}");
    }
}

#[test]
fn a_time_is_parsed_with_its_offset_and_formatted_in_utc() {
    for text in ["2026-12-01T20:00:00+01:00", "2026-12-01t19:00:00z", "2026-12-01T19:00:00.000Z"] {
        let time: TimeString = text.parse().unwrap();
        assert_eq!(time.get(), Timestamp(1_796_151_600_000), "{text}");
        assert_eq!(time.to_string(), "2026-12-01T19:00:00Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }
}

#[test]
fn any_other_time_is_refused_with_the_allowed_format() {
    for bad in [
        "",
        "tomorrow",
        "20:00",
        "1796151600",
        "2026-12-01",
        "2026-12-01T20:00:00",
        "2026-12-01T20:00Z",
        "2026-12-01 20:00:00Z",
        "2026-02-30T20:00:00Z",
        "2026-12-01T25:00:00Z",
        "2026-12-01T20:00:00+01:00[Europe/Berlin]",
        "1969-12-31T23:59:59Z",
        "2026-12-01T20:00:00.0000000000000000000000000Z",
    ] {
        let error = bad.parse::<TimeString>().unwrap_err();
        assert!(error.to_string().contains("such as 2026-12-01T20:00:00"), "{bad}: {error}");
    }
}

#[test]
fn addresses_and_simulations_of_the_right_role_are_accepted() {
    let grpc = Endpoint::parse(Role::Booking, "http://booking-service:50051").unwrap();
    assert_eq!(grpc, Endpoint::Grpc("http://booking-service:50051".into()));
    let simulated = Endpoint::parse(Role::Ticket, "simulate://ticket").unwrap();
    assert_eq!(simulated, Endpoint::Simulated("simulate://ticket".into()));
    let simulated = Endpoint::parse(Role::Booking, "simulate://booking?stock=5&errors=5%").unwrap();
    assert_eq!(simulated, Endpoint::Simulated("simulate://booking?stock=5&errors=5%".into()));
}

#[test]
fn any_other_endpoint_is_refused() {
    let bad = [
        "",
        "booking:50051",
        "ftp://a",
        "http://",
        "http://a/path",
        "http://a?b=c",
        "http://user:pw@a:1",
        "simulate://ticket",
        "simulate://",
    ];
    for text in bad {
        let error = Endpoint::parse(Role::Booking, text).unwrap_err();
        assert!(error.allowed.contains("https://HOST"), "{text}");
    }
}
