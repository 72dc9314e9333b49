//! Durations as manifests and flags contain them: `200ms`, `30s`, `5m`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The format, as a regular expression. Go's `time.Duration` and CEL's `duration()` parse all of
/// it, so rules in the CRD can compare two durations.
const PATTERN: &str = "^([0-9]+(h|m|s|ms))+$";

/// The format, in words.
const RULE: &str =
    "whole numbers with the units h, m, s and ms, largest unit first, such as 200ms, 30s or 1h30m";

/// The longest text accepted; it also bounds the cost of the CRD's rules.
const MAX_BYTES: usize = 32;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration in whole milliseconds, formatted as `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationString(Duration);

impl DurationString {
    /// A duration, cut to whole milliseconds.
    pub const fn new(duration: Duration) -> Self {
        Self(Duration::from_millis(duration.as_millis() as u64))
    }

    /// A number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a duration; allowed: {RULE}")]
pub struct InvalidDuration {
    value: String,
}

impl FromStr for DurationString {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration { value: text.chars().take(MAX_BYTES).collect() };
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(invalid());
        }
        let mut rest = text;
        let mut total: u64 = 0;
        let mut allowed = UNITS.as_slice();
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
            let after = &rest[digits..];
            let word =
                after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit =
                allowed.iter().position(|(name, _)| *name == &after[..word]).ok_or_else(invalid)?;
            let millis = number.checked_mul(allowed[unit].1).ok_or_else(invalid)?;
            total = total.checked_add(millis).ok_or_else(invalid)?;
            allowed = &allowed[unit + 1..];
            rest = &after[word..];
        }
        Ok(Self::from_millis(total))
    }
}

impl fmt::Display for DurationString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = bookingq_core::time::millis(self.0);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{name}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for DurationString {
    type Error = InvalidDuration;
    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl From<DurationString> for String {
    fn from(duration: DurationString) -> String {
        duration.to_string()
    }
}

impl JsonSchema for DurationString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_BYTES })
    }
}
