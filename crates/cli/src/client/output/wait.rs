//! How an expected wait and a chance are shown.

use std::time::Duration;

use bookingq_proto::v1;
use serde::Serialize;

use super::{about, seconds};

/// An expected wait, with the field names of the contract.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct WaitOutput {
    #[serde(rename = "eta_seconds", skip_serializing_if = "Option::is_none")]
    eta: Option<f64>,
    /// The wait is shorter for 1 of 10 bookings, and longer for 1 of 10.
    #[serde(rename = "eta_range_seconds", skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    /// Why there is no expected wait.
    #[serde(rename = "eta_unknown", skip_serializing_if = "Option::is_none")]
    unknown: Option<&'static str>,
}

impl WaitOutput {
    /// From the fields that Booking and `GetQueueResponse` share.
    pub fn new(
        eta: Option<&prost_types::Duration>,
        range: Option<&v1::EtaRange>,
        unknown: v1::EtaUnknown,
    ) -> Self {
        let limits = |range: &v1::EtaRange| {
            Some([seconds(range.low.as_ref()?), seconds(range.high.as_ref()?)])
        };
        Self { eta: eta.map(seconds), range: range.and_then(limits), unknown: reason(unknown) }
    }

    /// Whether a wait is expected.
    pub fn is_known(&self) -> bool {
        self.eta.is_some()
    }

    /// The expected wait, as a range if that is known; empty if it is unknown.
    pub fn words(&self) -> String {
        let words = |seconds: f64| about(Duration::from_secs_f64(seconds.max(0.0)));
        match (self.range, self.eta) {
            (Some([low, high]), _) if words(low) != words(high) => {
                format!("{} to {}", words(low), words(high))
            }
            (_, Some(seconds)) => format!("about {}", words(seconds)),
            (_, None) => String::new(),
        }
    }

    /// Why the queue serves no client, if that is why the wait is unknown.
    pub fn explain_halt(&self) -> &'static str {
        match self.unknown {
            Some("not_open") => "the sale has not opened",
            Some("paused") => "the queue is paused",
            Some("outage") => "the Booking Service does not answer",
            _ => "",
        }
    }
}

/// The word for a chance; `None` if it is unknown.
pub fn chance_word(chance: v1::Chance) -> Option<&'static str> {
    match chance {
        v1::Chance::Unspecified => None,
        v1::Chance::Likely => Some("likely"),
        v1::Chance::Uncertain => Some("uncertain"),
        v1::Chance::Unlikely => Some("unlikely"),
    }
}

fn reason(unknown: v1::EtaUnknown) -> Option<&'static str> {
    match unknown {
        v1::EtaUnknown::Unspecified => None,
        v1::EtaUnknown::NotOpen => Some("not_open"),
        v1::EtaUnknown::Paused => Some("paused"),
        v1::EtaUnknown::Outage => Some("outage"),
        v1::EtaUnknown::SoldOut => Some("sold_out"),
        v1::EtaUnknown::NoData => Some("no_data"),
    }
}
