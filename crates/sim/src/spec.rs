//! The settings of a simulated service, as text and as a value:
//! `simulate://booking?stock=5000&latency=20ms&errors=5%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bookingq_core::Invalid;
use serde::{Deserialize, Serialize};

use crate::share::Share;

/// The scheme of simulated endpoints.
pub const SCHEME: &str = "simulate://";

const SPEC_RULE: &str =
    "simulate://booking, simulate://ticket or simulate://realtime, optionally with ?key=value&…";
const BOOKING_KEYS: &str =
    "stock, latency, jitter, errors, lost_replies, rejects, confirm_rejects, keeps, seed";
const SERVICE_KEYS: &str = "latency, jitter, errors, lost_replies, seed";
const DURATION_RULE: &str = "a duration up to 1h, such as 20ms or 1s";
const STOCK_RULE: &str = "a whole number of tickets, 0 or more";
const SEED_RULE: &str = "a whole number, 0 or more";
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// The faults of a service; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Duration of each call.
    #[serde(with = "text")]
    pub latency: Duration,
    /// Upper bound of the uniform addition to each call's latency.
    #[serde(with = "text")]
    pub jitter: Duration,
    /// Calls that fail without an effect.
    pub errors: Share,
    /// Calls that take effect and whose reply is lost.
    pub lost_replies: Share,
}

/// The bookings that a Booking Service refuses, decided by their ids so that repeats agree; none by
/// default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusals {
    /// Bookings that are not reserved.
    pub rejects: Share,
    /// Reserved bookings whose confirmation is refused.
    pub confirm_rejects: Share,
}

/// A simulated Booking Service. Text: the keys of [`Faults`] and [`Refusals`], `stock`, `keeps` and
/// `seed`, as `key=value,key=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookingSpec {
    /// Tickets to sell; 1,000 by default.
    pub stock: u64,
    /// Its faults.
    pub faults: Faults,
    /// The bookings that it refuses.
    pub refusals: Refusals,
    /// Time after the hold at which an open reservation is released; never by default.
    pub keeps: Option<Duration>,
    /// The same seed and calls give the same faults.
    pub seed: u64,
}

impl Default for BookingSpec {
    fn default() -> Self {
        Self {
            stock: 1000,
            faults: Faults::default(),
            refusals: Refusals::default(),
            keeps: None,
            seed: 1,
        }
    }
}

/// A simulated Ticket or Realtime Service. Text: the keys of [`Faults`] and `seed`, as
/// `key=value,key=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Its faults.
    pub faults: Faults,
    /// The same seed and calls give the same faults.
    pub seed: u64,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self { faults: Faults::default(), seed: 1 }
    }
}

/// One service to simulate, as an endpoint names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimSpec {
    /// `simulate://booking`
    Booking(BookingSpec),
    /// `simulate://ticket`
    Ticket(ServiceSpec),
    /// `simulate://realtime`
    Realtime(ServiceSpec),
}

impl SimSpec {
    /// Whether an endpoint has the scheme of simulated services, valid or not.
    pub fn is_meant_by(endpoint: &str) -> bool {
        endpoint.starts_with(SCHEME)
    }
}

impl FromStr for SimSpec {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::new("endpoint", text, SPEC_RULE);
        let rest = text.strip_prefix(SCHEME).ok_or_else(refused)?;
        let (service, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A strict URI encodes the percent sign as %25.
        let query = query.replace("%25", "%");
        match service.trim_end_matches('/') {
            "booking" => BookingSpec::parse(&query, '&').map(Self::Booking),
            "ticket" => ServiceSpec::parse(&query, '&').map(Self::Ticket),
            "realtime" => ServiceSpec::parse(&query, '&').map(Self::Realtime),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SimSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, settings) = match self {
            Self::Booking(spec) => ("booking", spec.to_string()),
            Self::Ticket(spec) => ("ticket", spec.to_string()),
            Self::Realtime(spec) => ("realtime", spec.to_string()),
        };
        write!(f, "{SCHEME}{service}?{}", settings.replace(',', "&"))
    }
}

