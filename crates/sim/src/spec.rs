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

/// The accepted endpoints.
pub const SPEC_RULE: &str = concat!(
    "simulate://booking, simulate://realtime or simulate://ticket (the Ticket Service), ",
    "optionally with ?key=value&key=value"
);
/// The settings of a Booking Service.
pub const BOOKING_KEYS: &str =
    "stock, latency, jitter, errors, lost_replies, rejects, confirm_rejects, keeps, seed";
/// The settings of the other services.
pub const SERVICE_KEYS: &str = "latency, jitter, errors, lost_replies, seed";
/// The accepted durations.
pub const DURATION_RULE: &str = "a duration up to 1h, such as 20ms or 1s";
/// The accepted stocks.
pub const STOCK_RULE: &str = "a whole number of tickets, 0 or more";
/// The accepted seeds.
pub const SEED_RULE: &str = "a whole number, 0 or more";
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

/// A simulated Realtime Service or Ticket Service. Text: the keys of [`Faults`] and `seed`, as
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
    /// `simulate://ticket`: the Ticket Service
    TicketService(ServiceSpec),
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
            "ticket" => ServiceSpec::parse(&query, '&').map(Self::TicketService),
            "realtime" => ServiceSpec::parse(&query, '&').map(Self::Realtime),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SimSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, settings) = match self {
            Self::Booking(spec) => ("booking", spec.to_string()),
            Self::TicketService(spec) => ("ticket", spec.to_string()),
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
