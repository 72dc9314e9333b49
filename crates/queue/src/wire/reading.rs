//! A reading of a queue as bytes, for those that look at it from outside and apply no commands. It
//! is no part of the state: fields that a later release adds are skipped.

use bookingq_core::{Place, Timestamp};
use prost::Message as _;

use super::Unreadable;
use super::head::{TotalsWire, WorkforceWire};
use super::ids::number;
use super::rules::{RulesWire, admission};
use crate::snapshot::Snapshot;

#[derive(Clone, PartialEq, prost::Message)]
struct ReadingWire {
    #[prost(uint64, tag = "1")]
    now: u64,
    #[prost(string, tag = "2")]
    epoch: String,
    #[prost(bool, tag = "3")]
    set_back: bool,
    #[prost(string, tag = "4")]
    admission: String,
    #[prost(message, optional, tag = "5")]
    rules: Option<RulesWire>,
    #[prost(bool, tag = "6")]
    rules_set: bool,
    #[prost(uint64, tag = "7")]
    backlog: u64,
    #[prost(uint64, tag = "8")]
    parked: u64,
    #[prost(uint64, tag = "9")]
    claimable: u64,
    #[prost(uint64, tag = "10")]
    in_flight: u64,
    #[prost(uint64, tag = "11")]
    due: u64,
    #[prost(uint64, tag = "12")]
    holds: u64,
    #[prost(uint64, tag = "13")]
    overdue: u64,
    #[prost(message, optional, tag = "14")]
    front: Option<FrontWire>,
    #[prost(message, optional, tag = "15")]
    totals: Option<TotalsWire>,
    #[prost(uint64, optional, tag = "16")]
    swept_at: Option<u64>,
    #[prost(uint64, tag = "17")]
    outbox: u64,
    #[prost(message, optional, tag = "18")]
    workforce: Option<WorkforceWire>,
}

/// The front of the line.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct FrontWire {
    #[prost(uint64, tag = "1")]
    place: u64,
    #[prost(uint64, tag = "2")]
    since: u64,
}

impl Snapshot {
    /// The snapshot as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let front =
            |(place, since): (Place, Timestamp)| FrontWire { place: number(place), since: since.0 };
        let wire = ReadingWire {
            now: self.now.0,
            epoch: self.epoch.clone(),
            set_back: self.set_back,
            admission: self.admission.as_str().to_owned(),
            rules: Some((&self.rules).into()),
            rules_set: self.rules_set,
            backlog: self.backlog,
            parked: self.parked,
            claimable: self.claimable,
            in_flight: self.in_flight,
            due: self.due,
            holds: self.holds,
            overdue: self.overdue,
            front: self.front.map(front),
            totals: Some(self.totals.into()),
            swept_at: self.swept_at.map(|at| at.0),
            outbox: self.outbox,
            workforce: self.workforce.as_ref().map(Into::into),
        };
        wire.encode_to_vec()
    }

    /// Reads the bytes of a snapshot.
    ///
    /// # Errors
    /// [`Unreadable`] if they are none, or say what this release does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire = ReadingWire::decode(bytes)?;
        let rules = wire.rules.ok_or_else(|| Unreadable::missing("the rules"))?;
        let totals = wire.totals.ok_or_else(|| Unreadable::missing("the counters"))?;
        let front = |FrontWire { place, since }| (Place::numbered(place), Timestamp(since));
        Ok(Self {
            now: Timestamp(wire.now),
            epoch: wire.epoch,
            set_back: wire.set_back,
            admission: admission(&wire.admission)?,
            rules: rules.try_into()?,
            rules_set: wire.rules_set,
            backlog: wire.backlog,
            parked: wire.parked,
            claimable: wire.claimable,
            in_flight: wire.in_flight,
            due: wire.due,
            holds: wire.holds,
            overdue: wire.overdue,
            front: wire.front.map(front),
            totals: totals.into(),
            swept_at: wire.swept_at.map(Timestamp),
            outbox: wire.outbox,
            workforce: wire.workforce.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bookingq_core::{Admission, SaleRules, Workforce, WorkforceChange};

    use super::*;
    use crate::snapshot::Totals;

    fn reading() -> Snapshot {
        let last = WorkforceChange {
            at: Timestamp(7),
            from: 1,
            to: 2,
            reason: "Line".to_owned(),
            note: "more".to_owned(),
        };
        Snapshot {
            now: Timestamp(1_700_000_000_000),
            epoch: "an-epoch".to_owned(),
            set_back: true,
            admission: Admission::Paused,
            rules: SaleRules { opens_at: Some(Timestamp(9)), ..SaleRules::default() },
            rules_set: true,
            backlog: 1,
            parked: 2,
            claimable: 3,
            in_flight: 4,
            due: 5,
            holds: 6,
            overdue: 7,
            front: Some((Place::numbered(8), Timestamp(9))),
            totals: Totals { enqueued: 10, busy_us: 11, reacquired: 12, ..Totals::default() },
            swept_at: Some(Timestamp(13)),
            outbox: 14,
            workforce: Some(Workforce { wanted: 2, ready: 1, last_scaling: Some(last) }),
        }
    }

    #[test]
    fn a_reading_is_read_as_it_was_written_and_later_fields_are_skipped() {
        let reading = reading();
        let mut bytes = reading.encode();
        assert_eq!(Snapshot::decode(&bytes), Ok(reading));
        // Field 500, a number.
        bytes.extend([0xa0, 0x1f, 1]);
        assert!(Snapshot::decode(&bytes).is_ok());
        let cut = &bytes[..bytes.len() - 1];
        assert!(Snapshot::decode(cut).is_err());
        assert!(Snapshot::decode(b"").is_err(), "a deleted reading is none");
    }
}