impl Faults {
    /// Sets `key`; `false` if it has no such key.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, Invalid> {
        match key {
            "latency" => self.latency = parse_duration("latency", value)?,
            "jitter" => self.jitter = parse_duration("jitter", value)?,
            "errors" => self.errors = Share::parse("errors", value)?,
            "lost_replies" => self.lost_replies = Share::parse("lost_replies", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Refusals {
    /// Sets `key`; `false` if it has no such key.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, Invalid> {
        match key {
            "rejects" => self.rejects = Share::parse("rejects", value)?,
            "confirm_rejects" => self.confirm_rejects = Share::parse("confirm_rejects", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl BookingSpec {
    fn parse(text: &str, separator: char) -> Result<Self, Invalid> {
        let mut spec = Self::default();
        each_setting(text, separator, BOOKING_KEYS, |key, value| {
            match key {
                "stock" => spec.stock = parse_number("stock", value, STOCK_RULE)?,
                "keeps" => spec.keeps = Some(parse_duration("keeps", value)?),
                "seed" => spec.seed = parse_number("seed", value, SEED_RULE)?,
                _ => return Ok(spec.faults.set(key, value)? || spec.refusals.set(key, value)?),
            }
            Ok(true)
        })?;
        Ok(spec)
    }
}

impl ServiceSpec {
    fn parse(text: &str, separator: char) -> Result<Self, Invalid> {
        let mut spec = Self::default();
        each_setting(text, separator, SERVICE_KEYS, |key, value| {
            if key != "seed" {
                return spec.faults.set(key, value);
            }
            spec.seed = parse_number("seed", value, SEED_RULE)?;
            Ok(true)
        })?;
        Ok(spec)
    }
}

impl FromStr for BookingSpec {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text, ',')
    }
}

impl FromStr for ServiceSpec {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text, ',')
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, jitter, errors, lost_replies } = self;
        let (latency, jitter) = (text::show(*latency), text::show(*jitter));
        write!(f, "latency={latency},jitter={jitter},errors={errors},lost_replies={lost_replies}")
    }
}

impl fmt::Display for BookingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusals { rejects, confirm_rejects } = self.refusals;
        write!(f, "stock={},{},", self.stock, self.faults)?;
        write!(f, "rejects={rejects},confirm_rejects={confirm_rejects},")?;
        if let Some(keeps) = self.keeps {
            write!(f, "keeps={}ms,", keeps.as_millis())?;
        }
        write!(f, "seed={}", self.seed)
    }
}

impl fmt::Display for ServiceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},seed={}", self.faults, self.seed)
    }
}

/// Passes each `key=value` pair to `set`, which returns whether it knows the key.
fn each_setting(
    text: &str,
    separator: char,
    keys: &'static str,
    mut set: impl FnMut(&str, &str) -> Result<bool, Invalid>,
) -> Result<(), Invalid> {
    let mut seen: Vec<&str> = Vec::new();
    for setting in text.split(separator).map(str::trim).filter(|setting| !setting.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| Invalid::new("setting", setting, "key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        if seen.contains(&key) {
            return Err(Invalid::new("setting", setting, "each key once"));
        }
        if !set(key, value)? {
            return Err(Invalid::new("key", key, keys));
        }
        seen.push(key);
    }
    Ok(())
}

fn parse_number(key: &'static str, value: &str, rule: &'static str) -> Result<u64, Invalid> {
    value.parse().map_err(|_| Invalid::new(key, value, rule))
}

/// A duration such as `20ms`, at most an hour: a longer latency is a mistake.
pub(crate) fn parse_duration(key: &'static str, value: &str) -> Result<Duration, Invalid> {
    humantime::parse_duration(value)
        .ok()
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| Invalid::new(key, value, DURATION_RULE))
}

/// Durations as text in JSON: `"20ms"`.
mod text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Without spaces, for lists and URLs.
    pub(super) fn show(duration: Duration) -> String {
        humantime::format_duration(duration).to_string().replace(' ', "")
    }

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        super::parse_duration("duration", &String::deserialize(deserializer)?)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
        let uri: SimSpec =
            "simulate://booking?stock=5&latency=1s500ms&errors=5%25".parse().unwrap();
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
            ("simulate://ticket?stock=5", "key", SERVICE_KEYS),
            ("simulate://realtime?rejects=5%", "key", SERVICE_KEYS),
            ("simulate://booking?stock=-1", "stock", STOCK_RULE),
            ("simulate://booking?latency=fast", "latency", DURATION_RULE),
            ("simulate://booking?jitter=2h", "jitter", DURATION_RULE),
            ("simulate://booking?errors=120%", "errors", crate::share::SHARE_RULE),
            ("simulate://booking?seed=x", "seed", SEED_RULE),
            ("simulate://booking?stock", "setting", "key=value"),
            ("simulate://booking?stock=1&stock=2", "setting", "each key once"),
        ] {
            let error = refused(text);
            assert_eq!((error.field, error.allowed), (field, allowed), "{text}");
        }
        assert!(refused("simulate://booking?latency=fast").to_string().contains("\"fast\""));
    }
}
