//! The settings of a simulated service, as text and as a value:
//! `simulate://booking?items=A:500,B:90&latency=20ms&errors=5%`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
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
pub const BOOKING_KEYS: &str = concat!(
    "stock, items, returns, sales, counts, latency, jitter, errors, lost_replies, rejects, ",
    "confirm_rejects, lies, ticket_lies, keeps, seed"
);
/// The settings of the other services.
pub const SERVICE_KEYS: &str = "latency, jitter, errors, lost_replies, seed";
/// The accepted durations.
pub const DURATION_RULE: &str = "a duration up to 1h, such as 20ms or 1s";
/// The accepted stocks.
pub const STOCK_RULE: &str = "a whole number of tickets, 0 or more";
/// The accepted stocks of items.
pub const ITEMS_RULE: &str = "ITEM:NUMBER, such as A:1000,B:500";
/// The accepted schedules.
pub const SCHEDULE_RULE: &str = "ITEM:NUMBER@TIME, such as A:3@20s,B:1@1m";
/// Whether answers contain counts.
pub const COUNTS_RULE: &str = "on or off";
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

/// The bookings that a Booking Service refuses, and its lies; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusals {
    /// Bookings that are not reserved, decided by their ids so that repeats agree.
    pub rejects: Share,
    /// Reserved bookings whose confirmation is refused, decided like `rejects`.
    pub confirm_rejects: Share,
    /// Reserve calls that get "sold out" although stock is left.
    pub lies: Share,
    /// Answers of the Ticket Service that say the opposite of the truth.
    pub ticket_lies: Share,
}

/// Tickets of an item that another sales channel gives back, or sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The item.
    pub item: Arc<str>,
    /// How many.
    pub quantity: u64,
    /// When, after the start of the service.
    pub after: Duration,
}

/// A simulated Booking Service. Text: `stock`, `items`, `returns`, `sales`, `counts`, `keeps`,
/// `seed`, and the keys of [`Faults`] and [`Refusals`], as `key=value,key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingSpec {
    /// Tickets of each item that `items` does not name; 1,000 by default.
    pub stock: u64,
    /// Tickets of named items.
    pub items: BTreeMap<Arc<str>, u64>,
    /// Returns of another sales channel, which holds these tickets until then.
    pub returns: Vec<Scheduled>,
    /// Sales of another channel, of what is left then.
    pub sales: Vec<Scheduled>,
    /// Whether answers say how many are left, and how many another channel holds.
    pub counts: bool,
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
            items: BTreeMap::new(),
            returns: Vec::new(),
            sales: Vec::new(),
            counts: true,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
            "booking" => BookingSpec::default().with(&query, '&').map(Self::Booking),
            "ticket" => ServiceSpec::parse(&query, '&').map(Self::TicketService),
            "realtime" => ServiceSpec::parse(&query, '&').map(Self::Realtime),
            _ => Err(refused()),
        }
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
            "lies" => self.lies = Share::parse("lies", value)?,
            "ticket_lies" => self.ticket_lies = Share::parse("ticket_lies", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl BookingSpec {
    /// With the settings of `text` in place of its own.
    ///
    /// # Errors
    /// [`Invalid`], naming the setting.
    pub fn with(mut self, text: &str, separator: char) -> Result<Self, Invalid> {
        each_setting(text, separator, BOOKING_KEYS, |key, value| {
            match key {
                "stock" => self.stock = parse_number("stock", value, STOCK_RULE)?,
                "items" => self.items = parse_items(value)?,
                "returns" => self.returns = parse_schedule("returns", value)?,
                "sales" => self.sales = parse_schedule("sales", value)?,
                "counts" => self.counts = parse_counts(value)?,
                "keeps" => self.keeps = Some(parse_duration("keeps", value)?),
                "seed" => self.seed = parse_number("seed", value, SEED_RULE)?,
                _ => return Ok(self.faults.set(key, value)? || self.refusals.set(key, value)?),
            }
            Ok(true)
        })?;
        Ok(self)
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
        Self::default().with(text, ',')
    }
}

impl FromStr for ServiceSpec {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text, ',')
    }
}

/// Passes each `key=value` pair to `set`, which returns whether it knows the key. A value may be a
/// list: in `items=A:1,B:2`, `B:2` belongs to `items`.
fn each_setting(
    text: &str,
    separator: char,
    keys: &'static str,
    mut set: impl FnMut(&str, &str) -> Result<bool, Invalid>,
) -> Result<(), Invalid> {
    let mut settings: Vec<String> = Vec::new();
    for setting in text.split(separator).map(str::trim).filter(|setting| !setting.is_empty()) {
        match settings.last_mut() {
            Some(list) if !setting.contains('=') && setting.contains([':', '@']) => {
                list.push(',');
                list.push_str(setting);
            }
            _ => settings.push(setting.to_owned()),
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for setting in &settings {
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

/// `A:1000,B:500`, each item once.
fn parse_items(value: &str) -> Result<BTreeMap<Arc<str>, u64>, Invalid> {
    let refused = || Invalid::new("items", value, ITEMS_RULE);
    let mut items = BTreeMap::new();
    for part in value.split(',') {
        let (item, number) = part.trim().rsplit_once(':').ok_or_else(refused)?;
        let number = number.parse().map_err(|_| refused())?;
        if items.insert(Arc::from(item), number).is_some() {
            return Err(Invalid::new("items", value, "each item once"));
        }
    }
    Ok(items)
}

/// `A:3@20s,B:1@1m`; without an item, that of bookings that name none: `3@20s`.
fn parse_schedule(key: &'static str, value: &str) -> Result<Vec<Scheduled>, Invalid> {
    let one = |part: &str| {
        let refused = || Invalid::new(key, value, SCHEDULE_RULE);
        let (amount, after) = part.trim().rsplit_once('@').ok_or_else(refused)?;
        let (item, number) = amount.rsplit_once(':').unwrap_or(("", amount));
        let quantity = number.parse().map_err(|_| refused())?;
        Ok(Scheduled { item: Arc::from(item), quantity, after: parse_duration(key, after)? })
    };
    value.split(',').map(one).collect()
}

fn parse_counts(value: &str) -> Result<bool, Invalid> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Invalid::new("counts", value, COUNTS_RULE)),
    }
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

    /// Without spaces.
    fn show(duration: Duration) -> String {
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
