//! Moments as manifests contain them: `2026-12-01T20:00:00+01:00`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bookingq_core::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The format, in words.
const RULE: &str = "RFC 3339 with seconds and an offset, from 1970 on, such as \
                    2026-12-01T20:00:00+01:00 or 2026-12-01T19:00:00Z";

/// How every such text begins, with 0 for each digit.
const SHAPE: &str = "0000-00-00T00:00:00";

/// The longest text accepted.
const MAX_BYTES: usize = 40;

/// A moment in whole milliseconds, formatted in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeString(Timestamp);

impl TimeString {
    /// Of a moment of the store's clock.
    pub const fn new(moment: Timestamp) -> Self {
        Self(moment)
    }

    /// The moment.
    pub const fn get(self) -> Timestamp {
        self.0
    }
}

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a time; allowed: {RULE}")]
pub struct InvalidTime {
    value: String,
}

impl FromStr for TimeString {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        // `jiff` accepts more than the API server does: no seconds, spaces, names of time zones.
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let shape: String = text.chars().take(SHAPE.len()).map(digits).collect();
        let known = shape.eq_ignore_ascii_case(SHAPE) && text.len() <= MAX_BYTES;
        let moment = text.parse::<jiff::Timestamp>().ok().filter(|_| known && !text.contains('['));
        let millis = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        match millis {
            Some(millis) => Ok(Self(Timestamp(millis))),
            None => Err(InvalidTime { value: text.chars().take(MAX_BYTES).collect() }),
        }
    }
}

impl fmt::Display for TimeString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.0).ok();
        match millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()) {
            Some(moment) => moment.fmt(f),
            // After the year 9999, which no manifest can name.
            None => self.0.fmt(f),
        }
    }
}

impl TryFrom<String> for TimeString {
    type Error = InvalidTime;
    fn try_from(text: String) -> Result<Self, InvalidTime> {
        text.parse()
    }
}

impl From<TimeString> for String {
    fn from(time: TimeString) -> String {
        time.to_string()
    }
}

impl JsonSchema for TimeString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "maxLength": MAX_BYTES })
    }
}
