//! Waits and times as text, the same as `page/js/text.js` makes.

use bookingq_core::Timestamp;

use super::strings::Strings;
use crate::place_json::{WaitJson, WaitUnknownJson};

/// A wait as a range, or why it is unknown.
pub(super) fn wait(
    strings: &Strings,
    wait: Option<WaitJson>,
    unknown: Option<WaitUnknownJson>,
) -> String {
    let Some(wait) = wait else {
        return strings.get(unknown_key(unknown)).to_owned();
    };
    if wait.high < 60 {
        return strings.get("sec").to_owned();
    }
    let range = |low: &str, high: &str| strings.with("range", &[("lo", low), ("hi", high)]);
    let (low, low_unit) = rounded(strings, wait.low);
    let (high, unit) = rounded(strings, wait.high);
    if low_unit == unit {
        let number = if low == high { low } else { range(&low, &high) };
        strings.with(unit, &[("n", &number)])
    } else {
        range(&strings.with(low_unit, &[("n", &low)]), &strings.with(unit, &[("n", &high)]))
    }
}

fn unknown_key(unknown: Option<WaitUnknownJson>) -> &'static str {
    match unknown {
        Some(WaitUnknownJson::NotOpen) => "wu.notOpen",
        Some(WaitUnknownJson::Paused) => "wu.paused",
        Some(WaitUnknownJson::Outage) => "wu.outage",
        Some(WaitUnknownJson::SoldOut) => "wu.soldOut",
        Some(WaitUnknownJson::NoData) | None => "wu.noData",
    }
}

/// Minutes, or half hours, rounded up, and the key of the unit.
fn rounded(strings: &Strings, seconds: u64) -> (String, &'static str) {
    let minutes = seconds.div_ceil(60);
    if minutes < 60 {
        return (strings.number(minutes), "min");
    }
    let halves = minutes.div_ceil(30);
    let point = if strings.get("_group") == "," { "." } else { "," };
    let half = if halves % 2 == 1 { format!("{point}5") } else { String::new() };
    (format!("{}{half}", halves / 2), "hour")
}

/// A countdown: `1:04:09`, `4:09`.
pub(super) fn countdown(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days} d {hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A moment; the zone of the client is not known here.
pub(super) fn moment(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The moment that the API wrote.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::super::strings::Language;
    use super::*;

    fn shown(code: &str, low: u64, high: u64) -> String {
        let strings = Strings::new(Language::parse(code).unwrap());
        wait(&strings, Some(WaitJson { low, expected: low, high }), None)
    }

    /// `tests/browser/protocol.test.mjs` has the same table.
    #[test]
    fn waits_are_ranges_in_minutes_or_half_hours() {
        for (low, high, text) in [
            (0, 59, "less than a minute"),
            (0, 60, "0 to 1 min"),
            (61, 119, "2 min"),
            (240, 540, "4 to 9 min"),
            (3000, 5400, "50 min to 1.5 h"),
            (5400, 9001, "1.5 to 3 h"),
        ] {
            assert_eq!(shown("en", low, high), text, "{low} {high}");
        }
        assert_eq!(shown("de", 5400, 9000), "1,5 bis 2,5 Std.");
    }

    #[test]
    fn countdowns_have_as_many_parts_as_needed() {
        for (millis, text) in [
            (0, "0:00"),
            (1, "0:01"),
            (249_000, "4:09"),
            (3_849_000, "1:04:09"),
            (90_061_000, "1 d 1:01:01"),
        ] {
            assert_eq!(countdown(millis), text);
        }
    }

    #[test]
    fn moments_of_the_api_are_read() {
        let at = parse_moment("2023-11-14T22:13:20.123Z").unwrap();
        assert_eq!((at.0, moment(at).as_str()), (1_700_000_000_123, "2023-11-14 22:13 UTC"));
        assert_eq!(parse_moment("soon"), None);
    }
}
