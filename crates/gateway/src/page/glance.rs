//! The queue, as far as the page shows it.

use bookingq_core::Timestamp;
use serde::Deserialize;

use super::text::parse_moment;
use crate::place_json::WaitJson;

/// The queue, as far as the page shows it.
#[derive(Debug, Clone)]
pub struct QueueGlance {
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it takes no new bookings.
    pub closed: bool,
    /// Number of bookings in the line.
    pub waiting: u64,
    /// When the sale opens, if that is still to come.
    pub opens_at: Option<Timestamp>,
    /// The wait of a client that joins now.
    pub wait: Option<WaitJson>,
    /// The answer of GET /v1/queues/{queue}, for the script.
    pub(super) json: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    admission: String,
    waiting: u64,
    opens_at: Option<String>,
    wait: Option<Wait>,
}

#[derive(Deserialize)]
struct Wait {
    low: u64,
    expected: u64,
    high: u64,
}

impl QueueGlance {
    /// Reads the answer of GET /v1/queues/{queue}; `None` if it is another JSON.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        let Answer { admission, waiting, opens_at, wait } = serde_json::from_str(json).ok()?;
        Some(Self {
            paused: admission == "paused",
            closed: admission == "closed",
            waiting,
            opens_at: opens_at.as_deref().and_then(parse_moment),
            wait: wait.map(|Wait { low, expected, high }| WaitJson { low, expected, high }),
            json: json.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_the_api_is_read() {
        let json = br#"{"queue":"c","admission":"paused","waiting":7,"rate":1.5,
            "opensAt":"2023-11-14T22:13:20.123Z","wait":{"low":1,"expected":2,"high":3}}"#;
        let glance = QueueGlance::parse(json).unwrap();
        assert!(glance.paused && !glance.closed);
        assert_eq!((glance.waiting, glance.opens_at), (7, Some(Timestamp(1_700_000_000_123))));
        assert_eq!(glance.wait, Some(WaitJson { low: 1, expected: 2, high: 3 }));
        assert!(QueueGlance::parse(b"{}").is_none());
    }
}
