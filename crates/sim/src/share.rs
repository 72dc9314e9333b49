//! A share of all cases, such as 5 % of the calls, as a value.

use std::fmt;
use std::str::FromStr;

use bookingq_core::Invalid;
use serde::{Deserialize, Serialize};

/// The accepted notations of a share.
pub const SHARE_RULE: &str = "a share: 0% to 100%, or 0 to 1";

const WHOLE: u32 = 1_000_000;

/// A share of all cases, in millionths, so that it displays as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u32);

impl Share {
    /// No case.
    pub const NONE: Self = Self(0);
    /// Every case.
    pub const ALL: Self = Self(WHOLE);

    /// Whole percents; over 100 is 100.
    pub const fn percent(percent: u32) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent * (WHOLE / 100)) }
    }

    /// Parses `5%`, `0.05` or `1`; the error names `key`.
    ///
    /// # Errors
    /// [`Invalid`] unless it is 0 % to 100 %.
    pub fn parse(key: &'static str, text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::new(key, text, SHARE_RULE);
        let (number, unit) = match text.strip_suffix('%') {
            Some(percent) => (percent, f64::from(WHOLE) / 100.0),
            None => (text, f64::from(WHOLE)),
        };
        let value: f64 = number.trim().parse().map_err(|_| refused())?;
        let millionths = (value * unit).round();
        // A NaN fails both comparisons.
        if millionths >= 0.0 && millionths <= f64::from(WHOLE) {
            Ok(Self(millionths as u32))
        } else {
            Err(refused())
        }
    }

    /// Whether a case with `chance`, uniform in `[0, 1)`, belongs to the share.
    pub fn takes(self, chance: f64) -> bool {
        chance * f64::from(WHOLE) < f64::from(self.0)
    }

    /// As a number from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0'))
    }
}

impl FromStr for Share {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse("share", text)
    }
}

impl TryFrom<String> for Share {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}
